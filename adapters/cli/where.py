"""The options that say where a ledger is, the same for every command that opens one."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.cli.output import command
from adapters.cli.passphrase import passphrase
from adapters.connect import connect
from adapters.locations import database_url
from provenance.ledger import ProvenanceLedger

__all__ = ["AsJson", "Database", "Schema", "Where", "WithoutQuorum", "at_ledger", "at_own_ledger", "check_database"]

_DB = "market.db"
_PUBLIC = "public"
_PRODUCTS = ("sqlite", "postgresql")


def check_database(db: str | None) -> str | None:
    """Refuse what can never be a database of ours."""
    if db is not None and "://" in db and db.partition(":")[0].partition("+")[0] not in _PRODUCTS:
        msg = f"{db.partition('://')[0]}://…: want SQLite (a file or sqlite:///FILE) or PostgreSQL (postgresql://…)"
        raise typer.BadParameter(msg)
    if db is not None and ("://" not in db or db.startswith("sqlite")) and Path(_file(db)).is_dir():
        msg = f"{db}: a folder, want a file such as {db.rstrip('/')}/market.db"
        raise typer.BadParameter(msg)
    return db


Database = Annotated[
    str,
    typer.Option(
        "--db",
        envvar="PROVENANCE_DB",
        help="the market's database: a file or a URL",
        metavar="FILE|URL",
        callback=check_database,
    ),
]
WithoutQuorum = Annotated[
    bool, typer.Option("--without-quorum", help="publish also what too few witnesses cosigned; readers see that")
]
AsJson = Annotated[bool, typer.Option("--json", help="the same answer as JSON")]


def _option(name: str, text: str, metavar: str) -> Any:
    return Annotated[
        str | None,
        typer.Option(
            f"--{name.replace('_', '-')}",
            envvar=f"PROVENANCE_{name.upper()}",
            help=text,
            metavar=metavar,
            show_default=False,
        ),
    ]


Schema = _option("schema", "the PostgreSQL schema of our tables", "NAME")

_OPTIONS: dict[str, tuple[Any, Any]] = {
    "db": (Database, _DB),
    "publish": (
        _option("publish", f"where others read the log [default: {_PUBLIC}, or nowhere but --objects]", "FOLDER|URL"),
        None,
    ),
    "objects": (_option("objects", "tiles and bundles, where they are not in the database", "FOLDER|URL"), None),
    "checkpoints": (_option("checkpoints", "the bucket of the head, where that is not in the database", "URL"), None),
    "schema": (Schema, None),
    "index": (_option("index", "the database of the index, where it was moved to another", "FILE|URL"), None),
    "subject_keys": (
        _option("subject_keys", "the database of the keys that vault items are encrypted under", "FILE|URL"),
        None,
    ),
}


_OWN = Annotated[
    str | None, typer.Option("--db", help="operators: your database", metavar="FILE|URL", callback=check_database)
]


@dataclass(frozen=True, slots=True)
class Where:
    """Where a ledger is."""

    db: str
    publish: str | None
    objects: str | None
    checkpoints: str | None
    schema: str | None
    index: str | None
    subject_keys: str | None

    @property
    def shown(self) -> str | None:
        """Where others read the log besides `objects`; None for nowhere."""
        return self.publish or (None if self.objects else _PUBLIC)

    @property
    def read_at(self) -> str:
        """Where others read the log."""
        return self.shown or str(self.objects)

    @property
    def parts(self) -> dict[str, Any]:
        """As `adapters.connect` and its like take it."""
        return {
            "objects": self.objects,
            "checkpoints": self.checkpoints,
            "schema": self.schema,
            "index": self.index,
            "subject_keys": self.subject_keys,
        }

    @property
    def options(self) -> list[str]:
        """What leads another command to the same ledger."""
        return self._words(*_OPTIONS)

    def leading(self, fix: str) -> str:
        """A fix that is a command (`provenance publish`) as it is typed for this ledger."""
        words = fix.split()[1:]
        return command(*words, *(self._words("db", "schema") if words[0] == "db" else self.options))

    def _words(self, *names: str) -> list[str]:
        given = self._typed
        if database_url(self.db) == database_url(_DB):
            given["db"] = None
        if self.publish == _PUBLIC and not self.objects:
            given["publish"] = None
        return [word for name in names if (value := given[name]) for word in (_flag(name), value)]

    @property
    def _typed(self) -> dict[str, str | None]:
        """What the environment does not say: that may hold a password, and the next command finds it there as well."""
        return {
            name: None if os.environ.get(f"PROVENANCE_{name.upper()}") == value else value
            for name, value in asdict(self).items()
        }

    def own_command(self, *words: str) -> str:
        """A reader's command with the operator's database, which such a command never finds by itself."""
        typed = self._typed
        apart = [word for name in self.parts if (value := typed[name]) for word in (_flag(name), value)]
        if typed["db"] is None:
            return f'{command(*words, *apart)} --db "$PROVENANCE_DB"'
        return command(*words, *apart, "--db", self.db)

    @property
    def reading(self) -> list[str]:
        """What leads a reader to what this ledger publishes; a bucket's key is accepted with `trust`."""
        if "://" in self.read_at:
            return ["--log", self.read_at]
        return ["--log", self.read_at, "--policy", f"{self.read_at.rstrip('/')}/market.policy"]

    def open(self, *, signs: bool = True, without_quorum: bool = False) -> ProvenanceLedger:
        """The ledger."""
        return connect(
            self.db, publish=self.shown, signs=signs, without_quorum=without_quorum, passphrase=passphrase, **self.parts
        )


def at_ledger(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `Where` in place of its parameter `where`, which it gets made of them."""
    return _with(verb, _OPTIONS)


def at_own_ledger(verb: Callable[..., Any]) -> Callable[..., Any]:
    """As `at_ledger` for a reader's command: `where` is None unless --db is given."""
    apart = ("objects", "checkpoints", "schema", "index", "subject_keys")
    return _with(verb, {"db": (_OWN, None), **{name: _OPTIONS[name] for name in apart}})


def _with(verb: Callable[..., Any], options: dict[str, tuple[Any, Any]]) -> Callable[..., Any]:
    signature = inspect.signature(verb, eval_str=True)
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = []
    for parameter in signature.parameters.values():
        if parameter.name != "where":
            parameters.append(parameter.replace(kind=keyword))
            continue
        for name, (annotation, default) in options.items():
            parameters.append(inspect.Parameter(name, keyword, annotation=annotation, default=default))

    @wraps(verb)
    def called(**given: Any) -> Any:
        said = {name: given.pop(name, None) for name in _OPTIONS}
        return verb(where=Where(**said) if said["db"] else None, **given)

    shown: Any = called  # what the command line is read off
    shown.__signature__ = signature.replace(parameters=parameters)
    shown.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _file(db: str) -> str:
    return db.partition("://")[2].removeprefix("/") if "://" in db else db
