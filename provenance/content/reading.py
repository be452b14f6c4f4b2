"""Reading manifests back: what a file says of itself, its ingredients each with a state of their own."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from provenance.content.embedded import MAX_STORE, split
from provenance.content.formats import OCTETS, binding_for, media_type_of, open_file, sidecar_of
from provenance.content.library import LABEL, c2pa, context

__all__ = ["IngredientReading", "Manifest", "read_manifest"]

Reference = tuple[str, str]
"""(log origin, event id in hex)."""

_EVENT_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TRUSTED = "signingCredential.trusted"
_UNTRUSTED = "signingCredential.untrusted"
_ACTIONS = ("c2pa.actions", "c2pa.actions.v2")


@dataclass(frozen=True, slots=True)
class IngredientReading:
    """One thing that the asset was made from. `state` is None when it carries no manifest of its own.

    State and codes are of its manifest as it goes along here: its own failures, found now or recorded when it was taken
    in. Trusted means by the reader's anchors. `ingredients` is empty where the same manifest was opened before.
    """

    title: str
    relationship: str  # parentOf, componentOf, inputTo
    label: str
    state: str | None  # Trusted, Valid, Invalid
    codes: tuple[str, ...]
    reference: Reference | None
    ingredients: tuple[IngredientReading, ...]
    content_hash: str = ""  # hard binding c2pa.hash.data in hex: for JPEG, PNG and sidecars the SHA-256 of the source


@dataclass(frozen=True, slots=True)
class Manifest:
    """The active manifest of a file.

    `state` is the library's, and a tampered ingredient can lie under Trusted: look at that of each of `ingredients`.
    `codes` are C2PA validation codes of failures. Everything here is what the file says: hostile text until verified.
    """

    label: str
    state: str  # Trusted, Valid, Invalid
    codes: tuple[str, ...]
    signer: str  # common name of the certificate's subject, as the library reports it
    reference: Reference | None
    title: str
    binding: str  # embedded, sidecar
    store_digest: str  # SHA-256 of the manifest store in hex, "" when inside a file that is no JPEG or PNG
    source_types: tuple[str, ...]
    actions: tuple[str, ...]
    content_hash: str  # hard binding c2pa.hash.data in hex, "" when there is another one
    ingredients: tuple[IngredientReading, ...]


def read_manifest(path: Path, *, anchors: str | None = None, sidecar: Path | None = None) -> Manifest | None:
    """The manifest of a file, None when there is none.

    `sidecar` names where it lies; else a JPEG or PNG is asked first and then `NAME.EXT.c2pa` beside it, any other file
    the other way round: the manifest that `attach` writes wins over what somebody laid beside it. `anchors` are
    certificates (PEM) trusted to sign; without them a good manifest is Valid, never Trusted. What is wrong with a
    manifest is in its state and codes; only a file that cannot be read raises (`NotFound`, `Unavailable`), anchors that
    are none (`MalformedError`), or `MissingExtra`.
    """
    media_type = media_type_of(path)
    if sidecar is not None:
        with open_file(sidecar) as file:
            return _read(path, OCTETS, file.read(MAX_STORE + 1), anchors)
    store = _beside(path)
    if binding_for(media_type) == "embedded":
        inside = _read(path, media_type, None, anchors)
        return inside if inside is not None or store is None else _read(path, OCTETS, store, anchors)
    if store is not None:
        return _read(path, OCTETS, store, anchors)
    if media_type in {OCTETS, "application/zip"}:
        return None  # no format that could carry one inside
    return _read(path, media_type, None, anchors)


def _beside(path: Path) -> bytes | None:
    beside = sidecar_of(path)
    if not beside.is_file():
        return None
    with open_file(beside) as file:
        return file.read(MAX_STORE + 1)


def _read(path: Path, media_type: str, store: bytes | None, anchors: str | None) -> Manifest | None:
    module = c2pa()
    active = context(anchors)
    binding = "embedded" if store is None else "sidecar"
    if store is not None and len(store) > MAX_STORE:
        return _broken(f"sidecar of more than {MAX_STORE} bytes", binding)
    try:
        with open_file(path) as file:
            arguments = (media_type, file) if store is None else (media_type, file, store)
            with module.Reader(*arguments, context=active) as reader:
                shown = json.loads(reader.json())
                detailed = json.loads(reader.detailed_json())
                state = reader.get_validation_state() or "Invalid"
    except module.C2paError.ManifestNotFound:
        return None
    except module.C2paError as error:
        if store is None and isinstance(error, module.C2paError.NotSupported):
            return None  # no format that could carry one inside
        return _broken(str(error), binding)
    inside = split(path, media_type).store if store is None else store
    digest = "" if inside is None else sha256(inside).hexdigest()
    return _manifest(_Store.of(shown, detailed, trusting=bool(anchors)), state, binding, digest)


def _broken(problem: str, binding: str) -> Manifest:
    """A container that cannot be read is a broken manifest, not an absent one."""
    return Manifest("", "Invalid", (problem[:300],), "", None, "", binding, "", (), (), "", ())


@dataclass(frozen=True, slots=True)
class _Store:
    """A manifest store as the library reports it, with every verdict on an ingredient.

    `live` is what the library found now and nobody recorded, by URI of the ingredient assertion. `recorded` are the
    failures that any signer in the store recorded, by label of the manifest they are about: whatever is recorded
    anywhere, true or not, the library does not report again, so the record has to count wherever it stands.
    """

    shown: dict[str, Any]
    detailed: dict[str, Any]
    live: dict[str, list[_Status]]
    recorded: dict[str, list[_Status]]
    trusting: bool

    @classmethod
    def of(cls, shown: dict[str, Any], detailed: dict[str, Any], *, trusting: bool) -> _Store:
        manifests = shown.get("manifests", {})
        recorded: dict[str, list[_Status]] = {}
        for manifest in manifests.values():
            for part in manifest.get("ingredients", []):
                own = str(part.get("active_manifest") or "")
                for status in _record(part):
                    # Every label in it: one may begin like another, and a verdict too many is the safe error.
                    for label in [label for label in manifests if label in status.url] or [own]:
                        recorded.setdefault(label, []).append(status)
        live: dict[str, list[_Status]] = {}
        for uri, status in _deltas(shown.get("validation_results") or {}):
            live.setdefault(uri, []).append(status)
        return cls(shown, detailed, live, recorded, trusting)

    def manifest(self, label: str) -> dict[str, Any]:
        found = self.shown.get("manifests", {}).get(label)
        return found if isinstance(found, dict) else {}

    def judge(self, owner: str, part: dict[str, Any]) -> tuple[str | None, tuple[str, ...]]:
        """State and failures of one ingredient of the manifest `owner`; the library has a state for the whole only.

        A recorded result is its signer's word: it can make things worse. Better only the reader's own anchors can:
        they clear an untrusted signer.
        """
        label = str(part.get("active_manifest") or "")
        then = self.recorded.get(label, []) if label else list(_record(part))
        now = self.live.get(f"self#jumbf=/c2pa/{owner}/c2pa.assertions/{part.get('label', '')}", [])
        cleared = self.trusting and any(s.code == _TRUSTED for s in now)
        before = (s for s in then if s.failed and not (cleared and s.code == _UNTRUSTED))
        codes = tuple(dict.fromkeys(s.code for s in (*(s for s in now if s.failed), *before)))
        if not label:
            return None, codes
        if any(code != _UNTRUSTED for code in codes):
            return "Invalid", codes
        vouched = any(s.code == _TRUSTED and not s.failed for s in (*now, *then))
        return "Trusted" if self.trusting and vouched and not codes else "Valid", codes


class _Status(NamedTuple):
    code: str
    url: str
    failed: bool


def _statuses(results: Any) -> Iterator[_Status]:
    """Successes and failures of one map of results."""
    for failed in (False, True):
        for status in (results or {}).get("failure" if failed else "success") or []:
            yield _Status(str(status.get("code", "")), str(status.get("url") or ""), failed)


def _deltas(results: dict[str, Any]) -> Iterator[tuple[str, _Status]]:
    for delta in results.get("ingredientDeltas") or []:
        for status in _statuses(delta.get("validationDeltas")):
            yield str(delta.get("ingredientAssertionURI", "")), status


def _record(part: dict[str, Any]) -> Iterator[_Status]:
    """What an ingredient assertion records: of the ingredient, and of what that was made from."""
    results = part.get("validation_results") or {}
    yield from _statuses(results.get("activeManifest"))
    for _, status in _deltas(results):
        yield status
    for status in part.get("validation_status") or []:  # claims of version 1: failures only
        yield _Status(str(status.get("code", "")), str(status.get("url") or ""), failed=True)


def _manifest(store: _Store, state: str, binding: str, store_digest: str) -> Manifest:
    label = str(store.shown.get("active_manifest", ""))
    active = store.manifest(label)
    actions = [action for _, data in _assertions(active, *_ACTIONS) for action in data.get("actions", [])]
    own = _statuses((store.shown.get("validation_results") or {}).get("activeManifest"))
    changed = (s for found in store.live.values() for s in found if s.failed and s.code != _UNTRUSTED)
    return Manifest(
        label=label,
        state=state,
        codes=(*(s.code for s in own if s.failed), *dict.fromkeys(f"ingredient: {s.code}" for s in changed)),
        signer=_signer(active),
        reference=_reference(active),
        title=str(active.get("title") or ""),
        binding=binding,
        store_digest=store_digest,
        source_types=tuple(str(a["digitalSourceType"]) for a in actions if "digitalSourceType" in a),
        actions=tuple(str(a.get("action", "")) for a in actions),
        content_hash=_content_hash(store.detailed, label),
        ingredients=_ingredients(store, label, {label}),
    )


def _ingredients(store: _Store, owner: str, seen: set[str]) -> tuple[IngredientReading, ...]:
    found = []
    for part in store.manifest(owner).get("ingredients", []):
        label = str(part.get("active_manifest") or "")
        # Each manifest opens once: in a small store that names every parent twice, paths double with each generation.
        first = bool(label) and label not in seen
        seen.add(label)
        state, codes = store.judge(owner, part)
        found.append(
            IngredientReading(
                title=str(part.get("title") or ""),
                relationship=str(part.get("relationship") or ""),
                label=label,
                state=state,
                codes=codes,
                reference=_reference(store.manifest(label)),
                ingredients=_ingredients(store, label, seen) if first else (),
                content_hash=_content_hash(store.detailed, label),
            )
        )
    return tuple(found)


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
    binding = store.get("c2pa.hash.data") if isinstance(store, dict) else None
    value = binding.get("hash", "") if isinstance(binding, dict) else ""
    try:
        return bytes(value).hex() if isinstance(value, list) else base64.b64decode(value, validate=True).hex()
    except (ValueError, TypeError):
        return ""  # numbers that are no bytes, text that is no base64: whoever wrote that has bound nothing


def _signer(manifest: dict[str, Any]) -> str:
    info = manifest.get("signature_info", {})
    return str(info.get("common_name") or info.get("issuer") or "")
