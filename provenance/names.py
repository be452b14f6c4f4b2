"""The market's own names for what is erased: a ref may be personal, and goes with the vault item that repeats it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING
from unicodedata import normalize

import orjson

from ledger.errors import MalformedError
from provenance.item import Item
from provenance.queue import Queue

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["erased_names", "forget_names"]

Named = tuple[str, str, bytes]
"""(verb, ref, event id)."""

Erased = Callable[[Collection[bytes]], Collection[bytes]]
"""Those of some addresses that are erased."""

Read = Callable[[bytes], bytes | None]
"""Bytes of an event, None when it cannot be read here."""

_FIELD = "ref"


def erased_names(names: Iterable[Named], erased: Erased, read: Read) -> set[tuple[str, str]]:
    """Those of these names, as (verb, ref), whose event is erased, or the item of it that repeats them."""
    places = {name: (name[2], *_item_of(read(name[2]))) for name in names}
    gone = erased({address for found in places.values() for address in found})
    return {name[:2] for name, found in places.items() if any(address in gone for address in found)}


def forget_names(
    queue: Queue,
    connection: Connection,
    erased: Mapping[bytes, bytes | None],
    events: Mapping[bytes, bool],
    read: Read,
) -> None:
    """Drop the names of what is about to be erased, and where its files were seen.

    `erased` are its addresses, with the bytes as far as they are vault items that are there. `events` are those of
    logged events among them, each with whether somebody else signed it: no item repeats the name that it was given.
    """
    named: list[Named] = []
    for data in filter(None, erased.values()):
        for text in _refs_in(data):
            named += [(verb, text, event_id) for verb, event_id in queue.names(connection, text)]
    for portion in queue.every_name("submit") if any(events.values()) else ():
        named += [name for name in portion if events.get(name[2])]
    queue.forget_names(connection, sorted(erased_names(named, lambda addresses: erased.keys() & addresses, read)))
    queue.forget_files(connection, events)


def _refs_in(data: bytes) -> set[str]:
    """How the market may have written the ref that an item repeats, which does so in NFC."""
    try:
        item = Item.parse(data)
    except MalformedError:
        return set()  # an event, or what a disk has changed
    return {normalize(form, str(item.value)) for form in ("NFC", "NFD")} if item.kind == _FIELD else set()


def _item_of(event: bytes | None) -> tuple[bytes, ...]:
    """Address of the item that repeats an event's name."""
    address = None if event is None else orjson.loads(event)["commits"].get(_FIELD)
    return (bytes.fromhex(address),) if isinstance(address, str) else ()
