"""A disclosure package: sealed events and personal fields for somebody entitled, and what it claims to be complete for.

One plain tar file, the same bytes for the same contents::

    manifest.json                {"claims": […], "format": …, "kind": "disclosure", "members": {name: SHA-256}, …}
    events/<event id>.json       the event, byte for byte
    items/<address>.json         a vault item that one of them commits to
    entries/<index>              the statement in the log, and its proof:
    proofs/<index>.tlog-proof

A *claim* names types and a range of the log: of these types there, every event is in the package or erased. The types
of sealed entries are public, so that whoever has the log counts them: a line that was kept back shows.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, NamedTuple

import orjson

from ledger.errors import MalformedError
from ledger.policy import Policy
from ledger.proof import Proof
from provenance.canonical import loads
from provenance.history import History
from provenance.statement import Statement, check_origin

__all__ = ["Claim", "Counted", "Disclosure", "ItemVerdict", "check_disclosure", "verify_offline"]

FORMAT = "provenance-disclosure@1"
MAX_MEMBERS = 1_000_000
"""Most files in a package."""
MAX_PACKAGE = 2_000_000_000
"""Bytes of the longest package that is read."""

_MOST_MEMBER = 200_000_000  # a manifest of a million files
_NAME = re.compile(
    r"manifest\.json|(?:events|items)/[0-9a-f]{64}\.json|entries/(?:0|[1-9][0-9]{0,18})"
    r"|proofs/(?:0|[1-9][0-9]{0,18})\.tlog-proof",
    re.ASCII,
)

Word = Literal["disclosed", "sealed", "erased", "missing", "mismatch"]


_WORDS: Mapping[str, Word] = {word: word for word in ("disclosed", "sealed", "erased", "mismatch")}


class Claim(NamedTuple):
    """That all events of these types at `[start, stop)` are in the package, but for those that are erased."""

    types: tuple[str, ...]
    start: int
    stop: int


class ItemVerdict(NamedTuple):
    """What became of one event, or of one personal field of it (`field`), as far as the package and the log say."""

    idx: int
    type: str
    event: str
    field: str  # "" for the event itself
    word: Word
    erased_by: int | None  # index of the erasure


class Counted(NamedTuple):
    """A claim against the log: how many such entries there are, how many are in the package, and which are lacking."""

    claim: Claim
    entries: int
    disclosed: int
    erased: int
    lacking: tuple[int, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing that was claimed was kept back."""
        return not self.lacking


@dataclass(frozen=True, slots=True)
class Disclosure:
    """A package as it was read: every member is what the manifest says, and nothing is verified against a log yet."""

    origin: str
    size: int  # of the log when it was made
    claims: tuple[Claim, ...]
    contents: Mapping[bytes, bytes]  # events and items by SHA-256
    entries: Mapping[int, bytes]
    proofs: Mapping[int, bytes]

    def __bytes__(self) -> bytes:
        members = {f"events/{address.hex()}.json": data for address, data in self.contents.items() if _is_event(data)}
        members |= {
            f"items/{address.hex()}.json": data for address, data in self.contents.items() if not _is_event(data)
        }
        members |= {f"entries/{index}": data for index, data in self.entries.items()}
        members |= {f"proofs/{index}.tlog-proof": data for index, data in self.proofs.items()}
        manifest = {
            "claims": [{"start": c.start, "stop": c.stop, "types": list(c.types)} for c in self.claims],
            "format": FORMAT,
            "kind": "disclosure",
            "members": {name: sha256(data).hexdigest() for name, data in members.items()},
            "origin": self.origin,
            "size": self.size,
        }
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, data in [("manifest.json", _encoded(manifest)), *sorted(members.items())]:
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(data), 0o644
                tar.addfile(info, io.BytesIO(data))
        return out.getvalue()

    @classmethod
    def parse(cls, data: bytes) -> Disclosure:
        """Read a package; `bytes(Disclosure.parse(data)) == data`. Raises `MalformedError`.

        Only the files of the format, each once, each what the manifest says: nothing is written anywhere.
        """
        if len(data) > MAX_PACKAGE:
            msg = f"disclosure: {len(data)} bytes, want at most {MAX_PACKAGE}"
            raise MalformedError(msg)
        members = _members(data)
        manifest = _manifest(members.pop("manifest.json", b""))
        if {name: sha256(each).hexdigest() for name, each in members.items()} != manifest["members"]:
            msg = "disclosure: its files are not those of its manifest"
            raise MalformedError(msg)
        contents, entries, proofs = {}, {}, {}
        for name, each in members.items():
            folder, _, rest = name.partition("/")
            if folder in {"events", "items"}:
                address = bytes.fromhex(rest.removesuffix(".json"))
                if sha256(each).digest() != address or _is_event(each) != (folder == "events"):
                    msg = f"disclosure: {name} is not what its name says"
                    raise MalformedError(msg)
                contents[address] = each
            elif folder == "entries":
                entries[int(rest)] = each
            else:
                proofs[int(rest.removesuffix(".tlog-proof"))] = each
        claims = tuple(_claim(each) for each in manifest["claims"])
        found = cls(manifest["origin"], manifest["size"], claims, contents, entries, proofs)
        if bytes(found) != data:
            msg = "disclosure: not the one encoding of what it holds"
            raise MalformedError(msg)
        return found


def verify_offline(disclosure: Disclosure, policy: Policy) -> list[int]:
    """Verify every entry by its proof, with nothing but a policy; their indexes. What is lacking only the log can tell.

    Raises what `Proof.verify` raises, `MalformedError` for an entry without its proof or event, or of another log.
    """
    for index, entry in sorted(disclosure.entries.items()):
        proof = Proof.parse(disclosure.proofs.get(index, b""))
        statement = Statement.parse(entry)
        checkpoint = proof.verify(entry, policy)
        if statement.event_id not in disclosure.contents:
            msg = f"disclosure: the event of entry #{index} is not in it"
            raise MalformedError(msg)
        if proof.index != index or checkpoint.origin != disclosure.origin or statement.origin != disclosure.origin:
            msg = f"disclosure: entry #{index} is proven as #{proof.index} of {checkpoint.origin}"
            raise MalformedError(msg)
    return sorted(disclosure.entries)


def check_disclosure(disclosure: Disclosure, history: History) -> tuple[list[ItemVerdict], list[Counted]]:
    """Hold a package against the log, which was read with `disclosed=disclosure.contents`.

    Each event of the package and each of its fields gets a word, each claim is counted in the log. What an erasure
    names is erased, whatever the package holds of it.
    """
    verdicts: list[ItemVerdict] = []
    events = sorted((history.index.find(each), each) for each, data in disclosure.contents.items() if _is_event(data))
    for entry, event_id in events:
        if entry is None:
            verdicts.append(ItemVerdict(-1, "", event_id.hex(), "", "mismatch", None))
            continue
        verdicts += _verdicts(history, entry.idx, disclosure)
    return verdicts, [_counted(claim, history) for claim in disclosure.claims]


def _verdicts(history: History, idx: int, disclosure: Disclosure) -> Iterator[ItemVerdict]:
    reading = history.reading(idx)
    statement = reading.statement
    if statement is None:
        return
    own = statement.event_id
    gone = history.index.erased([own]).get(own)
    word: Word = "erased" if gone is not None else _word(reading.status)
    yield ItemVerdict(idx, statement.type, own.hex(), "", word, gone)
    event = loads(disclosure.contents[own]) if gone is None and own in disclosure.contents else {}
    commits = event.get("commits", {}) if isinstance(event, dict) else {}
    addresses = {field: bytes.fromhex(address) for field, address in commits.items()}
    erased = history.index.erased(addresses.values())
    for field, address in addresses.items():
        by = erased.get(address)
        there: Word = "erased" if by is not None else "disclosed" if address in disclosure.contents else "sealed"
        yield ItemVerdict(idx, statement.type, own.hex(), field, there, by)


def _counted(claim: Claim, history: History) -> Counted:
    found = [entry for entry in history.index.of_type(*claim.types, start=claim.start) if entry.idx < claim.stop]
    gone = history.index.erased(entry.event_id for entry in found)
    here = [entry for entry in found if entry.event_id not in gone and history.event_at(entry.idx) is not None]
    shown = {entry.idx for entry in here}
    lacking = tuple(entry.idx for entry in found if entry.idx not in shown and entry.event_id not in gone)
    return Counted(claim, len(found), len(here), len(gone), lacking)


def _word(status: str) -> Word:
    words: Mapping[str, Word] = {
        "disclosed": "disclosed",
        "sealed": "sealed",
        "erased": "erased",
        "mismatch": "mismatch",
    }
    return words.get(status, "missing")


def _encoded(manifest: Mapping[str, Any]) -> bytes:
    """Canonical as events are, and longer than any of them may be."""
    return orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS)


def _is_event(data: bytes) -> bool:
    return b'"kind":"event"' in data and b'"refs":' in data


def _members(data: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for info in tar:
                if not info.isreg() or not _NAME.fullmatch(info.name) or info.name in found:
                    msg = f"disclosure: {info.name[:80]!r} does not belong there"
                    raise MalformedError(msg)
                if info.size > _MOST_MEMBER or len(found) >= MAX_MEMBERS:
                    msg = f"disclosure: {info.name}: {info.size} bytes, want at most {_MOST_MEMBER}"
                    raise MalformedError(msg)
                member = tar.extractfile(info)
                found[info.name] = b"" if member is None else member.read()
    except (tarfile.TarError, EOFError, ValueError, OSError, OverflowError) as error:
        if isinstance(error, MalformedError):
            raise
        msg = f"disclosure: no tar file as it should be ({type(error).__name__})"
        raise MalformedError(msg) from None
    return found


def _manifest(data: bytes) -> dict[str, Any]:
    value = loads(data) if data else None
    wanted = {"claims", "format", "kind", "members", "origin", "size"}
    if (
        not isinstance(value, dict)
        or set(value) != wanted
        or value["format"] != FORMAT
        or value["kind"] != "disclosure"
    ):
        msg = f"disclosure: manifest.json, want {', '.join(sorted(wanted))} of {FORMAT}"
        raise MalformedError(msg)
    if not isinstance(value["members"], dict) or not isinstance(value["claims"], list):
        msg = "disclosure: manifest.json, want members and claims"
        raise MalformedError(msg)
    if not isinstance(value["origin"], str) or type(value["size"]) is not int:
        msg = "disclosure: manifest.json, want an origin and a size"
        raise MalformedError(msg)
    check_origin(value["origin"])
    return value


def _claim(value: Any) -> Claim:
    match value:
        case {"start": int() as start, "stop": int() as stop, "types": [*types]} if len(value) == 3:
            if 0 <= start <= stop and types and all(isinstance(each, str) for each in types):
                return Claim(tuple(types), start, stop)
        case _:
            pass
    msg = "disclosure: a claim, want types and a range of the log"
    raise MalformedError(msg)


def packed(
    origin: str,
    size: int,
    claims: Sequence[Claim],
    events: Iterable[tuple[int, bytes, bytes, bytes]],
    items: Iterable[bytes],
) -> Disclosure:
    """A package of (index, event, entry, proof) and vault items."""
    contents: dict[bytes, bytes] = {}
    entries: dict[int, bytes] = {}
    proofs: dict[int, bytes] = {}
    for index, event, entry, proof in events:
        contents[sha256(event).digest()] = event
        entries[index], proofs[index] = entry, proof
    contents |= {sha256(item).digest(): item for item in items}
    return Disclosure(origin, size, tuple(claims), contents, entries, proofs)
