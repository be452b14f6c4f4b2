"""What a log says, in the formats of others."""

from provenance.export.prov import ProvExport, export_prov

__all__ = ["ProvExport", "export_prov"]
