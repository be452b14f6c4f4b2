"""Wrong: swap loads, compares and writes. Between the last two another writer does the same."""

from __future__ import annotations

import time

from shelf import ShelfStore, unavailable

from adapters.conformance import Capabilities
from ledger import Conflict

CAPABILITIES = Capabilities(objects=True, lists=True, checkpoints=True)


class Store(ShelfStore):
    def swap(self, origin: str, old: bytes, new: bytes) -> None:
        if self.load(origin) != old:
            msg = f"{origin}: another writer swapped the checkpoint first"
            raise Conflict(msg)
        time.sleep(0.005)  # a window that others meet on any machine
        with unavailable(origin):
            self.shelf.write(f"head {origin}", new)
