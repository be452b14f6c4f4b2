"""The demo as a command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapters.cli.output import INTACT, echo

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("demo")(demo)


def demo(
    folder: Annotated[Path, typer.Argument(help="where everything goes; files of an earlier run are replaced")],
    media: Annotated[list[Path] | None, typer.Option("--media", help="files of your own; repeat for several")] = None,
) -> int:
    """See the library do what it is for, on real files."""
    from adapters.demo import demo as run_demo

    run_demo(folder, media or [], say=echo)
    return INTACT
