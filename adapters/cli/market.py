"""Commands of a market operator: they need the database and its keys."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from adapters.cli.money import format_money, parse_money
from adapters.cli.output import command, show, working
from adapters.connect import connect, create, database_url
from ledger.errors import MalformedError, NotFound
from ledger.note import SigningKey
from provenance.drafts import Money
from provenance.ledger import ProvenanceLedger
from provenance.ticket import Ticket

__all__ = ["AsJson", "Database", "Publish", "add_to", "check_database", "named", "open_ledger", "place", "reading"]


def check_database(db: str | None) -> str | None:
    """Refuse what can never be a database of this release."""
    if db is not None and "://" in db and not db.startswith("sqlite:///"):
        msg = f"{db.partition('://')[0]}://…: this release stores in SQLite only; want a file or sqlite:///FILE"
        raise typer.BadParameter(msg)
    if db is not None and Path(db.removeprefix("sqlite:///")).is_dir():
        msg = f"{db}: a folder, want a file such as {db.rstrip('/')}/market.db"
        raise typer.BadParameter(msg)
    return db


Kind = Literal["person", "org", "market", "software", "model-provider", "collective"]
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
Publish = Annotated[
    Path, typer.Option("--publish", envvar="PROVENANCE_PUBLISH", help="the folder that others read the log from")
]
AsJson = Annotated[bool, typer.Option("--json", help="the same answer as JSON")]
Ref = Annotated[str | None, typer.Option("--ref", help="your own name for it, such as order:7731")]
Title = Annotated[str | None, typer.Option("--title", help="goes to the vault, never into the log")]
Creator = Annotated[list[str], typer.Option("--creator", help="id or ref of a party; repeat for several")]
Price = Annotated[
    str | None, typer.Option("--price", help="12.50EUR, or in minor units 1250EUR; twelve euros are 12.00EUR")
]

_DB = "market.db"
_PUBLIC = Path("public")
_WORK = ("create", "derive")
_PARTY = ("register_party",)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for verb in (init, register, create_work, derive, offer, license_, attach, publish, status):
        app.command(verb.__name__.removesuffix("_work").rstrip("_"))(verb)


def init(
    origin: Annotated[str, typer.Argument(help="name of the log for ever, such as market.example/log")],
    db: Database = _DB,
    publish: Publish = _PUBLIC,
    name: Annotated[str | None, typer.Option("--name", help="the market's name, for the vault")] = None,
    as_json: AsJson = False,
) -> None:
    """Begin a ledger: keys, database, genesis, published folder."""
    try:
        SigningKey.generate(origin)
    except MalformedError as error:
        msg = f"origin: {error}"
        raise typer.BadParameter(msg) from error
    ledger = create(db, origin=origin, publish=publish, market_name=name)
    key = ledger.log.policy.logs[0].key
    value = {"origin": origin, "key": str(key), "database": db, "publish": str(publish), "market": ledger.market.hex()}
    lines = (
        f"origin    {origin}",
        f"log key   {key}",
        f"keys      {Path(db.removeprefix('sqlite:///')).with_suffix('.keys')}/ (with a development certificate)",
        f"publish   {publish}/",
        f"next: {command('register', 'person', '--name', 'Ada', '--ref', 'user:42', *place(db, publish))}",
    )
    show(value, as_json=as_json, text="\n".join(lines))


def register(
    kind: Annotated[Kind, typer.Argument(help="what it is")],
    name: Annotated[str | None, typer.Option("--name", help="goes to the vault, never into the log")] = None,
    ref: Ref = None,
    db: Database = _DB,
    publish: Publish = _PUBLIC,
    as_json: AsJson = False,
) -> None:
    """Register a party that the market vouches for."""
    ledger = open_ledger(db, publish)
    ticket = ledger.register_party(kind, name=name, ref=ref)
    then = f"provenance create FILE --creator {shlex.quote(ref or ticket.id)}"
    _show(ledger, ticket, as_json, command("status", *place(db, publish)), f"with a file of theirs: {then}")


def create_work(
    file: Annotated[Path, typer.Argument(help="the work's file; it is read, never changed")],
    creator: Creator,
    terms: Annotated[
        str | None, typer.Option("--terms", help="offer it to all: an SPDX expression or terms id")
    ] = None,
    title: Title = None,
    tool: Annotated[str | None, typer.Option("--tool", help="the generative model that made it: id or ref")] = None,
    source_type: Annotated[str | None, typer.Option("--source-type", help="term of IPTC digital source types")] = None,
    ref: Ref = None,
    db: Database = _DB,
    publish: Publish = _PUBLIC,
    as_json: AsJson = False,
) -> None:
    """Record a work from its file."""
    ledger = open_ledger(db, publish)
    with working(f"reading {file.name}"):
        ticket = ledger.create(
            file,
            creators=[named(ledger, c, _PARTY) for c in creator],
            terms=terms,
            title=title,
            tool=named(ledger, tool, _PARTY) if tool else None,
            source_type=source_type,
            ref=ref,
        )
    _show(ledger, ticket, as_json, _attaching(ticket, file, db, publish))


def derive(
    file: Annotated[Path, typer.Argument(help="the new work's file; it is read, never changed")],
    parent: Annotated[list[str], typer.Option("--parent", help="id or ref of a work; repeat for several")],
    creator: Creator,
    relation: Annotated[str, typer.Option("--relation", help="edited, composed, translated, adapted, …")] = "edited",
    terms: Annotated[
        str | None, typer.Option("--terms", help="offer it to all: an SPDX expression or terms id")
    ] = None,
    title: Title = None,
    tool: Annotated[str | None, typer.Option("--tool", help="the generative model that made it: id or ref")] = None,
    source_type: Annotated[str | None, typer.Option("--source-type", help="term of IPTC digital source types")] = None,
    ref: Ref = None,
    db: Database = _DB,
    publish: Publish = _PUBLIC,
    as_json: AsJson = False,
) -> None:
    """Record a work that was made from others."""
    ledger = open_ledger(db, publish)
    with working(f"reading {file.name}"):
        ticket = ledger.derive(
            file,
            parents=[named(ledger, p, _WORK) for p in parent],
            creators=[named(ledger, c, _PARTY) for c in creator],
            relation=relation,
            terms=terms,
            title=title,
            tool=named(ledger, tool, _PARTY) if tool else None,
            source_type=source_type,
            ref=ref,
        )
    _show(ledger, ticket, as_json, _attaching(ticket, file, db, publish))


def offer(
    work: Annotated[str, typer.Argument(help="id or ref of a work")],
    terms: Annotated[str, typer.Option("--terms", help="an SPDX expression or the id of terms")],
    price: Price = None,
    ref: Ref = None,
    db: Database = _DB,
    publish: Publish = _PUBLIC,
    as_json: AsJson = False,
) -> None:
    """Offer a work under terms."""
    ledger = open_ledger(db, publish)
    money = _money(price)
    ticket = ledger.offer(named(ledger, work, _WORK), terms=terms, price=money, ref=ref)
    asked = ["--price", format_money(money).replace(" ", "")] if money else []
    sell = command("license", work, "--offer", ref or ticket.id, *asked, "--to")
    lines = (f"price {format_money(money) if money else 'none'}", f"to sell it: {sell} PARTY")
    _show(ledger, ticket, as_json, command("status", *place(db, publish)), *lines)


def license_(
    work: Annotated[str, typer.Argument(help="id or ref of a work")],
    to: Annotated[str, typer.Option("--to", help="id or ref of the licensee")],
    offer: Annotated[str, typer.Option("--offer", help="id or ref of the offer")],
    price: Price = None,
    quantity: Annotated[int, typer.Option("--quantity", min=1)] = 1,
    ref: Ref = None,
    db: Database = _DB,
    publish: Publish = _PUBLIC,
    as_json: AsJson = False,
) -> None:
    """Grant a license under an offer; the grant itself is sealed."""
    ledger = open_ledger(db, publish)
    money = _money(price)
    ticket = ledger.license(
        named(ledger, work, _WORK),
        to=named(ledger, to, _PARTY),
        offer=named(ledger, offer, ("offer",)),
        price=money,
        quantity=quantity,
        ref=ref,
    )
    next_ = command("proof", ticket.id, "--db", db, *reading(publish))
    _show(ledger, ticket, as_json, next_, *([f"price {format_money(money)}"] if money else []))


def attach(
    work: Annotated[str, typer.Argument(help="id or ref of a work")],
    source: Annotated[Path, typer.Argument(help="the work's file")],
    destination: Annotated[Path, typer.Argument(help="where the signed file goes")],
    ref: Ref = None,
    db: Database = _DB,
    publish: Publish = _PUBLIC,
    as_json: AsJson = False,
) -> None:
    """Write a signed copy whose C2PA manifest names the log entry."""
    ledger = open_ledger(db, publish)
    with working(f"signing {destination.name}"):
        ticket = ledger.attach(named(ledger, work, _WORK), source, destination, ref=ref)
    _show(ledger, ticket, as_json, command("verify", str(destination), *reading(publish)))


def publish(db: Database = _DB, publish: Publish = _PUBLIC, as_json: AsJson = False) -> None:
    """Sequence what was accepted and publish a checkpoint over it."""
    ledger = open_ledger(db, publish)
    with working("publishing"):
        checkpoint = ledger.publish()
    value = {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}
    next_ = command("audit", str(publish), *reading(publish)[2:])
    show(value, as_json=as_json, text=f"{checkpoint.origin} published at size {checkpoint.size}\nnext: {next_}")


def status(db: Database = _DB, publish: Publish = _PUBLIC, as_json: AsJson = False) -> None:
    """Where the ledger stands: size, checkpoint, queue, index."""
    ledger = open_ledger(db, publish)
    checkpoint, index = ledger.log.checkpoint, ledger.index
    value: dict[str, Any] = {
        "origin": checkpoint.origin,
        "sequenced": ledger.log.size,
        "published": checkpoint.size,
        "waiting": ledger.waiting,
        "index_behind": ledger.log.size - index.size,
        "log_time": index.last_time(),
        "types": index.counts(),
    }
    types = "  ".join(f"{kind} {number}" for kind, number in value["types"].items())
    text = (
        f"{checkpoint.origin}   size {ledger.log.size}   published {checkpoint.size}   queue {ledger.waiting}   "
        f"index −{value['index_behind']}   log time {value['log_time']}\n{types}\n"
        f"next: {command('audit', str(publish), *reading(publish)[2:])}"
    )
    show(value, as_json=as_json, text=text)


def open_ledger(db: str, publish: Path | None) -> ProvenanceLedger:
    """The ledger of these options."""
    return connect(db, publish=publish)


def named(ledger: ProvenanceLedger, name: str, verbs: Sequence[str] = ()) -> Ticket | str:
    """What a user calls by an event id, or by the ref it was given with one of these verbs."""
    if len(name) == 64 and all(c in "0123456789abcdef" for c in name):
        return name
    for verb in verbs:
        with suppress(NotFound):
            return ledger.find(name, verb=verb)
    return ledger.find(name)


def place(db: str, publish: Path) -> list[str]:
    """The options that lead another command to the same ledger."""
    return [
        *(["--db", db] if database_url(db) != database_url(_DB) else []),
        *(["--publish", str(publish)] if publish != _PUBLIC else []),
    ]


def reading(publish: Path) -> list[str]:
    """The options that lead a reader to what this ledger publishes."""
    return ["--log", str(publish), "--policy", str(publish / "market.policy")]


def _attaching(ticket: Ticket, file: Path, db: str, publish: Path) -> str:
    signed = file.with_name(f"{file.stem}.signed{file.suffix}")
    return command("attach", ticket.id, str(file), str(signed), *place(db, publish))


def _money(price: str | None) -> Money | None:
    if price is None:
        return None
    try:
        return parse_money(price)
    except MalformedError as error:
        raise typer.BadParameter(str(error)) from error


def _show(ledger: ProvenanceLedger, ticket: Ticket, as_json: bool, next_: str, *more: str) -> None:
    receipt = ledger.receipt(ticket)
    value = {"event": ticket.id, "type": ticket.type, "ref": ticket.ref, "index": receipt.index}
    lines = (
        f"{ticket.type} {ticket.id}",
        f"#{receipt.index} published at size {ledger.log.checkpoint.size}",
        *more,
        f"next: {next_}",
    )
    show(value, as_json=as_json, text="\n".join(lines))
