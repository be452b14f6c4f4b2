"""The pages: they build from what is in the tree, and a link that leads nowhere stops them."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location

import pytest


@pytest.fixture
def build(root):
    spec = spec_from_file_location("docs_build", root / "docs" / "build.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build


@pytest.fixture
def tree(tmp_path):
    """A small tree of pages whose links all lead somewhere."""
    (tmp_path / "docs" / "how-to").mkdir(parents=True)
    (tmp_path / "README.md").write_text("# Top\n\n[embed](docs/how-to/embed.md#own-keys) ![p](docs/p.svg)\n", "utf-8")
    (tmp_path / "docs" / "how-to" / "embed.md").write_text(
        "# Embed\n\n## Own `keys`\n\n[up](../../README.md)\n", "utf-8"
    )
    (tmp_path / "docs" / "p.svg").write_text("<svg/>", "utf-8")
    return tmp_path


def test_our_pages_build(root, tmp_path):
    done = subprocess.run(
        [sys.executable, root / "docs" / "build.py", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").is_file()


def test_links_lead_from_page_to_page(build, tree, tmp_path):
    out = tmp_path / "out"
    assert build(tree, out) == []
    front = (out / "index.html").read_text("utf-8")
    assert 'href="docs/how-to/embed.html#own-keys"' in front
    assert 'src="docs/p.svg"' in front
    assert (out / "docs" / "p.svg").read_text("utf-8") == "<svg/>"
    page = (out / "docs" / "how-to" / "embed.html").read_text("utf-8")
    assert '<h2 id="own-keys">' in page
    assert 'href="../../index.html"' in page


@pytest.mark.parametrize(
    "link,complaint",
    [
        ("docs/absent.md", "README.md: no docs/absent.md"),
        ("docs/how-to/embed.md#absent", "README.md: no heading #absent in docs/how-to/embed.md"),
        ("../outside.md", "README.md: no ../outside.md"),
        ("#absent", "README.md: no heading #absent in README.md"),
    ],
)
def test_a_link_that_leads_nowhere_is_named_and_nothing_written(build, tree, tmp_path, link, complaint):
    (tree / "README.md").write_text(f"# Top\n\n[x]({link})\n", "utf-8")
    assert build(tree, tmp_path / "out") == [complaint]
    assert not (tmp_path / "out").exists()
