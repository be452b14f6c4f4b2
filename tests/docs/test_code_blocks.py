"""Every code block in README.md and docs/ runs, file by file, in a folder of its own.

What a page takes for granted (a user's own files, say) stands in tests/docs/before/<path of the page>.py and runs
first, in the same folder and the same namespace.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import blocks

ROOT = Path(__file__).resolve().parents[2]
BEFORE = Path(__file__).with_name("before")
PAGES = sorted(path for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")) if path.is_file())


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def run(page: Path, folder: Path, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    """Run the blocks of `page` in `folder` with the interpreter `python`."""
    setup = BEFORE / f"{name(page)}.py" if page.is_relative_to(ROOT) else None
    return subprocess.run(
        [python, str(Path(blocks.__file__)), str(page), *([str(setup)] if setup and setup.is_file() else [])],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_page_runs(page, tmp_path):
    done = run(page, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_setup_belongs_to_a_page():
    setups = {path.relative_to(BEFORE).as_posix() for path in BEFORE.rglob("*.py")}
    assert setups <= {f"{name(page)}.py" for page in PAGES}


def page_of(tmp_path: Path, text: str) -> Path:
    page = tmp_path / "page.md"
    page.write_text(text, "utf-8")
    return page


def test_blocks_share_a_namespace_and_a_folder(tmp_path):
    text = (
        "```python\nfrom pathlib import Path\nx = 2\n```\n"
        "<!--\n```python\nPath('x').write_text(str(x))\n```\n-->\n"
        "* in a list:\n  ~~~console\n  $ grep \\\n      2 x\n  2\n  $ grep 3 x  # exit 1\n  ~~~\n"
        "```text\n$ false\n```\n"
        "```python no-run: it would fail\n1 / 0\n```\n"
    )
    done = run(page_of(tmp_path, text), tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "text,place",
    [
        ("\n```python\n1 / 0\n```\n", 'page.md", line 3'),
        ("```console\n$ true\n$ false\n```\n", "page.md:3: `false` exited 1, want 0"),
        ("```console\n$ true # exit 2\n```\n", "page.md:2: `true # exit 2` exited 0, want 2"),
        ("```console\n$ make no-such-target\n```\n", "page.md:2: "),
        ("```bash\nfalse\n```\n", "page.md:2: language 'bash'"),
        ("```\nfalse\n```\n", "page.md:2: language ''"),
        ("```python no-run\n```\n", "page.md:2: 'no-run' in the fence"),
        ("```python\n", "line 1: a block without end"),
    ],
    ids=["python", "console", "unexpected success", "make", "language", "no language", "no reason", "no end"],
)
def test_what_is_wrong_is_found_and_placed(tmp_path, text, place):
    done = run(page_of(tmp_path, text), tmp_path)
    assert done.returncode == 1
    assert place in done.stderr
