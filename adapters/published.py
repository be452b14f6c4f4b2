"""Checking and mending what a place shows of a log: by a policy, and by what the operator knows where it is his own."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from adapters.key_files import BESIDE, KEY, agrees, key_files
from ledger.checkpoint import open_checkpoint
from ledger.client import Client
from ledger.copies import Copies, Fits, Gone, get_or_none
from ledger.errors import LedgerError, MalformedError, Overloaded, Unavailable, VerificationError
from ledger.fsck import Fault, fault_of, standing, strays
from ledger.keyring import Keyring
from ledger.policy import Policy
from ledger.repair import Repaired, repair
from ledger.rounds import MEMORY_PATH
from ledger.storage import ListsObjects, Objects, ReadsObjects
from ledger.tile import CHECKPOINT
from provenance.erasures import can_be_erased, named_at
from provenance.holdings import Contents, check_entries
from provenance.signatures import Signatures
from provenance.statement import Statement
from provenance.succession import LINKS, Link, follow, link_path

__all__ = [
    "OURS",
    "Portions",
    "check_beside",
    "check_place",
    "judges_of",
    "mend_beside",
    "raise_unless_damage",
    "repair_place",
]

Portions = Iterator[tuple[Any, Sequence[Fault]]]
"""Where a check has come to, and what it found up to there."""

OURS = ("staging/", "heads/", "vault/", "probe/", MEMORY_PATH)
"""What a storage of ours holds besides the log: batch files, heads, sealed events, and what is found beside a log."""

# The position behind the last portion: whoever goes on there has nothing left to do.
_DONE = "beside"


def check_place(
    place: ReadsObjects,
    policy: Policy,
    *,
    at: Any = None,
    signatures: bool = False,
    keys: Keyring | None = None,
    links: Sequence[Link] = (),
    erased: Mapping[bytes, bytes | None] | None = None,
) -> Portions:
    """Check a published log from the entry `at` on; "beside" where that was the last place given.

    Every tile and bundle, every statement and open event; where the place can list, what should not be there; the key
    and policy files, against `keys` and `links` where they are known. `erased` is what erasures name, by default as the
    place itself says. With `signatures`, which begin at entry 0, every statement.
    """
    if at == _DONE:
        return
    client = Client(place, policy)
    try:
        checkpoint = standing(client)
        judge = Signatures(policy, checkpoint.origin) if signatures else None
        named = named_at(client) if erased is None else erased
        yield from check_entries(client, Contents(client.opened, erased=named, signatures=judge), start=at or 0)
        faults = list(check_beside(place, client, policy, keys, links))
        if isinstance(place, ListsObjects):
            faults += strays(client, (path for path in place.list("") if not path.startswith((*OURS, *BESIDE, LINKS))))
    except LedgerError as error:
        raise_unless_damage(error)
        faults = [fault_of(error)]
    yield _DONE, faults


def repair_place(place: Objects, policy: Policy, *, progress: Callable[[int, int], None] | None = None) -> Repaired:
    """Mend a published log from itself alone: what its signed checkpoint proves, tiles from entries above all."""
    signed = open_checkpoint(place.get(CHECKPOINT), policy)
    fits, gone = judges_of(_named_there(place, policy))
    return repair(place, Copies(signed, [place]), fits=fits, gone=gone, policy=policy, progress=progress)


def _fits(entry: bytes, item: bytes) -> bool:
    """Whether `item` is the event that the statement `entry` promises, and is not sealed."""
    try:
        statement = Statement.parse(entry)
    except MalformedError:
        return False
    return not statement.sealed and sha256(item).digest() == statement.event_id


def judges_of(erased: Container[bytes]) -> tuple[Fits, Gone]:
    """What says of an open item whether it belongs there, and of an entry whether its event is erased."""

    def gone(entry: bytes) -> bool:
        try:
            said = Statement.parse(entry)
        except MalformedError:
            return False
        return said.event_id in erased and can_be_erased(said.type, sealed=said.sealed)

    return lambda entry, item: _fits(entry, item) and not gone(entry), gone


def raise_unless_damage(error: LedgerError) -> None:
    """Let through what says nothing about the bytes: a storage that is away, locked or out of reach."""
    if isinstance(error, (Overloaded, Unavailable)):
        raise error


def _named_there(place: ReadsObjects, policy: Policy) -> Mapping[bytes, bytes | None]:
    """What erasures name, as far as a place that may be damaged can be read."""
    try:
        return named_at(Client(place, policy))
    except LedgerError as error:
        raise_unless_damage(error)
        return {}


def check_beside(
    place: ReadsObjects, client: Client, policy: Policy, keys: Keyring | None, links: Sequence[Link]
) -> Iterator[Fault]:
    """Key and policy files of a published log, where there are any: they name keys that the reader accepts.

    Where `keys` are known, a place that shows the log's key shows the others too. The `links` have to be there, all of
    them: without one, who knows an earlier key is left behind.
    """
    origin = client.checkpoint.origin
    known = [Keyring(key) for key in policy.keys(origin)] if keys is None else [keys]
    wanted = [key_files(one) for one in known]
    whole = {} if keys is None or get_or_none(place, KEY) is None else wanted[0]
    for path in BESIDE:
        data = get_or_none(place, path)
        if data is None:
            if path in whole:
                yield Fault(path, f"{path}: not there, and {KEY}, which is written last, is")
        elif not any(agrees(path, data, files) for files in wanted):
            ids = ", ".join(str(one.key) for one in known)
            yield Fault(path, f"{path}: is not what is published for the key {ids}")
    for number, link in enumerate(links):
        path = link_path(number)
        if get_or_none(place, path) != bytes(link):
            yield Fault(path, f"{path}: not there, or another than leads on from the log's earlier keys")
    try:
        follow(place, policy)
    except (MalformedError, VerificationError) as error:
        yield Fault(LINKS, f"{LINKS}: {error}")


def mend_beside(
    place: Objects, keys: Keyring, links: Sequence[Link], report: Repaired, *, witnessed: Policy | None
) -> None:
    """Show links as they are to be, and key files where the log's key is shown; `report` is told what was mended.

    `witnessed` as in `key_files`.
    """
    wanted = key_files(keys, witnessed=witnessed, links=links)
    shown = get_or_none(place, KEY) is not None
    for path, want in wanted.items():
        data = get_or_none(place, path)
        if data is None and not shown and not path.startswith(LINKS):
            continue
        if data is None or not agrees(path, data, wanted):
            place.replace(path, want)
            report.mended.append(path)
