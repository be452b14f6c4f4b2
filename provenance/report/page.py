"""A verdict as data (JSON) and as one page that opens anywhere: no network, no script, at most 300 kB."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from provenance.errors import MissingExtra
from provenance.report.graph import build_graph
from provenance.report.lineage import render_lineage
from provenance.report.safe import safe_text
from provenance.report.words import (
    CAUTION,
    RIVALS,
    SHAPES,
    STRENGTHS,
    ai_word,
    checks_summary,
    claim_says,
    claims,
    credits_of,
    grouped,
    next_command,
    node_tone,
    node_word,
    own_node,
    pick_checks,
    plural,
    record_says,
    short,
    source_word,
    title_of,
    tone_of,
    when,
)
from provenance.verdict import Credit, Edge, Node, Verdict

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["MAX_PAGE", "as_json", "render_html"]

MAX_PAGE: Final = 300_000
"""Bytes that a page takes at most."""

FORMAT: Final = "provenance-verdict/1"


@dataclass(frozen=True, slots=True)
class _Room:
    """How much of a verdict a page shows: works, rows of any other list, characters of a text, bytes of JSON."""

    works: int
    rows: int
    text: int
    data: int


_ROOMS: Final = (
    _Room(200, 200, 300, 120_000),
    _Room(200, 100, 120, 60_000),
    _Room(100, 60, 120, 40_000),
    _Room(50, 30, 80, 30_000),
    _Room(20, 16, 60, 20_000),
    _Room(8, 8, 40, 20_000),
)


def as_json(verdict: Verdict, *, indent: int | None = 2) -> str:
    """Return the whole verdict as ASCII JSON: the fields of `Verdict` as they are, and under ``says`` our words.

    Hostile text is kept byte for byte, with everything but printable ASCII escaped.
    """
    return json.dumps(_data(verdict), indent=indent, ensure_ascii=True, allow_nan=False)


def render_html(verdict: Verdict) -> str:
    """Return the verdict as one self-contained HTML page of at most `MAX_PAGE` bytes of UTF-8.

    What does not fit is left out in steps and counted, worst checks and nearest works kept; ``as_json`` has it all.
    Raises MissingExtra when jinja2 is not installed.
    """
    template = _template()
    page = ""
    for room in _ROOMS:
        page = template.render(_view(verdict, room))
        if len(page.encode()) <= MAX_PAGE:
            break
    return page


@cache
def _template() -> Template:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        verb, extra = "report", "cli"
        raise MissingExtra(verb, extra) from error
    here = files("provenance.report")
    css = here.joinpath("page.css").read_text("utf-8").strip()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = here.joinpath("page.html.j2").read_text("utf-8")
    return environment.from_string(source, globals={"css": css, "css_digest": digest})


def _data(verdict: Verdict) -> dict[str, Any]:
    record, claim = record_says(verdict), claim_says(verdict)
    says = {
        "record": {"shape": record.shape, "word": record.word, "sentence": record.sentence},
        "claim": {"shape": claim.shape, "word": claim.word, "sentence": claim.sentence},
        "checks": checks_summary(verdict.checks),
        "caution": CAUTION,
    }
    return {"format": FORMAT, "says": says, **asdict(verdict)}


def _embedded(verdict: Verdict, most: int) -> str:
    """Return the data for a ``<script type="application/json">``: at most `most` bytes, nothing that ends the element.

    Data that is too long is cut: long texts end in a count, long lists are shorter, and ``cut`` is true.
    """
    data = _data(verdict)
    text = ""
    for characters, rows in ((8_000, 1_000), (2_000, 1_000), (400, 200), (200, 60), (80, 20), (40, 5)):
        kept = _cut(data, characters, rows)
        text = _inert(data if kept == data else {**kept, "cut": True})
        if len(text) <= most:
            break
    return text


def _cut(value: Any, characters: int, rows: int) -> Any:
    if isinstance(value, str) and len(value) > characters:
        return f"{value[:characters]}… (+{len(value) - characters} more characters)"
    if isinstance(value, tuple):
        return tuple(_cut(item, characters, rows) for item in value[:rows])
    if isinstance(value, dict):
        return {key: _cut(item, characters, rows) for key, item in value.items()}
    return value


def _inert(data: dict[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def _view(verdict: Verdict, room: _Room) -> dict[str, Any]:
    """Return everything that the template shows, as safe text; the template escapes it for HTML."""
    graph = build_graph(verdict, max_nodes=room.works)
    own = own_node(verdict)
    checks, checks_left = pick_checks(verdict.checks, room.rows)
    claimed = claims(verdict)
    credited = credits_of(graph.nodes)
    nodes = {node.id: node for node in graph.nodes}
    sources: dict[str, list[tuple[Node, Edge]]] = {}
    for edge in graph.edges:
        sources.setdefault(edge.child, []).append((nodes[edge.parent], edge))
    named = {node.id: node for node in verdict.nodes}

    def work(node: Node) -> dict[str, Any]:
        return _work(node, sources.get(node.id, ()), room)

    offered = verdict.terms[: room.rows]
    return {
        "title": title_of(own) if own else safe_text(verdict.subject, limit=120),
        "subject": safe_text(verdict.subject, limit=160),
        "digest": safe_text(verdict.digest, limit=64),
        "origin": safe_text(verdict.origin, limit=100),
        "size": grouped(verdict.size) if verdict.size else "",
        "own": work(own) if own else None,
        "record": record_says(verdict),
        "claim": claim_says(verdict),
        "strength": own.strength if own else verdict.strength,
        "strengths": STRENGTHS,
        "caution": CAUTION,
        "checks": [
            {
                "tone": tone_of(check.status),
                "name": safe_text(check.name, limit=80),
                "word": safe_text(check.word, limit=60),
                "detail": safe_text(check.detail, limit=room.text),
            }
            for check in checks
        ],
        "checks_summary": checks_summary(verdict.checks),
        "checks_left": checks_left,
        "claims": [{**work(node), "mine": node is own} for node in claimed[: room.rows]],
        "claims_left": _left(len(claimed) - room.rows, "more claim"),
        "rivals": RIVALS,
        "picture": render_lineage(verdict, max_nodes=room.works),
        "works": [{**work(node), "mine": node is own} for node in graph.nodes],
        "works_left": _left(sum(graph.hidden.values()), "more work"),
        "edges_left": _left(graph.hidden_edges, "edge"),
        "circles": _left(len(graph.circular), "edge"),
        "credits": [_credit(credit, works) for credit, works in credited[: room.rows]],
        "credits_left": _left(len(credited) - room.rows, "more credit"),
        "terms": [
            {
                "work": title_of(named[terms.work]) if terms.work in named else short(terms.work),
                "license": safe_text(terms.license, limit=80) or "no license named",
                "price": safe_text(terms.price, limit=40) or "free",
                "offer": safe_text(terms.offer, limit=64),
            }
            for terms in offered
        ],
        "terms_left": _left(len(verdict.terms) - room.rows, "more offer"),
        "shapes": SHAPES,
        "next": next_command(verdict),
        "data": _embedded(verdict, room.data),
    }


def _work(node: Node, sources: Sequence[tuple[Node, Edge]], room: _Room) -> dict[str, Any]:
    return {
        "id": safe_text(node.id, limit=80),
        "short": short(node.id),
        "title": title_of(node, room.text),
        "position": "" if node.index is None else f"#{grouped(node.index)}",
        "tone": node_tone(node),
        "shape": SHAPES[node_tone(node)],
        "status": node_word(node),
        "source": source_word(node),
        "ai": ai_word(node),
        "media_type": safe_text(node.media_type, limit=60),
        "license": safe_text(node.license, limit=60),
        "strength": safe_text(node.strength, limit=40),
        "claimed_at": when(node.claimed_at),
        "logged_at": when(node.logged_at),
        "creators": _names(node.creators),
        "made_from": _sources(sources, room),
    }


def _names(creators: Sequence[Credit]) -> str:
    more = f" and {len(creators) - 3} more" if len(creators) > 3 else ""
    return ", ".join(_name(credit) for credit in creators[:3]) + more


def _sources(sources: Sequence[tuple[Node, Edge]], room: _Room) -> list[str]:
    limit = min(60, room.text)
    shown = [f"{title_of(parent, limit)} ({safe_text(edge.relation, limit=40)})" for parent, edge in sources[:8]]
    return [*shown, f"and {len(sources) - 8} more"] if len(sources) > 8 else shown


def _name(credit: Credit) -> str:
    return (safe_text(credit.name, limit=80) if credit.name else "") or "name withheld"


def _credit(credit: Credit, works: Sequence[Node]) -> dict[str, Any]:
    return {
        "name": _name(credit),
        "withheld": not credit.name,
        "party": short(credit.party),
        "role": safe_text(credit.role, limit=60),
        "strength": safe_text(credit.strength, limit=40),
        "works": [title_of(node, 60) for node in works[:4]],
        "works_left": _left(len(works) - 4, "more work"),
    }


def _left(n: int, noun: str) -> str:
    return plural(n, noun) if n > 0 else ""
