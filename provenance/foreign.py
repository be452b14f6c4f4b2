"""Judging an event that somebody else signed, before it is accepted."""

from __future__ import annotations

from collections.abc import Sequence

from provenance.canonical import address
from provenance.errors import EventRejected, Reason
from provenance.events import Unknown, read_event
from provenance.identity import KeyEvent, Parties, party_of, verify_by
from provenance.index import Facts, facts_of
from provenance.item import Item
from provenance.linter import lint
from provenance.queue import Staged
from provenance.statement import Statement
from provenance.vocabularies import BUILT_IN, Vocabularies

__all__ = ["open_foreign"]


def open_foreign(
    event: bytes,
    statement: bytes,
    items: Sequence[bytes],
    *,
    origin: str,
    sealed: frozenset[str],
    parties: Parties,
    index: int,
    late: bool = False,
    vocabularies: Vocabularies = BUILT_IN,
) -> tuple[Staged, Facts]:
    """Return what can be staged: a statement over exactly this event, for this log, by its signer's own valid key.

    Whether the signer may speak for the event's actor is for `provenance.rules.parties`. `sealed` are the types that
    the log's policy seals, `index` is the position from which the signature is judged; with `late`, for what was
    accepted before, by a key that was valid earlier. `vocabularies` are the tables in use.
    Raises `MalformedError`, `InvalidSignature`, `UnknownKey`, `EventRejected`.
    """
    signed = Statement.parse(statement)
    read = read_event(event, vocabularies=vocabularies)
    own = address(event)
    reasons = [
        Reason("statement.match", f"the statement's {what} is {got}, want {want}", (own.hex(),))
        for what, got, want in (
            ("event id", signed.event_id.hex(), own.hex()),
            ("log", signed.origin, origin),
            ("event's log", read.ledger, origin),
            ("type", signed.type, read.type),
            ("actor", signed.issuer, own.hex() if read.actor == "self" else signed.issuer),
            ("seal", signed.sealed, signed.type in sealed),
        )
        if got != want
    ]
    if isinstance(read, Unknown):
        text = f"{read.type}: {', '.join(read.unknown_fields) or 'the type'} is unknown to this version"
        reasons.append(Reason("schema.unknown", text, (own.hex(),)))
    else:
        reasons += read.broken_rules(vocabularies)
    if read.type.startswith("log."):
        reasons.append(Reason("log.key", f"{read.type} is said with the log's own key only", (own.hex(),)))
    if reasons:
        raise EventRejected(*reasons)
    if read.actor == "self":
        verify_by(party_of(own, index, event), signed)
    elif read.type == "party.keys":
        _verify_keys(KeyEvent.read(own, event), signed, parties, index)
    elif late:
        parties.judge(signed, index)
    else:
        parties.verify(signed, index)
    commits = set(read.commits.values())
    for item in items:
        if Item.parse(item).address.hex() not in commits:
            text = f"the item {address(item).hex()} is none that the event commits to"
            raise EventRejected(Reason("items.match", text, (own.hex(),)))
    personal = () if late else lint(event, items)
    if personal:
        raise EventRejected(*personal)
    staged = Staged(0, own, read.type, event, tuple(items), statement, signed.sealed)
    return staged, facts_of(event_id=own, type=read.type, issuer=signed.issuer, sealed=signed.sealed, event=event)


def _verify_keys(said: KeyEvent, signed: Statement, parties: Parties, index: int) -> None:
    """Verify a change of keys by the keys that may sign it. What needs no key for it is for the rules."""
    parties.verify(signed, index, said)
    issuer = bytes.fromhex(signed.issuer)
    party = parties.get(issuer)
    found = () if party is None else party.objections(said, issuer=issuer, index=index, time="", signer=signed.kid)
    reasons = [reason for reason in found if reason.rule in {"party.keys.signer", "party.keys.rank"}]
    if reasons:
        raise EventRejected(*reasons)
