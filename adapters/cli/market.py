"""Commands of a market operator: they need the database and its keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.cli.output import progress, show
from adapters.connect import connect, create
from provenance.drafts import Money
from provenance.ledger import ProvenanceLedger
from provenance.ticket import Ticket

__all__ = ["AsJson", "Database", "Publish", "add_to", "open_ledger"]

Database = Annotated[
    str, typer.Option("--db", envvar="PROVENANCE_DB", help="the market's database: a file or a URL", metavar="FILE|URL")
]
Publish = Annotated[
    Path, typer.Option("--publish", envvar="PROVENANCE_PUBLISH", help="the folder that others read the log from")
]
AsJson = Annotated[bool, typer.Option("--json", help="the same answer as JSON")]
Ref = Annotated[str | None, typer.Option("--ref", help="your own name for it, such as order:7731")]
Title = Annotated[str | None, typer.Option("--title", help="goes to the vault, never into the log")]
Creator = Annotated[list[str], typer.Option("--creator", help="id or ref of a party; repeat for several")]
Price = Annotated[str | None, typer.Option("--price", help="in minor units with its currency: 1250EUR")]

_DB = "market.db"
_PUBLIC = Path("public")


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (init, register, create_work, derive, offer, license_, attach, publish, status):
        app.command(command.__name__.removesuffix("_work").rstrip("_"))(command)


def init(
    origin: Annotated[str, typer.Argument(help="name of the log for ever, such as market.example/log")],
    db: Database = _DB,
    publish: Publish = _PUBLIC,
    name: Annotated[str | None, typer.Option("--name", help="the market's name, for the vault")] = None,
    as_json: AsJson = False,
) -> None:
    """Begin a ledger: keys, database, genesis entry, and the folder that others read."""
    ledger = create(db, origin=origin, publish=publish, market_name=name)
    key = ledger.log.policy.logs[0].key
    value = {"origin": origin, "key": str(key), "database": db, "publish": str(publish), "market": ledger.market.hex()}
    lines = (
        f"origin    {origin}",
        f"log key   {key}",
        f"keys      {Path(db.removeprefix('sqlite:///')).with_suffix('.keys')}/ (with a development certificate)",
        f"publish   {publish}/",
        "next: provenance register person --name Ada --ref user:42",
    )
    show(value, as_json=as_json, text="\n".join(lines))


def register(
    kind: Annotated[str, typer.Argument(help="person, org, market, software, model-provider or collective")],
    name: Annotated[str | None, typer.Option("--name", help="goes to the vault, never into the log")] = None,
    ref: Ref = None,
    db: Database = _DB,
    publish: Publish = _PUBLIC,
    as_json: AsJson = False,
) -> None:
    """Register a party that the market vouches for."""
    ledger = open_ledger(db, publish)
    ticket = ledger.register_party(kind, name=name, ref=ref)
    _show(ledger, ticket, as_json, f"provenance create FILE --creator {ref or ticket.id}")


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
    with progress() as bars:
        ticket = ledger.create(
            file,
            creators=[_named(ledger, c) for c in creator],
            terms=terms,
            title=title,
            tool=_named(ledger, tool) if tool else None,
            source_type=source_type,
            ref=ref,
            progress=lambda done, total: bars("file", done, total),
        )
    _show(ledger, ticket, as_json, f"provenance attach {ref or ticket.id} {file} SIGNED-FILE")


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
    with progress() as bars:
        ticket = ledger.derive(
            file,
            parents=[_named(ledger, p) for p in parent],
            creators=[_named(ledger, c) for c in creator],
            relation=relation,
            terms=terms,
            title=title,
            tool=_named(ledger, tool) if tool else None,
            source_type=source_type,
            ref=ref,
            progress=lambda done, total: bars("file", done, total),
        )
    _show(ledger, ticket, as_json, f"provenance attach {ref or ticket.id} {file} SIGNED-FILE")


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
    ticket = ledger.offer(_named(ledger, work), terms=terms, price=_money(price), ref=ref)
    _show(ledger, ticket, as_json, f"provenance license {work} --to PARTY --offer {ref or ticket.id}")


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
    ticket = ledger.license(
        _named(ledger, work),
        to=_named(ledger, to),
        offer=_named(ledger, offer),
        price=_money(price),
        quantity=quantity,
        ref=ref,
    )
    _show(ledger, ticket, as_json, f"provenance proof {ref or ticket.id}")


def attach(
    work: Annotated[str, typer.Argument(help="id or ref of a work")],
    source: Annotated[Path, typer.Argument(help="the work's file")],
    destination: Annotated[Path, typer.Argument(help="where the signed file goes")],
    ref: Ref = None,
    db: Database = _DB,
    publish: Publish = _PUBLIC,
    as_json: AsJson = False,
) -> None:
    """Write a signed copy with a C2PA manifest that names the log entry."""
    ledger = open_ledger(db, publish)
    ticket = ledger.attach(_named(ledger, work), source, destination, ref=ref)
    _show(ledger, ticket, as_json, f"provenance verify {destination}")


def publish(db: Database = _DB, publish: Publish = _PUBLIC, as_json: AsJson = False) -> None:
    """Sequence everything accepted so far and publish a checkpoint over it."""
    checkpoint = open_ledger(db, publish).publish()
    value = {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}
    show(value, as_json=as_json, text=f"{checkpoint.origin} published at size {checkpoint.size}")


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
        f"index −{value['index_behind']}   log time {value['log_time']}\n{types}\nnext: provenance audit {publish}"
    )
    show(value, as_json=as_json, text=text)


def open_ledger(db: str, publish: Path | None) -> ProvenanceLedger:
    """The ledger of these options."""
    return connect(db, publish=publish)


def _named(ledger: ProvenanceLedger, name: str) -> Ticket | str:
    """A ref of the market's, or an event id as it is."""
    is_id = len(name) == 64 and all(c in "0123456789abcdef" for c in name)
    return name if is_id else ledger.find(name)


def _money(price: str | None) -> Money | None:
    if price is None:
        return None
    amount, currency = price[:-3].strip(), price[-3:]
    if not (amount.isascii() and amount.isdigit() and currency.isalpha() and currency.isupper()):
        msg = f"price {price!r}: want minor units and an ISO 4217 code, such as 1250EUR"
        raise typer.BadParameter(msg)
    return Money(int(amount), currency)


def _show(ledger: ProvenanceLedger, ticket: Ticket, as_json: bool, next_: str) -> None:
    receipt = ledger.receipt(ticket)
    value = {"event": ticket.id, "type": ticket.type, "ref": ticket.ref, "index": receipt.index}
    text = f"{ticket.type} {ticket.id}\n#{receipt.index} published at size {ledger.log.checkpoint.size}\nnext: {next_}"
    show(value, as_json=as_json, text=text)
