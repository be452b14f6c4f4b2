"""Which tables a log takes up, and that its events keep to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from ledger.errors import MalformedError
from provenance.before import Act, Before
from provenance.canonical import dumps
from provenance.errors import Reason
from provenance.events import Unknown, read_event
from provenance.events.union import MODELS
from provenance.events.words import refused_words, vocabularies_of
from provenance.vocabularies import BUILT_IN, Table

if TYPE_CHECKING:
    from provenance.rules import Rule

__all__ = ["RULES"]


def _by_the_market(act: Act, before: Before) -> Iterator[Reason]:
    """`vocab.signer`: only the market, or the log itself, says which tables are in use."""
    if act.actor == before.market:
        return
    entry = before.index.entry(0)
    if entry is None or act.actor != entry.event_id:
        yield Reason("vocab.signer", f"{act.actor.hex()} is not the market whose log it is", (act.id,))


def _fits(act: Act, before: Before) -> Iterator[Reason]:
    """`vocab.adopt.table`: a table is what its event calls it, and the same that is known under this name."""
    body = act.body
    name = (body["vocabulary"], body["version"])
    known = before.vocabularies.table(*name)
    if known is not None and known.digest.hex() != body["digest"]:
        text = f"{' '.join(name)}: digest {body['digest']}, but it is known as {known.digest.hex()}"
        yield Reason("vocab.adopt.table", text, (act.id,))
    if "table" not in body:
        return
    try:
        table = Table.parse(dumps(body["table"]))
        if table.name != name:
            text = f"the table is {' '.join(table.name)}, but adopted as {' '.join(name)}"
            yield Reason("vocab.adopt.table", text, (act.id,))
        elif known is None:
            before.vocabularies.with_table(bytes(table))
    except MalformedError as error:
        yield Reason("vocab.adopt.table", str(error), (act.id,))


def _in_use(act: Act, before: Before) -> Iterator[Reason]:
    """`vocab.retire.unused`: what is retired was in use. `vocab.retire.last`: what no event can do without stays."""
    name = (act.body["vocabulary"], act.body["version"])
    now, then = before.vocabularies, before.vocabularies.retiring(*name)
    if now == then:
        yield Reason("vocab.retire.unused", f"{' '.join(name)} is not in use here", (act.id,))
    table = now.table(*name)
    if table is not None and table.closed and then.active(name[0]) is None:
        text = f"{' '.join(name)} is the only table of these words; adopt another one first"
        yield Reason("vocab.retire.last", text, (act.id,))


def _keeps_to_them(act: Act, before: Before) -> Iterator[Reason]:
    """`vocab.retired`, `vocab.adopted`: words are of tables in use at this place of the log."""
    if not before.adoptions:
        return  # nothing has changed since the event was built
    event = read_event(act.data, vocabularies=before.vocabularies)
    if not isinstance(event, Unknown):
        for reason in refused_words(event, before.vocabularies):
            yield Reason(reason.rule, reason.sentence, (act.id,))


def _worded() -> Iterator[str]:
    """Types with a word of a table that can change without a release."""
    for type_, model in MODELS.items():
        tables = (BUILT_IN.active(vocabulary) for vocabulary in vocabularies_of(model))
        if any(table is not None and not table.closed for table in tables):
            yield type_


RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        **dict.fromkeys(_worded(), (_keeps_to_them,)),
        "vocab.adopt": (_by_the_market, _fits),
        "vocab.retire": (_by_the_market, _in_use),
    }
)
