"""Reading manifests back: what a file says of itself, its ingredients each with a state of their own."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from ledger.errors import NotFound
from provenance.content.formats import OCTETS, binding_for, media_type_of, open_file, sidecar_of
from provenance.content.library import LABEL, c2pa, context

__all__ = ["IngredientReading", "Manifest", "read_manifest"]

Reference = tuple[str, str]
"""(log origin, event id in hex)."""

MAX_SIDECAR = 64 << 20
_EVENT_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
_UNTRUSTED = "signingCredential.untrusted"
_ACTIONS = ("c2pa.actions", "c2pa.actions.v2")


@dataclass(frozen=True, slots=True)
class IngredientReading:
    """One thing that the asset was made from. `state` is None when it carries no manifest of its own."""

    title: str
    relationship: str  # parentOf, componentOf, inputTo
    label: str
    state: str | None  # Trusted, Valid, Invalid
    codes: tuple[str, ...]
    reference: Reference | None
    ingredients: tuple[IngredientReading, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The active manifest of a file. `state` is about this manifest alone; look at `ingredients` for the others.

    `codes` are C2PA validation codes of failures. Everything here is what the file says: hostile text until verified.
    """

    label: str
    state: str  # Trusted, Valid, Invalid
    codes: tuple[str, ...]
    signer: str  # common name of the certificate's subject, as the library reports it
    reference: Reference | None
    title: str
    binding: str  # embedded, sidecar
    store_digest: str  # SHA-256 of the manifest store in hex, "" when embedded
    source_types: tuple[str, ...]
    actions: tuple[str, ...]
    content_hash: str  # hard binding c2pa.hash.data in hex, "" when there is another one
    ingredients: tuple[IngredientReading, ...]


def read_manifest(path: Path, *, anchors: str | None = None, sidecar: Path | None = None) -> Manifest | None:
    """The manifest inside a file or beside it (`sidecar`, by default `NAME.EXT.c2pa`), None when there is none.

    `anchors` are certificates (PEM) trusted to sign; without them a good manifest is Valid, never Trusted. What is
    wrong with a manifest is in its state and codes; only a file that cannot be read raises (`NotFound`,
    `Unavailable`), or `MissingExtra`.
    """
    media_type = media_type_of(path)
    beside = sidecar or sidecar_of(path)
    store = _sidecar(beside)
    if store is None and sidecar is not None:
        msg = f"{beside}: no such sidecar"
        raise NotFound(msg, path=str(beside))
    with open_file(path) as file:
        if store is None and binding_for(media_type) == "sidecar" and media_type in {OCTETS, "application/zip"}:
            return None  # no format that could carry one inside
        return _read(file, media_type if store is None else OCTETS, store, anchors)


def _sidecar(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    with open_file(path) as file:
        return file.read(MAX_SIDECAR + 1)


def _read(file: IO[bytes], media_type: str, store: bytes | None, anchors: str | None) -> Manifest | None:
    module = c2pa()
    binding = "embedded" if store is None else "sidecar"
    if store is not None and len(store) > MAX_SIDECAR:
        return _broken(f"sidecar of more than {MAX_SIDECAR} bytes", binding)
    try:
        arguments = (media_type, file) if store is None else (media_type, file, store)
        with module.Reader(*arguments, context=context(anchors)) as reader:
            shown = json.loads(reader.json())
            detailed = json.loads(reader.detailed_json())
            state = reader.get_validation_state() or "Invalid"
    except module.C2paError.ManifestNotFound:
        return None
    except module.C2paError as error:
        if store is None and isinstance(error, module.C2paError.NotSupported):
            return None
        return _broken(str(error), binding)
    digest = "" if store is None else sha256(store).hexdigest()
    return _manifest(shown, detailed, state, binding, digest, trusting=bool(anchors))


def _broken(problem: str, binding: str) -> Manifest:
    """A container that cannot be read is a broken manifest, not an absent one."""
    return Manifest("", "Invalid", (problem[:300],), "", None, "", binding, "", (), (), "", ())


def _manifest(
    shown: dict[str, Any], detailed: dict[str, Any], state: str, binding: str, store_digest: str, *, trusting: bool
) -> Manifest:
    manifests: dict[str, Any] = shown.get("manifests", {})
    label = shown.get("active_manifest", "")
    active = manifests.get(label, {})
    results = shown.get("validation_results", {})
    codes = _failures(results.get("activeManifest", {}))
    actions = [action for _, data in _assertions(active, *_ACTIONS) for action in data.get("actions", [])]
    deltas: dict[str, list[str]] = {}
    for delta in results.get("ingredientDeltas", []):
        uri = delta.get("ingredientAssertionURI", "")
        deltas.setdefault(uri, []).extend(_failures(delta.get("validationDeltas", {})))
    changed = tuple(code for found in deltas.values() for code in found if code != _UNTRUSTED)
    if changed and state != "Invalid":
        codes = (*codes, *(f"ingredient: {code}" for code in changed))
    return Manifest(
        label=label,
        state=state,
        codes=codes,
        signer=_signer(active),
        reference=_reference(active),
        title=str(active.get("title") or ""),
        binding=binding,
        store_digest=store_digest,
        source_types=tuple(str(a["digitalSourceType"]) for a in actions if "digitalSourceType" in a),
        actions=tuple(str(a.get("action", "")) for a in actions),
        content_hash=_content_hash(detailed, label),
        ingredients=_ingredients(active, manifests, {label}, trusting=trusting),
    )


def _ingredients(
    manifest: dict[str, Any], manifests: dict[str, Any], seen: set[str], *, trusting: bool
) -> tuple[IngredientReading, ...]:
    found = []
    for part in manifest.get("ingredients", []):
        label = str(part.get("active_manifest") or "")
        own = manifests.get(label, {})
        recorded = part.get("validation_results", {}).get("activeManifest")
        codes = _failures(recorded or {}) + tuple(
            str(status.get("code", "")) for status in part.get("validation_status", []) if recorded is None
        )
        # A state is derived from the codes: the library gives one for the whole store only.
        broken = tuple(code for code in codes if code != _UNTRUSTED)
        state = None if not label else "Invalid" if broken else "Trusted" if trusting and not codes else "Valid"
        found.append(
            IngredientReading(
                title=str(part.get("title") or ""),
                relationship=str(part.get("relationship") or ""),
                label=label,
                state=state,
                codes=codes,
                reference=_reference(own),
                ingredients=() if label in seen or not label else _ingredients(own, manifests, seen | {label}, trusting=trusting),
            )
        )
    return tuple(found)


def _failures(results: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(failure.get("code", "")) for failure in results.get("failure", []))


def _assertions(manifest: dict[str, Any], *labels: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (a["label"], a["data"])
        for a in manifest.get("assertions", [])
        if a.get("label") in labels and isinstance(a.get("data"), dict)
    ]


def _reference(manifest: dict[str, Any]) -> Reference | None:
    for _, data in _assertions(manifest, LABEL):
        log, event = data.get("log"), data.get("event")
        if isinstance(log, str) and isinstance(event, str) and _EVENT_ID.fullmatch(event):
            return log, event
    return None


def _content_hash(detailed: dict[str, Any], label: str) -> str:
    """The hash over the content, which only the detailed report shows: as base64, or as a list of numbers."""
    store = detailed.get("manifests", {}).get(label, {}).get("assertion_store", {})
    value = store.get("c2pa.hash.data", {}).get("hash", "")
    return bytes(value).hex() if isinstance(value, list) else base64.b64decode(value).hex()


def _signer(manifest: dict[str, Any]) -> str:
    info = manifest.get("signature_info", {})
    return str(info.get("common_name") or info.get("issuer") or "")
