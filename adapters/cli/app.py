"""The commands in one program, and the exit status of each outcome."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import Annotated, Any

import typer

from adapters.cli import (
    acts,
    care,
    consent,
    copies,
    db,
    demo,
    disclose,
    evidence,
    exports,
    fsck,
    imports,
    key,
    market,
    monitor,
    nouns,
    operate,
    parties,
    privacy,
    reader,
    receipts,
    witness,
)
from adapters.cli.output import CANNOT_CHECK, WRONG_USE, fail, flush, help_alone, status_of
from ledger.errors import Fork, LedgerError

__all__ = ["app", "program", "run"]

_INTERRUPTED = 130  # as the library answers it, and as shells do
# The library's base of "called wrongly"; it exports only classes below it.
_WrongUse: Any = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="provenance",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    market,
    operate,
    reader,
    monitor,
    evidence,
    receipts,
    nouns,
    parties,
    acts,
    consent,
    privacy,
    disclose,
    imports,
    exports,
    care,
    fsck,
    copies,
    witness,
    db,
    key,
    demo,
):
    module.add_to(app)


@app.callback(invoke_without_command=True)
def _begin(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="which release this is", is_eager=True)] = False,
) -> None:
    """A provenance and attribution ledger: record, prove and verify who made what from what, under which terms.

    New here: `provenance demo DIR` shows all of it on real files, `provenance init ORIGIN` begins a ledger.
    """
    if version:
        typer.echo(f"provenance {metadata.version('provenance-ledger')}")
        raise typer.Exit
    help_alone(context)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status; errors are one line that says what to do."""
    try:
        status = program()(args=arguments, prog_name="provenance", standalone_mode=False)
        flush()
    except typer.Abort:  # at a question
        status = _INTERRUPTED
    except _WrongUse as error:
        said = error.format_message().removeprefix("Invalid value: ").replace("Value error, ", "")
        fail(f"{said} (see: provenance --help, or the command's own --help)")
        return WRONG_USE
    except LedgerError as error:
        fail(str(error))
        if isinstance(error, Fork):
            evidence.tell_evidence(error, arguments)
        return status_of(error)
    except OSError as error:
        # What the library reads and writes raises errors of its own: this is a file the user asked us to write.
        fail(f"{error.filename or 'output'}: {error.strerror or error}; make it writable, or name another place")
        return CANNOT_CHECK
    if status == _INTERRUPTED:
        fail("interrupted; nothing half done is left: run the same command again")
    return status if isinstance(status, int) else 0


@cache
def program() -> Any:
    """All commands, as they are run. In their help a value is named after its option, not after a type of Python."""
    root = typer.main.get_command(app)
    ahead: list[Any] = [root]
    while ahead:
        command = ahead.pop()
        ahead += getattr(command, "commands", {}).values()
        for option in command.params:
            chosen = getattr(getattr(option, "type_descriptor", None), "is_choice", False)  # these name themselves
            if option.param_type_name == "option" and option.metavar is None and not option.is_flag and not chosen:
                option.metavar = option.name.upper()
    return root
