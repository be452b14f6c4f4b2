"""The C2PA library: loaded at the first use, offline, one context for each process and set of anchors."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

from cryptography import x509

from ledger.errors import MalformedError
from provenance.errors import MissingExtra

__all__ = ["LABEL", "c2pa", "context"]

LABEL = "org.provenance-ledger.reference"
"""Label of our assertion: {"log": origin, "event": event id}, both of fixed width once the log is chosen."""

_PURPOSES = "1.3.6.1.4.1.62558.2.1\n1.3.6.1.5.5.7.3.4\n1.3.6.1.5.5.7.3.36"
"""Extended key usages that a claim signer may have: claimSigning, emailProtection, documentSigning."""


def c2pa() -> Any:
    """The module. Raises `MissingExtra`."""
    try:
        import c2pa as module
    except ImportError as error:
        what = "content credentials"
        raise MissingExtra(what, "content") from error
    return module


def context(anchors: str | None = None) -> Any:
    """A context that reaches no network and trusts these anchors (PEM) to sign manifests.

    Raises `MalformedError` for anchors that are no certificates: the library takes any text and then trusts nobody.
    """
    # The native object does not survive a fork: one for each process.
    return _context(anchors or "", os.getpid())


@lru_cache(maxsize=32)
def _context(anchors: str, _process: int) -> Any:
    if anchors:
        try:
            x509.load_pem_x509_certificates(anchors.encode())
        except ValueError as error:
            msg = f"anchors: {error}; want certificates in PEM"
            raise MalformedError(msg) from error
    settings: dict[str, Any] = {
        "trust": {"trust_config": _PURPOSES},
        "verify": {"remote_manifest_fetch": False, "verify_trust": bool(anchors)},
        "core": {"decode_identity_assertions": False, "allowed_network_hosts": []},
        "builder": {"thumbnail": {"enabled": False}},
    }
    if anchors:
        settings["trust"]["anchors"] = [
            {"trust_anchors": anchors, "trust_uri": "urn:provenance:anchors", "trust_kind": "manifest"}
        ]
    return c2pa().Context.from_dict(settings)
