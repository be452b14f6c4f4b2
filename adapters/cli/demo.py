"""The demo as a command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapters.cli.output import INTACT, echo, show

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("demo")(demo)


def demo(
    folder: Annotated[Path, typer.Argument(help="where everything goes; files of an earlier run are replaced")],
    media: Annotated[list[Path] | None, typer.Option("--media", help="files of your own; repeat for several")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the same answer as JSON")] = False,
) -> int:
    """See the library do what it is for, on real files."""
    from adapters.demo import demo as run_demo

    lines: list[str] = []
    run_demo(folder, media or [], say=lines.append if as_json else echo)
    if as_json:
        show({"folder": str(folder), "lines": lines}, as_json=True, text="")
    return INTACT
