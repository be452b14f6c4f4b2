"""What a key is, told from its text: for people who have a file, and have to know which key is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ledger.cosignature import ML_DSA_44, Cosigner, CosignerKey
from ledger.encrypted_key import EncryptedKey, encrypt_key, is_encrypted
from ledger.errors import MalformedError
from ledger.note import SigningKey, VerifierKey, decode_base64
from provenance.content import Credential
from provenance.identity import did_key, parse_did_key
from provenance.keys import PartyKey

__all__ = ["KeyType", "KnownKey", "at_rest", "public_half", "public_half_of"]

KeyType = Literal["log", "witness", "ml-dsa-44", "market", "claim"]
"""`log`: Ed25519, signs checkpoints. `witness`: Ed25519, cosigns. `ml-dsa-44`: cosigns, for a witness or a log.
`market`: Ed25519, signs statements of a party. `claim`: P-256 with its certificates, signs manifests."""

_ED25519 = b"\x01"
_FINGERPRINT = "sha256:"


@dataclass(frozen=True, slots=True)
class KnownKey:
    """The public half of a key. `name` and `key_id` are those of signature lines, "" where the type has none.

    `public` is how others are given it: a vkey, a `did:key`, or the SHA-256 of the certificate. `jwk` is what
    `party.register` takes, None except for a market's key.
    """

    type: KeyType
    algorithm: str
    name: str
    key_id: str
    public: str
    jwk: dict[str, str] | None = None

    @classmethod
    def parse(cls, public: str) -> KnownKey:
        """Tell a public half by its form. Raises `MalformedError`."""
        if public.startswith("did:key:"):
            key = parse_did_key(public)
            return cls("market", key.curve, "", key.kid.hex(), public, key.jwk())
        if public.startswith(_FINGERPRINT):
            return cls("claim", "P-256", "", "", public)
        if _type_byte(public.split("+", 2)[2:]) == _ED25519:
            log = VerifierKey.parse(public)
            return cls("log", "Ed25519", log.name, log.key_id.hex(), public)
        witness = CosignerKey.parse(public)
        type_: KeyType = "ml-dsa-44" if witness.type == ML_DSA_44 else "witness"
        algorithm = "ML-DSA-44" if type_ == "ml-dsa-44" else "Ed25519"
        return cls(type_, algorithm, witness.name, witness.key_id.hex(), public)


def public_half(text: str) -> str:
    """The public half of a key as it is stored, encrypted or not: what an encrypted one says of itself is believed.

    Raises `MalformedError`, which never repeats anything secret.
    """
    return EncryptedKey.parse(text).public if is_encrypted(text) else public_half_of(text)


def public_half_of(secret: str) -> str:
    """The public half of any of our secret keys. Raises `MalformedError`, which never repeats anything secret."""
    if secret.startswith("PRIVATE+KEY+"):
        if _type_byte(secret.split("+", 4)[4:]) == _ED25519:
            return str(SigningKey.parse(secret).verifier)
        return str(Cosigner.parse(secret).verifier)
    if secret.startswith("provenance-party-key:"):
        return did_key(PartyKey.parse(secret).public)
    if "-----BEGIN " in secret:
        return _FINGERPRINT + Credential.parse(secret).fingerprint
    msg = "key: want PRIVATE+KEY+…, provenance-party-key:…, provenance-encrypted-key:… or PEM with a certificate"
    raise MalformedError(msg)


def at_rest(secret: str, passphrase: str | None) -> str:
    """A secret key as it is stored: encrypted where there is a passphrase. Raises as `encrypt_key`."""
    return secret if passphrase is None else str(encrypt_key(secret, passphrase, public=public_half_of(secret)))


def _type_byte(encoded: list[str]) -> bytes:
    return decode_base64(encoded[0][:4], "key")[:1] if encoded else b""
