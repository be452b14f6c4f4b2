"""A verdict for a terminal: the ladder of checks, the two verdicts, terms, credits, lineage, the next command."""

from __future__ import annotations

from collections.abc import Iterator

from provenance.report.graph import Twig, build_graph, tree
from provenance.report.safe import columns, fit, safe_text
from provenance.report.words import (
    CAUTION,
    RIVALS,
    SHAPES,
    Says,
    ai_word,
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
    title_of,
    tone_of,
    when,
)
from provenance.verdict import Node, Status, Verdict

__all__ = ["render_text"]

_SGR: dict[Status, str] = {"ok": "32", "note": "33", "bad": "31;1", "unknown": "35"}
_BOLD, _DIM, _CLAIM = "1", "2", "36"

# How much of each part fits one screen of less than 60 lines; what is left out is counted.
_ROOM = 48  # columns that the detail of a check needs beside its name
_CHECKS, _WORKS, _CREDITS, _TERMS, _CLAIMS = 16, 12, 6, 4, 4
_MAX_INDENT = 8


def render_text(verdict: Verdict, *, width: int = 100, color: bool = False) -> str:
    """Return the verdict as lines of at most `width` columns (at least 40), without a newline at the end.

    The lines ``Record:`` and ``Claim:`` are always both there, and the last line names the next command; only that
    line may be longer than `width`, so that it can be copied. Color is ANSI and repeats what shape and word say.
    """
    page = _Paper(max(40, width), color=color)
    lines = [*_head(verdict, page), ""]
    lines += [*_ladder(verdict, page), ""]
    lines += page.says("Record", record_says(verdict))
    lines += page.says("Claim", claim_says(verdict))
    lines += [page.paint(_DIM, line) for line in page.wrap("   ", CAUTION)]
    for title, rows in (
        ("claims", _claims(verdict, page)),
        ("terms", _terms(verdict, page)),
        ("credits", _credits(verdict, page)),
        ("lineage", _lineage(verdict, page)),
    ):
        if rows:
            lines += ["", page.paint(_BOLD, f" {title}"), *rows]
    lines += ["", f" {page.paint(_BOLD, 'next:')} {next_command(verdict)}"]
    return "\n".join(lines)


class _Paper:
    """Width and color: how a line is set."""

    def __init__(self, width: int, *, color: bool) -> None:
        self.width = width
        self.color = color

    def paint(self, sgr: str, s: str) -> str:
        return f"\x1b[{sgr}m{s}\x1b[0m" if self.color and s else s

    def says(self, label: str, says: Says) -> list[str]:
        """Set one of the two verdicts; its first line is ``✔ Record: intact``."""
        sgr = _SGR[says.tone] if says.tone else _CLAIM
        first = fit(f" {says.shape} {label}: {says.word}", self.width)
        return [self.paint(f"{_BOLD};{sgr}", first), *self.wrap("   ", says.sentence)]

    def wrap(self, indent: str, s: str, *, rest: str | None = None, most: int = 4) -> list[str]:
        """Set the safe text `s` in at most `most` lines; the last is shortened when more would be needed."""
        rest = indent if rest is None else rest
        lines: list[str] = []
        line, words = indent, s.split(" ")
        while words:
            word = words.pop(0)
            room = self.width - columns(line)
            glue = "" if line in (indent, rest) else " "
            if columns(glue + word) <= room:
                line += glue + word
            elif len(lines) + 1 == most:
                return [*lines, fit(line + " ".join([glue + word, *words]), self.width)]
            elif glue:
                lines, line, words = [*lines, line], rest, [word, *words]
            else:  # one word that is wider than the line
                head = _head_of(word, room)
                lines, line, words = [*lines, line + head], rest, [word[len(head) :], *words]
        return [*lines, line]


def _head(verdict: Verdict, page: _Paper) -> list[str]:
    subject = page.paint(_BOLD, fit(f" {safe_text(verdict.subject)}", page.width))
    facts = [f"sha256 {safe_text(verdict.digest, limit=64)}"] if verdict.digest else []
    log = [safe_text(verdict.origin, limit=80)] if verdict.origin else []
    log += [f"size {grouped(verdict.size)}"] if verdict.size else []
    facts += [" · ".join(log)] if log else []
    return [subject, *(page.paint(_DIM, fit(f" {fact}", page.width)) for fact in facts)]


def _ladder(verdict: Verdict, page: _Paper) -> Iterator[str]:
    checks, left_out = pick_checks(verdict.checks, _CHECKS)
    if not checks:
        yield f" {SHAPES['unknown']} nothing was checked"
    rows = [(tone_of(c.status), safe_text(c.name, limit=60), safe_text(c.word, limit=40), c.detail) for c in checks]
    name_width = min(max((columns(name) for _, name, _, _ in rows), default=0), page.width // 4)
    word_width = min(max((columns(word) for _, _, word, _ in rows), default=0), page.width // 5)
    most = 6 if len(rows) <= 8 else 3  # lines of a detail that says what to do
    hang = " " * (name_width + word_width + 7)
    apart = page.width - len(hang) < _ROOM  # then a detail stands below its name
    for tone, name, word, detail in rows:
        left = f" {SHAPES[tone]} {_pad(name, name_width)}  {_pad(word, word_width)}  "
        said, lines = safe_text(detail, limit=300), most if tone != "ok" else 3
        if apart:
            yield page.paint(_SGR[tone], left.rstrip())
            yield from page.wrap("     ", said, most=lines)
            continue
        first, *more = page.wrap(left, said, rest=hang, most=lines)
        yield page.paint(_SGR[tone], left) + first[len(left) :]
        yield from more
    if left_out:
        yield f"   {left_out}"


def _claims(verdict: Verdict, page: _Paper) -> list[str]:
    """Every claim on the same bytes. The file's own keeps its place in the order."""
    rows = []
    found = claims(verdict)
    for node in found[:_CLAIMS]:
        names = ", ".join(_party(credit.name, credit.party) for credit in node.creators[:3])
        facts = (_position(node), safe_text(node.strength, limit=40), names, f"claimed {when(node.claimed_at)}")
        rows.append(fit(f"   ◆ {title_of(node, 60)} · {' · '.join(fact for fact in facts if fact)}", page.width))
    rows += [f"     and {plural(len(found) - _CLAIMS, 'more claim')}"] if len(found) > _CLAIMS else []
    return [*rows, *page.wrap("   ", RIVALS)] if rows else []


def _terms(verdict: Verdict, page: _Paper) -> list[str]:
    titles = {node.id: title_of(node, 60) for node in verdict.nodes}
    rows = []
    for terms in verdict.terms[:_TERMS]:
        license_ = safe_text(terms.license, limit=60) or "no license named"
        price = safe_text(terms.price, limit=40) or "free"
        title = titles.get(terms.work) or short(terms.work)
        rows.append(fit(f"   {license_} · {price} · {title} · offer {short(terms.offer)}", page.width))
    return rows + _more(len(verdict.terms) - _TERMS, "more offer")


def _credits(verdict: Verdict, page: _Paper) -> list[str]:
    found = credits_of(build_graph(verdict).nodes)
    rows = []
    for credit, works in found[:_CREDITS]:
        of = title_of(works[0], 60) + (f" and {plural(len(works) - 1, 'more work')}" if len(works) > 1 else "")
        facts = (safe_text(credit.role, limit=40), safe_text(credit.strength, limit=40), of)
        rows.append(fit(f"   {_party(credit.name, credit.party)} · {' · '.join(filter(None, facts))}", page.width))
    return rows + _more(len(found) - _CREDITS, "more credit")


def _lineage(verdict: Verdict, page: _Paper) -> list[str]:
    graph = build_graph(verdict)
    own = own_node(verdict)
    twigs = tree(graph, verdict.work)
    rows = [_twig(twig, page, own=twig.node is own) for twig in twigs[:_WORKS]]
    left = len({node.id for node in verdict.nodes}) - len({twig.node.id for twig in twigs[:_WORKS]})
    rows += _more(left, "more work")
    if graph.circular:
        rows += page.wrap("   ", f"✘ {plural(len(graph.circular), 'edge')} run in a circle, as no true lineage does")
    return rows


def _twig(twig: Twig, page: _Paper, *, own: bool) -> str:
    node = twig.node
    *outer, follows = twig.rails[-_MAX_INDENT:] or (False,)
    branch = "   " + "".join("│  " if rail else "   " for rail in outer)
    branch += ("├─ " if follows else "└─ ") if twig.rails else ""
    relation = f"{safe_text(twig.relation, limit=40)}: " if twig.relation else ""
    state = "" if node.status == "disclosed" else f"{SHAPES[node_tone(node)]} {node_word(node)}"
    facts = (state, safe_text(node.license, limit=40), ai_word(node), _position(node))
    tail = "see above" if twig.again else " · ".join(filter(None, facts))
    room = page.width - columns(branch) - columns(relation) - columns(tail) - 3 - (12 if own else 0)
    title = fit(title_of(node), max(12, room))
    line = f"{branch}{relation}{title}{' (this file)' if own else ''}{' · ' if tail else ''}{tail}"
    return page.paint(_BOLD, fit(line, page.width)) if own else fit(line, page.width)


def _party(name: str | None, party: str) -> str:
    shown = safe_text(name, limit=60) if name else ""
    return f"{shown} ({short(party)})" if shown else f"name withheld ({short(party)})"


def _position(node: Node) -> str:
    return "" if node.index is None else f"#{grouped(node.index)}"


def _more(n: int, noun: str) -> list[str]:
    return [f"   and {plural(n, noun)}"] if n > 0 else []


def _pad(s: str, width: int) -> str:
    s = fit(s, width)
    return s + " " * (width - columns(s))


def _head_of(word: str, room: int) -> str:
    end = used = 0
    for ch in word:
        used += columns(ch)
        if used > room and end:
            break
        end += 1
    return word[:end]
