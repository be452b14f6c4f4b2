"""Forgetting what is published in the open beside entries: the entries, every tile and every proof stay as they are.

An item that is redacted has length 0 in its open bundle, as that of an entry beside which nothing was ever open.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import sha256
from itertools import islice

from ledger.copies import get_or_none
from ledger.errors import Unavailable
from ledger.storage import Objects, ReadsObjects, Row
from ledger.tile import WIDTH, open_path, pack_open, parse_open

__all__ = ["AT_ONCE", "agree", "newest_part", "parts", "redacted_bundle", "show_redacted", "without"]

AT_ONCE = 64
"""Bundles that are redacted in one batch, or one transaction."""

_MOST_TRIES = 50

Opened = Callable[[int], Sequence[bytes]]
"""Called with the number of a bundle: what the log's own storage has open beside it, now; [] where it cannot tell."""


def without(data: bytes, indexes: Collection[int], number: int) -> bytes:
    """An open bundle with nothing beside those of these entries that it covers. Raises `MalformedError`."""
    first = number * WIDTH
    items = parse_open(data)
    if not any(item and first + at in indexes for at, item in enumerate(items)):
        return data
    return pack_open([b"" if first + at in indexes else item for at, item in enumerate(items)])


def redacted_bundle(objects: ReadsObjects, number: int, indexes: Collection[int]) -> tuple[str, bytes] | None:
    """Path and bytes of an open bundle once these entries are redacted; None where nothing changes."""
    path = open_path(number)
    data = get_or_none(objects, path)
    if data is None:
        return None
    if (items := len(parse_open(data))) < WIDTH and any(number * WIDTH + at in indexes for at in range(items, WIDTH)):
        msg = f"{path}: {items} items beside {WIDTH} entries, an older one; try again"
        raise Unavailable(msg, path=path)
    good = without(data, indexes, number)
    return None if good == data else (path, good)


def newest_part(indexes: Collection[int]) -> frozenset[int]:
    """Those of these entries that are in the newest 64 of the bundles they are in."""
    numbers = {*sorted({index // WIDTH for index in indexes})[-AT_ONCE:]}
    return frozenset(index for index in indexes if index // WIDTH in numbers)


def parts(indexes: Collection[int]) -> list[frozenset[int]]:
    """The same entries in parts of at most 64 bundles."""
    numbers = iter(sorted({index // WIDTH for index in indexes}))
    found = []
    while some := {*islice(numbers, AT_ONCE)}:
        found.append(frozenset(index for index in indexes if index // WIDTH in some))
    return found


def show_redacted(target: Objects, number: int, opened: Opened) -> None:
    """Write what is open beside a bundle to a place that shows it already, as the log's own storage has it now.

    And again while that grows: another process may publish more meanwhile, and must not be overwritten with less.
    """
    path = open_path(number)
    for _ in range(_MOST_TRIES):
        there = get_or_none(target, path)
        if there is None:
            return
        items = list(opened(number))
        if not items:
            return
        data = pack_open(items)
        if data != there:
            target.replace(path, data)
        if list(opened(number)) == items:
            return
    msg = f"{path}: what is open there changes all the time; try again"
    raise Unavailable(msg, path=path)


def agree(target: Objects, written: Mapping[int, bytes], opened: Opened, edge: Sequence[Row]) -> None:
    """See to it that `target`, where all this was just written, shows nothing that was redacted meanwhile.

    `written` are the SHA-256 of open bundles by number, the last one beside the rows of `edge`. To be called before the
    checkpoint is shown: whoever publishes next writes everything from the one that shows on, so that a crash before it
    leaves nothing behind; and whoever redacts later finds what is there.
    """
    for number, digest in written.items():
        seen = digest
        for _ in range(_MOST_TRIES):
            items = list(opened(number))
            if edge and number == max(written):
                items = [b"" if items[at : at + 1] == [b""] else row.opened for at, row in enumerate(edge)]
            data = pack_open(items)
            if not items or sha256(data).digest() == seen:
                break
            target.replace(open_path(number), data)
            seen = sha256(data).digest()
