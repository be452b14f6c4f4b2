"""Who acts: parties and their keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field

from ledger.errors import MalformedError
from provenance.errors import Reason
from provenance.events.envelope import (
    ONE,
    OPTIONAL,
    Actor,
    AnyRef,
    Ending,
    Event,
    EventRef,
    Model,
    OnlyRef,
    Roles,
    Rules,
)
from provenance.events.fields import Hex, Index, Signature
from provenance.events.vocabulary import KeyReason, LinkScheme, PartyKind
from provenance.keys import PublicKey

__all__ = ["EcJwk", "OkpJwk", "PartyKeys", "PartyLink", "PartyRegister", "PartyUnlink"]

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


_Jwk = Annotated[OkpJwk | EcJwk, Discriminator("kty")]
_Keys = Annotated[tuple[_Jwk, ...], Field(max_length=16)]


class _KeySet(Model):
    keys: _Keys
    rotation_keys: _Keys
    next_key_hashes: Annotated[tuple[Hex, ...], Field(max_length=16)]


class _Register(_KeySet):
    kind: PartyKind


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

    signed_by = "the party itself with one of `keys`, or the custodian that registers it"
    rules: ClassVar[Rules] = {
        "keys": "each key is one of its curve and stands there once; who registers itself has at least one",
        "strength": "its own registration is `self`, another's is `observed`",
    }

    type: Literal["party.register"]
    actor: Actor
    body: _Register
    refs: tuple[()]
    commits: dict[Literal["name", "account", "ref"], Hex]

    def _breaks(self) -> Iterator[Reason]:
        want = "self" if self.actor == "self" else "observed"
        if self.strength != want:
            who = "its own" if self.actor == "self" else "another's"
            yield self._broken("strength", f"strength: {self.strength}, want {want} for {who} registration")
        if self.actor == "self" and not self.body.keys:
            yield self._broken("keys", "body.keys: empty, want the key that signs this registration")
        for text in _wrong_keys(self.body):
            yield self._broken("keys", text)


class _Change(_KeySet):
    reason: KeyReason
    suspect_from: Index | None = None


class PartyKeys(Event):
    """A party's keys change: those listed are all that it has from here on.

    `prev` is the last event in force about its keys. `reason` is `rotate`, `recover` (what a weaker rotation key did
    after `prev` is void), `deactivate` (it has none any more), `compromise` (`suspect_from` is the first entry, from 0,
    that a stolen key may have signed), or `claim` (a custodial party gets its first). Maps to updates of did:plc and
    did:webvh. For example::

        {"body": {"keys": [{"crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}],
                  "next_key_hashes": [],
                  "reason": "rotate",
                  "rotation_keys": []},
         "refs": [{"role": "prev", "id": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"}],
         "actor": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a", "strength": "self"}
    """

    signed_by = "the party with a rotation key, or with one of its keys where it has none; a `claim` by its custodian"
    roles: ClassVar[Roles] = {"prev": ONE}
    rules: ClassVar[Rules] = {
        "keys": "each key is one of its curve and stands there once",
        "reason": "`deactivate` lists no keys, `rotate` and `claim` list some",
        "suspect": "`compromise` says from which entry on; nothing but it and `recover` does",
    }

    type: Literal["party.keys"]
    actor: Hex
    body: _Change
    refs: tuple[EventRef[Literal["prev"]], ...]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        body = self.body
        for text in _wrong_keys(body):
            yield self._broken("keys", text)
        some = bool(body.keys or body.rotation_keys)
        if (body.reason == "deactivate" and some) or (body.reason in {"rotate", "claim"} and not some):
            yield self._broken("reason", f"body.reason: {body.reason} with {'keys' if some else 'no keys'}")
        if body.reason == "compromise" and body.suspect_from is None:
            yield self._broken("suspect", "body.suspect_from: absent, want the entry from which on the key is suspect")
        if body.reason not in {"compromise", "recover"} and body.suspect_from is not None:
            yield self._broken("suspect", f"body.suspect_from: said, but the reason is {body.reason}")


class _Proof(Model):
    """The other side's signature, and the key it is by."""

    alg: Literal["EdDSA", "ES256"]
    key: _Jwk
    signature: Signature


class _Link(Model):
    scheme: LinkScheme
    document_digest: Hex | None = None
    proof: _Proof | None = None


class PartyLink(Event):
    """A party says what else it is: it counts once the other side has said so too.

    `other` is outside under the same `scheme`, or a party of this log; an account is named only in the vault.
    `document_digest` is the SHA-256 of the DID document as it was then; `proof` is the other side's signature over
    the canonical JSON of both. Personal: `account`, `ref`. Maps to alsoKnownAs of DID documents (W3C DID 1.0 §5.1.3).
    For example::

        {"body": {"scheme": "did:web",
                  "document_digest": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
         "refs": [{"role": "other", "id": {"scheme": "did:web", "id": "did:web:ada.example"}}],
         "actor": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a", "strength": "self"}
    """

    signed_by = "the party, or its custodian; the other side by its `proof` or its assent"
    roles: ClassVar[Roles] = {"other": OPTIONAL}

    type: Literal["party.link"]
    actor: Hex
    body: _Link
    refs: tuple[AnyRef[Literal["other"]], ...]
    commits: dict[Literal["account", "ref"], Hex]


class PartyUnlink(Event):
    """A link is taken back: it counts no more. Maps to leaving alsoKnownAs.

    For example::

    {"body": {"reason": "account-closed"},
     "refs": [{"role": "link", "id": "b1951e47e2a9819b88edbccbd895c44bfdfdfa9b6a67ec179be8af675a0aedb8"}],
     "actor": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a", "strength": "self"}
    """

    signed_by = "either side of the link"
    roles: ClassVar[Roles] = {"link": ONE}

    type: Literal["party.unlink"]
    actor: Hex
    body: Ending
    refs: tuple[EventRef[Literal["link"]], ...]
    commits: OnlyRef


def _wrong_keys(body: _KeySet) -> Iterator[str]:
    for name, jwks in (("keys", body.keys), ("rotation_keys", body.rotation_keys)):
        seen: set[bytes] = set()
        for number, jwk in enumerate(jwks):
            try:
                key = PublicKey.from_jwk(jwk.model_dump())
            except MalformedError as error:
                yield f"body.{name}.{number}: {error}"
                continue
            if key.thumbprint in seen:
                yield f"body.{name}.{number}: stands there twice"
            seen.add(key.thumbprint)
