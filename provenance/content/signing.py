"""Attaching a manifest that names the log entry: signed in one pass, read again, refused on any mismatch."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ledger.errors import Conflict, MalformedError, Unavailable, VerificationError
from provenance.content.certificates import Credential
from provenance.content.embedded import split
from provenance.content.formats import OCTETS, Binding, binding_for, digest_file, media_type_of, open_file, sidecar_of
from provenance.content.library import LABEL, c2pa, context
from provenance.content.reading import Manifest, read_manifest

__all__ = ["Attachment", "IngredientFile", "attach"]

_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_GENERATOR = "provenance-ledger"
_SPEC_VERSION = "2.4"
_EVENT_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class IngredientFile:
    """A file that the asset was made from; its manifest, inside or beside it, goes along."""

    path: Path
    relationship: str  # parentOf (at most one), componentOf, inputTo
    title: str = ""  # empty: none is written, because a file's name may be personal


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
    anchors: str = "",
) -> Attachment:
    """Write `destination`: the bytes of `source` with a manifest that names event `event` (hex) of the log `log`.

    JPEG and PNG carry it inside; others are copied unchanged, with the manifest beside them over their digest.
    `digest` is the SHA-256 (hex) that the event names: `source` must have it. `source_type` is an IPTC term.
    A manifest that `source` has already goes along as an ingredient. `anchors` (PEM) are what the states of
    ingredients are judged by, besides the credential's own.
    The file appears whole, after its sidecar, and is on disk when this returns; after any error no part of either is
    left. Raises `Conflict` when source and destination are one file or the destination is a folder,
    `VerificationError` when what was signed does not read back as meant, `MalformedError` for a file that its own
    format refuses or for arguments of the wrong form, `Unavailable` when the destination cannot be written,
    `MissingExtra`.
    """
    _check_arguments(event, title, ingredients)
    if destination.is_dir():
        msg = f"{destination}: a folder, want the name of a file"
        raise Conflict(msg)
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
    trusted = credential.anchor + anchors
    content = split(source, media_type).rest if binding == "embedded" else digest
    ingredients = _with_earlier(source, ingredients)
    with _writing(destination), _beside(destination) as signed, _beside(sidecar_of(destination)) as beside:
        if binding == "embedded":
            with open_file(source) as file, signed.open("w+b") as out:
                store = _sign(definition, ingredients, credential, trusted, media_type, file, out, embed=True)
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
            store = _sign(
                definition, ingredients, credential, trusted, OCTETS, io.BytesIO(b""), io.BytesIO(), embed=False
            )
            with beside.open("wb") as out:
                out.write(store)
                out.flush()
                os.fsync(out.fileno())
        manifest = read_manifest(signed, anchors=trusted or None, sidecar=None if binding == "embedded" else beside)
        _check(manifest, destination, label, (log, event), content)
        assert manifest is not None  # noqa: S101 - checked just now
        if split(signed, media_type).rest != content:
            msg = f"{destination}: signing changed bytes outside of the manifest, want SHA-256 {content} of them"
            raise VerificationError(msg)
        file_digest, size = digest_file(signed)
        # The sidecar first: where the file is, its manifest is too.
        if binding == "sidecar":
            beside.replace(sidecar_of(destination))
        signed.replace(destination)
        _sync(destination.parent)
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


def _check_arguments(event: str, title: str, ingredients: Sequence[IngredientFile]) -> None:
    if not _EVENT_ID.fullmatch(event):
        msg = f"event {event[:70]!r}: want the 64 hex digits of an event id"
        raise MalformedError(msg)
    for text in (title, *(part.title for part in ingredients)):
        if any("\ud800" <= character <= "\udfff" for character in text):
            msg = "title: half of a surrogate pair, which is no text; want Unicode"
            raise MalformedError(msg)
    relationships = [part.relationship for part in ingredients]
    unknown = sorted(set(relationships) - {"parentOf", "componentOf", "inputTo"})
    if unknown:
        msg = f"ingredient: relationship {unknown[0]!r}, want parentOf, componentOf or inputTo"
        raise MalformedError(msg)
    if relationships.count("parentOf") > 1:
        # The library signs this and calls it Trusted; the specification and other verifiers refuse it.
        msg = f"ingredients: {relationships.count('parentOf')} with parentOf, want at most one; others are componentOf"
        raise MalformedError(msg)


def _with_earlier(source: Path, ingredients: Sequence[IngredientFile]) -> Sequence[IngredientFile]:
    """Take the manifest that the source has along: signing would drop it, and with it whoever signed before."""
    if any(part.path.samefile(source) for part in ingredients if part.path.exists()) or read_manifest(source) is None:
        return ingredients
    opened = any(part.relationship == "parentOf" for part in ingredients)
    return [*ingredients, IngredientFile(source, "componentOf" if opened else "parentOf")]


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
    anchors: str,
    media_type: str,
    source: Any,
    destination: Any,
    *,
    embed: bool,
) -> bytes:
    module = c2pa()
    active = context(anchors or None)
    info = module.C2paSignerInfo("es256", credential.chain.encode(), credential.key.encode(), None)
    actions = definition["assertions"][0]["data"]["actions"]
    names: dict[str, list[str]] = {"parentOf": [], "componentOf": [], "inputTo": []}
    for number, part in enumerate(ingredients):
        names[part.relationship].append(f"ingredient-{number}")
    if names["parentOf"]:
        opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": names["parentOf"]}}
        # One inception only: a work that brings its earlier manifest is not created once more.
        actions[:] = [opened, *(action for action in actions if action["action"] != "c2pa.created")]
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
            _add(builder, part, f"ingredient-{number}", active)
        return bytes(builder.sign(signer, media_type, source, destination))
    except module.C2paError as error:
        msg = f"signing {media_type}: {str(error)[:300]}; is the file what its first bytes say?"
        raise MalformedError(msg) from error


def _add(builder: Any, part: IngredientFile, name: str, active: Any) -> None:
    module = c2pa()
    described: dict[str, Any] = {"relationship": part.relationship, "label": name}
    if part.title:
        described["title"] = part.title
    media_type, beside = _where(part.path, active)
    with open_file(part.path) as file:
        if beside is not None:
            # A sidecar is no ingredient to the library by itself: it takes its manifest as data, with its results.
            store = beside.read_bytes()
            with module.Reader(OCTETS, file, store, context=active) as reader:
                described["active_manifest"] = reader.get_active_manifest()["label"]
                described["validation_results"] = reader.get_validation_results()
            described["manifest_data"] = {"format": "application/c2pa", "identifier": f"{name}.c2pa"}
            builder.add_resource(f"{name}.c2pa", io.BytesIO(store))
            file.seek(0)
        builder.add_ingredient(json.dumps(described), media_type, file)


def _where(path: Path, active: Any) -> tuple[str, Path | None]:
    """Find an ingredient's manifest as `read_manifest` does: the type to read the file as, and its sidecar if any."""
    module = c2pa()
    media_type, beside = media_type_of(path), sidecar_of(path)
    if binding_for(media_type) == "embedded":
        inside = split(path, media_type).store is not None
        return (OCTETS, beside) if not inside and beside.is_file() else (media_type, None)
    if beside.is_file():
        return OCTETS, beside
    with open_file(path) as file:
        try:
            reader = module.Reader.try_create(media_type, file, context=active)
        except module.C2paError:
            reader = None  # no format the library reads, or not this file: any bytes can be an ingredient
        if reader is None:
            return OCTETS, None
        reader.close()
    return media_type, None


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
def _writing(path: Path) -> Iterator[None]:
    """Make the folder of `path`, and give every failure to write there one name."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        msg = f"{path}: cannot be written ({error.strerror})"
        raise Unavailable(msg, path=str(path)) from error


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary file in the folder of `path`, gone afterwards unless it was moved."""
    # The name says nothing of the other: names may be as long as the folder allows.
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    os.fchmod(handle, 0o644)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Make the names in a folder durable; Windows opens no folders and needs none."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _version() -> str:
    from importlib.metadata import version

    return version("c2pa-python")
