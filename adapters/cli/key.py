"""Commands for keys: making them, encrypting them, and telling which key a file holds. Secrets are never shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.cli.output import command, help_alone, show, working
from adapters.cli.passphrase import new_passphrase, passphrase
from adapters.cli.where import AsJson, Where, at_ledger
from adapters.keys import environment_passphrase, load_secret, read_secret, save_secret
from adapters.known_key import KeyType, KnownKey, at_rest, public_half, public_half_of
from ledger.cosignature import ED25519, ML_DSA_44, Cosigner
from ledger.encrypted_key import EncryptedKey, is_encrypted
from ledger.errors import MalformedError
from ledger.note import SigningKey
from provenance.content import make_development_credential
from provenance.keys import PartyKey

__all__ = ["add_to"]

Out = Annotated[Path | None, typer.Option("--out", help="the new file; one that is there is never overwritten")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer()
    group.callback(invoke_without_command=True)(_group)
    group.command("new")(new)
    group.command("show")(show_)
    group.command("encrypt")(encrypt)
    group.command("rotate")(at_ledger(rotate))
    app.add_typer(group, name="key")


def _group(context: typer.Context) -> None:
    """Keys: log and market have one each, and so has every witness."""
    help_alone(context)


def new(
    type_: Annotated[KeyType, typer.Option("--type", help="what it signs")] = "log",
    name: Annotated[
        str | None,
        typer.Option("--name", help="in its signature lines; a log's is its origin: market.example/log"),
    ] = None,
    out: Out = None,
    ask: Annotated[bool, typer.Option("--passphrase", help="ask for a passphrase to encrypt it with")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key in a file of mode 0600. Encrypted when there is a passphrase, here or in the environment."""
    if (type_ != "market") != (name is not None):
        msg = f"--name: a {type_} key has {'none' if type_ == 'market' else 'one; give --name'}"
        raise typer.BadParameter(msg)
    try:
        secret = _make(type_, name or "")
    except MalformedError as error:
        msg = f"--name: {error}"
        raise typer.BadParameter(msg) from error
    known = new_passphrase() if ask else environment_passphrase()
    _save(out or Path(f"{type_}.key"), secret, known, as_json=as_json)


def show_(
    key: Annotated[str, typer.Argument(help="a key file, or where a key is: file:PATH, env:NAME", metavar="FILE|URI")],
    opens: Annotated[bool, typer.Option("--passphrase", help="open it as well: is this its passphrase?")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell which key it is: type, name, key id and public half. Never the secret, and without opening it."""
    uri = _uri(key)
    text = read_secret(uri)
    if opens and is_encrypted(text) and public_half_of(load_secret(uri, passphrase=passphrase)) != public_half(text):
        msg = f"{key}: holds another key than it says in front of it"
        raise MalformedError(msg)
    _show(text, uri, as_json=as_json)


def encrypt(
    key: Annotated[str, typer.Argument(help="a key file, or where a key is: file:PATH, env:NAME", metavar="FILE|URI")],
    out: Annotated[Path, typer.Option("--out", help="the new file; one that is there is never overwritten")],
    as_json: AsJson = False,
) -> None:
    """Write a key into a new file, encrypted. The old file stays: delete it once the new one opens."""
    text = read_secret(_uri(key))
    if is_encrypted(text):
        msg = f"{key}: is encrypted already"
        raise typer.BadParameter(msg)
    public_half_of(text)  # nothing else is written into a key file
    _save(out, text, new_passphrase(), as_json=as_json)


def rotate(
    to: Annotated[str | None, typer.Option("--to", help="the log's next key", metavar="FILE|URI")] = None,
    to_pq: Annotated[str | None, typer.Option("--to-pq", help="its next ML-DSA-44 key", metavar="FILE|URI")] = None,
    *,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Let the log sign with other keys from now on. Old proofs stay good, and verifiers follow by themselves.

    Give the new key to your witnesses first. May be repeated until it has come to its end. A key in a file takes the
    place of the old one, which is kept beside it.
    """
    from adapters.hand_over import hand_over

    new = {name: _uri(key) for name, key in (("log", to), ("log_pq", to_pq)) if key is not None}
    if not new:
        msg = "--to, --to-pq: want at least one; `provenance key new` makes them"
        raise typer.BadParameter(msg)
    with working("handing over"):
        done = hand_over(where.db, to=new, publish=where.shown, passphrase=passphrase, **where.parts)
    size = done.checkpoint.size
    old = [str(line.key) for line in done.after.lines if line.last == size]
    new_keys = [str(key) for key in done.after.verifiers]
    value = {
        "origin": done.after.origin,
        "size": size,
        "keys": new_keys,
        "retired": old,
        "moved": [list(pair) for pair in done.moved],
    }
    lines = [
        f"{done.after.origin}: from size {size} on signed by",
        *(f"  {key}" for key in new_keys),
        *(f"retired: {key}" for key in old),
        *(f"moved: {source} → {target}" for source, target in done.moved),
        "give the new key to your witnesses and whoever pinned the old one; those who follow the log need nothing",
        f"next: {command('audit', where.read_at, *where.reading[2:])}",
    ]
    show(value, as_json=as_json, text="\n".join(lines))


def _make(type_: KeyType, name: str) -> str:
    if type_ == "log":
        return str(SigningKey.generate(name))
    if type_ == "market":
        return str(PartyKey.generate())
    if type_ == "claim":
        return str(make_development_credential(name))
    return str(Cosigner.generate(name, ML_DSA_44 if type_ == "ml-dsa-44" else ED25519))


def _save(path: Path, secret: str, known: str | None, *, as_json: bool) -> None:
    text = at_rest(secret, known)
    save_secret(path, text)
    _show(text, f"file:{path}", as_json=as_json)


def _show(text: str, uri: str, *, as_json: bool) -> None:
    key = KnownKey.parse(public_half(text))
    encrypted = f"scrypt-{EncryptedKey.parse(text).work}, AES-256-GCM" if is_encrypted(text) else "no"
    value: dict[str, Any] = {
        "type": key.type,
        "algorithm": key.algorithm,
        "name": key.name or None,
        "key_id": key.key_id or None,
        "public": key.public,
        "jwk": key.jwk,
        "encrypted": is_encrypted(text),
        "place": uri,
    }
    lines = [
        f"type       {key.type}, {key.algorithm}",
        *([f"name       {key.name}"] if key.name else []),
        *([f"key id     {key.key_id}"] if key.key_id else []),
        f"public     {key.public}",
        *([f"jwk        {json.dumps(key.jwk)}"] if key.jwk else []),
        f"encrypted  {encrypted}",
        f"place      {uri}",
    ]
    path = uri.removeprefix("file:")
    next_ = command("key", "show", path, "--passphrase")
    if not is_encrypted(text):
        next_ = command("key", "encrypt", path, "--out", f"{Path(path).name}.encrypted")
    show(value, as_json=as_json, text="\n".join([*lines, f"next: {next_}"]))


def _uri(key: str) -> str:
    return key if key.startswith(("file:", "env:")) else f"file:{key}"
