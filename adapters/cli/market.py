"""Commands of a market operator: they need the database and its keys."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer
from sqlalchemy.engine import make_url

from adapters.cli.given import PARTY, WORK, Ref, named
from adapters.cli.money import format_money, parse_money
from adapters.cli.output import command, show, working
from adapters.cli.passphrase import new_passphrase
from adapters.cli.where import AsJson, Where, WithoutQuorum, at_ledger
from adapters.connect import create, keys_folder
from adapters.locations import database_url
from ledger.errors import MalformedError
from ledger.note import SigningKey
from provenance.drafts import Money
from provenance.ledger import ProvenanceLedger
from provenance.ticket import Ticket

__all__ = ["add_to", "recorded"]

Kind = Literal["person", "org", "market", "software", "model-provider", "collective"]
Title = Annotated[str | None, typer.Option("--title", help="goes to the vault, never into the log")]
Creator = Annotated[list[str], typer.Option("--creator", help="id or ref of a party; repeat for several")]
OfferedUnder = Annotated[str | None, typer.Option("--terms", help="offer it to all: an SPDX expression or terms id")]
Tool = Annotated[str | None, typer.Option("--tool", help="the generative model that made it: id or ref")]
SourceType = Annotated[str | None, typer.Option("--source-type", help="term of IPTC digital source types")]
Price = Annotated[
    str | None, typer.Option("--price", help="12.50EUR, or in minor units 1250EUR; twelve euros are 12.00EUR")
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for verb in (init, register, create_work, derive, offer, license_, attach, publish):
        app.command(verb.__name__.removesuffix("_work").rstrip("_"))(at_ledger(verb))


def init(
    origin: Annotated[str, typer.Argument(help="name of the log for ever, such as market.example/log")],
    *,
    where: Where,
    name: Annotated[str | None, typer.Option("--name", help="the market's name, for the vault")] = None,
    ask: Annotated[bool, typer.Option("--passphrase", help="ask for a passphrase to encrypt the keys with")] = False,
    post_quantum: Annotated[
        bool, typer.Option("--post-quantum", help="sign with ML-DSA-44 too, from now on and never without")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Begin a ledger: keys, database, genesis, published folder."""
    try:
        SigningKey.generate(origin)
    except MalformedError as error:
        msg = f"origin: {error}"
        raise typer.BadParameter(msg) from error
    passphrase = new_passphrase if ask else None
    ledger = create(
        where.db,
        origin=origin,
        publish=where.shown,
        market_name=name,
        passphrase=passphrase,
        post_quantum=post_quantum,
        **where.parts,
    )
    key, *also = ledger.log.keys.verifiers
    keys = str(keys_folder(make_url(database_url(where.db))))
    value = {"origin": origin, "key": str(key), "database": where.db, "publish": where.read_at, "keys": keys}
    apart = () if where.subject_keys is None else ("subjects  keys in a database of their own: back that up apart",)
    lines = (
        f"origin    {origin}",
        f"log key   {key}",
        *(f"second    {each.name}+{each.key_id.hex()} (ML-DSA-44), whole in market-pq.policy" for each in also),
        f"keys      {keys}/ (with a development certificate)",
        *apart,
        f"publish   {where.read_at.rstrip('/')}/",
        f"next: {command('register', 'person', '--name', 'Ada', '--ref', 'user:42', *where.options)}",
    )
    show({**value, "market": ledger.market.hex()}, as_json=as_json, text="\n".join(lines))


def register(
    kind: Annotated[Kind, typer.Argument(help="what it is")],
    name: Annotated[str | None, typer.Option("--name", help="goes to the vault, never into the log")] = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Register a party that the market vouches for."""
    ledger = where.open()
    ticket = ledger.register_party(kind, name=name, ref=ref)
    then = f"provenance create FILE --creator {shlex.quote(ref or ticket.id)}"
    recorded(ledger, ticket, as_json, command("status", *where.options), f"with a file of theirs: {then}")


def create_work(
    file: Annotated[Path, typer.Argument(help="the work's file; it is read, never changed")],
    creator: Creator,
    terms: OfferedUnder = None,
    title: Title = None,
    tool: Tool = None,
    source_type: SourceType = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Record a work from its file."""
    ledger = where.open()
    with working(f"reading {file.name}"):
        ticket = ledger.create(
            file,
            creators=[named(ledger, c, PARTY) for c in creator],
            terms=terms,
            title=title,
            tool=named(ledger, tool, PARTY) if tool else None,
            source_type=source_type,
            ref=ref,
        )
    recorded(ledger, ticket, as_json, _attaching(ticket, file, where))


def derive(
    file: Annotated[Path, typer.Argument(help="the new work's file; it is read, never changed")],
    parent: Annotated[list[str], typer.Option("--parent", help="id or ref of a work; repeat for several")],
    creator: Creator,
    relation: Annotated[str, typer.Option("--relation", help="edited, composed, translated, adapted, …")] = "edited",
    terms: OfferedUnder = None,
    title: Title = None,
    tool: Tool = None,
    source_type: SourceType = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Record a work that was made from others."""
    ledger = where.open()
    with working(f"reading {file.name}"):
        ticket = ledger.derive(
            file,
            parents=[named(ledger, p, WORK) for p in parent],
            creators=[named(ledger, c, PARTY) for c in creator],
            relation=relation,
            terms=terms,
            title=title,
            tool=named(ledger, tool, PARTY) if tool else None,
            source_type=source_type,
            ref=ref,
        )
    recorded(ledger, ticket, as_json, _attaching(ticket, file, where))


def offer(
    work: Annotated[str, typer.Argument(help="id or ref of a work")],
    terms: Annotated[str, typer.Option("--terms", help="an SPDX expression or the id of terms")],
    price: Price = None,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Offer a work under terms."""
    ledger = where.open()
    money = _money(price)
    ticket = ledger.offer(named(ledger, work, WORK), terms=terms, price=money, ref=ref)
    asked = ["--price", format_money(money).replace(" ", "")] if money else []
    sell = command("license", work, "--offer", ref or ticket.id, *asked, "--to")
    lines = (f"price {format_money(money) if money else 'none'}", f"to sell it: {sell} PARTY")
    recorded(ledger, ticket, as_json, command("status", *where.options), *lines)


def license_(
    work: Annotated[str, typer.Argument(help="id or ref of a work")],
    to: Annotated[str, typer.Option("--to", help="id or ref of the licensee")],
    offer: Annotated[str, typer.Option("--offer", help="id or ref of the offer")],
    price: Price = None,
    quantity: Annotated[int, typer.Option("--quantity", min=1, help="how many of it")] = 1,
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Grant a license under an offer; the grant itself is sealed."""
    ledger = where.open()
    money = _money(price)
    ticket = ledger.license(
        named(ledger, work, WORK),
        to=named(ledger, to, PARTY),
        offer=named(ledger, offer, ("offer",)),
        price=money,
        quantity=quantity,
        ref=ref,
    )
    next_ = where.own_command("proof", ticket.id, *where.reading)
    recorded(ledger, ticket, as_json, next_, *([f"price {format_money(money)}"] if money else []))


def attach(
    work: Annotated[str, typer.Argument(help="id or ref of a work")],
    source: Annotated[Path, typer.Argument(help="the work's file")],
    destination: Annotated[Path, typer.Argument(help="where the signed file goes")],
    ref: Ref = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Write a signed copy whose C2PA manifest names the log entry."""
    ledger = where.open()
    with working(f"signing {destination.name}"):
        ticket = ledger.attach(named(ledger, work, WORK), source, destination, ref=ref)
    recorded(ledger, ticket, as_json, command("verify", str(destination), *where.reading))


def publish(*, where: Where, without_quorum: WithoutQuorum = False, as_json: AsJson = False) -> None:
    """Sequence what was accepted and publish a checkpoint over it."""
    ledger = where.open(without_quorum=without_quorum)
    with working("publishing"):
        checkpoint = ledger.publish()
    value = {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}
    next_ = command("audit", where.read_at, *where.reading[2:])
    show(value, as_json=as_json, text=f"{checkpoint.origin} published at size {checkpoint.size}\nnext: {next_}")


def recorded(ledger: ProvenanceLedger, ticket: Ticket, as_json: bool, next_: str, *more: str) -> None:
    """Show what was recorded, where it stands, and the next command."""
    entry = ledger.index.find(bytes.fromhex(ticket.id))
    size = ledger.log.checkpoint.size
    index = ledger.receipt(ticket).index if entry is None else entry.idx
    stands = f"published at size {size}" if index < size else "sequenced, and published once a quorum has cosigned"
    value = {"event": ticket.id, "type": ticket.type, "ref": ticket.ref, "index": index, "published": index < size}
    lines = (
        f"{ticket.type} {ticket.id}",
        f"#{index} {stands}",
        *more,
        f"next: {next_}",
    )
    show(value, as_json=as_json, text="\n".join(lines))


def _attaching(ticket: Ticket, file: Path, where: Where) -> str:
    signed = file.with_name(f"{file.stem}.signed{file.suffix}")
    return command("attach", ticket.id, str(file), str(signed), *where.options)


def _money(price: str | None) -> Money | None:
    if price is None:
        return None
    try:
        return parse_money(price)
    except MalformedError as error:
        raise typer.BadParameter(str(error)) from error
