"""The `provenance` command.

Data on standard output, progress and errors on standard error, `--json` everywhere. Exit status: 0 intact · 1 altered,
refused or forked · 2 cannot check · 3 wrong use.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with its exit status."""
    try:
        import rich  # noqa: F401 - an optional part
        import typer  # noqa: F401 - an optional part
    except ImportError:
        sys.stderr.write("provenance: the command line needs an optional part: pip install 'provenance-ledger[cli]'\n")
        sys.exit(3)
    try:
        from adapters.cli.app import run

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # before a command began
        sys.stderr.write("provenance: interrupted; nothing was done\n")
        sys.exit(130)
