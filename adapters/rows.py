"""Checking the rows beside a log that no hash tree covers: head, waiting events, names, files, layout.

Every column is checked by what it must agree with: an event with its id, a name with the event that it names, a
fingerprint with what the event asks for. What no content can tell is listed in the reference of the command line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Column, ColumnElement, Table, and_, delete, or_

from adapters.sql.checksum import checksum
from adapters.sql.errors import storage_errors
from adapters.sql.store import SqlStore
from adapters.sql.tables import files, heads, objects, once, queue, refs, rows, state
from ledger.errors import LedgerError, MalformedError, NotFound
from ledger.fsck import Fault
from ledger.tile import WIDTH
from provenance.drafts import fingerprint_of, submitted
from provenance.erasures import ERASURE, targets_of
from provenance.foreign import open_foreign
from provenance.identity import Parties, Party
from provenance.index import Index
from provenance.index.bulk import among, insert_missing
from provenance.index.compare import find_exactly, of_type_exactly, sources_exactly, taken_exactly
from provenance.index.exact import read_exactly
from provenance.item import Item
from provenance.once import CHAINS, ONCE, TURNS, places_of
from provenance.vault import Vault

__all__ = ["Rows"]

_PORTION = 100  # rows checked at a time

# The verbs of the front desk that take a name: the type of event that each is about; None where it may be any.
_VERBS: dict[str, str | None] = {
    "register_party": "party.register",
    "create": "work.create",
    "derive": "work.derive",
    "publish_terms": "terms.publish",
    "offer": "offer.attach",
    "license": "grant.issue",
    "attach": "work.manifest",
    "rotate_keys": "party.keys",
    "mark_compromised": "party.keys",
    "deactivate": "party.keys",
    "claim": "party.keys",
    "mandate": "mandate.grant",
    "revoke_mandate": "mandate.revoke",
    "link": "party.link",
    "unlink": "party.unlink",
    "alias": "work.alias",
    "version": "work.version",
    "set_status": "work.status",
    "takedown": "work.status",
    "amend": "derive.amend",
    "credit": "attribution.set",
    "claim_credit": "attribution.claim",
    "answer_credit": "attribution.answer",
    "snapshot": "dataset.snapshot",
    "register_model": "model.register",
    "train": "model.train",
    "run": "generation.run",
    "withdraw_offer": "offer.detach",
    "transfer_grant": "grant.transfer",
    "consume_grant": "grant.consume",
    "revoke_grant": "grant.revoke",
    "assent": "assent.answer",
    "split": "split.declare",
    "transfer_share": "split.transfer",
    "syndicate": "syndicate.place",
    "withdraw_placement": "syndicate.withdraw",
    "reserve": "reservation.declare",
    "consent": "consent.record",
    "withdraw_consent": "consent.record",
    "report_revenue": "revenue.report",
    "settle": "settlement.compute",
    "confirm_payout": "payout.confirm",
    "quote": "fx.quote",
    "dispute": "dispute.open",
    "judge": "dispute.judge",
    "resolve_dispute": "dispute.resolve",
    "cancel_dispute": "dispute.cancel",
    "appeal": "dispute.appeal",
    "attest": "attest.issue",
    "revoke_attestation": "attest.revoke",
    "conform": "conformance.result",
    "erase": "erasure.execute",
    "hold": "hold.set",
    "release_hold": "hold.release",
    "disclose": "export.made",
    "record_export": "export.made",
    "import": "import.accepted",
    "submit": None,
}

_RULES = {*(rule for rule, _ in (*CHAINS.values(), *ONCE.values())), *TURNS.values()}

Portions = Iterator[tuple[Any, Sequence[Fault]]]


class Rows:
    """The rows of one ledger's database. `event_at` reads the event of a log entry, None where it cannot be read."""

    def __init__(
        self,
        store: SqlStore,
        *,
        origin: str,
        index: Index,
        vault: Vault,
        event_at: Callable[[int], bytes | None],
        find: Callable[[bytes], Party | None],
    ) -> None:
        self._store = store
        self._origin = origin
        self._index = index
        self._vault = vault
        self._event_at = event_at
        self._parties = Parties(find)

    def paths(self) -> list[str]:
        """Every path among the objects, in order, also those that are no text any more."""
        return sorted(_text(path) for (path,) in self._read(objects, ("path",)))

    def numbers(self) -> list[int]:
        """Under which indexes the rows behind the last full bundle are stored, in order."""
        return [idx for (idx,) in self._read(rows, ("idx",), order=(rows.c.idx,))]

    def head(self) -> Iterator[Fault]:
        """The row of the log's head is the only one, and the rows behind the last full bundle are numbered on."""
        found, numbers = self._head_and_numbers()
        for origin, _ in found:
            if origin != self._origin:
                text = f"head of {origin!r}: a database holds one log, and this one is {self._origin}"
                yield Fault(f"head of {origin!r}", text)
        sizes = [size for origin, size in found if origin == self._origin]
        if not sizes:
            yield Fault(f"head of {self._origin}", f"head of {self._origin}: not there", altered=False)
            return
        want = list(range(sizes[0] - sizes[0] % WIDTH, sizes[0]))
        wrong = sorted(set(numbers) ^ set(want))
        if wrong:
            text = f"rows of {self._origin}: {len(numbers)} after the last full bundle, #{wrong[0]} is the first wrong"
            yield Fault(f"rows of {self._origin}", f"{text} at size {sizes[0]}")

    def _head_and_numbers(self) -> tuple[list[tuple[Any, ...]], list[int]]:
        """Both as of one moment: the market may sequence between two reads."""
        while True:
            found = list(self._read(heads, ("origin", "size")))
            numbers = self.numbers()
            if list(self._read(heads, ("origin", "size"))) == found:
                return found, numbers

    def layout(self, noted: dict[str, Any]) -> Iterator[Fault]:
        """What is noted is what was written, and about where things lie what was found there."""
        for name, value, check in self._read(state, ("key", "value", "checksum")):
            place = f"state {_text(name)}"
            if name == "layout" and value != json.dumps(noted).encode():
                yield Fault(place, f"{place}: not what this ledger was opened with", altered=True)
            elif _differs(check, name, value):
                yield Fault(place, f"{place}: not what was noted; restore this row of provenance_state")

    def queue(self, at: Any) -> Portions:
        """Every waiting event fits its id, its items, its statement and the log's policy."""
        names = ("id", "event_id", "type", "event", "items", "statement", "sealed", "staged_at", "checksum")
        last = at or 0
        sealed = self._sealed()
        while portion := list(self._read(queue, names, queue.c.id > last, order=(queue.c.id,), most=_PORTION)):
            last = portion[-1][0]
            yield last, [fault for row in portion for fault in self._staged(row, sealed)]

    def names(self, at: Any) -> Portions:
        """Every name of the market's stands for an event that is here, was asked for like this, and says that name."""
        columns = ("verb", "ref", "event_id", "fingerprint")
        last = at
        while True:
            after = () if last is None else (_behind(refs.c.verb, refs.c.ref, *last),)
            portion = list(self._read(refs, columns, *after, order=(refs.c.verb, refs.c.ref), most=_PORTION))
            # A name that a disk has changed into what is no text cannot be asked for again.
            told = [[verb, ref] for verb, ref, _, _ in portion if (verb, ref) == (_text(verb), _text(ref))]
            last = told[-1] if told else last
            if portion:
                yield last, [fault for row in portion for fault in self._name(*row)]
            if len(portion) < _PORTION or not told:
                return

    def places(self, at: Any) -> Portions:
        """Every place that can be taken once is taken by an event that is here, and that says so."""
        last = at
        while True:
            after = () if last is None else (_behind(once.c.rule, once.c.key, last[0], bytes.fromhex(last[1])),)
            order = (once.c.rule, once.c.key)
            portion = list(self._read(once, ("rule", "key", "event_id"), *after, order=order, most=_PORTION))
            told = [[rule, key.hex()] for rule, key, _ in portion if rule == _text(rule)]
            last = told[-1] if told else last
            if portion:
                yield last, [fault for row in portion for fault in self._place(*row)]
            if len(portion) < _PORTION or not told:
                return

    def taken(self, at: Any) -> Portions:
        """Every place that can be taken once, and that an event of the log takes, is taken by the first that does."""
        last = -1 if at is None else at
        while found := taken_exactly(self._index, last, _PORTION):
            last = found[-1][0]
            yield last, [fault for fault, *_ in self._untaken(found)]

    def mend_places(self) -> list[str]:
        """Make every place again that is not as log and queue say, while nobody sequences; what was mended."""
        mended: list[str] = []
        with self._store.leading():
            for rule, key, event_id in list(self._read(once, ("rule", "key", "event_id"))):
                if list(self._place(rule, key, event_id)):
                    with self._store.transaction() as tx:
                        where = (once.c.rule == rule, once.c.key == key, once.c.event_id == event_id)
                        tx.connection.execute(delete(once).where(*where))
                    mended.append(f"place {_text(rule)} {key.hex()}: {event_id.hex()} does not take it")
            last = -1
            while found := taken_exactly(self._index, last, _PORTION):
                last = found[-1][0]
                for fault, rule, key, event_id in list(self._untaken(found)):
                    with self._store.transaction() as tx:
                        tx.connection.execute(delete(once).where(once.c.rule == rule, once.c.key == key))
                        insert_missing(tx.connection, once, [(rule, key, event_id)])
                    mended.append(fault.place)
            for type_, event, event_id in list(self._read(queue, ("type", "event", "event_id"))):
                with self._store.transaction() as tx:
                    for rule, key in places_of(type_, orjson.loads(event)):
                        if insert_missing(tx.connection, once, [(rule, key, event_id)]):
                            mended.append(f"place {rule} {key.hex()}")
        return mended

    def files(self) -> Iterator[Fault]:
        """Every file that was seen is one of an event that is here. It may have moved since: that is not looked at."""
        for event_id, path, check in self._read(files, ("event_id", "path", "checksum")):
            place = f"file of {event_id.hex()}"
            if self._type(event_id) is None:
                yield Fault(place, f"{place}: no such event is in the log or waits for it")
            elif _differs(check, event_id, path):
                yield Fault(place, f"{place}: its path {_text(path)!r} is not what was written; attach the file again")

    # Single rows

    def _staged(self, row: tuple[Any, ...], sealed_types: frozenset[str]) -> Iterator[Fault]:
        number, event_id, type_, event, items, statement, sealed, staged_at, check = row
        place = f"queue row {number}"
        if sha256(event).digest() != event_id:
            yield Fault(place, f"{place}: its event hashes to {sha256(event).hexdigest()}, want {event_id.hex()}")
            return
        value = orjson.loads(event)
        if value["type"] != type_:
            yield Fault(place, f"{place}: type is {type_!r}, the event has {value['type']}")
        if _differs(check, event_id, str(staged_at)):
            yield Fault(place, f"{place}: its staged_at {staged_at} is not what was written")
        if sealed != (value["type"] in sealed_types):
            yield Fault(place, f"{place}: sealed is {sealed}, against the policy in the genesis event")
        try:
            texts = json.loads(items)
            held = [text.encode() for text in texts]
        except (ValueError, AttributeError, TypeError):
            yield Fault(place, f"{place}: its items cannot be read")
            return
        if items not in {orjson.dumps(texts), json.dumps(texts).encode()}:  # the second as release 0.1.0 wrote it
            yield Fault(place, f"{place}: its items are not written as they were")
        for rule, key in places_of(type_, value):
            taken = self._read(once, ("event_id",), once.c.rule == rule, once.c.key == key)
            if [holder for (holder,) in taken] != [event_id]:
                yield Fault(place, f"{place}: has not taken its place {rule} {key.hex()}")
        addresses, commits = {sha256(item).hexdigest() for item in held}, set(value["commits"].values())
        # Whoever signs for himself may keep items back; the market's own are all here.
        if not addresses <= commits or (statement is None and addresses != commits):
            yield Fault(place, f"{place}: its items are not those that the event commits to")
        elif statement is not None:
            try:
                open_foreign(
                    event,
                    statement,
                    held,
                    origin=self._origin,
                    sealed=sealed_types,
                    parties=self._parties,
                    index=self._index.size,
                    late=True,
                )
            except LedgerError as error:
                yield Fault(place, f"{place}: {error}")

    def _place(self, rule: str, key: bytes, event_id: bytes) -> Iterator[Fault]:
        place = f"place {_text(rule)} {key.hex()}"
        if event_id == key:  # nobody has it: what relies on that holds this row (`SqlQueue.stage`)
            if rule not in _RULES:
                yield Fault(
                    place, f"{place}: there is no such rule, and nobody has it; `provenance fsck --repair` drops it"
                )
            return
        type_ = self._type(event_id)
        if type_ is None:
            yield Fault(place, f"{place}: the event {event_id.hex()} is not in the log and does not wait for it")
            return
        event = self._event(event_id)  # of one that is erased nothing tells; one that is missing is said where it is
        if event is not None and (rule, key) not in places_of(type_, orjson.loads(event)):
            yield Fault(place, f"{place}: the event {event_id.hex()}, a {type_}, does not take it")

    def _untaken(self, found: Sequence[tuple[int, str, bytes, bytes]]) -> Iterator[tuple[Fault, str, bytes, bytes]]:
        """What is wrong with the places that these entries take, with the rule, the key, and who should have it."""
        holders = {}
        keys = list(dict.fromkeys(key for _, _, key, _ in found))
        for where in among(self._store.reading, once.c.key, keys):
            for rule, key, event_id in self._read(
                once, ("rule", "key", "event_id"), where, once.c.event_id != once.c.key
            ):
                holders[rule, key] = event_id
        for idx, rule, key, event_id in found:
            holder = holders.get((rule, key))
            if holder == event_id:
                continue
            earlier = None if holder is None else find_exactly(self._index, holder)
            if earlier is not None and earlier[0] < idx:
                continue  # a second one, which an audit names
            place = f"place {_text(rule)} {key.hex()}"
            gone = "nobody has it" if holder is None else f"{holder.hex()} has it"
            text = f"{place}: entry #{idx} takes it, and {gone}; `provenance fsck --repair` makes it again"
            yield Fault(place, text, altered=False), rule, key, event_id

    def _name(self, verb: str, ref: str, event_id: bytes, fingerprint: bytes) -> Iterator[Fault]:
        place = f"name {_text(ref)!r} of {_text(verb)}"
        if verb not in _VERBS:
            yield Fault(place, f"{place}: there is no such verb, want one of {', '.join(_VERBS)}")
            return
        type_ = self._type(event_id)
        if type_ is None:
            yield Fault(place, f"{place}: the event {event_id.hex()} is not in the log and does not wait for it")
            return
        if type_ != (_VERBS[verb] or type_):
            yield Fault(place, f"{place}: stands for a {type_}, want {_VERBS[verb]}")
            return
        event = self._event(event_id)
        if event is None:
            return  # missing or changed: said where the event is
        if verb == "submit":
            if fingerprint != submitted(event, ref):
                yield Fault(place, f"{place}: its fingerprint is not that of the event under this name")
            return
        address = orjson.loads(event)["commits"].get("ref")
        if address is not None and bytes.fromhex(address) in self._erased:
            yield Fault(place, f"{place}: is erased, and stands here still; restore from a backup, which leaves it out")
            return
        values = self._values(event_id, event)
        if values is None:
            return  # an item is missing or changed: said where it is
        if values.get("ref", ref) != ref:
            yield Fault(place, f"{place}: the event {event_id.hex()} was recorded under {values['ref']!r}")
        if verb == "disclose":
            return  # what was asked for stands nowhere else
        if all(fingerprint != fingerprint_of(event, values, terms) for terms in self._terms(verb, event_id, event)):
            yield Fault(place, f"{place}: its fingerprint is not that of what the event asks for")

    # What rows are compared with

    def _sealed(self) -> frozenset[str]:
        genesis = self._event_at(0)
        return frozenset() if genesis is None else frozenset(orjson.loads(genesis)["body"]["sealed"])

    # The queue is asked before the index: an event moves from one to the other, never back.

    def _type(self, event_id: bytes) -> str | None:
        waiting = self._waiting(event_id)
        if waiting is not None:
            return str(orjson.loads(waiting[0])["type"])
        entry = find_exactly(self._index, event_id)
        return None if entry is None else entry[1]

    def _event(self, event_id: bytes) -> bytes | None:
        waiting = self._waiting(event_id)
        if waiting is not None:
            return waiting[0]
        entry = find_exactly(self._index, event_id)
        return None if entry is None else self._event_at(entry[0])

    @cached_property
    def _erased(self) -> set[bytes]:
        """What the log says is erased."""
        erasures = map(self._event_at, of_type_exactly(self._index, ERASURE))
        return {target for event in erasures if event is not None for target in targets_of(event)}

    def _waiting(self, event_id: bytes) -> tuple[bytes, bytes] | None:
        """(event, items) of a row of the queue whose event is what its id says."""
        for event, items in self._read(queue, ("event", "items"), queue.c.event_id == event_id):
            if sha256(event).digest() == event_id:
                return event, items
        return None

    def _values(self, event_id: bytes, event: bytes) -> dict[str, Any] | None:
        """The values of all items that an event commits to; None where one is not here."""
        held: dict[str, bytes] = {}
        waiting = self._waiting(event_id)
        if waiting is not None:
            try:
                held = {sha256(text.encode()).hexdigest(): text.encode() for text in json.loads(waiting[1])}
            except (ValueError, AttributeError, TypeError):
                return None
        values: dict[str, Any] = {}
        for field, digest in orjson.loads(event)["commits"].items():
            try:
                item = held.get(digest) or self._vault.get(bytes.fromhex(digest))
                values[field] = Item.parse(item).value
            except (MalformedError, NotFound):
                return None
        return values

    def _terms(self, verb: str, event_id: bytes, event: bytes) -> Iterator[str | None]:
        """What may have been given as `terms`: nothing, the id of terms that were published, or their license."""
        yield None
        if verb == "offer":
            offers = [event]
        elif verb in {"create", "derive"}:
            logged = [self._event_at(idx) for idx in sources_exactly(self._index, event_id, "work")]
            rows = self._read(queue, ("event_id", "event"), queue.c.type == "offer.attach")
            waiting = (event for id_, event in rows if sha256(event).digest() == id_)
            offers = [offer for offer in (*logged, *waiting) if offer is not None]
        else:
            return
        for offer in offers:
            ids = {ref["role"]: ref["id"] for ref in orjson.loads(offer)["refs"] if isinstance(ref["id"], str)}
            if "terms" not in ids or ids.get("work") not in {
                event_id.hex(),
                ids.get("work") if verb == "offer" else "",
            }:
                continue
            yield ids["terms"]
            terms = self._event(bytes.fromhex(ids["terms"]))
            if terms is not None:
                yield str(orjson.loads(terms)["body"]["license"])

    def _read(
        self,
        table: Table,
        names: Sequence[str],
        *where: ColumnElement[bool],
        order: Sequence[ColumnElement[Any]] = (),
        most: int | None = None,
    ) -> Iterator[tuple[Any, ...]]:
        connection = self._store.reading
        with storage_errors(table.name):
            yield from read_exactly(
                connection.execute,
                [table.c[name] for name in names],
                lambda query: query.where(*where).order_by(*order).limit(most),
                dialect=connection.dialect.name,
            )


def _behind(one: Column[Any], other: Column[Any], first: Any, second: Any) -> ColumnElement[bool]:
    return or_(one > first, and_(one == first, other > second))


def _differs(check: bytes | None, key: str | bytes, value: str | bytes) -> bool:
    """Whether a checksum is another than that of these; before revision 0005 there was none."""
    return check is not None and check != checksum(_bytes(key), _bytes(value))


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _text(text: str) -> str:
    """Text that can be shown and kept as JSON, also where a disk changed it into what is none."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
