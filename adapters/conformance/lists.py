"""`ledger.storage.ListsObjects`: exactly what is there, and nothing that was never put."""

from __future__ import annotations

from adapters.conformance.objects import NAMES, has, one_put
from adapters.conformance.place import Place, blob, check, same

__all__: list[str] = []


@check("lists", "none")
def listed(place: Place) -> None:
    """Exactly what is there, below exactly that prefix."""
    store = place.open()
    same("list of an empty storage", sorted(store.list("")), [])
    for name in NAMES:
        store.put(name, blob(name))
    same("list('')", sorted(store.list("")), sorted(NAMES))
    for prefix in ("tile/", "tile/0/", "a_b/", "a%b/", "staging/", "never/", "tile/0/x001/x234/067.p/"):
        want = sorted(name for name in NAMES if name.startswith(prefix))
        same(f"list({prefix!r})", sorted(store.list(prefix)), want)


@check("lists", "none")
def many_listed(place: Place) -> None:
    """More than one page of them."""
    store = place.open()
    want = [f"tile/0/{n:03}.p/{n}" for n in range(place.times(300, 60))]
    for path in want:
        store.replace(path, b"x")
    same("list('tile/0/')", sorted(store.list("tile/0/")), sorted(want))
    gone, stay = want[::2], want[1::2]
    store.discard(*gone)
    left = sorted(store.list(""))
    same("list('') has all that was not discarded", sorted(set(left) & set(stay)), sorted(stay))
    same("list('') has what get finds", left, sorted(path for path in want if has(store, path)))


@check("lists", "two handles", "reopened")
def listed_elsewhere(place: Place) -> None:
    """Through another handle, and opened again."""
    one = place.open()
    two = place.open() if place.fault == "two handles" else one
    for path in ("tile/0/000", "tile/0/001", "checkpoint"):
        one.put(path, b"x")
    if place.fault == "reopened":
        two = place.reopen()
    same("list('')", sorted(two.list("")), ["checkpoint", "tile/0/000", "tile/0/001"])


@check("lists", "killed", "disk full")
def nothing_half_listed(place: Place) -> None:
    """What a killed process was writing is listed under its name once it can be read, and under no other."""
    place.open().put("tile/1/099", b"before")
    for n, death in enumerate(place.deaths((one_put, {"n": 0}), place.times(4, 2), 5000)):
        place.run((one_put, {"n": n}), death=death)[0].gone()
        store = place.reopen()
        known = ["tile/1/099", *(f"tile/1/{i:03}" for i in range(n + 1))]
        same("list('') after a put was cut short", sorted(store.list("")), sorted(p for p in known if has(store, p)))
