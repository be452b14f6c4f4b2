"""Turn README.md and docs/ into pages that open offline: `python docs/build.py build/docs`.

Every link inside the tree must lead somewhere, to a file and to a heading in it; the first run that finds one that does
not writes nothing and names them all.
"""

from __future__ import annotations

import html
import itertools
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parent.parent

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif }}
pre {{ overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: .25rem }}
code {{ font-size: .9em }} img, svg {{ max-width: 100% }}
table {{ border-collapse: collapse; display: block; overflow-x: auto }}
th, td {{ border: 1px solid #8886; padding: .25rem .5rem; text-align: left; vertical-align: top }}
</style>
<nav><a href="{home}">provenance-ledger</a></nav>
{body}
</html>
"""


def sources(root: Path) -> list[Path]:
    """Every page, relative to `root`."""
    return sorted(path.relative_to(root) for path in (root / "README.md", *(root / "docs").rglob("*.md")))


def target(page: Path) -> Path:
    """Where a page goes: the README is the front page."""
    return Path("index.html") if page == Path("README.md") else page.with_suffix(".html")


def anchor(heading: str) -> str:
    """The name a heading is linked by, as the usual hosts of repositories make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def parse(text: str) -> list[Token]:
    """The tokens of a page, with an id on each heading."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            plain = "".join(child.content for child in inline.children or ())
            opening.attrSet("id", anchor(plain))
    return tokens


def references(tokens: list[Token]) -> list[tuple[Token, str]]:
    """Every link and picture, with the attribute that holds its address."""
    inner = [child for token in tokens for child in token.children or ()]
    names = {"link_open": "href", "image": "src"}
    return [(child, names[child.type]) for child in inner if child.type in names]


def build(root: Path, out: Path) -> list[str]:
    """Write all pages and the files they show below `out`; returns what is wrong with links, writing nothing then."""
    pages = {page: parse((root / page).read_text("utf-8")) for page in sources(root)}
    anchors = {
        page: {str(token.attrGet("id")) for token in tokens if token.type == "heading_open"}
        for page, tokens in pages.items()
    }
    wrong: list[str] = []
    files: set[Path] = set()
    for page, tokens in pages.items():
        for token, name in references(tokens):
            address = urlsplit(str(token.attrGet(name)))
            if address.scheme or address.netloc:
                continue
            path = (root / page.parent / unquote(address.path)).resolve() if address.path else root / page
            if not path.exists() or not path.is_relative_to(root):
                wrong.append(f"{page}: no {address.path}")
                continue
            linked = path.relative_to(root)
            if linked in pages:
                if address.fragment and address.fragment not in anchors[linked]:
                    wrong.append(f"{page}: no heading #{address.fragment} in {linked}")
                up = "../" * (len(target(page).parts) - 1)
                token.attrSet(name, address._replace(path=up + target(linked).as_posix()).geturl())
            elif path.is_file():
                files.add(linked)
                up = "../" * (len(target(page).parts) - 1)
                token.attrSet(name, up + linked.as_posix())
    if wrong:
        return wrong
    for linked in files:
        (out / linked).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / linked, out / linked)
    renderer = MarkdownIt("commonmark").enable("table")
    for page, tokens in pages.items():
        place = out / target(page)
        place.parent.mkdir(parents=True, exist_ok=True)
        body = renderer.renderer.render(tokens, renderer.options, {})
        home = "../" * (len(target(page).parts) - 1) + "index.html"
        place.write_text(_PAGE.format(title=html.escape(page.stem), home=home, body=body), "utf-8")
    return []


if __name__ == "__main__":
    where = Path(sys.argv[1])
    if problems := build(ROOT, where):
        sys.exit("\n".join(problems))
    print(f"{where / 'index.html'}")
