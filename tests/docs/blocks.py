"""Run every fenced block of a Markdown file, in order, in the current folder: `python blocks.py README.md [SETUP.py]`.

Python blocks share one namespace, in which SETUP.py ran first. Of a console block the lines that start with `$` are
run; the others show what a reader will see. A command must exit 0, or n where the line ends in `# exit n`. The first
thing that goes wrong ends the run and names the file and the line. Uses the standard library alone, so that the
interpreter of any environment can run it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

RUN = {"python", "console"}
SHOWN = {"abnf", "cddl", "html", "http", "ini", "json", "mermaid", "svg", "text", "toml"}
"""Languages of blocks that show data. Every other one is refused, or a program would escape under another name."""

NOT_HERE = {
    "cd": "every block runs in one folder",
    "git": "needs the network",
    "pip": "needs the network",
    "python3 -m venv": "tests/test_wheel.py does it",
}
"""Commands that are not run, by how they begin, and why. `make` is a dry run: its target must exist."""

TIMEOUT = 300  # seconds for one command

_FENCE = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<info>.*)")
_EXIT = re.compile(r"# exit ([0-9]+)$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, what else stands in its fence, its first line (1-based), its text."""

    language: str
    note: str
    line: int
    text: str


def parse(markdown: str) -> list[Block]:
    """All fenced blocks of a file, in order, also those inside lists and comments."""
    blocks: list[Block] = []
    lines = iter(enumerate(markdown.splitlines(), start=1))
    for number, line in lines:
        if not (opening := _FENCE.fullmatch(line)):
            continue
        closing = re.compile(rf" *{opening['fence'][0]}{{{len(opening['fence'])},}} *")
        body: list[str] = []
        for _, inner in lines:
            if closing.fullmatch(inner):
                break
            body.append(inner)
        else:
            msg = f"line {number}: a block without end"
            raise ValueError(msg)
        language, _, note = opening["info"].strip().partition(" ")
        blocks.append(Block(language, note.strip(), number + 1, textwrap.dedent("\n".join(body)) + "\n"))
    return blocks


def complaint(block: Block) -> str | None:
    """What is wrong with a block before it runs, or None."""
    if block.language not in RUN | SHOWN:
        wanted = ", ".join(sorted(RUN | SHOWN))
        return f"language {block.language!r}: want one of {wanted}"
    if block.language in RUN and block.note and not re.fullmatch(r"no-run: \S.*", block.note):
        return f"{block.note!r} in the fence: want nothing, or `no-run: ` and a reason"
    return None


def commands(block: Block) -> list[tuple[int, str]]:
    """The commands of a console block, each with its line; one that ends in a backslash goes on in the next line."""
    found: list[tuple[int, str]] = []
    lines = iter(enumerate(block.text.splitlines(), start=block.line))
    for number, line in lines:
        if not line.startswith("$ "):
            continue
        command = line[2:]
        while command.endswith("\\"):
            command = command[:-1] + next(lines, (0, ""))[1].strip()
        found.append((number, command))
    return found


def run_command(command: str, root: Path) -> str | None:
    """Run one command with this interpreter's programs first on the path; say what went wrong, or None."""
    if any(command == start or command.startswith(start + " ") for start in NOT_HERE):
        return None
    if command.split(maxsplit=1)[0] == "make":
        command = f"make -C '{root}' --dry-run {command[4:]}"
    want = int(match[1]) if (match := _EXIT.search(command)) else 0
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        command,
        shell=True,
        env=os.environ | {"PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode == want:
        return None
    return f"`{command}` exited {done.returncode}, want {want}\n{done.stdout}"


def run(page: Path, setup: Path | None, root: Path) -> None:
    """Run all of `page`; ends the process with a message at the first thing that goes wrong."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    if setup is not None:
        exec(compile(setup.read_text("utf-8"), str(setup), "exec", dont_inherit=True), namespace)
    for block in parse(page.read_text("utf-8")):
        if wrong := complaint(block):
            sys.exit(f"{page}:{block.line}: {wrong}")
        if block.note or block.language not in RUN:
            continue
        if block.language == "python":
            # as many empty lines as stand before it: a traceback then points into the page
            source = "\n" * (block.line - 1) + block.text
            exec(compile(source, str(page), "exec", dont_inherit=True), namespace)
            continue
        for number, command in commands(block):
            if wrong := run_command(command, root):
                sys.exit(f"{page}:{number}: {wrong}")


if __name__ == "__main__":
    arguments = [Path(argument).resolve() for argument in sys.argv[1:]]
    run(arguments[0], arguments[1] if len(arguments) > 1 else None, Path(__file__).resolve().parents[2])
