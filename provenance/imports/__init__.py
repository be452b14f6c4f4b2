"""What others wrote down, as events: every field is mapped, degraded or refused, and a report says which and why."""

from provenance.imports.collection import read_collection
from provenance.imports.croissant import read_croissant
from provenance.imports.report import Item, Report
from provenance.imports.table import TableMap, read_row

__all__ = ["Item", "Report", "TableMap", "read_collection", "read_croissant", "read_row"]
