"""All checks: importing this registers them."""

from __future__ import annotations

from adapters.conformance import checkpoints, lists, log, objects, queue, transactions, vault

__all__ = ["checkpoints", "lists", "log", "objects", "queue", "transactions", "vault"]
