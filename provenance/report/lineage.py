"""A lineage as one inline SVG picture: works as cards, generations from left (oldest) to right, relations on edges.

The picture names classes only; its colors are in `page.css`. It needs no script, no font and no network.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from provenance.report.graph import Graph, build_graph
from provenance.report.layout import CARD_HEIGHT, CARD_WIDTH, GAP, Box, Wire, lay_out, spread
from provenance.report.safe import columns, fit, safe_text
from provenance.report.words import (
    SHAPES,
    ai_word,
    grouped,
    node_tone,
    node_word,
    own_node,
    plural,
    short,
    source_word,
    title_of,
)
from provenance.verdict import Node, Verdict

__all__ = ["render_lineage"]

_TITLE_COLUMNS = 18  # of 14 px semibold text
_WIDEST = 1430  # px; a wider picture is not scaled to the page, it scrolls
_SMALL, _STRONG = 6.4, 7.6  # px: width of a column of small text, plain and semibold, generously
_STAR = "M0-6Q.9-.9 6 0Q.9.9 0 6Q-.9.9-6 0Q-.9-.9 0-6Z"
_ICONS = {
    "image": "M3 4h14v12H3zM3 14l4-5 3 3.500 2.500-2.500 4.500 5M13 7.500h.01",
    "audio": "M4 8.500v3M7 6v8M10 3.500v13M13 6.500v7M16 8.500v3",
    "video": "M3 4.500h14v11H3zM8.500 7.500v5l4-2.500z",
    "text": "M5 3h7l3 3v11H5zM7.500 9h5M7.500 12h5M7.500 15h3",
    "model": "M10 3l6 3.500v7L10 17l-6-3.500v-7zM4 6.500l6 3.500 6-3.500M10 10v7",
    "other": "M5 3h7l3 3v11H5zM12 3v3h3",
}


def render_lineage(verdict: Verdict, *, max_nodes: int = 200) -> str:
    """Return the lineage as an ``<svg>`` element for an HTML page, or ``""`` when the verdict names no work.

    The file's own work is highlighted, works outside this log are hollow and dashed, works made by AI carry a star and
    a word, edges carry the relation and point from parent to child. Beyond `max_nodes` works the rest becomes counts.
    """
    graph = build_graph(verdict, max_nodes=max_nodes)
    own = verdict.work
    if not graph.nodes:
        return ""
    picture = lay_out(graph)
    nodes = {node.id: node for node in graph.nodes}
    size = "wide" if picture.width > _WIDEST else "fits"
    return "\n".join(
        [
            f'<svg class="lineage {size}" role="img" aria-labelledby="lineage-title lineage-desc"',
            f'width="{picture.width}" height="{picture.height}" viewBox="0 0 {picture.width} {picture.height}">',
            f'<title id="lineage-title">{_text(_title(verdict))}</title>',
            f'<desc id="lineage-desc">{_text(_description(verdict, graph))}</desc>',
            *(_wire(wire, circular=wire.edge in graph.circular) for wire in picture.wires),
            *_relations(picture.wires),
            *(_card(box, nodes[box.id], own=box.id == own) if box.id else _count(box) for box in picture.boxes),
            "</svg>",
        ]
    )


def _title(verdict: Verdict) -> str:
    own = own_node(verdict)
    return f"Lineage of {title_of(own) if own else safe_text(verdict.subject, limit=120)}"


def _description(verdict: Verdict, graph: Graph) -> str:
    titles = {node.id: title_of(node, 60) for node in graph.nodes}
    parts = [f"{plural(len(graph.nodes) + sum(graph.hidden.values()), 'work')}, oldest on the left."]
    made_from = [
        f"{titles[edge.parent]} ({safe_text(edge.relation, limit=40)})"
        for edge in graph.edges
        if edge.child == verdict.work
    ]
    if made_from:
        more = f" and {len(made_from) - 6} more" if len(made_from) > 6 else ""
        parts.append(f"The file's own work was made from {', '.join(made_from[:6])}{more}.")
    if graph.hidden:
        parts.append(f"{plural(sum(graph.hidden.values()), 'work')} are shown as counts only.")
    if graph.circular:
        parts.append(f"{plural(len(graph.circular), 'edge')} run in a circle, which no true lineage does.")
    return " ".join([*parts, "The table after the picture holds the same data."])


def _wire(wire: Wire, *, circular: bool) -> str:
    (x, y), *rest = wire.points
    path = [f"M{x} {y}"]
    for i, (to_x, to_y) in enumerate(rest):
        if i % 2:  # across a column, beside its works
            path.append(f"H{to_x}")
        else:
            bend = max(GAP, abs(to_x - x)) // 2
            path.append(f"C{x + bend} {y} {to_x - bend} {to_y} {to_x} {to_y}")
        x, y = to_x, to_y
    return (
        f'<path class="wire{" circular" if circular else ""}" d="{"".join(path)}"/>'
        f'<path class="tip" d="M{x} {y}l-8-4.500v9z"/>'
    )


def _relations(wires: tuple[Wire, ...]) -> Iterator[str]:
    """Label each edge in the middle of its first gap; labels of one gap that would overlap move apart."""
    gaps: dict[int, list[tuple[float, str]]] = {}
    for wire in wires:
        (x, y), (to_x, to_y) = wire.points[:2]
        label = fit(safe_text(wire.edge.relation, limit=40), 14)
        if label:
            gaps.setdefault((x + to_x) // 2, []).append(((y + to_y) / 2, label))
    for x, labels in sorted(gaps.items()):
        labels.sort()
        for (_, label), middle in zip(labels, spread([y for y, _ in labels], [18] * len(labels), 3), strict=True):
            width = round(columns(label) * _SMALL) + 8
            top = round(middle) - 9
            yield (
                f'<g class="relation"><rect x="{x - width // 2}" y="{top}" width="{width}" height="18" rx="9"/>'
                f'<text x="{x}" y="{top + 13}">{_text(label)}</text></g>'
            )


def _card(box: Box, node: Node, *, own: bool) -> str:
    tone = node_tone(node)
    kind = "external" if node.status == "external" or node.index is None else "logged"
    ai = ai_word(node)
    place = "outside this log" if node.index is None else f"#{grouped(node.index)}"
    state = "" if node.status in ("disclosed", "external") else f"{SHAPES[tone]} {node_word(node)}"
    title = title_of(node, 44)
    media = safe_text(node.media_type, limit=40)
    about = ", ".join(filter(None, (title_of(node, 200), place, node_word(node), media, source_word(node))))
    return "".join(
        [
            f'<g class="card {kind} {tone}{" own" if own else ""}" transform="translate({box.x} {box.y})">',
            f"<title>{_text(about)}</title>",
            f'<rect class="sheet" width="{CARD_WIDTH}" height="{CARD_HEIGHT}" rx="12"/>',
            '<rect class="tile" x="12" y="14" width="30" height="30" rx="8"/>',
            f'<path class="icon" transform="translate(17 19)" d="{_ICONS[_kind_of(node)]}"/>',
            f'<text class="place" x="50" y="{27 if state else 34}">{_text(fit(place, 18))}</text>',
            f'<text class="state" x="50" y="42">{_text(fit(state, 19))}</text>' if state else "",
            *(
                f'<text class="name" x="12" y="{62 + 17 * i}">{_text(line)}</text>'
                for i, line in enumerate(_two(title))
            ),
            _footer(safe_text(node.license, limit=40), media or short(node.id)),
            _badge("own-badge", 12, "this file") if own else "",
            _badge("ai-badge", CARD_WIDTH - 12, ai, star=True) if ai else "",
            "</g>",
        ]
    )


def _footer(license_: str, media: str) -> str:
    """Set the license as a pill and the media type after it, in one row that never overflows."""
    license_ = fit(license_, 14) or "no license"
    width = round(columns(license_) * _STRONG) + 10
    room = int((CARD_WIDTH - 12 - width - 7 - 6) / _SMALL)
    return (
        f'<rect class="license" x="12" y="90" width="{width}" height="19" rx="5"/>'
        f'<text class="license-name" x="{12 + width // 2}" y="104">{_text(license_)}</text>'
        f'<text class="media" x="{12 + width + 7}" y="104">{_text(fit(media, room))}</text>'
    )


def _badge(class_: str, x: int, word: str, *, star: bool = False) -> str:
    """Set a pill on the upper border: at its left end `x`, or with a star at its right end `x`."""
    width = round(columns(word) * _SMALL) + (32 if star else 18)
    left = x - width if star else x
    shape = f'<path transform="translate({left + 14} 0)" d="{_STAR}"/>' if star else ""
    text_x = left + (width + 14 if star else width) // 2
    return (
        f'<g class="{class_}"><rect x="{left}" y="-10" width="{width}" height="20" rx="10"/>{shape}'
        f'<text x="{text_x}" y="4">{_text(word)}</text></g>'
    )


def _count(box: Box) -> str:
    return (
        f'<g class="card count" transform="translate({box.x} {box.y})">'
        f'<rect class="sheet" width="{CARD_WIDTH}" height="{CARD_HEIGHT // 2}" rx="12"/>'
        f'<text class="name" x="{CARD_WIDTH // 2}" y="{CARD_HEIGHT // 4 + 5}">'
        f"+ {_text(plural(box.count, 'more work'))}</text></g>"
    )


def _two(title: str) -> list[str]:
    """Break a title into one or two lines, at a space where there is one."""
    if columns(title) <= _TITLE_COLUMNS:
        return [title]
    line = ""
    words = title.split(" ")
    while words and columns(f"{line} {words[0]}".strip()) <= _TITLE_COLUMNS:
        line = f"{line} {words.pop(0)}".strip()
    return [line, fit(" ".join(words), _TITLE_COLUMNS)] if line else [fit(title, _TITLE_COLUMNS)]


def _kind_of(node: Node) -> str:
    main = node.media_type.split("/", 1)[0]
    if "model" in node.media_type or "safetensors" in node.media_type or "onnx" in node.media_type:
        return "model"
    return main if main in _ICONS else "text" if node.media_type == "application/pdf" else "other"


def _text(s: str) -> str:
    return escape(s, quote=True)
