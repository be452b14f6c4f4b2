"""Content credentials: C2PA manifests attached to files and read back. The C2PA library loads at the first use."""

from provenance.content.certificates import Credential, is_development, lint, make_development_credential
from provenance.content.formats import binding_for, digest_file, media_type_of, misnamed, sidecar_of
from provenance.content.reading import IngredientReading, Manifest, read_manifest
from provenance.content.signing import Attachment, IngredientFile, attach

__all__ = [
    "Attachment",
    "Credential",
    "IngredientFile",
    "IngredientReading",
    "Manifest",
    "attach",
    "binding_for",
    "digest_file",
    "is_development",
    "lint",
    "make_development_credential",
    "media_type_of",
    "misnamed",
    "read_manifest",
    "sidecar_of",
]
