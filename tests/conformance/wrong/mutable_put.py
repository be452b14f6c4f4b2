"""Wrong: put overwrites what is there."""

from __future__ import annotations

from shelf import ShelfStore

from adapters.conformance import Capabilities

CAPABILITIES = Capabilities(objects=True, lists=True, checkpoints=True)


class Store(ShelfStore):
    def put(self, path: str, data: bytes) -> None:
        self.replace(path, data)
