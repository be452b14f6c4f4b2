"""One look at everything that could go wrong with a ledger, each finding with its fix."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from adapters.connect import connect, database_url, keys_beside
from adapters.keys import load_secret
from adapters.sql.doctor import BEGIN_LINES, SAVEPOINT_LINES, begins_immediate, savepoints_hold
from adapters.sql.store import SqlStore
from ledger.errors import LedgerError
from provenance.content import Credential, is_development, lint

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["Finding", "examine"]

_WHERE = "add where `engine` is made (of an AsyncEngine: engine = its .sync_engine):"


class Finding(NamedTuple):
    """One check: ok, note (to know) or bad (to mend), what was found, the fix, and lines of Python to paste for it."""

    name: str
    status: Literal["ok", "note", "bad"]
    detail: str
    fix: str = ""
    lines: str = ""


def examine(
    database: str,
    *,
    publish: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
    production: bool = False,
) -> list[Finding]:
    """Examine database, keys, certificate, published folder and, where given, the market's own `engine`."""
    try:
        store = SqlStore(database_url(database))
    except LedgerError as error:
        return [Finding("database", "bad", str(error), "or name the database with --db")]
    findings = [Finding("database", "ok", f"{store.url.database} opens, every commit durable (synchronous=FULL)")]
    findings += _keys(store, production=production)
    findings.append(_ledger(database, publish))
    if engine is not None:
        findings += _engine(engine)
    store.close()
    return findings


def _ledger(database: str, publish: str | os.PathLike[str] | None) -> Finding:
    try:
        ledger = connect(database, publish=publish)
        behind = ledger.log.size - ledger.index.size
        size, published, waiting = ledger.log.size, ledger.log.checkpoint.size, ledger.waiting
    except LedgerError as error:
        return Finding(
            "ledger", "bad", str(error), f"if the database is an older copy: provenance recover --publish {publish}"
        )
    if behind:
        return Finding("index", "bad", f"{behind} entries behind the log", "provenance index rebuild")
    if waiting or published < size:
        detail = f"{waiting} events wait, {size - published} entries are not yet published"
        return Finding("ledger", "note", detail, "provenance publish")
    return Finding("ledger", "ok", f"size {size}, published {published}, nothing waits, index behind by 0")


def _keys(store: SqlStore, *, production: bool) -> list[Finding]:
    findings = []
    for name, uri in keys_beside(store).items():
        try:
            text = load_secret(uri)
        except LedgerError as error:
            findings.append(
                Finding(f"{name} key", "bad", str(error), f"restore {uri.partition(':')[2]} from its backup")
            )
            continue
        findings.append(Finding(f"{name} key", "ok", f"{uri} is there and private"))
        if name == "claim":
            findings += _certificate(Credential.parse(text), production=production)
    return findings


def _certificate(credential: Credential, *, production: bool) -> list[Finding]:
    problems = lint(credential, at=datetime.now(UTC))
    findings = [Finding("certificate", "bad", problem, "get a new certificate") for problem in problems]
    if is_development(credential):
        fix = "put a certificate from a C2PA certification authority into claim.pem before real users see manifests"
        status: Literal["bad", "note"] = "bad" if production else "note"
        findings.append(Finding("certificate", status, "is for development only: nobody else trusts it", fix))
    elif not problems:
        findings.append(Finding("certificate", "ok", "fit to sign manifests"))
    return findings


def _engine(engine: Engine) -> list[Finding]:
    findings = []
    if savepoints_hold(engine):
        findings.append(Finding("savepoints", "ok", "rows written inside a savepoint vanish with the outer rollback"))
    else:
        detail = "rows written inside a savepoint survive a rollback of the outer transaction"
        findings.append(Finding("savepoints", "bad", detail, _WHERE, SAVEPOINT_LINES))
    if begins_immediate(engine):
        findings.append(Finding("transactions", "ok", "take the write lock when they begin"))
    else:
        detail = "begin deferred: one that reads and then writes fails at once when another writer was faster"
        findings.append(Finding("transactions", "note", detail, _WHERE, BEGIN_LINES))
    return findings
