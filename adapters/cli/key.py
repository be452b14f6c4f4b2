"""Commands for keys: making them, encrypting them, and telling which key a file holds. Secrets are never shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.cli.output import command, help_alone, show
from adapters.cli.passphrase import new_passphrase, passphrase
from adapters.cli.where import AsJson
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
