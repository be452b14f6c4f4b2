"""Who acts, with which keys, and who speaks for whom: keys, mandates and links.

The market says what is its own, and speaks for the parties that it keeps (custodial ones, without keys). Everybody else
signs for himself: `propose` builds the event, `sign_statement` signs it, `submit` records it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ledger.errors import NotFound, UnknownKey
from provenance.before import Before
from provenance.desk.base import Desk
from provenance.drafts import Named
from provenance.events import Draft
from provenance.identity import Documents, Mandate, Party, PartyLink, links_of, read_mandates
from provenance.keys import PartySigner, PublicKey
from provenance.moments import Moment, format_time, size_at
from provenance.session import joins_async
from provenance.staging import Request
from provenance.statement import sign_statement
from provenance.ticket import Ticket

__all__ = ["PartyVerbs"]


class PartyVerbs(Desk):
    """Keys, mandates and links of parties."""

    # For whoever signs himself

    def propose(
        self,
        type: str,  # noqa: A002 - the field's name in the event
        *,
        actor: Named,
        body: Mapping[str, Any],
        refs: Sequence[Mapping[str, Any]] = (),
        personal: Mapping[str, str | None] | None = None,
        strength: str = "self",
    ) -> Draft:
        """Build an event for `actor` to sign; nothing is recorded.

        `actor` is a party, or "self" for a registration with keys of its own. The signer, which is the actor or its
        agent, signs `draft.id` with `sign_statement`; `submit` takes `draft.data`, the statement and the items.
        """
        return self.draft(type, body=body, refs=refs, personal=personal, strength=strength, actor=actor)

    def propose_keys(
        self,
        party: Named,
        *,
        keys: Sequence[PublicKey],
        rotation_keys: Sequence[PublicKey] = (),
        next_keys: Sequence[PublicKey] = (),
        since: int | None = None,
        recover_to: Named | None = None,
        ref: str | None = None,
    ) -> Draft:
        """Build the `party.keys` by which a party changes its own keys, for one of its rotation keys to sign.

        A party without rotation keys signs it with one of its keys. `keys` and `rotation_keys` (strongest first) are
        all that it has from then on; without any it is deactivated. `next_keys` are announced by their thumbprints: the
        next change may list no others. `since` marks the keys that are taken away as compromised from that entry on.
        `recover_to` names the last key event that stays: what a weaker rotation key did behind it, up to 72 hours of
        log time ago, becomes void. Raises `NotFound` for an unknown party.
        """
        found = self.party(party)
        reason = "rotate" if keys or rotation_keys else "deactivate"
        reason = "recover" if recover_to is not None else "compromise" if since is not None else reason
        prev = found.live()[-1].event_id.hex() if recover_to is None else str(recover_to)
        body = _keys(reason, keys, rotation_keys, next_keys)
        if since is not None:
            body["suspect_from"] = since
        refs = [{"role": "prev", "id": prev}]
        return self.propose("party.keys", actor=party, body=body, refs=refs, personal={"ref": ref})

    # Keys

    @joins_async
    def rotate_keys(
        self,
        party: Named | None = None,
        *,
        keys: Sequence[PublicKey],
        rotation_keys: Sequence[PublicKey] = (),
        next_keys: Sequence[PublicKey] = (),
        recover_to: Named | None = None,
        by: PartySigner | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Replace all keys of a party, by default of the market itself; the arguments are those of `propose_keys`.

        `by` signs it: a rotation key, or a present key where there are none. Without `by` the market's own present key
        does, once it is sequenced. From then on the ledger sequences nothing more with the old market key: connect
        again with the new one.
        """
        return self._change_keys(
            "rotate_keys",
            self.market.hex() if party is None else party,
            by,
            ref,
            session,
            keys=keys,
            rotation_keys=rotation_keys,
            next_keys=next_keys,
            recover_to=recover_to,
        )

    @joins_async
    def mark_compromised(
        self,
        party: Named | None = None,
        *,
        since: int,
        keys: Sequence[PublicKey],
        rotation_keys: Sequence[PublicKey] = (),
        next_keys: Sequence[PublicKey] = (),
        recover_to: Named | None = None,
        by: PartySigner | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Replace keys because one was stolen: what those that are taken away signed from entry `since` on is suspect.

        Nothing is deleted: it is flagged wherever it is shown. The rest as in `rotate_keys`.
        """
        return self._change_keys(
            "mark_compromised",
            self.market.hex() if party is None else party,
            by,
            ref,
            session,
            keys=keys,
            rotation_keys=rotation_keys,
            next_keys=next_keys,
            recover_to=recover_to,
            since=since,
        )

    @joins_async
    def deactivate(
        self, party: Named, *, by: PartySigner | None = None, ref: str | None = None, session: Any = None
    ) -> Ticket:
        """Take all keys away from a party, for good: only a stronger rotation key can undo it, for 72 hours."""
        return self._change_keys("deactivate", party, by, ref, session, keys=())

    @joins_async
    def claim(
        self,
        party: Named,
        *,
        keys: Sequence[PublicKey],
        rotation_keys: Sequence[PublicKey] = (),
        next_keys: Sequence[PublicKey] = (),
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Hand a custodial party its own keys, once: from then on it signs for itself, and the market has no say."""
        draft = self.draft(
            "party.keys",
            actor=party,
            body=_keys("claim", keys, rotation_keys, next_keys),
            refs=[{"role": "prev", "id": str(party)}],
            personal={"ref": ref},
        )
        return self._record(Request("claim", [draft], ref), session)

    # Mandates

    @joins_async
    def mandate(
        self,
        principal: Named,
        *,
        agent: Named,
        actions: Sequence[str],
        works: Sequence[Named] = (),
        territories: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Let an agent speak for a party that the market is or keeps; any other principal signs it: see `propose`.

        `actions` are types of events (`offer.attach`), families (`offer.*`) or `*`, which leaves out parties and
        mandates; `works` narrow it to acts on these, `territories` to what holds inside of them. It holds once the
        agent has agreed (`assent`), from `since` to `until`, in log time.
        """
        body: dict[str, Any] = {"actions": list(actions)}
        if territories:
            body["territories"] = list(territories)
        for name, time in (("from", since), ("until", until)):
            if time is not None:
                body[name] = format_time(time)
        refs = [{"role": "agent", "id": str(agent)}, *({"role": "work", "id": str(work)} for work in works)]
        draft = self._said_for(principal, "mandate.grant", body=body, refs=refs, personal={"ref": ref})
        return self._record(Request("mandate", [draft], ref), session)

    @joins_async
    def revoke_mandate(
        self, mandate: Named, *, reason: str | None = None, ref: str | None = None, session: Any = None
    ) -> Ticket:
        """End a mandate that the market, or a party that it keeps, has granted. `reason` is a term."""
        granted = self._recalled(mandate, "mandate.grant")
        body = {} if reason is None else {"reason": reason}
        refs = [{"role": "mandate", "id": str(mandate)}]
        draft = self._said_for(granted["actor"], "mandate.revoke", body=body, refs=refs, personal={"ref": ref})
        return self._record(Request("revoke_mandate", [draft], ref), session)

    # Links

    @joins_async
    def link(
        self,
        party: Named,
        scheme: str,
        other: Named | None = None,
        *,
        proof: Mapping[str, Any] | None = None,
        document_digest: str | None = None,
        account: str | None = None,
        ref: str | None = None,
        session: Any = None,
    ) -> Ticket:
        """Say what else a party is that the market is or keeps: it counts once the other side has signed too.

        `scheme` is did:key, did:web, did:webvh, x509, account or party; `other` is the id there: a whole DID, the
        SHA-256 of a certificate, a party of this log. `proof` is the other side's (`sign_link`); `document_digest` pins
        the DID document. `account` goes to the vault, not into the log.
        """
        body: dict[str, Any] = {"scheme": scheme}
        if document_digest is not None:
            body["document_digest"] = document_digest
        if proof is not None:
            body["proof"] = dict(proof)
        target = str(other) if scheme == "party" else {"scheme": scheme, "id": str(other)}
        refs = [] if other is None else [{"role": "other", "id": target}]
        draft = self._said_for(party, "party.link", body=body, refs=refs, personal={"account": account, "ref": ref})
        return self._record(Request("link", [draft], ref), session)

    @joins_async
    def unlink(self, link: Named, *, reason: str | None = None, ref: str | None = None, session: Any = None) -> Ticket:
        """Take back a link of the market's or of a party that it keeps. `reason` is a term."""
        linked = self._recalled(link, "party.link")
        body = {} if reason is None else {"reason": reason}
        refs = [{"role": "link", "id": str(link)}]
        draft = self._said_for(linked["actor"], "party.unlink", body=body, refs=refs, personal={"ref": ref})
        return self._record(Request("unlink", [draft], ref), session)

    # Asking

    def party(self, party: Named, *, at: Moment = None) -> Party:
        """A party with its keys, as of `at`. Raises `NotFound` when there is none with this id, or was none then."""
        before = self._at(at)
        found = before.party(bytes.fromhex(str(party)))
        waits = found is not None and found.index >= before.place
        if found is None or (waits and at is not None):
            msg = f"party {party}: no party of this log; register it first"
            raise NotFound(msg)
        return found

    def mandates_of(
        self, principal: Named | None = None, *, agent: Named | None = None, at: Moment = None
    ) -> list[Mandate]:
        """The mandates of a principal, or to an agent, or from one to the other, as of `at`; also those that ended."""
        ids = [None if named is None else bytes.fromhex(str(named)) for named in (principal, agent)]
        return list(read_mandates(self._at(at), principal=ids[0], agent=ids[1]))

    def links_of(self, party: Named, *, documents: Documents = lambda _: None, at: Moment = None) -> list[PartyLink]:
        """What a party says it is elsewhere, and which of that counts as of `at`.

        `documents` gives DID documents and certificates by their digest: nothing is fetched.
        """
        return links_of(bytes.fromhex(str(party)), self._at(at), documents=documents)

    # Private

    def _at(self, at: Moment) -> Before:
        before = self._staging.before()
        return before if at is None else before.at(size_at(before.index, at))

    def _said_for(self, party: Named, type_: str, **details: Any) -> Draft:
        strength = "self" if str(party) == self.market.hex() else "observed"
        return self.draft(type_, actor=party, strength=strength, **details)

    def _recalled(self, named: Named, type_: str) -> dict[str, Any]:
        event = self._staging.before().event(bytes.fromhex(str(named)))
        if event is None or event["type"] != type_:
            msg = f"{named}: no {type_} that can be read here"
            raise NotFound(msg)
        return event

    def _change_keys(
        self, verb: str, party: Named, by: PartySigner | None, ref: str | None, session: Any, **change: Any
    ) -> Ticket:
        """Record the change that `propose_keys` builds of `change`; `by` signs it, else the market's own key does."""
        draft = self.propose_keys(party, ref=ref if by is None else None, **change)
        actor = draft.model.actor
        if by is None:
            if actor != self.market.hex():
                msg = f"party {actor}: give by=, the key that signs its change of keys, or let it sign: propose_keys"
                raise UnknownKey(msg)
            if self.party(actor).state.rotation:
                msg = f"party {actor}: the market has rotation keys; give by=, the one that signs this"
                raise UnknownKey(msg)
            return self._record(Request(verb, [draft], ref), session)
        statement = sign_statement(by, issuer=actor, type=draft.type, origin=self.origin, event_id=draft.id)
        return self.submit(draft.data, statement, ref=ref, session=session)


def _keys(
    reason: str, keys: Sequence[PublicKey], rotation: Sequence[PublicKey], following: Sequence[PublicKey]
) -> dict[str, Any]:
    return {
        "reason": reason,
        "keys": [key.jwk() for key in keys],
        "rotation_keys": [key.jwk() for key in rotation],
        "next_key_hashes": [key.thumbprint.hex() for key in following],
    }
