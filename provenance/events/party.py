"""Who acts: parties and their keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Discriminator, Field

from ledger.errors import MalformedError
from provenance.errors import Reason
from provenance.events.envelope import Actor, Event, Model
from provenance.events.fields import Hex
from provenance.events.vocabulary import PartyKind
from provenance.keys import PublicKey

__all__ = ["EcJwk", "OkpJwk", "PartyRegister"]

_Coordinate = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]


class OkpJwk(Model):
    """An Ed25519 key (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: _Coordinate


class EcJwk(Model):
    """A P-256 key (RFC 7518 §6.2)."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: _Coordinate
    y: _Coordinate


_Keys = Annotated[tuple[Annotated[OkpJwk | EcJwk, Discriminator("kty")], ...], Field(max_length=16)]


class _Register(Model):
    kind: PartyKind
    keys: _Keys
    rotation_keys: _Keys
    next_key_hashes: Annotated[tuple[Hex, ...], Field(max_length=16)]


class PartyRegister(Event):
    """A party comes into being; the id of this event is its party id.

    With actor "self" it signs with one of its own `keys`. With a party as actor it is custodial: that party vouches for
    it (`observed`), and `keys` may be empty. `rotation_keys` may replace the keys later, strongest first;
    `next_key_hashes` are RFC 9679 thumbprints (64 hex digits) that later keys must have. Personal: `name`, `account`,
    `ref`. Maps to PROV Agent, did:plc and did:webvh genesis. For example::

        {"body": {"keys": [{"crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}],
                  "kind": "person",
                  "next_key_hashes": [],
                  "rotation_keys": []},
         "personal": {"name": "Ada"}, "actor": "self", "strength": "self"}
    """

    type: Literal["party.register"]
    actor: Actor
    body: _Register
    refs: tuple[()]
    commits: dict[Literal["name", "account", "ref"], Hex]

    def broken_rules(self) -> Iterator[Reason]:
        """`party.register.keys`, `party.register.strength`."""
        want = "self" if self.actor == "self" else "observed"
        if self.strength != want:
            who = "its own" if self.actor == "self" else "another's"
            yield Reason("party.register.strength", f"strength: {self.strength}, want {want} for {who} registration")
        if self.actor == "self" and not self.body.keys:
            yield Reason("party.register.keys", "body.keys: empty, want the key that signs this registration")
        for name, jwks in (("keys", self.body.keys), ("rotation_keys", self.body.rotation_keys)):
            seen: set[bytes] = set()
            for number, jwk in enumerate(jwks):
                try:
                    key = PublicKey.from_jwk(jwk.model_dump())
                except MalformedError as error:
                    yield Reason("party.register.keys", f"body.{name}.{number}: {error}")
                    continue
                if key.thumbprint in seen:
                    yield Reason("party.register.keys", f"body.{name}.{number}: stands there twice")
                seen.add(key.thumbprint)
