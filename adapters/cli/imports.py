"""Commands that take in what others wrote down."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from adapters.cli.given import file_given
from adapters.cli.output import INTACT, command, help_alone, progress, show
from adapters.cli.where import AsJson, Where, at_ledger
from ledger.errors import MalformedError, NotFound, Unavailable
from provenance.imports import Report, TableMap
from provenance.report import safe_text

__all__ = ["add_to"]

DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would become of it, and record nothing")]

_SHOWN = 12


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer()
    group.callback(invoke_without_command=True, help="Take in what others wrote down; every field is reported.")(
        help_alone
    )
    for verb in (table, collection, croissant):
        group.command(verb.__name__)(at_ledger(verb))
    app.add_typer(group, name="import")


def table(
    mapping: Annotated[Path, typer.Option("--map", help="what each row gives, in TOML")],
    file: Annotated[Path | None, typer.Argument(help="a CSV file with a line of column names")] = None,
    query: Annotated[str | None, typer.Option("--query", help="a SELECT instead of a file")] = None,
    source: Annotated[str | None, typer.Option("--from", help="the URL of the database to ask", metavar="URL")] = None,
    dry_run: DryRun = False,
    *,
    where: Where,
    as_json: AsJson = False,
) -> int:
    """Take in the rows of an existing market. All as observed; old dates are only claimed."""
    if (file is None) == (query is None):
        msg = "want a CSV file, or --query with --from"
        raise typer.BadParameter(msg)
    try:
        chosen = TableMap.parse(file_given(mapping).decode("utf-8", "replace"))
    except MalformedError as error:
        raise typer.BadParameter(str(error)) from error
    ledger = where.open(signs=not dry_run)
    raw = file_given(file) if file is not None else str(query).encode()
    with _rows(None if file is None else raw, query, source) as rows, progress() as bars:
        report = ledger.import_table(
            rows, chosen, source=raw, dry_run=dry_run, progress=lambda done: bars("rows", done, done)
        )
    return _show(report, dry_run, where, as_json)


def collection(
    file: Annotated[Path, typer.Argument(help="datasets of the Data Provenance Collection, a JSON object a line")],
    dry_run: DryRun = False,
    *,
    where: Where,
    as_json: AsJson = False,
) -> int:
    """Take in the Data Provenance Collection. Datasets with licenses, parents and models."""
    ledger = where.open(signs=not dry_run)
    with progress() as bars:
        report = ledger.import_collection(
            file_given(file), dry_run=dry_run, progress=lambda done: bars("datasets", done, done)
        )
    return _show(report, dry_run, where, as_json)


def croissant(
    files: Annotated[list[Path], typer.Argument(help="Croissant files, or folders of them")],
    dry_run: DryRun = False,
    *,
    where: Where,
    as_json: AsJson = False,
) -> int:
    """Take in datasets that Croissant files describe."""
    ledger = where.open(signs=not dry_run)
    found = [each for path in files for each in (sorted(path.rglob("*.json")) if path.is_dir() else [path])]
    report = ledger.import_croissant({str(path): file_given(path) for path in found}, dry_run=dry_run)
    return _show(report, dry_run, where, as_json)


@contextmanager
def _rows(
    data: bytes | None, query: str | None, url: str | None
) -> Iterator[Iterator[Mapping[Any, Any] | MalformedError]]:
    if data is not None:
        try:
            text_ = data.decode("utf-8-sig")  # spreadsheets begin with a mark
        except UnicodeDecodeError as error:
            msg = f"CSV: no UTF-8 at byte {error.start}; save it as UTF-8"
            raise MalformedError(msg) from error
        yield _lines(csv.DictReader(io.StringIO(text_, newline=""), strict=True))
        return
    if url is None:
        msg = "--query: want --from, the URL of the database to ask"
        raise typer.BadParameter(msg)
    try:
        asked = make_url(url)
        if asked.get_backend_name() == "sqlite" and not Path(asked.database or "").is_file():
            msg = f"--from: {asked.database or 'sqlite'}: no such file"
            raise NotFound(msg)
        engine = create_engine(asked)
        with engine.connect() as connection:
            yield (dict(row) for row in connection.execute(text(str(query))).mappings())
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        # The URL may hold a password, and the database's own message may repeat it.
        msg = f"--from, --query: {type(error).__name__}: {str(getattr(error, 'orig', error))[:200]}"
        raise Unavailable(msg.replace(url, "URL")) from None


def _lines(reader: csv.DictReader[str]) -> Iterator[Mapping[Any, Any] | MalformedError]:
    """The rows of a table; in place of one that is none, what is wrong with it."""
    names = list(reader.fieldnames or ())
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        msg = f"CSV: the column {twice[:80]!r} stands there twice"
        raise MalformedError(msg)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield MalformedError(f"CSV: line {reader.line_num}: {error}")


def _show(report: Report, dry_run: bool, where: Where, as_json: bool) -> int:
    rates, why = report.rates(), report.why()
    lines = [
        *(["nothing was recorded: this is what would become of it"] if dry_run else []),
        *(
            f"{kind:<9} {sum(each.values()):>6}: {', '.join(f'{number} {name}' for name, number in each.items())}"
            f" ({rates[kind]:.1%} taken whole)"
            for kind, each in report.counts().items()
        ),
        *(f"field     {safe_text(name, limit=80)}: {how}" for name, how in report.fields.items()),
        *(f"why       {number} x {safe_text(each, limit=200)}" for each, number in list(why.items())[:_SHOWN]),
    ]
    if len(why) > _SHOWN:
        lines.append(f"          and {len(why) - _SHOWN} more reasons: --json lists all")
    lines.append(f"next: {command('event', 'list', '--type', 'import.accepted', *where.options)}")
    show(report.value(), as_json=as_json, text="\n".join(lines))
    return INTACT
