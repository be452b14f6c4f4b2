"""Attaching a manifest that names the log entry: signed in one pass, read again, refused on any mismatch."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ledger.errors import Conflict, MalformedError, VerificationError
from provenance.content.certificates import Credential
from provenance.content.formats import OCTETS, Binding, binding_for, digest_file, media_type_of, open_file, sidecar_of
from provenance.content.library import LABEL, c2pa, context
from provenance.content.reading import Manifest, read_manifest

__all__ = ["Attachment", "IngredientFile", "attach"]

_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_GENERATOR = "provenance-ledger"
_SPEC_VERSION = "2.4"


@dataclass(frozen=True, slots=True)
class IngredientFile:
    """A file that the asset was made from; its manifest, inside or beside it, goes along."""

    path: Path
    relationship: str  # parentOf (at most one), componentOf, inputTo
    title: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """What was written, and what `work.manifest` records of it. Digests are SHA-256 in hex."""

    label: str
    store_digest: str
    file_digest: str
    file_size: int
    signer: str
    state: str
    codes: tuple[str, ...]
    tool: str
    tool_version: str
    binding: Binding
    path: Path
    sidecar: Path | None


def attach(
    source: Path,
    destination: Path,
    *,
    credential: Credential,
    log: str,
    event: str,
    digest: str,
    source_type: str,
    derived: bool,
    ingredients: Sequence[IngredientFile] = (),
    title: str = "",
) -> Attachment:
    """Write `destination`: the bytes of `source` with a manifest that names event `event` (hex) of the log `log`.

    JPEG and PNG carry it inside; others are copied unchanged, with the manifest beside them over their digest.
    `digest` is the SHA-256 (hex) that the event names: `source` must have it. `source_type` is an IPTC term.
    Everything appears at once and is on disk when this returns; after any error nothing is left. Raises `Conflict` when
    source and destination are one file, `VerificationError` when what was signed does not read back as meant,
    `MalformedError` for a file that its own format refuses, `MissingExtra`.
    """
    if destination.exists() and source.exists() and destination.samefile(source):
        msg = f"{destination}: source and destination are the same file, want another destination"
        raise Conflict(msg)
    found, size = digest_file(source)
    if found != digest:
        msg = f"{source}: SHA-256 {found}, the event names {digest}; attach the file that was recorded"
        raise VerificationError(msg)
    media_type = media_type_of(source)
    binding = binding_for(media_type)
    label = f"urn:c2pa:{uuid.uuid4()}"
    definition = _definition(label, log, event, title, media_type, source_type, derived=derived)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with _beside(destination) as signed, _beside(sidecar_of(destination)) as beside:
        if binding == "embedded":
            with open_file(source) as file, signed.open("w+b") as out:
                store = _sign(definition, ingredients, credential, media_type, file, out, embed=True)
                out.flush()
                os.fsync(out.fileno())
        else:
            with open_file(source) as file, signed.open("wb") as copy:
                shutil.copyfileobj(file, copy)
                copy.flush()
                os.fsync(copy.fileno())
            binding_hash = {
                "name": "jumbf manifest",
                "alg": "sha256",
                "hash": list(bytes.fromhex(digest)),
                "pad": [0] * 10,
            }
            definition["assertions"].append({"label": "c2pa.hash.data", "data": binding_hash})
            store = _sign(definition, ingredients, credential, OCTETS, io.BytesIO(b""), io.BytesIO(), embed=False)
            with beside.open("wb") as out:
                out.write(store)
                out.flush()
                os.fsync(out.fileno())
        manifest = read_manifest(
            signed, anchors=credential.anchor or None, sidecar=None if binding == "embedded" else beside
        )
        _check(manifest, destination, label, (log, event), digest)
        assert manifest is not None  # noqa: S101 - checked just now
        file_digest, size = digest_file(signed)
        if binding == "sidecar":
            beside.replace(sidecar_of(destination))
        signed.replace(destination)
    return Attachment(
        label=label,
        store_digest=sha256(store).hexdigest(),
        file_digest=file_digest,
        file_size=size,
        signer=credential.fingerprint,
        state=manifest.state,
        codes=manifest.codes,
        tool="c2pa-python",
        tool_version=_version(),
        binding=binding,
        path=destination,
        sidecar=sidecar_of(destination) if binding == "sidecar" else None,
    )


def _definition(
    label: str, log: str, event: str, title: str, media_type: str, source_type: str, *, derived: bool
) -> dict[str, Any]:
    kind = {"digitalSourceType": _SOURCE_TYPES + source_type}
    action = {"action": "c2pa.edited", **kind} if derived else {"action": "c2pa.created", **kind}
    definition: dict[str, Any] = {
        "label": label,
        "format": media_type,
        "claim_generator_info": [{"name": _GENERATOR, "specVersion": _SPEC_VERSION}],
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "created": True,
                "data": {"actions": [action], "allActionsIncluded": True},
            },
            {"label": LABEL, "created": True, "kind": "Json", "data": {"log": log, "event": event}},
        ],
    }
    if title:
        definition["title"] = title
    return definition


def _sign(
    definition: dict[str, Any],
    ingredients: Sequence[IngredientFile],
    credential: Credential,
    media_type: str,
    source: Any,
    destination: Any,
    *,
    embed: bool,
) -> bytes:
    module = c2pa()
    active = context(credential.anchor or None)
    info = module.C2paSignerInfo("es256", credential.chain.encode(), credential.key.encode(), None)
    actions = definition["assertions"][0]["data"]["actions"]
    names: dict[str, list[str]] = {"parentOf": [], "componentOf": [], "inputTo": []}
    for number, part in enumerate(ingredients):
        names[part.relationship].append(f"ingredient-{number}")
    if names["parentOf"]:
        actions.insert(0, {"action": "c2pa.opened", "parameters": {"ingredientIds": names["parentOf"]}})
    elif actions[0]["action"] == "c2pa.edited":
        # Without a parent file the result was created, from components at most.
        actions[0] = {**actions[0], "action": "c2pa.created"}
    if names["componentOf"]:
        actions.append({"action": "c2pa.placed", "parameters": {"ingredientIds": names["componentOf"]}})
    try:
        signer = module.Signer.from_info(info)
        builder = module.Builder(json.dumps(definition), context=active)
        if not embed:
            builder.set_no_embed()
        for number, part in enumerate(ingredients):
            _add(builder, part, f"ingredient-{number}", credential)
        return bytes(builder.sign(signer, media_type, source, destination))
    except module.C2paError as error:
        msg = f"signing a {media_type}: {str(error)[:300]}; is the file what its first bytes say?"
        raise MalformedError(msg) from error


def _add(builder: Any, part: IngredientFile, name: str, credential: Credential) -> None:
    module = c2pa()
    media_type = media_type_of(part.path)
    described: dict[str, Any] = {
        "relationship": part.relationship,
        "label": name,
        "title": part.title or part.path.name,
    }
    beside = sidecar_of(part.path)
    with open_file(part.path) as file:
        if beside.is_file():
            # A sidecar is no ingredient to the library by itself: it takes its manifest as data, with its results.
            store = beside.read_bytes()
            with module.Reader(OCTETS, file, store, context=context(credential.anchor or None)) as reader:
                described["active_manifest"] = reader.get_active_manifest()["label"]
                described["validation_results"] = reader.get_validation_results()
            described["manifest_data"] = {"format": "application/c2pa", "identifier": f"{name}.c2pa"}
            builder.add_resource(f"{name}.c2pa", io.BytesIO(store))
            media_type = OCTETS
            file.seek(0)
        elif binding_for(media_type) == "sidecar":
            media_type = OCTETS
        builder.add_ingredient(json.dumps(described), media_type, file)


def _check(manifest: Manifest | None, path: Path, label: str, reference: tuple[str, str], digest: str) -> None:
    """Refuse what does not read back as it was meant: the library does not raise for everything it breaks."""
    got = (
        {}
        if manifest is None
        else {
            "label": manifest.label,
            "reference": manifest.reference,
            "hard binding": manifest.content_hash,
            "state": "Valid" if manifest.state == "Trusted" else manifest.state,
        }
    )
    want = {"label": label, "reference": reference, "hard binding": digest, "state": "Valid"}
    for name, value in want.items():
        if got.get(name) != value:
            codes = ", ".join(manifest.codes) if manifest else "no manifest"
            msg = f"{path}: the manifest reads back with {name} {got.get(name)}, want {value} ({codes})"
            raise VerificationError(msg)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary file in the folder of `path`, gone afterwards unless it was moved."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix or ".tmp", dir=path.parent)
    os.fchmod(handle, 0o644)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _version() -> str:
    from importlib.metadata import version

    return version("c2pa-python")
