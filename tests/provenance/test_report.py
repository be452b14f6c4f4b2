"""The three renderers: the same words, bounded, deterministic, and deaf to what strangers write into names."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree as ET
from dataclasses import fields, replace
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import MissingExtra
from provenance.report import as_json, render_html, render_lineage, render_text, safe_text
from provenance.report.graph import build_graph, tree
from provenance.report.layout import CARD_WIDTH, lay_out, spread
from provenance.report.page import MAX_PAGE, _template
from provenance.report.safe import columns, fit
from provenance.report.words import CAUTION, SHAPES, claim_says, record_says
from provenance.verdict import Check, Credit, Edge, Node, Terms, Verdict


def hexes(word: str) -> str:
    return sha256(word.encode()).hexdigest()


def node(name: str, index: int | None = 7, **changes) -> Node:
    plain = Node(
        id=hexes(name),
        title=name,
        index=index,
        type="work.create",
        media_type="image/png",
        source_type="digitalCapture",
        digest=hexes(f"{name}.png"),
        creators=(Credit(hexes("ada"), "Ada", "photographer", "counter-signed"),),
        strength="counter-signed",
        license="CC-BY-4.0",
        claimed_at="2026-11-19T14:02:11Z",
        logged_at="2026-11-19T14:03:00Z",
        status="disclosed",
    )
    return replace(plain, **changes)


FILE, PHOTO, SKY = node("remix", 41), node("dunes", 12), node("sky", 30, source_type="trainedAlgorithmicMedia")
BOOK = node("letters", None, id="isbn:9780140449136", type="external", status="external", license="")
RIVAL = node("mine too", 50, strength="self")
VERDICT = Verdict(
    subject="remix.png",
    digest=hexes("remix.png"),
    record="intact",
    claim="Ada says that she made this, and the market counter-signed it.",
    checks=(
        Check("manifest", "ok", "valid", "the manifest covers all 3 ingredients."),
        Check("ingredient dunes", "ok", "match", "the digest is the one that #12 registered."),
        Check("event", "note", "sealed", "one name was removed lawfully by #90."),
    ),
    origin="city-market.example",
    size=120884,
    work=FILE.id,
    nodes=(FILE, PHOTO, SKY, BOOK),
    edges=(Edge(FILE.id, PHOTO.id, "remix"), Edge(FILE.id, SKY.id, "component"), Edge(SKY.id, BOOK.id, "inspired by")),
    terms=(Terms(FILE.id, "CC-BY-4.0", hexes("offer"), "12.50 EUR"),),
    next="provenance trace remix.png --html trace.html",
)
CONTESTED = replace(VERDICT, rivals=(RIVAL,))

HOSTILE = {
    "script": "</script></title></style></svg>--><script>alert(1)</script><img src=//evil.example/x onerror=alert(1)>",
    "attribute": '" onload="alert(1)" style="background:url(https://evil.example)" x=\'',
    "template": "{{ 7 * 7 }}{% raw %}{# #}${7*7}",
    "terminal": "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b31m\r\n ✔ Record: intact\n\x00\x7f\x08",
    "bidi": "photo\u202egnp.exe\u2066\u2069\u200f\u061c\u2028\u2029",
    "invisible": "a\u200b\u200c\u200d\ufeff\u00ad\u2060\u3164\U000e0041\ue000\ud800z",
    "look-alike": "\u0410d\u0430 \u041ek\u0430f\u043er",
    "marks": "z" + "\u0301" * 500,
    "ours": "✔ ⟦U+202E⟧ ✅ ✘",
    "long": "x" * 10_000,
    "words": "wide 寬 " * 2_000,
    "megabyte": "<\u202e&\x1b" * 262_144,
    "empty": "",
}


def places() -> list[tuple[str, ...]]:
    """Every text field of every type that a verdict is made of, as a path."""
    paths: list[tuple[str, ...]] = []
    for part, value in (
        ("verdict", VERDICT),
        ("checks", VERDICT.checks[0]),
        ("nodes", FILE),
        ("rivals", RIVAL),
        ("edges", VERDICT.edges[0]),
        ("terms", VERDICT.terms[0]),
        ("credit", FILE.creators[0]),
    ):
        paths += [(part, f.name) for f in fields(value) if isinstance(getattr(value, f.name), str)]
    return paths


def poison(part: str, name: str, text: str) -> Verdict:
    if part == "verdict":
        return replace(CONTESTED, **{name: text})
    if part == "credit":
        creators = (replace(FILE.creators[0], **{name: text}),)
        return replace(CONTESTED, nodes=(replace(FILE, creators=creators), *VERDICT.nodes[1:]))
    first, *rest = getattr(CONTESTED, part)
    return replace(CONTESTED, **{part: (replace(first, **{name: text}), *rest)})


def drowned(text: str) -> Verdict:
    """Hostile text in every field at once, in many of each thing."""
    credit = Credit(text, text, text, text)
    bad = [
        Node(f"{text[:500]}{i}", text, i, text, text, text, text, (credit,) * 20, text, text, text, text, text)  # type: ignore[arg-type]
        for i in range(40)
    ]
    edges = tuple(Edge(child.id, parent.id, text) for child, parent in pairwise(bad))
    checks = (Check(text, text, text, text),) * 300  # type: ignore[arg-type]
    terms = (Terms(text, text, text, text),) * 300
    return Verdict(
        text,
        text,
        text,
        text,
        checks,
        text,
        7,
        bad[0].id,
        tuple(bad),
        edges,
        terms,
        tuple(bad[1:]),
        text,  # type: ignore[arg-type]
    )


class Page(HTMLParser):
    """Reads a page the way a browser does, and refuses whatever could act or reach out."""

    TAGS = (
        " html head meta title style body header main section footer div p span h1 h2 dl dt dd ol ul li bdi strong a br"
        " code script table caption thead tbody tr th td figure figcaption"
        " svg symbol use g rect path circle text tspan desc "
    )
    VOID = frozenset(("meta", "br"))

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.data: list[str] = []
        self.words: list[str] = []
        self.classes: list[str] = []
        self.ids: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert f" {tag} " in self.TAGS, tag
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), name
            assert name not in {"style", "src", "srcset", "action", "background", "formaction", "ping"}, name
            if name in {"href", "xlink:href"}:
                assert value is not None
                assert value.startswith("#")
            if name == "class":
                self.classes.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag == "script":
            assert dict(attrs) == {"type": "application/json", "id": "verdict"}
        if tag == "meta":
            assert dict(attrs).get("http-equiv") in {None, "Content-Security-Policy"}

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.data.append(data)
        elif self.open and self.open[-1] == "style":
            assert "url(" not in data
            assert "@import" not in data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def inspect(verdict: Verdict) -> tuple[str, str, str]:
    """Render a verdict three times and check what must hold whatever is in it."""
    text = render_text(verdict)
    assert all(unicodedata.category(ch)[0] != "C" for ch in set(text) - {"\n"})
    assert all(columns(line) <= 100 for line in text.splitlines()[:-1])
    assert len(text.splitlines()) < 120
    assert text.splitlines()[-1].startswith(" next: ")
    assert [line[3:10] for line in text.splitlines() if line[3:].startswith("Record: ")] == ["Record:"]
    assert [line[3:9] for line in text.splitlines() if line[3:].startswith("Claim: ")] == ["Claim:"]

    html = render_html(verdict)
    assert len(html.encode()) <= MAX_PAGE
    page = Page(html)
    assert len(page.data) == 1
    assert len(page.ids) == len(set(page.ids))
    assert all(unicodedata.category(ch)[0] != "C" for ch in set(html) - {"\n"})
    assert {"record", "claim", "checks", "caution"} == json.loads(page.data[0])["says"].keys()
    if picture := render_lineage(verdict):
        ET.fromstring(picture)

    data = as_json(verdict)
    assert data.isascii()
    assert data.isprintable() or set(data) - {"\n"} <= {chr(c) for c in range(32, 127)}
    assert json.loads(data)["subject"] == verdict.subject
    return text, html, data


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("place", places(), ids=".".join)
def test_hostile_text_does_nothing_in_any_field(place, kind):
    part, name = place
    inspect(poison(part, name, HOSTILE[kind]))


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_does_nothing_in_all_fields_at_once(kind):
    inspect(drowned(HOSTILE[kind][:2_000]))


@given(st.text(max_size=300))
def test_no_text_breaks_out(text):
    inspect(poison("nodes", "title", text))


def test_hostile_text_is_marked_where_it_is_shown():
    bidi = inspect(poison("nodes", "title", HOSTILE["bidi"]))
    assert "photo⟦U+202E⟧gnp.exe" in bidi[0]
    assert "photo⟦U+202E⟧gnp.exe" in Page(bidi[1]).text
    alike = inspect(poison("credit", "name", HOSTILE["look-alike"]))
    assert "⚠ mixed scripts" in alike[0]
    assert "⚠ mixed scripts" in Page(alike[1]).text
    picture = render_lineage(poison("nodes", "title", HOSTILE["look-alike"] * 9))
    assert "⚠</text>" in picture


def test_what_the_page_embeds_is_the_verdict():
    assert json.loads(Page(render_html(CONTESTED)).data[0]) == json.loads(as_json(CONTESTED))


def test_what_the_page_embeds_says_when_it_was_cut():
    data = json.loads(Page(render_html(replace(CONTESTED, claim="x" * 1_000_000))).data[0])
    assert data["cut"] is True
    assert data["claim"].endswith("more characters)")
    assert data["digest"] == CONTESTED.digest


@pytest.mark.parametrize(
    "verdict", [VERDICT, CONTESTED, replace(VERDICT, record="altered"), Verdict("x", "", "cannot check", "", ())]
)
def test_same_words_everywhere(verdict):
    text, html, data = inspect(verdict)
    says = json.loads(data)["says"]
    flat, page = " ".join(text.split()), Page(html).text
    for each in (record_says(verdict), claim_says(verdict)):
        assert each.word in flat
        assert each.sentence in flat
        assert each.word in page
        assert each.sentence in page
    assert says["record"]["word"] == record_says(verdict).word
    assert says["claim"]["sentence"] == claim_says(verdict).sentence
    assert CAUTION in flat
    assert CAUTION in page
    assert says["caution"] == CAUTION
    for check in verdict.checks:
        assert check.name in flat
        assert check.name in page
        assert check.detail in page


def test_same_verdict_same_bytes_in_every_process():
    program = (
        "import hashlib;from provenance.report import *;from tests.provenance.test_report import CONTESTED as v;"
        "print(hashlib.sha256((render_text(v)+render_html(v)+as_json(v)).encode()).hexdigest())"
    )
    seeds = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert seeds[0] == seeds[1]
    assert len(seeds[0]) == 65


def test_jinja2_is_loaded_only_for_a_page(monkeypatch):
    _template.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert render_text(VERDICT)
    assert as_json(VERDICT)
    with pytest.raises(MissingExtra, match=r"report needs the optional part `cli`"):
        render_html(VERDICT)


@pytest.mark.parametrize("status", ["bad", "unknown", "green", ""])
@pytest.mark.parametrize("record", ["intact", "altered", "cannot check", "verified"])
def test_never_a_tick_over_something_broken(record, status):
    broken = Check("ingredient dunes", status, "tampered", "the digest is another one.")
    for verdict in (
        replace(VERDICT, record=record, checks=(*VERDICT.checks, broken)),
        replace(VERDICT, record=record, nodes=(FILE, replace(PHOTO, status=status))),
        replace(VERDICT, record=record, nodes=(FILE, replace(PHOTO, status="mismatch"))),
        replace(VERDICT, record=record, checks=(*VERDICT.checks * 500, broken)),
    ):
        text, html, data = inspect(verdict)
        assert "✔ Record" not in text
        assert not {"verdict ok"} & set(Page(html).classes)
        assert json.loads(data)["says"]["record"]["shape"] != SHAPES["ok"]
        if broken in verdict.checks:
            assert "ingredient dunes" in text
            assert "the digest is another one." in " ".join(text.split())


def test_a_tick_when_everything_holds_and_none_when_nothing_was_checked():
    text, html, _ = inspect(VERDICT)
    assert " ✔ Record: intact\n" in text
    assert "verdict ok" in Page(html).classes
    text, html, _ = inspect(replace(VERDICT, checks=()))
    assert " ? Record: intact, not fully checked\n" in text
    assert "verdict ok" not in Page(html).classes


def test_a_failed_check_is_named_beside_the_record():
    bad = replace(VERDICT, checks=(*VERDICT.checks, Check("ingredient sky", "bad", "tampered", "…")))
    says = record_says(bad)
    assert (says.tone, says.word) == ("bad", "intact, with 1 failed check")
    assert says.sentence.endswith("ingredient sky: tampered.")


def test_a_claim_never_gets_a_tick():
    assert all(" ◆ Claim: " in render_text(v) for v in (VERDICT, CONTESTED, replace(VERDICT, record="altered")))
    assert " ◇ Claim: none found" in render_text(Verdict("x", "", "cannot check", "", ()))


def test_rivals_are_both_shown_earliest_first():
    older = replace(
        CONTESTED, rivals=(replace(RIVAL, title="came first", index=3), replace(RIVAL, title="no index", index=None))
    )
    text, html, _ = inspect(older)
    assert "one of 3 claims on the same bytes" in text
    claims = text[text.index(" claims\n") :]
    assert claims.index("came first") < claims.index("remix") < claims.index("no index")
    assert "neither wins" in text
    page = Page(html).text
    claims = page[page.index("Who claims these bytes") :]
    assert claims.index("came first") < claims.index("this report") < claims.index("no index")
    assert "neither wins" in page


def test_a_page_says_that_it_proves_nothing_and_what_to_run():
    page = Page(render_html(VERDICT)).text
    assert "This page proves nothing by itself" in page
    assert "provenance verify FILE --policy" in page
    assert VERDICT.next in page


def test_color_repeats_what_shape_and_word_say():
    plain, color = render_text(CONTESTED), render_text(CONTESTED, color=True)
    assert "\x1b[" not in plain
    assert re.sub(r"\x1b\[[0-9;]+m", "", color) == plain
    assert color.count("\x1b[0m") * 2 == color.count("\x1b[")


@pytest.mark.parametrize("width", [0, 40, 60, 80, 100, 200])
def test_text_keeps_to_its_width(width):
    lines = render_text(CONTESTED, width=width).splitlines()
    assert all(columns(line) <= max(width, 40) for line in lines[:-1])
    assert len(lines) < 60 or width < 60


def crowd(n: int, edges: tuple[Edge, ...]) -> Verdict:
    return replace(VERDICT, nodes=tuple(node(f"w{i}", i) for i in range(n)), edges=edges, work=hexes("w0"))


def edge(child: int, parent: int) -> Edge:
    return Edge(hexes(f"w{child}"), hexes(f"w{parent}"), "remix")


GRAPHS = {
    "line": crowd(500, tuple(edge(i, i + 1) for i in range(499))),
    "fan": crowd(500, tuple(edge(0, i) for i in range(1, 500))),
    "descendants": crowd(500, tuple(edge(i, 0) for i in range(1, 500))),
    "binary": crowd(500, tuple(edge((i - 1) // 2, i) for i in range(1, 500))),
    "dense": crowd(500, tuple(edge(i, j) for i in range(500) for j in range(i + 1, min(i + 40, 500)))),
    "layers": crowd(
        500, tuple(edge(i, j) for i in range(400) for j in range(100 * (i // 100 + 1), 100 * (i // 100 + 1) + 30))
    ),
    "islands": crowd(500, ()),
    "ring": crowd(500, tuple(edge(i, (i + 1) % 500) for i in range(500))),
    "everything": crowd(60, tuple(edge(i, j) for i in range(60) for j in range(60))),
    "self": crowd(1, (edge(0, 0),)),
    "twice": crowd(2, (edge(0, 1), edge(1, 0), edge(0, 1))),
    "dangling": crowd(2, (edge(0, 1), edge(0, 7), edge(8, 9))),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_any_graph_is_drawn_and_counted(name):
    verdict = GRAPHS[name]
    text, html, _ = inspect(verdict)
    graph = build_graph(verdict)
    assert len(graph.nodes) + sum(graph.hidden.values()) == len(verdict.nodes)
    assert len(graph.nodes) <= 200
    assert graph.nodes[0].id == verdict.work
    assert len(graph.edges) + graph.hidden_edges == len(set(verdict.edges))
    for each in graph.edges:
        below, above = graph.generation[each.child], graph.generation[each.parent]
        assert below < above or each in graph.circular
    assert {twig.node.id for twig in tree(graph, verdict.work)} == {each.id for each in graph.nodes}
    assert len(verdict.nodes) <= 200 or "more work" in text
    assert ("circle" in text) == ("circle" in Page(html).text.replace("circles", "")) == bool(graph.circular)


@pytest.mark.parametrize("name", GRAPHS)
def test_nothing_overlaps_in_the_picture(name):
    picture = lay_out(build_graph(GRAPHS[name]))
    columns_: dict[int, list[tuple[int, int]]] = {}
    for box in picture.boxes:
        height = 118 if box.id else 59
        assert 0 <= box.x <= picture.width - CARD_WIDTH
        assert 0 <= box.y <= picture.height - height + 1
        columns_.setdefault(box.x, []).append((box.y, box.y + height))
    for column in columns_.values():
        column.sort()
        assert all(above[1] < below[0] for above, below in pairwise(column))


def test_the_tree_names_relations_and_ends_where_it_was():
    diamond = crowd(4, (edge(0, 1), edge(0, 2), edge(1, 3), edge(2, 3)))
    rows = [(len(twig.rails), twig.node.title, twig.again) for twig in tree(build_graph(diamond), diamond.work)]
    assert rows == [(0, "w0", False), (1, "w1", False), (2, "w3", False), (1, "w2", False), (2, "w3", True)]
    text = render_text(VERDICT)
    assert "   remix (this file)" in text
    assert "   ├─ remix: dunes" in text
    assert "   └─ component: sky" in text
    assert "      └─ inspired by: letters · ◐ outside this log" in text


def test_the_picture_marks_what_needs_marking():
    picture = ET.fromstring(render_lineage(VERDICT))
    cards = {card.findtext("title", ""): card for card in picture.iter("g") if card.get("class", "").startswith("card")}
    by_title = {about.split(",")[0]: card for about, card in cards.items()}
    assert "own" in by_title["remix"].get("class", "").split()
    assert "external" in by_title["letters"].get("class", "").split()
    badges = [g for g in by_title["sky"].iter("g") if g.get("class") == "ai-badge"]
    assert [path.get("d") is not None for path in badges[0].iter("path")] == [True]
    assert badges[0].findtext("text") == "AI"
    assert not [g for g in by_title["dunes"].iter("g") if g.get("class") == "ai-badge"]
    assert {"remix", "component", "inspired by"} <= {text.text for text in picture.iter("text")}
    assert picture.findtext("title") == "Lineage of remix"
    assert "made from dunes (remix), sky (component)" in picture.findtext("desc", "")


def test_a_tall_picture_opens_at_the_file():
    for name in ("fan", "binary", "layers", "descendants"):
        picture = lay_out(build_graph(GRAPHS[name]))
        assert next(box.y for box in picture.boxes if box.id == GRAPHS[name].work) < 100


def test_what_a_work_without_title_is_called():
    secret = replace(PHOTO, title=None, status="sealed")
    text = render_text(replace(VERDICT, nodes=(FILE, secret)))
    assert "title sealed · ◐ sealed" in text
    assert f"untitled {PHOTO.id[:8]}…" in render_text(replace(VERDICT, nodes=(FILE, replace(PHOTO, title="\u3000"))))


@pytest.mark.parametrize(
    "media_type,like",
    [
        ("model/onnx", "application/x-model"),
        ("application/pdf", "text/plain"),
        ("", "application/zip"),
        ("image/png",) * 2,
    ],
)
def test_icons_follow_the_media_type(media_type, like):
    icons = [
        re.findall(r'class="icon"[^>]* d="([^"]*)"', render_lineage(crowd_of(replace(FILE, media_type=each))))
        for each in (media_type, like)
    ]
    assert icons[0] == icons[1] != []


def crowd_of(*nodes: Node) -> Verdict:
    return replace(VERDICT, nodes=nodes, edges=())


def test_no_work_no_picture():
    empty = replace(VERDICT, nodes=(), edges=())
    assert render_lineage(empty) == ""
    assert lay_out(build_graph(empty)).boxes == ()
    assert "No credits are known." in Page(render_html(empty)).text


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(1, 200)), max_size=40))
def test_spread_keeps_order_and_distance(wishes):
    heights = [height for _, height in wishes]
    middles = spread([want for want, _ in wishes], heights, 10)
    for (low, high), (a, b) in zip(pairwise(middles), pairwise(heights), strict=True):
        assert high - low >= (a + b) / 2 + 10 - 1e-3


@pytest.mark.parametrize(
    "raw,shown",
    [
        ("Dunes at Night", "Dunes at Night"),
        ("Žluťoučký kůň", "Žluťoučký kůň"),
        ("林 美 T\u30b7ャツ", "林 美 T\u30b7ャツ"),
        ("Привет, мир", "Привет, мир"),
        ("שלום עולם", "שלום עולם"),
        ("\u0645\u06cc\u200c\u062e\u0648", "\u0645\u06cc\u200c\u062e\u0648"),
        ("👩\u200d🎨 ❤\ufe0f", "👩\u200d🎨 ❤\ufe0f"),
        ("5 µm, Москва and Paris", "5 µm, Москва and Paris"),
        ("  a \u00a0\u3000 b ", "a b"),
        ("a\u202eb", "a⟦U+202E⟧b"),
        ("a\u200bb", "a⟦U+200B⟧b"),
        ("a" + "\u200b" * 9, "a⟦U+200B×9⟧"),
        ("\x1b[31mred\n", "⟦U+001B⟧[31mred⟦U+000A⟧"),
        ("\ud800", "⟦U+D800⟧"),
        ("⟦U+202E⟧", "⟦U+27E6⟧U+202E⟦U+27E7⟧"),
        ("✔ verified", "⟦U+2714⟧ verified"),
        ("e\u0301", "e\u0301"),
        ("e" + "\u0301" * 10, "e\u0301\u0301\u0301\u0301⟦U+0301×6⟧"),
        ("x" * 300, "x" * 200 + "… (+100 more characters)"),
        ("p\u0430ypal", "p\u0430ypal ⚠ mixed scripts"),
        ("Ada \u0420\u0410\u0423", "Ada \u0420\u0410\u0423 ⚠ mixed scripts"),
        ("", ""),
    ],
)
def test_safe_text(raw, shown):
    assert safe_text(raw) == shown


@given(st.text(), st.integers(0, 300))
def test_safe_text_is_one_printable_bounded_line(s, limit):
    shown = safe_text(s, limit=limit)
    shown.encode()
    assert "  " not in shown
    assert len(shown) <= 12 * limit + 60
    assert not {ch for ch in shown if unicodedata.category(ch)[0] == "C"} - {"\u200c", "\u200d"}


@given(st.text(max_size=80), st.integers(8, 60))
def test_fit_fits_and_keeps_the_warning(s, most):
    shown = safe_text(s)
    short = fit(shown, most)
    assert columns(short) <= most
    assert short.count("⟦") == short.count("⟧")
    assert ("⚠" in short) == ("⚠" in shown)


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_colors_reach_wcag_aa_in_light_dark_and_print():
    css = files("provenance.report").joinpath("page.css").read_text("utf-8")
    palettes = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part))
        for part in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]
    assert len(palettes) == 3
    grounds = ("paper", "surface", "sunken")
    text = [
        (ink, ground) for ink in ("ink", "muted") for ground in (*grounds, "accent-tint", "bad-tint", "unknown-tint")
    ]
    text += [
        (tone, ground)
        for tone in ("ok", "note", "bad", "unknown")
        for ground in (f"{tone}-tint", "surface", "accent-tint")
    ]
    text += [
        ("accent", "accent-tint"),
        ("accent", "surface"),
        ("on-accent", "accent"),
        ("ai", "ai-tint"),
        ("ai", "paper"),
    ]
    text += [("ai", "surface"), ("ai", "accent-tint")]
    for palette in palettes:
        for ink, ground in text:
            assert contrast(palette[ink], palette[ground]) >= 4.5, (ink, ground)
        for ground in ("paper", "surface"):
            assert contrast(palette["edge"], palette[ground]) >= 3, ground
