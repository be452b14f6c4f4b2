"""How things came about, as PROV-JSON (W3C PROV-DM 2013; W3C member submission PROV-JSON 2013).

Works, datasets and models are entities, parties agents, training and runs activities; each work also has the activity
that made it. Whatever is said of something is said by an event of the log: its id stands in `ledger:said_by`. Ids are
URIs that anybody can compute: that of an event is the RFC 6920 name of its bytes, `nih:sha-256;…`, so that exports of
several logs fit together.

Open events only, and of these nothing that is kept in the vault: neither names nor titles, accounts, or prompts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from ledger.errors import NotFound, VerificationError
from provenance.before import Before
from provenance.errors import MissingExtra
from provenance.index import Entry, Index, Link
from provenance.moments import parse_time

if TYPE_CHECKING:
    from prov.model import ProvDocument

__all__ = ["ProvExport", "export_prov"]

Progress = Callable[[int, int], None]
Said = list[tuple[str, Any]]

_NAMESPACES = {
    "event": "nih:sha-256;",
    "making": "urn:provenance:making:",
    "outside": "urn:provenance:outside:",
    "log": "urn:provenance:log:",
    "ledger": "urn:provenance:ledger:",
    "iptc": "http://cv.iptc.org/newscodes/digitalsourcetype/",
}
_ENTITIES = frozenset(
    {"work.create", "work.derive", "work.alias", "work.version", "dataset.snapshot", "model.register"}
)
_ACTIVITIES = frozenset({"model.train", "generation.run"})
_SAID = _ENTITIES | _ACTIVITIES | {"party.register", "derive.amend", "mandate.grant"}
_AGENTS = {"person": "prov:Person", "org": "prov:Organization", "software": "prov:SoftwareAgent"}
_OTHER_LOG = re.compile(r"([^:#]+)#([0-9a-f]{64})", re.ASCII)
_WORDS = {
    "Entity": "entity",
    "Activity": "activity",
    "Agent": "agent",
    "Generation": "wasGeneratedBy",
    "Usage": "used",
    "Derivation": "wasDerivedFrom",
    "Attribution": "wasAttributedTo",
    "Association": "wasAssociatedWith",
    "Delegation": "actedOnBehalfOf",
    "Specialization": "specializationOf",
    "Alternate": "alternateOf",
}
"""Kinds of records of PROV-DM, and their names in PROV-JSON."""

_PLAIN = (
    "media_type",
    "size",
    "relation",
    "license",
    "members",
    "root",
    "description",
    "version",
    "method",
    "rights",
    "state",
)
_OF_A_WORK = ("of", "child", "model", "base", "input", "output")


class ProvExport(NamedTuple):
    """A document, and what it holds: `data` is PROV-JSON in UTF-8, as of the log's `size` and log `time`.

    `records` counts its records by their name in PROV-JSON. `left` counts the entries asked for that are not in it:
    by type where PROV has no word for them, `sealed`, and `unreadable` for those of which only refs are there.
    """

    data: bytes
    size: int
    time: str
    records: Mapping[str, int]
    left: Mapping[str, int]


def export_prov(
    before: Before, *, work: str | None = None, party: str | None = None, progress: Progress | None = None
) -> ProvExport:
    """Everything open that was logged by then; with `work` its lineage up and down, with `party` all about it.

    Both are event ids, 64 hex digits. Takes memory for all of it, about 3 kB an entry. The document is read back and
    compared before it is returned. `progress` is called with (entries done, entries in all).
    Raises `NotFound` for what is not in the log, `MissingExtra` without the optional part `prov`.
    """
    if work is not None and party is not None:
        msg = "a work and a party: want one of them, or neither for everything"
        raise ValueError(msg)
    index = before.index
    if work is not None:
        places = _lineage(index, _known(index, work))
    elif party is not None:
        places = _party(index, _known(index, party))
    else:
        places = list(range(index.size))
    writing = _Writing(before)
    for done, idx in enumerate(places, 1):
        writing.add(idx)
        if progress is not None and (done % 500 == 0 or done == len(places)):
            progress(done, len(places))
    return writing.done()


def _known(index: Index, name: str) -> bytes:
    event_id = bytes.fromhex(name)
    if index.find(event_id) is None:
        msg = f"event {name}: not in the log at size {index.size}"
        raise NotFound(msg)
    return event_id


def _lineage(index: Index, work: bytes) -> list[int]:
    """Entries that say how a work came about and what came of it."""
    kin = [*index.derivations([work]), *index.derivations([work], down=True)]
    works = dict.fromkeys([work, *(event_id for each in kin for event_id in (each.child, each.parent) if event_id)])
    places = {each.idx for each in kin}
    places |= {entry.idx for entry in index.entries_of(works).values()}
    for event_id in works:
        places |= {link.source for link in index.links_to(event_id, *_OF_A_WORK)}
    return sorted(places)


def _party(index: Index, party: bytes) -> list[int]:
    """Entries that name a party or were signed by it, and its own."""
    places = {link.source for link in index.links_to(party)} | {entry.idx for entry in index.issued_by(party)}
    return sorted(places | {entry.idx for entry in index.entries_of([party]).values()})


class _Writing:
    """A document that grows. Whatever a record points to is declared in it too."""

    def __init__(self, before: Before) -> None:
        self._before = before
        self._index = before.index
        self._document = _new_document()
        for prefix, uri in _NAMESPACES.items():
            self._document.add_namespace(prefix, uri)
        self._declared: set[str | tuple[str, str]] = set()  # names; those outside with what they are
        self._types: dict[bytes, str] = {}  # of the events among them
        self._left: Counter[str] = Counter()

    def add(self, idx: int) -> None:
        """One entry with all that it says."""
        entry = self._index.entry(idx)
        if entry is None:
            return
        if entry.sealed:
            self._left["sealed"] += 1
        elif entry.type not in _SAID:
            self._left[entry.type] += 1
        else:
            self._say(entry)

    def done(self) -> ProvExport:
        """The document, read back and found to be the same."""
        self._log()
        text = self._document.serialize(format="json", indent=1) or ""
        if _new_document().deserialize(content=text, format="json") != self._document:
            msg = "PROV-JSON: read back, it is another document than was written"
            raise VerificationError(msg)
        records = Counter(_WORDS[str(record.get_type().localpart)] for record in self._document.get_records())
        left = dict(sorted(self._left.items()))
        return ProvExport(text.encode(), self._index.size, self._before.time, dict(sorted(records.items())), left)

    # What an event says

    def _say(self, entry: Entry) -> None:
        event = self._before.event(entry.event_id)
        if event is None:
            self._left["unreadable"] += 1
        links = self._index.links_from(entry.idx)
        said: Said = [("ledger:said_by", self._document.valid_qualified_name(self._name(entry.event_id)))]
        node = self._node(entry.event_id)
        if entry.type in {"work.create", "work.derive"}:
            self._made(entry, links, said)
        elif entry.type in _ACTIVITIES:
            self._done(entry, links, said)
        elif entry.type == "mandate.grant":
            self._mandate(entry, links, event or {}, said)
        else:
            self._related(entry, node, links, said)
        for link in links:
            if link.role == "actor":  # somebody else signed for it
                issuer = self._before.issuer_of(entry.idx)
                if issuer:
                    self._document.actedOnBehalfOf(
                        self._agent(issuer), self._agent(link.event_id), other_attributes=said
                    )

    def _made(self, entry: Entry, links: Iterable[Link], said: Said) -> None:
        work, making = self._name(entry.event_id), f"making:{entry.event_id.hex()}"
        self._document.activity(making, other_attributes=said)
        self._document.wasGeneratedBy(work, making, other_attributes=said)
        for link in links:
            if link.role == "creator":
                creator = self._agent(link.event_id, link.outside)
                self._document.wasAttributedTo(work, creator, other_attributes=[*said, *_credit(link)])
                self._document.wasAssociatedWith(making, creator, other_attributes=[*said, *_credit(link)])
            elif link.role == "tool":
                self._with(making, link, [*said, ("prov:role", "tool")])
            elif link.role == "parent":
                parent = self._node(link.event_id, link.outside)
                self._document.used(making, parent, other_attributes=said)
                self._document.wasDerivedFrom(work, parent, making, other_attributes=[*said, *_relation(link)])

    def _related(self, entry: Entry, node: str, links: list[Link], said: Said) -> None:
        """Entities that are said without the activity that made them, and what is said of works later."""
        child = next((self._node(link.event_id) for link in links if link.role == "child"), node)
        for link in links:
            if link.role == "creator":
                creator = self._agent(link.event_id, link.outside)
                self._document.wasAttributedTo(child, creator, other_attributes=[*said, *_credit(link)])
            elif link.role == "parent":
                parent = self._node(link.event_id, link.outside)
                self._document.wasDerivedFrom(child, parent, other_attributes=[*said, *_relation(link)])
            elif link.role == "of":
                relate = self._document.specializationOf if entry.type == "work.version" else self._document.alternateOf
                relate(child, self._node(link.event_id, link.outside))
            elif link.role == "prev":
                self._document.wasRevisionOf(child, self._node(link.event_id), other_attributes=said)

    def _done(self, entry: Entry, links: list[Link], said: Said) -> None:
        """Training, or a run. What ends a run speaks of the activity that its start has declared."""
        activity = self._name(entry.event_id)
        if entry.type == "generation.run":
            activity = next((self._node(link.event_id) for link in links if link.role == "prev"), activity)
        made = {link.event_id or link.outside: link for link in links if link.role == "output"}
        if entry.type == "model.train":
            made = {link.event_id or link.outside: link for link in links if link.role == "model"}
        for link in made.values():
            entity = self._node(link.event_id, link.outside)
            self._document.wasGeneratedBy(entity, activity, other_attributes=said)
        for link in links:
            if link.role in {"base", "input"} or (link.role == "model" and entry.type == "generation.run"):
                basis = [("ledger:basis", link.detail)] if link.detail else []
                self._with(activity, link, [*said, ("prov:role", link.role), *basis])
            if link.role == "base":
                for other in made.values():
                    model, base = (self._node(each.event_id, each.outside) for each in (other, link))
                    self._document.wasDerivedFrom(model, base, activity, other_attributes=said)
        issuer = self._before.issuer_of(entry.idx)
        actor = next((link.event_id for link in links if link.role == "actor"), issuer)
        if actor:
            self._document.wasAssociatedWith(activity, self._agent(actor), other_attributes=said)

    def _mandate(self, entry: Entry, links: list[Link], event: Mapping[str, Any], said: Said) -> None:
        body = event.get("body", {})
        attributes: Said = [
            *said,
            *(("ledger:action", action) for action in body.get("actions", ())),
            *((f"ledger:{name}", parse_time(body[name])) for name in ("from", "until") if name in body),
            *(
                ("ledger:ended_by", self._document.valid_qualified_name(self._name(event_id)))
                for event_id in self._before.pointing(entry.event_id, "mandate", "mandate.revoke")
            ),
        ]
        principal = next((link.event_id for link in links if link.role == "principal"), b"")
        for link in links:
            if link.role == "agent" and principal:
                self._document.actedOnBehalfOf(
                    self._agent(link.event_id, link.outside), self._agent(principal), other_attributes=attributes
                )

    def _with(self, activity: str, link: Link, attributes: Said) -> None:
        """What an activity was done with: an agent where it is a party, else an entity."""
        thing = self._node(link.event_id, link.outside)
        if link.event_id and self._types.get(link.event_id) == "party.register":
            self._document.wasAssociatedWith(activity, thing, other_attributes=attributes)
        else:
            self._document.used(activity, thing, other_attributes=attributes)

    # What is declared

    def _node(self, event_id: bytes, outside: str = "") -> str:
        """The name of something, which is declared when it first comes up."""
        if not event_id:
            return self._outside(outside, "entity")
        name = self._name(event_id)
        if name in self._declared:
            return name
        self._declared.add(name)
        entry = self._index.find(event_id)
        if entry is None:
            self._document.entity(name)
            return name
        self._types[event_id] = entry.type
        event = None if entry.sealed else self._before.event(event_id)
        attributes = list(self._attributes(entry, {} if event is None else event["body"]))
        if entry.type == "party.register":
            self._document.agent(name, attributes)
        elif entry.type in _ENTITIES:
            self._document.entity(name, attributes)
        elif entry.type in _ACTIVITIES and not self._ends(entry):
            self._document.activity(name, other_attributes=attributes)
        return name

    def _agent(self, event_id: bytes, outside: str = "") -> str:
        """The name of a party."""
        return self._node(event_id) if event_id else self._outside(outside, "agent")

    def _outside(self, outside: str, kind: str) -> str:
        """The name of something outside of this log, which has the same name in the export of every log."""
        other = _OTHER_LOG.fullmatch(outside)
        name = f"event:{other[2]}" if other else f"outside:{quote(outside, safe='')}"
        if (kind, name) not in self._declared:
            self._declared.add((kind, name))
            said = {"ledger:log": other[1]} if other else {"ledger:outside": outside}
            (self._document.agent if kind == "agent" else self._document.entity)(name, said)
        return name

    def _attributes(self, entry: Entry, body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """What is said of something itself, in words of the log's events."""
        yield "ledger:type", entry.type
        yield "ledger:index", entry.idx
        logged = self._index.time_of(entry.idx)
        if logged:
            yield "ledger:logged_at", parse_time(logged)
        if body:
            yield "ledger:strength", entry.strength
            yield "ledger:claimed_at", parse_time(entry.claimed_at)
        for name in _PLAIN:
            if name in body:
                yield f"ledger:{name}", body[name]
        for name, digest in body.get("digests", {}).items():
            yield f"ledger:{name}", digest
        if "source_type" in body:
            yield "ledger:source_type", self._document.valid_qualified_name(f"iptc:{body['source_type']}")
        if "kind" in body:
            yield "ledger:kind", body["kind"]
            if body["kind"] in _AGENTS:
                yield "prov:type", self._document.valid_qualified_name(_AGENTS[body["kind"]])
        if entry.type == "dataset.snapshot":
            yield "prov:type", self._document.valid_qualified_name("prov:Collection")
        if entry.type == "generation.run":
            for end in self._before.pointing(entry.event_id, "prev", entry.type):
                ended = self._before.event(end)
                if ended is not None:
                    yield "ledger:ended", ended["body"]["state"]

    def _ends(self, entry: Entry) -> bool:
        """Whether a run is the end of one that was declared when it started."""
        return any(link.role == "prev" for link in self._index.links_from(entry.idx))

    def _log(self) -> None:
        """The log itself: what everything in here is as of."""
        genesis = self._index.entry(0)
        event = None if genesis is None else self._before.event(genesis.event_id)
        if event is not None:
            said: dict[str, Any] = {"ledger:size": self._index.size, "prov:type": "log"}
            if self._before.time:
                said["ledger:time"] = parse_time(self._before.time)
            self._document.entity(f"log:{quote(event['ledger'], safe='')}", said)

    @staticmethod
    def _name(event_id: bytes) -> str:
        return f"event:{event_id.hex()}"


def _credit(link: Link) -> Said:
    return [("prov:role", link.detail)] if link.detail else []


def _relation(link: Link) -> Said:
    """How something derives from its parent, and what share it owes to that, in units of 10^-8."""
    said: Said = [("ledger:relation", link.detail)]
    return said if link.units is None else [*said, ("ledger:rate", link.units)]


def _new_document() -> ProvDocument:
    try:
        from prov.model import ProvDocument
    except ImportError as error:
        what = "export prov"
        raise MissingExtra(what, "prov") from error
    return ProvDocument()
