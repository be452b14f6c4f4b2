"""The verbs of a ledger by family, on what they have in common."""

from provenance.desk.base import Desk, follows

__all__ = ["Desk", "follows"]
