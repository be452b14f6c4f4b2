"""Binding a work's file and its log entry to each other: the manifest names the event, an event names the manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import orjson

from ledger.errors import LedgerError, NotFound
from provenance.content import Credential, IngredientFile, attach, digest_file

__all__ = ["Desk", "attach_manifest"]


class Desk(Protocol):
    """What is needed of a `ProvenanceLedger`."""

    @property
    def origin(self) -> str:
        """Name of the log."""

    def event(self, ticket: str) -> bytes:
        """An event's bytes."""

    def file_of(self, ticket: str) -> Path | None:
        """Where a work's file was last seen."""

    def digests_of(self, ticket: str) -> set[str]:
        """Every SHA-256 (hex) that finds the work: as registered and as signed."""


def attach_manifest(
    desk: Desk,
    work: str,
    source: Path,
    destination: Path,
    *,
    claim: Callable[[], str] | None,
    ingredients: Mapping[str, Path],
    title: str | None,
) -> dict[str, Any]:
    """Sign and write; return the body of `work.manifest`. See `ProvenanceLedger.attach`."""
    if claim is None:
        msg = "attach: no certificate and key to sign manifests with; give keys['claim'] to connect"
        raise NotFound(msg)
    event = orjson.loads(desk.event(work))
    if event["type"] not in {"work.create", "work.derive"}:
        msg = f"event {work}: a {event['type']}, want a work"
        raise LedgerError(msg)
    done = attach(
        source,
        destination,
        credential=Credential.parse(claim()),
        log=desk.origin,
        event=work,
        digest=event["body"]["digests"]["sha-256"],
        source_type=event["body"]["source_type"],
        derived=event["type"] == "work.derive",
        ingredients=_ingredients(desk, event, ingredients),
        title=title or "",
    )
    return {
        "label": done.label,
        "store_digest": done.store_digest,
        "file_digest": done.file_digest,
        "file_size": done.file_size,
        "signer": done.signer,
        "state": done.state,
        "validation": list(done.codes),
        "tool": {"name": done.tool, "version": done.tool_version},
        "binding": done.binding,
    }


def _ingredients(desk: Desk, event: Mapping[str, Any], given: Mapping[str, Path]) -> list[IngredientFile]:
    """The parents' files, each checked to be the work it stands for.

    The first parent is what was opened and changed, unless the work was composed: then all are parts of it.
    """
    parts: list[IngredientFile] = []
    for ref in event["refs"]:
        if ref["role"] != "parent" or not isinstance(ref["id"], str):
            continue
        parent = ref["id"]
        path = given.get(parent) or desk.file_of(parent)
        if path is None or not path.is_file():
            msg = f"parent {parent}: its file is not at {path}; give it with ingredients={{event id: path}}"
            raise NotFound(msg)
        digest, _ = digest_file(path)
        if digest not in desk.digests_of(parent):
            msg = f"parent {parent}: {path} has SHA-256 {digest}, which this work never had"
            raise NotFound(msg)
        opened = not parts and ref.get("relation") != "composed"
        parts.append(IngredientFile(path, "parentOf" if opened else "componentOf"))
    return parts
