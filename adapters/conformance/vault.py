"""`provenance.vault.Vault`: what was kept is there, what was erased is gone from every answer, for good."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from adapters.conformance.place import Place, Wrong, blob, check, refused, same, together
from ledger.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from adapters.conformance.process import Child

__all__: list[str] = []

LARGEST = 1 << 20
"""Bytes of the largest event."""


def item(name: str, size: int = 100) -> tuple[bytes, bytes]:
    """(address, bytes): canonical JSON with `kind` and `salt`, of `size` bytes or a little more."""
    salt = blob(f"salt of {name}", 32).hex()
    data = json.dumps({"kind": "note", "salt": salt, "text": name.ljust(size - 110)}, separators=(",", ":")).encode()
    return hashlib.sha256(data).digest(), data


# No fault


@check("vault", "none")
def kept_and_erased(place: Place) -> None:
    """Items come back byte for byte; what is erased is not found, and can be put again."""
    vault = place.open()
    if not isinstance(vault.joins, bool):
        msg = f"joins: {vault.joins!r}, want True or False"
        raise Wrong(msg)
    items = [item("a"), item("b", 3000), item("large", LARGEST), item("c")]
    for address, _ in items:
        with refused("get of an item that nobody put", NotFound):
            vault.get(address)
    vault.put(iter(items[:2]))
    vault.put(items[2:])
    vault.put([])
    _check(vault, items)
    vault.erase(iter([items[0][0], items[2][0], item("unknown")[0]]))
    vault.erase([])
    _check(vault, [items[1], items[3]], gone=[items[0], items[2]])
    vault.put([items[0]])
    _check(vault, [items[0], items[1], items[3]], gone=[items[2]])


@check("vault", "none")
def again_is_once(place: Place) -> None:
    """Put twice, an item is there once, and erased once it is gone."""
    vault = place.open()
    items = [item("a"), item("b")]
    vault.put([*items, items[0]])
    vault.put(items)
    _check(vault, items)
    vault.erase([items[0][0]])
    _check(vault, items[1:], gone=items[:1])


@check("vault", "none")
def very_many(place: Place) -> None:
    """More than one page or statement of them."""
    vault = place.open()
    items = [item(f"{n}") for n in range(place.times(1500, 100))]
    vault.put(items)
    vault.erase(address for address, _ in items[::3])
    _check(vault, [pair for n, pair in enumerate(items) if n % 3], gone=items[::300])


# Opened again, two handles, threads, processes


@check("vault", "reopened", "two handles")
def erased_everywhere(place: Place) -> None:
    """What one handle has kept or erased, the other has too, also where it looked before, and a later one."""
    mine = place.open()
    theirs = place.open() if place.fault == "two handles" else mine
    kept: list[tuple[bytes, bytes]] = []
    for n in range(3):
        stays, goes = item(f"stays {n}"), item(f"goes {n}")
        mine.put([stays, goes])
        kept.append(stays)
        if place.fault == "reopened":
            mine = theirs = place.reopen()
        _check(theirs, [*kept, goes])
        mine.erase([goes[0]])
        if place.fault == "reopened":
            mine = theirs = place.reopen()
        _check(theirs, kept, gone=[goes])


@check("vault", "threads")
def kept_at_once(place: Place) -> None:
    """The same items from many threads are there once."""
    handles = [place.open(), place.open()]
    items = [item(f"{n}") for n in range(5)]
    gone = [item(f"gone {n}") for n in range(5)]
    handles[0].put(gone)

    def use(i: int) -> None:
        vault = handles[i % 2]
        for pair in items:
            vault.put([pair])
            same("get of an item that was put", vault.get(pair[0]), pair[1])
        vault.erase(address for address, _ in gone)

    together(*((lambda i=i: use(i)) for i in range(6)))
    for vault in handles:
        _check(vault, items, gone=gone)


def keep(child: Child) -> None:
    """Program: put the same items as all others, and some of one's own."""
    vault = child.open()
    child.wait()
    for n in range(5):
        vault.put([item(f"shared {n}"), item(f"{child.arguments['number']} {n}")])


@check("vault", "processes")
def kept_by_several(place: Place) -> None:
    """The same from processes."""
    for ended in place.run(*((keep, {"number": number}) for number in range(3))):
        ended.finished()
    own = [item(f"{number} {n}") for number in range(3) for n in range(5)]
    _check(place.open(), [*own, *(item(f"shared {n}") for n in range(5))])


# Faults


@check("vault", "reply lost")
def done_again(place: Place) -> None:
    """Who has not heard that something was kept or erased does it again."""
    vault = place.open()
    items = [item("a"), item("b")]
    for _ in range(2):
        vault.put(items)
        vault = place.reopen()
    _check(vault, items)
    for _ in range(2):
        vault.erase([items[0][0]])
        vault = place.reopen()
    _check(vault, items[1:], gone=items[:1])


def keep_and_die(child: Child) -> None:
    """Program: put two items and erase one of them, until killed."""
    vault, life = child.open(), child.arguments["life"]
    child.wait()
    for n in range(child.arguments.get("number", 1_000_000)):
        vault.put([item(f"{life} stays {n}"), item(f"{life} goes {n}")])
        child.say(n)
        vault.erase([item(f"{life} goes {n}")[0]])
        child.say(n)
    child.die()


@check("vault", "killed")
def acknowledged(place: Place) -> None:
    """What had been kept or erased when the process was killed still is."""
    for life, ended, _ in place.lives(keep_and_die):
        vault, done = place.reopen(), len(ended.gone().said)
        for n in range((done + 1) // 2):
            _check_item(vault, item(f"{life} stays {n}"))
        for n in range(done // 2):
            with refused("get of an item that was erased before the process was killed", NotFound):
                vault.get(item(f"{life} goes {n}")[0])


def fill(child: Child) -> None:
    """Program: put items, each twice as large, until there is no room; then make room."""
    vault = child.open()
    pair = item("before")
    vault.put([pair])
    with child.full(1 << 20):
        with refused("put of 12 MB on a full disk", Unavailable):
            for n in range(12):
                vault.put([item(f"full {n}", LARGEST)])
                child.say(n)
        _check_item(vault, pair)
    vault.put([item("room again", LARGEST)])


@check("vault", "disk full")
def refused_and_gone_on(place: Place) -> None:
    """`Unavailable`, and the same handle goes on once there is room."""
    (ended,) = place.run((fill, {}))
    vault = place.reopen()
    for n in ended.finished().said:
        _check_item(vault, item(f"full {n}", LARGEST))
    _check_item(vault, item("before"))
    _check_item(vault, item("room again", LARGEST))


def _check_item(vault: Any, pair: tuple[bytes, bytes]) -> None:
    try:
        same("get of an item that was put", vault.get(pair[0]), pair[1])
    except NotFound:
        msg = f"get {pair[0].hex()[:16]}…: not found, though its put had returned"
        raise Wrong(msg) from None


def _check(vault: Any, items: Iterable[tuple[bytes, bytes]], gone: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Exactly `items` are there."""
    items = list(items)
    for pair in items:
        _check_item(vault, pair)
    for address, _ in gone:
        with refused("get of an item that was erased", NotFound):
            vault.get(address)
    listed = [(bytes(address), bytes(data)) for address, data in vault.items()]
    same("how many items() has", len(listed), len(items))
    same("items()", sorted(listed), sorted(items))
