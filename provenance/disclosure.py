"""A disclosure package: sealed events and personal fields for somebody entitled, and what it claims to be complete for.

One plain tar file, the same bytes for the same contents, its names in order::

    manifest.json                what the package claims, the checkpoint it was made under, the SHA-256 of each file
    entries/<index>              a statement as it stands in the log, and its proof:
    events/<event id>.json       the event of one of them, byte for byte
    items/<address>.json         a vault item that one of the events commits to
    proofs/<index>.tlog-proof

The registration of everybody who signed is in it, with each change of keys before.

A *claim* names types and a range of the log: of these types there, every event is in the package or erased. The types
of sealed entries are public, so that whoever has the log counts them: a line that was kept back shows.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, BinaryIO, NamedTuple

import orjson
from pydantic import TypeAdapter, ValidationError

from ledger.checkpoint import Checkpoint
from ledger.errors import MalformedError
from ledger.note import Note
from ledger.proof import Proof
from provenance.canonical import MAX_SIZE, loads
from provenance.events.fields import Time
from provenance.item import Item
from provenance.statement import TYPE, Statement

__all__ = ["MAX_MEMBERS", "MAX_PACKAGE", "Claim", "Disclosed", "Disclosure", "pack"]

FORMAT = "provenance-disclosure@1"

MAX_MEMBERS = 1_000_000
"""Most files in a package that is read."""

MAX_PACKAGE = 2_000_000_000
"""Bytes of the longest package that is read."""

_MAX_MANIFEST = 200_000_000
_BLOCK = 512
_RECORD = 20 * _BLOCK
_NAME = re.compile(
    r"manifest\.json|(?:events|items)/[0-9a-f]{64}\.json|entries/(?:0|[1-9][0-9]{0,18})"
    r"|proofs/(?:0|[1-9][0-9]{0,18})\.tlog-proof",
    re.ASCII,
)
_SIZE = re.compile(rb"[0-7]{11}\0")
_MEMBERS = {"checkpoint", "claimed_at", "claims", "counts", "format", "kind", "members"}
_TIME: TypeAdapter[str] = TypeAdapter(Time)


class Claim(NamedTuple):
    """That all events of these types at `[start, stop)` are in the package, but for those that are erased."""

    types: tuple[str, ...]
    start: int
    stop: int


class Disclosed(NamedTuple):
    """One entry of a log as it goes into a package: `proof` is a c2sp.org/tlog-proof of it."""

    idx: int
    event: bytes
    entry: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class Disclosure:
    """A package as it was read: each file is what its name and the manifest say. Nothing is verified by that.

    `checkpoint` is the signed note of the log when it was made, `claimed_at` what its maker says when that was.
    `events` and `items` are by SHA-256, `entries` and `proofs` by index.
    """

    checkpoint: bytes
    claimed_at: str
    claims: tuple[Claim, ...]
    events: Mapping[bytes, bytes]
    items: Mapping[bytes, bytes]
    entries: Mapping[int, bytes]
    proofs: Mapping[int, bytes]

    @property
    def origin(self) -> str:
        """The log that it says it is from."""
        return self._stated().origin

    @property
    def size(self) -> int:
        """Size of that log when it was made, as it says."""
        return self._stated().size

    @property
    def contents(self) -> Mapping[bytes, bytes]:
        """Events and items by SHA-256: `disclosed=` of `History.read` and `audit`."""
        return {**self.events, **self.items}

    @property
    def counts(self) -> dict[str, int]:
        """How many entries of each type are in it."""
        return dict(Counter(Statement.parse(entry).type for entry in self.entries.values()))

    def __bytes__(self) -> bytes:
        members = {f"events/{each.hex()}.json": data for each, data in self.events.items()}
        members |= {f"items/{each.hex()}.json": data for each, data in self.items.items()}
        members |= {f"entries/{index}": data for index, data in self.entries.items()}
        members |= {f"proofs/{index}.tlog-proof": data for index, data in self.proofs.items()}
        manifest = {
            "checkpoint": self.checkpoint.decode(),
            "claimed_at": self.claimed_at,
            "claims": [{"start": c.start, "stop": c.stop, "types": list(c.types)} for c in self.claims],
            "counts": self.counts,
            "format": FORMAT,
            "kind": "disclosure",
            "members": {name: sha256(data).hexdigest() for name, data in members.items()},
        }
        out = io.BytesIO()
        for name, data in [("manifest.json", _encoded(manifest)), *sorted(members.items())]:
            out.write(_header(name, len(data)) + data + bytes(-len(data) % _BLOCK))
        out.write(bytes(2 * _BLOCK))
        out.write(bytes(-out.tell() % _RECORD))
        return out.getvalue()

    @classmethod
    def parse(cls, data: bytes) -> Disclosure:
        """Read a package; `bytes(Disclosure.parse(data)) == data`. Raises `MalformedError`."""
        return cls.read(io.BytesIO(data))

    @classmethod
    def read(cls, file: BinaryIO) -> Disclosure:
        """As `parse`, from a file: nothing is written anywhere, and nothing is read beyond the limits."""
        members = dict(_members(file))
        manifest = _manifest(members.pop("manifest.json", b""))
        if {name: sha256(each).hexdigest() for name, each in members.items()} != manifest["members"]:
            msg = "disclosure: its files are not those of its manifest"
            raise MalformedError(msg)
        events, items, entries, proofs = {}, {}, {}, {}
        for name, each in members.items():
            folder, _, rest = name.partition("/")
            if folder == "entries":
                entries[int(rest)] = each
            elif folder == "proofs":
                proofs[int(rest.removesuffix(".tlog-proof"))] = each
            elif folder == "events":
                events[_addressed(name, each)] = each
                _check_event(name, each)
            else:
                items[_addressed(name, each)] = each
                Item.parse(each)
        claims = tuple(_claim(each) for each in manifest["claims"])
        found = cls(manifest["checkpoint"].encode(), manifest["claimed_at"], claims, events, items, entries, proofs)
        _check_entries(found, manifest["counts"])
        return found

    def _stated(self) -> Checkpoint:
        return Checkpoint.parse(Note.parse(self.checkpoint).text)


def pack(
    checkpoint: bytes, claimed_at: str, claims: Sequence[Claim], entries: Iterable[Disclosed], items: Iterable[bytes]
) -> Disclosure:
    """A package of these entries and vault items, made under a signed checkpoint."""
    chosen = list(entries)
    return Disclosure(
        checkpoint,
        claimed_at,
        tuple(claims),
        {sha256(each.event).digest(): each.event for each in chosen},
        {sha256(item).digest(): item for item in items},
        {each.idx: each.entry for each in chosen},
        {each.idx: each.proof for each in chosen},
    )


# The tar file (POSIX.1-1988, ustar): regular files only, each header as we write it, so that no two programs read the
# same package in two ways.


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.USTAR_FORMAT)


def _members(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    before, total = "", 0
    for number in range(MAX_MEMBERS + 2):
        head = file.read(_BLOCK)
        total += _BLOCK
        if head == bytes(_BLOCK):
            rest = file.read(2 * _RECORD)
            if rest != bytes(_BLOCK + -(total + _BLOCK) % _RECORD):
                msg = f"disclosure: more or less than zeros behind its end at byte {total}"
                raise MalformedError(msg)
            return
        name, size = _named(head)
        total += size + -size % _BLOCK
        if total > MAX_PACKAGE or size > (MAX_SIZE if number else _MAX_MANIFEST):
            msg = f"disclosure: {name}: {size} bytes, more than is read"
            raise MalformedError(msg)
        if (name == "manifest.json") != (number == 0) or (number > 1 and name <= before):
            msg = f"disclosure: {name} stands there twice, or not in its place"
            raise MalformedError(msg)
        before = name
        data, padding = file.read(size), file.read(-size % _BLOCK)
        if len(data) != size or padding != bytes(-size % _BLOCK):
            msg = f"disclosure: {name} is cut off, or padded with something else than zeros"
            raise MalformedError(msg)
        yield name, data
    msg = f"disclosure: more than {MAX_MEMBERS} files"
    raise MalformedError(msg)


def _named(head: bytes) -> tuple[str, int]:
    name = head[:100].rstrip(b"\0").decode("ascii", "replace")
    size = head[124:136]
    if not _NAME.fullmatch(name) or not _SIZE.fullmatch(size):
        msg = f"disclosure: {name[:80]!r} does not belong there"
        raise MalformedError(msg)
    found = int(size[:11], 8)
    if head != _header(name, found):
        msg = f"disclosure: {name}: not a regular file as this format has them"
        raise MalformedError(msg)
    return name, found


# What stands in it


def _encoded(manifest: Mapping[str, Any]) -> bytes:
    """Canonical as events are, and longer than any of them may be."""
    return orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)


def _manifest(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
        if not isinstance(value, dict) or _encoded(value) != data:
            msg = "disclosure: manifest.json is not in its one canonical form"
            raise MalformedError(msg)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError) as error:
        msg = f"disclosure: manifest.json: {error}"
        raise MalformedError(msg) from None
    if set(value) != _MEMBERS or value["format"] != FORMAT or value["kind"] != "disclosure":
        msg = f"disclosure: manifest.json, want {', '.join(sorted(_MEMBERS))} of {FORMAT}"
        raise MalformedError(msg)
    kinds = {"checkpoint": str, "claimed_at": str, "claims": list, "counts": dict, "members": dict}
    for name, kind in kinds.items():
        if type(value[name]) is not kind:
            msg = f"disclosure: manifest.json: {name} is {type(value[name]).__name__}, want {kind.__name__}"
            raise MalformedError(msg)
    Checkpoint.parse(Note.parse(value["checkpoint"].encode()).text)
    try:
        _TIME.validate_python(value["claimed_at"])
    except ValidationError:
        msg = "disclosure: manifest.json: claimed_at is no time"
        raise MalformedError(msg) from None
    return value


def _claim(value: Any) -> Claim:
    match value:
        case {"start": start, "stop": stop, "types": [_, *_] as types} if (
            len(value) == 3
            and type(start) is int
            and type(stop) is int
            and 0 <= start <= stop
            and all(type(each) is str and re.fullmatch(TYPE, each) for each in types)
        ):
            return Claim(tuple(types), start, stop)
    msg = "disclosure: manifest.json: a claim, want types of events and a range of the log"
    raise MalformedError(msg)


def _addressed(name: str, data: bytes) -> bytes:
    digest = sha256(data)
    if digest.hexdigest() != name[-69:-5]:
        msg = f"disclosure: {name} hashes to {digest.hexdigest()}"
        raise MalformedError(msg)
    return digest.digest()


def _check_event(name: str, data: bytes) -> None:
    value = loads(data)
    if not isinstance(value, dict) or value.get("kind") != "event" or not isinstance(value.get("commits"), dict):
        msg = f"disclosure: {name} is no event"
        raise MalformedError(msg)


def _check_entries(found: Disclosure, counts: Mapping[str, Any]) -> None:
    if found.entries.keys() != found.proofs.keys():
        odd = min(found.entries.keys() ^ found.proofs.keys())
        msg = f"disclosure: #{odd} has an entry or a proof, want both"
        raise MalformedError(msg)
    for index, data in found.proofs.items():
        if Proof.parse(data).index != index:
            msg = f"disclosure: proofs/{index}.tlog-proof is of another entry"
            raise MalformedError(msg)
    if found.counts != counts or not all(type(number) is int for number in counts.values()):
        msg = "disclosure: manifest.json: counts are not those of the entries"
        raise MalformedError(msg)
