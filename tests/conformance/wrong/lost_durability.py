"""Wrong: what was written waits in the process, where all its handles see it, until the storage is closed."""

from __future__ import annotations

from pathlib import Path

from shelf import Shelf, ShelfStore

from adapters.conformance import Capabilities

CAPABILITIES = Capabilities(objects=True, lists=True, checkpoints=True)

_WAITING: dict[Path, dict[str, bytes | None]] = {}


class _Lazy(Shelf):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._waiting = _WAITING.setdefault(folder, {})

    def close(self) -> None:
        with self._alone():
            while self._waiting:
                key, value = next(iter(self._waiting.items()))
                super()._append(key, value)
                del self._waiting[key]
        super().close()

    def keys(self) -> list[str]:
        with self._alone():
            return [key for key in {**self._where, **self._waiting} if self._value(key) is not None]

    def _value(self, key: str) -> bytes | None:
        return self._waiting[key] if key in self._waiting else super()._value(key)

    def _append(self, key: str, value: bytes | None) -> None:
        self._waiting[key] = value


class Store(ShelfStore):
    def __init__(self, folder: Path) -> None:
        self.shelf = _Lazy(folder)
