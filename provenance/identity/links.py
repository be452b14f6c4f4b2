"""What else a party is: keys, documents, certificates, accounts and parties that it says are its own.

Saying so is half of it. A link counts when the other side has signed as well: the key of a `did:key`, a key in the
document of a `did:web`, the key of a certificate, over the bytes of `link_message`; another party of this log by its
yes (`assent.answer`). Documents and certificates are pinned by digest and given by whoever asks: without them such a
link stays one-sided.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ledger.errors import InvalidSignature, MalformedError
from provenance.canonical import dumps
from provenance.errors import Reason
from provenance.identity.did import keys_of_certificate, keys_of_document, parse_did_key
from provenance.keys import EDDSA, ES256, PartySigner, PublicKey

if TYPE_CHECKING:
    from provenance.before import Before

__all__ = ["Documents", "PartyLink", "link_message", "link_objections", "links_of", "sign_link"]

Documents = Callable[[str], bytes | None]
"""The bytes with this SHA-256 (64 hex digits), None when they are not at hand: an offline resolver."""

LinkState = Literal["counts", "one-sided", "unlinked"]

_ALGORITHMS = {"EdDSA": EDDSA, "ES256": ES256}


class PartyLink(NamedTuple):
    """One link of a party. `other` is an outside id, a party id, or "" for an account that only the vault knows."""

    event_id: bytes
    idx: int
    scheme: str
    other: str
    state: LinkState
    why: str


def link_message(ledger: str, party: str, scheme: str, other: str) -> bytes:
    """The canonical JSON (RFC 8785) that the other side signs: that it is this party of this log."""
    return dumps({"kind": "party.link", "ledger": ledger, "party": party, "scheme": scheme, "id": other})


def sign_link(key: PartySigner, *, ledger: str, party: str, scheme: str, other: str) -> dict[str, Any]:
    """The `proof` of a `party.link`, made with the other side's key."""
    signature = key.sign(link_message(ledger, party, scheme, other))
    encoded = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    alg = next(name for name, number in _ALGORITHMS.items() if number == key.public.alg)
    return {"alg": alg, "key": key.public.jwk(), "signature": encoded}


def link_objections(event: Mapping[str, Any], event_id: str = "") -> Iterator[Reason]:
    """What is wrong with a `party.link` in itself: rules `party.link.other`, `party.link.proof`, `party.link.key`.

    A link without a proof is one-sided, which is no fault of it.
    """
    body = event["body"]
    scheme, proof = body["scheme"], body.get("proof")
    other = _other(event)
    kind = "" if other is None else "party" if isinstance(other, str) else str(other.get("scheme"))
    if scheme == "party" and kind != "party":
        yield Reason("party.link.other", "scheme party: want a ref `other` to a party of this log", (event_id,))
    elif kind not in {scheme, ""} or (scheme not in {"account", "party"} and not kind):
        text = f"scheme {scheme}: `other` is {kind or 'not there'}, want one of it"
        yield Reason("party.link.other", text, (event_id,))
    if proof is None or not isinstance(other, Mapping):
        return
    try:
        key = _verified(event, proof, str(other["id"]))
        if scheme == "did:key" and parse_did_key(str(other["id"])) != key:
            text = f"the proof is by key {key.kid.hex()}, which is not the key of {other['id']}"
            yield Reason("party.link.key", text, (event_id,))
    except (InvalidSignature, MalformedError) as error:
        yield Reason("party.link.proof", f"proof: {error}", (event_id,))


def links_of(party_id: bytes, before: Before, *, documents: Documents = lambda _: None) -> list[PartyLink]:
    """Every link that a party said of itself, earliest first, and whether it counts at the place of `before`."""
    found = []
    for event_id in before.pointing(party_id, "party", "party.link"):
        event, entry = before.event(event_id), before.index.find(event_id)
        if event is None or entry is None:
            continue
        other = _other(event)
        named = other if isinstance(other, str) else "" if other is None else str(other.get("id", ""))
        state, why = _state(event, event_id, other, before, documents)
        found.append(PartyLink(event_id, entry.idx, event["body"]["scheme"], named, state, why))
    return found


def _state(
    event: Mapping[str, Any], event_id: bytes, other: Any, before: Before, documents: Documents
) -> tuple[LinkState, str]:
    for unlink in before.pointing(event_id, "link", "party.unlink"):
        said = before.event(unlink)
        if said is None or said["actor"] in {event["actor"], other}:  # by whom it was may have been erased since
            return "unlinked", f"taken back by {unlink.hex()}"
    broken = next(link_objections(event, event_id.hex()), None)
    if broken is not None:
        return "one-sided", broken.sentence
    scheme, proof = event["body"]["scheme"], event["body"].get("proof")
    if scheme == "party":
        return _answered(event_id, other, before)
    if scheme == "account" or proof is None:
        return "one-sided", "the other side has not signed"
    if scheme == "did:key":
        return "counts", "the key of the other side signed"
    return _documented(event, scheme, str(other["id"]), documents)


def _answered(event_id: bytes, other: str, before: Before) -> tuple[LinkState, str]:
    for answer_id in before.pointing(event_id, "of", "assent.answer"):
        answer = before.event(answer_id)
        if answer is not None and answer["actor"] == other:
            said = answer["body"]["answer"]
            return ("counts" if said == "yes" else "one-sided"), f"the other party said {said}: {answer_id.hex()}"
    return "one-sided", "the other party has not answered"


def _documented(event: Mapping[str, Any], scheme: str, other: str, documents: Documents) -> tuple[LinkState, str]:
    """Whether the key that signed the proof stands in the document that the link pins."""
    pinned = event["body"].get("document_digest") or (other if scheme == "x509" else None)
    data = None if pinned is None else documents(pinned)
    if pinned is None or data is None:
        return "one-sided", "no document is pinned" if pinned is None else f"the document {pinned} is not at hand"
    if sha256(data).hexdigest() != pinned:
        return "one-sided", f"the document hashes to {sha256(data).hexdigest()}, want {pinned}"
    try:
        keys = keys_of_certificate(data, other) if scheme == "x509" else keys_of_document(data, other)
    except MalformedError as error:
        return "one-sided", str(error)
    key = PublicKey.from_jwk(event["body"]["proof"]["key"])
    if key not in keys:
        return "one-sided", f"the proof is by key {key.kid.hex()}, which is not in the document {pinned}"
    return "counts", f"a key in the document {pinned} signed"


def _other(event: Mapping[str, Any]) -> Any:
    return next((ref["id"] for ref in event["refs"] if ref["role"] == "other"), None)


def _verified(event: Mapping[str, Any], proof: Mapping[str, Any], other: str) -> PublicKey:
    """The key of a proof, which signed it."""
    key = PublicKey.from_jwk(proof["key"])
    alg = _ALGORITHMS.get(proof["alg"])
    if alg is None:
        msg = f"alg {proof['alg']!r:.40}, want {' or '.join(_ALGORITHMS)}"
        raise MalformedError(msg)
    try:
        signature = base64.b64decode(proof["signature"] + "==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    if base64.urlsafe_b64encode(signature).rstrip(b"=").decode() != proof["signature"]:
        msg = "signature is not base64url without padding, in its one canonical form"
        raise MalformedError(msg)
    key.verify(signature, link_message(event["ledger"], event["actor"], event["body"]["scheme"], other), alg)
    return key
