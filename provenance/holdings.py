"""What only the operator can check: that the vault holds what the log promised, and the index what the log says."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import orjson

from ledger.client import Client
from ledger.errors import LedgerError, MalformedError, NotFound
from ledger.fsck import Fault, fault_of, walk
from ledger.owned import Owned
from ledger.stored import Stored
from ledger.tile import WIDTH, bundle_path, open_path, tile_path
from provenance.canonical import address
from provenance.erasures import ERASURE, can_be_erased, named_by
from provenance.history import Finding, History
from provenance.index import Facts, Index, facts_of
from provenance.index.compare import DigestCounts, differing
from provenance.index.facts import facts_left
from provenance.signatures import Signatures
from provenance.statement import Headers, Statement
from provenance.vault import Vault

__all__ = ["Contents", "VaultItems", "audit_holdings", "check_entries", "check_unpublished"]

_PORTION = 16 * WIDTH
_MEND_ERASURES = "`provenance index rebuild` applies what the log says"


class VaultItems(Mapping[bytes, bytes]):
    """A vault as a mapping from address to bytes: each item is looked up when it is asked for, none is kept."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def __getitem__(self, address: bytes) -> bytes:
        try:
            return self._vault.get(address)
        except NotFound:
            raise KeyError(address) from None

    def __iter__(self) -> Iterator[bytes]:
        return (address for address, _ in self._vault.items())

    def __len__(self) -> int:
        return sum(1 for _ in self._vault.items())


def audit_holdings(history: History, *, vault: Mapping[bytes, bytes], index: Index) -> Iterator[Finding]:
    """Compare what an operator holds with a log that was read with `disclosed=vault`.

    `vault` are all items by address. For every entry: a sealed event that is not there (`vault.missing`, nothing is
    altered, but the content is lost), bytes under an address that is not theirs (`vault.mismatch`), and the same for
    each personal item that an event commits to. Last, `index.differs` where the index is not what the log gives: it is
    a cache, `provenance index rebuild` mends it. What an erasure in the log names must be gone (`vault.not-erased`).
    """
    erased = named_by(history.event_at(entry.idx) for entry in history.index.of_type(ERASURE))
    differs: list[int] = []
    facts: list[Facts] = []
    counts = DigestCounts(index)
    size = history.log.checkpoint.size
    for reading in history.readings(0, size):
        idx, statement = reading.index, reading.statement
        if statement is None:
            facts.append(Facts(b"", "", b"", False, "", "", (), (), ""))
        else:
            if statement.sealed:
                yield from _held(idx, f"event of the {statement.type}", statement.event_id, vault, erased)
            if reading.event is not None:
                for field, digest in _commits(reading.event):
                    yield from _held(idx, f"item {field}", digest, vault, erased)
            facts.append(_facts(statement, statement.event_id, reading.event, erased))
        if len(facts) == _PORTION or idx == size - 1:
            differs += differing(index, idx + 1 - len(facts), facts, counts)
            facts = []
    for idx in differs:
        text = f"index of entry #{idx} is not what the log gives; run `provenance index rebuild`"
        yield Finding(idx, "index.differs", text, altered=False)


def check_entries(log: Client, contents: Contents, *, start: int = 0) -> Iterator[tuple[int, list[Fault]]]:
    """Check tiles and bundles, and in the same pass what the entries say: after each bundle (where to go on, faults).

    Goes on behind what is wrong; the contents of a bundle that is not the log's own are not looked at.
    """
    for done, error in walk(log, start=start, look=contents.look):
        faults = contents.take()
        yield done, faults if error is None else [fault_of(error), *faults]


def check_unpublished(owned: Owned, contents: Contents) -> Iterator[Fault]:
    """Check what is sequenced and under no checkpoint yet: full bundles by their tiles, every entry by its signature.

    `contents` must verify signatures: nothing else covers these bytes.
    """
    start, stop = owned.checkpoint.size, owned.head.size
    stored = Stored(owned)
    for number in range(start // WIDTH, -(-stop // WIDTH)):
        first = number * WIDTH
        try:
            if first + WIDTH <= stop:
                rows = stored.bundle(number)
                leaves = [sha256(b"\0" + row.entry).digest() for row in rows]
                if leaves != stored.tile(0, number):
                    text = f"{tile_path(0, number)}: is not what the entries in {bundle_path(number)} hash to"
                    yield Fault(tile_path(0, number), text)
            else:
                rows = owned.rows
        except (MalformedError, NotFound) as error:
            yield fault_of(error) if getattr(error, "path", "") else Fault(bundle_path(number), str(error))
            continue
        begin = max(start - first, 0)
        contents.look(first + begin, [row.entry for row in rows[begin:]])
        yield from contents.take()


class Contents:
    """What entries say, and whether what is kept beside them is what they promise.

    Every entry is a statement, and its event is here and hashes to the event id: an open one in the bundle that
    `opened` reads, a sealed one in `vault` where that is given, with all that the event commits to, but for what is
    `erased`: what erasures name, each with its tombstone, as `named_by` gives it. `index`, where given, is compared
    with what entry and event say, as far as `indexed` entries where it may be behind the log, and `signatures` judge
    every statement.
    """

    def __init__(
        self,
        opened: Callable[[int], list[bytes]],
        *,
        vault: Vault | None = None,
        erased: Mapping[bytes, bytes | None] = MappingProxyType({}),
        index: Index | None = None,
        indexed: int | None = None,
        signatures: Signatures | None = None,
    ) -> None:
        self._opened = opened
        self._vault = vault
        self._erased = erased
        self._index = index
        self._counts = None if index is None else DigestCounts(index)
        self._indexed = indexed
        self._signatures = signatures
        self._headers = Headers()
        self._faults: list[Fault] = []

    def take(self) -> list[Fault]:
        """What was found wrong since the last call."""
        faults, self._faults = self._faults, []
        return faults

    def look(self, first: int, entries: Sequence[bytes]) -> None:
        """Look at entries of one bundle from index `first` on; what is wrong is there to `take`."""
        number, offset = divmod(first, WIDTH)
        path = open_path(number)
        try:
            opened = self._opened(number)
        except MalformedError as error:
            self._fault(path, f"{error}")
            opened = []
        facts: list[Facts] = []
        for at, entry in enumerate(entries, offset):
            idx = number * WIDTH + at
            try:
                statement, event_id = self._headers.read(entry)
            except MalformedError as error:
                self._fault(bundle_path(number), f"entry #{idx}: is no statement: {error}")
                facts.append(Facts(b"", "", b"", False, "", "", (), (), ""))
                continue
            event = self._event(idx, statement, event_id, opened[at] if at < len(opened) else b"", path)
            if self._vault is not None and event is not None:
                for field, digest in _commits(event):
                    self._held(idx, f"item {field}", digest, self._vault)
            if self._signatures is not None:
                try:
                    self._signatures.verify(idx, Statement.parse(entry), event)
                except LedgerError as error:
                    self._fault(f"entry #{idx}", str(error))
            if self._index is not None:
                facts.append(_facts(statement, event_id, event, self._erased))
        if self._index is not None and self._counts is not None:
            known = facts if self._indexed is None else facts[: max(self._indexed - first, 0)]
            for idx in differing(self._index, first, known, self._counts):
                text = "is not what the log gives; run `provenance index rebuild`"
                self._fault(f"index of entry #{idx}", text, altered=False)

    def _event(self, idx: int, statement: Statement, event_id: bytes, item: bytes, path: str) -> bytes | None:
        if item:
            got = sha256(item).digest()
            if got == event_id:
                if event_id in self._erased and can_be_erased(statement.type, sealed=statement.sealed):
                    text = f"event #{idx} ({statement.type}) is erased in the log and still there; {_MEND_ERASURES}"
                    self._fault(path, text, altered=False)
                    return None
                return item
            self._fault(path, f"event #{idx} hashes to {got.hex()}, want {event_id.hex()}")
        elif statement.sealed:
            if self._vault is not None:
                return self._held(idx, f"event of the {statement.type}", event_id, self._vault)
        elif event_id not in self._erased:
            text = f"event #{idx} ({statement.type}) is missing: it is not sealed, and no erasure names it"
            self._fault(path, text, altered=False)
        return None

    def _held(self, idx: int, what: str, digest: bytes, vault: Vault) -> bytes | None:
        try:
            data = vault.get(digest)
        except NotFound:
            if digest not in self._erased:
                text = f"the {what} of entry #{idx} is not there; restore it from a backup"
                self._fault(f"vault {digest.hex()}", text, altered=False)
            return None
        if sha256(data).digest() != digest:
            self._fault(f"vault {digest.hex()}", f"the {what} of entry #{idx} hashes to {sha256(data).hexdigest()}")
            return None
        if digest in self._erased:
            text = f"the {what} of entry #{idx} is erased in the log and still there; {_MEND_ERASURES}"
            self._fault(f"vault {digest.hex()}", text, altered=False)
        return data

    def _fault(self, place: str, detail: str, *, altered: bool = True) -> None:
        self._faults.append(Fault(place, f"{place}: {detail}", altered))


def _facts(statement: Statement, event_id: bytes, event: bytes | None, erased: Mapping[bytes, bytes | None]) -> Facts:
    if event_id in erased and can_be_erased(statement.type, sealed=statement.sealed):
        stone = erased[event_id]
        return facts_left(event_id=event_id, type=statement.type, issuer=statement.issuer, tombstone=stone)
    return facts_of(
        event_id=event_id, type=statement.type, issuer=statement.issuer, sealed=statement.sealed, event=event
    )


def _commits(event: bytes) -> Iterator[tuple[str, bytes]]:
    """What an event commits to: (field, SHA-256 of the item). Whoever signed it may have written anything."""
    value: Any = orjson.loads(event)
    commits = value.get("commits") if isinstance(value, dict) else None
    for field, digest in commits.items() if isinstance(commits, dict) else ():
        try:
            yield field, bytes.fromhex(digest)
        except (TypeError, ValueError):
            continue


def _held(
    idx: int, what: str, digest: bytes, vault: Mapping[bytes, bytes], erased: Container[bytes]
) -> Iterator[Finding]:
    data = vault.get(digest)
    if data is None:
        if digest not in erased:
            text = f"#{idx}: the {what} {digest.hex()} is not in the vault; restore it from a backup"
            yield Finding(idx, "vault.missing", text, altered=False)
    elif address(data) != digest:
        text = f"#{idx}: the {what} {digest.hex()} hashes to {address(data).hex()}: its bytes were changed"
        yield Finding(idx, "vault.mismatch", text)
    elif digest in erased:
        text = f"#{idx}: the {what} {digest.hex()} is erased in the log and still in the vault; {_MEND_ERASURES}"
        yield Finding(idx, "vault.not-erased", text, altered=False)
