"""Finding things again: a cache over log and vault in any SQL database, rebuilt at any time, never used for a proof."""

from provenance.index.facts import Facts, facts_of
from provenance.index.queries import Entry, Index, Kin, Link
from provenance.index.store import IndexStore
from provenance.index.tables import metadata

__all__ = ["Entry", "Facts", "Index", "IndexStore", "Kin", "Link", "facts_of", "metadata"]
