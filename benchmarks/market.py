"""A market for benchmarks: writer processes that sell in their own transactions, with and without what is compared.

Each sale is two small rows of the market's. Beside them goes nothing, one bare row of as many bytes as our event, or
a license staged in the same transaction.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple, Self

from sqlalchemy import create_engine, text

from adapters import connect, create
from adapters.keys import load_secret
from adapters.sql.queue import SqlQueue
from adapters.sql.store import SqlStore
from provenance import Money, PartyKey, ProvenanceLedger, sign_statement
from provenance.events import Draft
from provenance.queue import Staged

__all__ = ["ORIGIN", "Beside", "Shop", "Writers", "len_of_license", "open_shop", "share", "stage_many"]

ORIGIN = "bench.example/log"
PRICE = Money(1250, "EUR")

Beside = Literal["nothing", "bare row", "license"]


class Shop(NamedTuple):
    """A ledger with something to sell, and how other processes reach it."""

    ledger: ProvenanceLedger
    url: str
    keys: dict[str, str]
    work: str
    offer: str
    buyer: str


@contextmanager
def open_shop(url: str, folder: str, **where: Any) -> Iterator[Shop]:
    """A new ledger on this database, with one work on offer, and the market's own tables."""
    keys = {name: f"file:{folder}/keys/{name}" for name in ("log", "market", "claim")}
    ledger = create(url, origin=ORIGIN, market_name="Bench", keys=keys, **where)
    file = Path(folder) / "work.bin"
    file.write_bytes(os.urandom(64))
    buyer = ledger.register_party("person", name="Bo")
    work = ledger.create(file, creators=[buyer])
    offer = ledger.offer(work, terms="LicenseRef-commercial", price=PRICE)
    engine = create_engine(url)
    serial = "BIGINT GENERATED ALWAYS AS IDENTITY" if engine.dialect.name == "postgresql" else "INTEGER"
    blob = "BYTEA" if engine.dialect.name == "postgresql" else "BLOB"
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id TEXT PRIMARY KEY, cents INTEGER, at TEXT)"))
        connection.execute(text("CREATE TABLE order_lines (order_id TEXT, work TEXT, cents INTEGER)"))
        connection.execute(text(f"CREATE TABLE bare (id {serial} PRIMARY KEY, data {blob})"))
    engine.dispose()
    yield Shop(ledger, url, keys, work.id, offer.id, buyer.id)


class Writers:
    """Processes with threads, each selling as fast as it can for as long as it is told."""

    def __init__(self, shop: Shop, *, processes: int, threads: int, pause: float = 0.0) -> None:
        """`pause`: seconds of other work inside every transaction."""
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Pipe] = []
        self._processes = []
        for number in range(processes):
            ours, theirs = context.Pipe()
            plain = (shop.url, shop.work, shop.offer, shop.buyer)
            process = context.Process(target=_write, args=(theirs, plain, number, threads, pause), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)
        for pipe in self._pipes:
            assert pipe.recv() == "ready"

    def sell(self, beside: Beside, seconds: float) -> float:
        """Sales per second, all writers together."""
        for pipe in self._pipes:
            pipe.send((beside, seconds))
        return sum(int(pipe.recv()) for pipe in self._pipes) / seconds

    def compare(self, *, times: int = 7, seconds: float = 1.5) -> dict[Beside, list[float]]:
        """Rates of all three, taken in turn."""
        kinds: tuple[Beside, ...] = ("nothing", "bare row", "license")
        found: dict[Beside, list[float]] = {kind: [] for kind in kinds}
        for kind in kinds:
            self.sell(kind, 0.5)
        for turn in range(times):
            for place in range(len(kinds)):
                kind = kinds[(turn + place) % len(kinds)]
                found[kind].append(self.sell(kind, seconds))
        return found

    def watch(self, seconds: float) -> list[tuple[str, float]]:
        """Sell for so long; each event id with the moment after its commit (`time.perf_counter`, one for all)."""
        for pipe in self._pipes:
            pipe.send(("watch", seconds))
        return [sale for pipe in self._pipes for sale in pipe.recv()]

    def close(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def share(found: dict[Beside, list[float]], floor: Beside) -> float:
    """The rate with a license as a part of the floor's: the median over the rounds."""
    return median(ours / bare for ours, bare in zip(found["license"], found[floor], strict=True))


class _Seller:
    """What one writer process does."""

    def __init__(self, shop: tuple[str, str, str, str], number: int, threads: int, pause: float) -> None:
        url, self._work, self._offer, self._buyer = shop
        self._ledger = connect(url, signs=False)
        self._engine = create_engine(url, pool_size=threads)
        self._size = len_of_license(self._ledger, self._work, self._offer, self._buyer)
        self._place = f"{number}-{os.getpid()}"
        self._orders = itertools.count()
        self._pause = pause

    def sell(self, beside: Beside, until: float) -> int:
        """As many as possible until then; how many."""
        done = 0
        while time.perf_counter() < until:
            self._sale(beside)
            done += 1
        return done

    def watch(self, until: float) -> list[tuple[str, float]]:
        """The same with licenses, each with the moment after its commit."""
        done = []
        while time.perf_counter() < until:
            event_id = self._sale("license")
            done.append((event_id, time.perf_counter()))
        return done

    def _sale(self, beside: Beside) -> str:
        order = f"{self._place}-{next(self._orders)}"
        with self._engine.begin() as connection:
            connection.execute(_ORDER, {"id": order})
            connection.execute(_LINE, {"id": order, "work": self._work})
            if self._pause:
                time.sleep(self._pause)
            if beside == "bare row":
                connection.execute(_BARE, {"data": os.urandom(self._size)})
            elif beside == "license":
                ref = f"order:{order}"
                return self._ledger.license(
                    self._work, to=self._buyer, offer=self._offer, price=PRICE, ref=ref, session=connection
                ).id
        return ""


def _write(pipe: Pipe, shop: tuple[str, str, str, str], number: int, threads: int, pause: float) -> None:
    seller = _Seller(shop, number, threads, pause)
    with ThreadPoolExecutor(threads) as pool:
        pipe.send("ready")
        while (told := pipe.recv()) is not None:
            what, seconds = told
            until = time.perf_counter() + seconds
            if what == "watch":
                pipe.send([sale for sales in pool.map(seller.watch, [until] * threads) for sale in sales])
            else:
                pipe.send(sum(pool.map(seller.sell, [what] * threads, [until] * threads)))


def stage_many(shop: Shop, count: int, *, signed: bool) -> None:
    """Fill the queue with licenses, in few transactions; `signed` as if the market had signed them itself before."""
    key = PartyKey.parse(load_secret(shop.keys["market"]))
    store = SqlStore(shop.url)
    queue = SqlQueue(store)
    for first in range(0, count, 1024):
        staged = []
        for number in range(first, min(first + 1024, count)):
            draft = _license_draft(shop.ledger, shop.work, shop.offer, shop.buyer, f"order:{number}")
            statement = sign_statement(
                key,
                issuer=shop.ledger.market.hex(),
                type=draft.type,
                origin=shop.ledger.origin,
                event_id=draft.id,
                sealed=True,
            )
            items = tuple(bytes(item) for item in draft.items)
            staged.append(Staged(0, draft.id, draft.type, draft.data, items, statement if signed else None, True))
        with queue.joining(None) as connection:
            queue.stage(connection, staged)
    store.close()


def len_of_license(ledger: ProvenanceLedger, work: str, offer: str, buyer: str) -> int:
    """Bytes of the event and the personal items of one sale."""
    draft = _license_draft(ledger, work, offer, buyer, "order:0-00000-0000")
    return len(draft.data) + sum(len(bytes(item)) for item in draft.items)


def _license_draft(ledger: ProvenanceLedger, work: str, offer: str, buyer: str, ref: str) -> Draft:
    return ledger.draft(
        "grant.issue",
        body={"scope": ["use"], "quantity": 1, "transferable": False, "price": PRICE.body()},
        refs=[{"role": "offer", "id": offer}, {"role": "work", "id": work}, {"role": "licensee", "id": buyer}],
        personal={"ref": ref},
    )


_ORDER = text("INSERT INTO orders VALUES (:id, 1250, '2026-11-24T07:15:00Z')")
_LINE = text("INSERT INTO order_lines VALUES (:id, :work, 1250)")
_BARE = text("INSERT INTO bare (data) VALUES (:data)")
