"""COSE receipts: the same proofs, in the form that SCITT speaks (RFC 9942, RFC 9943).

::

    18([<<{1: -8, 4: h'…kid', 395: 1,                                                        alg, kid, vds
           15: {1: "market.example/log", 2: "…subject", "numbers": [5, 3]}}>>,               claims
        {396: {-1: [<<[5, 3, [h'…32 bytes', …]]>>]}},                                        size, index, path
        nil,                                                                                 the tree's root
        h'…64 bytes signature'])

RFC 9942 signs the root alone, and one path can lead to it from several sizes and indexes: leaf 2 of 3 is also leaf 1 of
2. So our receipts repeat the two numbers among the claims, which are signed. Those of others may not: then only a
checkpoint can tell the numbers.

A receipt for consistency carries `-2: [<<[old size, new size, path]>>]`, and its payload is the newer root. The leaf is
the whole entry, as everywhere in this log; for a signed statement that is the statement with an empty unprotected
header. One receipt has one encoding (RFC 8949 §4.2.1): the parser encodes again what it read, and refuses any
difference. Only the signed header of others may have its labels in another order, and more claims, which are passed
over: RFC 9942 asks for no order, and the examples in it have another. The CDDL asks for one hash at least, so a tree of
one leaf has no receipt.

A receipt carries no cosignatures. Where a policy asks for witnesses, the verifier gives a checkpoint that they saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from typing import Any, Literal

import cbor2
from cryptography.exceptions import InvalidSignature as BadSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.checkpoint import Checkpoint
from ledger.errors import InvalidSignature, MalformedError, ProofMismatch, QuorumNotMet, UnknownKey
from ledger.merkle import HASH_SIZE, MAX_PROOF, consistency_root, inclusion_root, leaf_hash
from ledger.note import Signer, VerifierKey, shown
from ledger.policy import NONE, Policy
from ledger.proof import Proof

__all__ = [
    "MAX_RECEIPT",
    "MAX_RECEIPTS",
    "Receipt",
    "join_receipts",
    "key_id_of",
    "key_set",
    "parse_key_set",
    "parse_receipts",
    "sign_proof",
    "sign_receipt",
    "split_receipts",
]

MAX_RECEIPT = 8_192
"""Bytes of the longest receipt that is read."""

MAX_RECEIPTS = 16
"""Most receipts of one transparent statement."""

Kind = Literal["inclusion", "consistency"]

_EDDSA = -8
_ALG, _KID, _CLAIMS, _VDS, _PROOFS, _RECEIPTS = 1, 4, 15, 395, 396, 394
_ISS, _SUB, _NUMBERS = 1, 2, "numbers"
_RFC9162 = 1
_LABELS: dict[Kind, int] = {"inclusion": -1, "consistency": -2}
_SIGN1 = 18
_SIGNATURE = 64
_MOST_STATEMENT = 65_535 + MAX_RECEIPT * MAX_RECEIPTS
_MOST_KEYS = 1_000
# What decoding hostile bytes raises: cbor2 makes dates, fractions and the like of tags, and lets their errors through.
_LEAKS = (
    cbor2.CBORError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt, to be believed only after `verify_inclusion` or `verify_consistency`.

    `numbers` are (tree size, 0-based index) for inclusion, (old size, new size) for consistency. `issuer` is the log's
    origin, `subject` what it is about, "" when it says nothing. `bound` is whether the signature covers the numbers.
    `header` is the signed header, where it is not the one that this module would write for these.
    """

    kind: Kind
    numbers: tuple[int, int]
    path: tuple[bytes, ...]
    kid: bytes
    issuer: str
    subject: str
    signature: bytes
    bound: bool = True
    header: bytes = b""

    def __post_init__(self) -> None:
        small, large = self.numbers if self.kind == "consistency" else (self.numbers[1] + 1, self.numbers[0])
        if not 0 < small <= large < 1 << 63 or not 1 <= len(self.path) <= MAX_PROOF:
            msg = (
                f"receipt of {self.kind}: {_shown(self.numbers)} with {len(self.path)} hashes, want 1 to {MAX_PROOF} "
                "and sizes"
            )
            raise MalformedError(msg)
        if any(len(each) != HASH_SIZE for each in self.path) or len(self.signature) != _SIGNATURE:
            msg = f"receipt of {self.kind}: want hashes of {HASH_SIZE} bytes and a signature of {_SIGNATURE}"
            raise MalformedError(msg)
        said = (self.issuer, self.subject, self.kid, list(self.numbers) if self.bound else None)
        if self.header and _head(self.header) != said:
            msg = f"receipt of {self.kind}: its header does not say what it says"
            raise MalformedError(msg)

    @classmethod
    def parse(cls, data: bytes) -> Receipt:
        """Read a receipt; `bytes(Receipt.parse(data)) == data`. Raises `MalformedError`. Verifies nothing."""
        if len(data) > MAX_RECEIPT:
            msg = f"receipt: {len(data)} bytes, want at most {MAX_RECEIPT}"
            raise MalformedError(msg)
        protected, unprotected, payload, signature = _sign1(data, "receipt")
        if payload is not None:
            msg = "receipt: carries a payload, want none: the verifier computes the root"
            raise MalformedError(msg)
        proofs = unprotected.get(_PROOFS) if set(unprotected) == {_PROOFS} else None
        if not isinstance(proofs, dict) or len(proofs) != 1:
            msg = "receipt: unprotected header, want 396 with one kind of proof and nothing else"
            raise MalformedError(msg)
        (label, found), *_ = proofs.items()
        kind: Kind | None = next((kind for kind, each in _LABELS.items() if each == label), None)
        if kind is None or not isinstance(found, list) or len(found) != 1 or type(found[0]) is not bytes:
            msg = f"receipt: proofs under {_shown(label)}, want one, as bytes, under -1 or -2"
            raise MalformedError(msg)
        proof = _decode(found[0], "receipt: proof")
        issuer, subject, kid, numbers = _head(protected)
        match proof:
            case [first, second, [*path]] if _are(int, first, second) and _are(bytes, *path):
                place, bound = (first, second), numbers is not None
            case _:
                msg = "receipt: proof, want two sizes and a list of hashes"
                raise MalformedError(msg)
        if bound and numbers != [*place]:
            msg = f"receipt: its proof is about {_shown(place)}, its signed claim about {_shown(numbers)}"
            raise MalformedError(msg)
        receipt = cls(kind, place, tuple(path), kid, issuer, subject, signature, bound)
        if receipt._protected() != protected:
            receipt = replace(receipt, header=protected)
        if bytes(receipt) != data:
            msg = "receipt: not the one encoding of what it says"
            raise MalformedError(msg)
        return receipt

    def __bytes__(self) -> bytes:
        proof = _encode([*self.numbers, list(self.path)])
        unprotected = {_PROOFS: {_LABELS[self.kind]: [proof]}}
        return _encode(cbor2.CBORTag(_SIGN1, [self._protected(), unprotected, None, self.signature]))

    def verify_inclusion(self, entry: bytes, policy: Policy, *, checkpoint: Checkpoint | None = None) -> bytes:
        """The root of the tree of `numbers[0]` entries, in which exactly these bytes stand at `numbers[1]`.

        The log and its keys come from `policy`, the leaf from `entry`. `checkpoint` is one that the verifier opened
        under this policy: it has to be of this tree, and is needed where the policy asks for witnesses, or to rely on
        the numbers where they are not `bound`. Raises `ProofMismatch`, `UnknownKey`, `InvalidSignature`,
        `QuorumNotMet`.
        """
        self._want("inclusion")
        size, index = self.numbers
        root = inclusion_root(self.path, index=index, size=size, leaf=leaf_hash(entry))
        self._verify(size, root, policy, checkpoint)
        return root

    def verify_consistency(self, old_root: bytes, policy: Policy, *, checkpoint: Checkpoint | None = None) -> bytes:
        """The root of the newer tree, which begins with the older one that the verifier knows by its root.

        The verifier compares `numbers[0]` with the size it remembers. `checkpoint` is one of the newer tree, as in
        `verify_inclusion`. Raises as that.
        """
        self._want("consistency")
        old, new = self.numbers
        root = consistency_root(self.path, old=old, new=new, old_root=old_root)
        self._verify(new, root, policy, checkpoint)
        return root

    def _want(self, kind: Kind) -> None:
        if self.kind != kind:
            msg = f"receipt: is one of {self.kind}, want {kind}"
            raise InvalidSignature(msg)

    def _protected(self) -> bytes:
        if self.header:
            return self.header
        claims: dict[Any, Any] = {_ISS: self.issuer}
        if self.subject:
            claims[_SUB] = self.subject
        if self.bound:
            claims[_NUMBERS] = list(self.numbers)
        return _encode({_ALG: _EDDSA, _KID: self.kid, _CLAIMS: claims, _VDS: _RFC9162})

    def _verify(self, size: int, root: bytes, policy: Policy, checkpoint: Checkpoint | None) -> None:
        key = self._key(size, policy)
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(self.signature, _message(self._protected(), root))
        except BadSignature:
            msg = f"receipt of {shown(self.issuer, 200)}: its signature does not verify over the root of this proof"
            raise InvalidSignature(msg) from None
        self._check_seen(size, root, policy, checkpoint)

    def _key(self, size: int, policy: Policy) -> VerifierKey:
        """The key that it names, where the policy lists it for this size."""
        lines = [(line.key, line) for line in policy.spans(self.issuer) if isinstance(line.key, VerifierKey)]
        if not lines:
            known = ", ".join(sorted(policy.origins)) or "no log"
            msg = (
                f"no policy for origin {shown(self.issuer, 200)}: its receipts are signed with Ed25519; the policy "
                f"lists no such key of it, and knows {known}"
            )
            raise UnknownKey(msg)
        key, line = next((each for each in lines if key_id_of(each[0]) == self.kid), (None, None))
        if key is None or line is None:
            msg = f"receipt of {shown(self.issuer, 200)}: signed by key {self.kid.hex()}, none of its listed keys"
            raise UnknownKey(msg)
        if not line.covers(size):
            until = f"to {line.last}" if line.last is not None else "on"
            msg = (
                f"receipt of {shown(self.issuer, 200)} at size {size}: signed by key {self.kid.hex()}, which counts "
                f"from size {line.first} {until}"
            )
            raise UnknownKey(msg)
        return key

    def _check_seen(self, size: int, root: bytes, policy: Policy, checkpoint: Checkpoint | None) -> None:
        """That the witnesses of `policy` saw this tree: only a checkpoint can show that."""
        if checkpoint is None:
            if policy.quorum == NONE:
                return
            msg = (
                f"receipt of {shown(self.issuer, 200)}: carries no cosignatures, want the quorum {policy.quorum}; give "
                f"a checkpoint of size {size} that the witnesses saw, or take the .tlog-proof of the same entry"
            )
            raise QuorumNotMet(msg)
        if (checkpoint.origin, checkpoint.size, checkpoint.root) != (self.issuer, size, root):
            msg = (
                f"receipt of {shown(self.issuer, 200)}: its tree of {size} entries has root {root.hex()}, that of the "
                f"checkpoint of {shown(checkpoint.origin, 200)} with {checkpoint.size} has {checkpoint.root.hex()}"
            )
            raise ProofMismatch(msg)


def sign_receipt(
    key: Signer, kind: Kind, numbers: tuple[int, int], path: Sequence[bytes], root: bytes, *, subject: str = ""
) -> Receipt:
    """Sign a proof as a receipt; `root` is that of the tree, for consistency of the newer one.

    The caller knows that the log has signed this root in a checkpoint: see `sign_proof`. `subject` is by default the
    log itself; RFC 9943 §6 wants one. Raises `MalformedError` for what has no receipt: a tree of one leaf, two trees
    of one size.
    """
    kid, about = key_id_of(key.verifier), subject or key.name
    unsigned = Receipt(kind, numbers, tuple(path), kid, key.name, about, bytes(_SIGNATURE))
    signature = key.sign_bytes(_message(unsigned._protected(), root))  # noqa: SLF001 - its own module
    return Receipt(kind, numbers, tuple(path), kid, key.name, about, signature)


def sign_proof(key: Signer, proof: Proof, entry: bytes, *, subject: str = "") -> Receipt:
    """The receipt that says of `entry` what `proof` says, which this key signed already, in a checkpoint.

    So no root gets a second signature that had no first one. Raises as `Proof.verify`, and `MalformedError` for a tree
    of one leaf.
    """
    checkpoint = proof.verify(entry, Policy.of(key.verifier))
    numbers = (checkpoint.size, proof.index)
    return sign_receipt(key, "inclusion", numbers, proof.hashes, checkpoint.root, subject=subject)


def join_receipts(statement: bytes, receipts: Iterable[Receipt]) -> bytes:
    """A transparent statement (RFC 9943): a signed statement with its receipts in the unprotected header, 394.

    Raises `MalformedError` unless `statement` is a COSE_Sign1 with an empty unprotected header.
    """
    protected, unprotected, payload, signature = _sign1(statement, "signed statement")
    joined = [bytes(receipt) for receipt in receipts]
    if unprotected or not 1 <= len(joined) <= MAX_RECEIPTS:
        msg = f"signed statement: want an empty unprotected header, and 1 to {MAX_RECEIPTS} receipts"
        raise MalformedError(msg)
    return _encode(cbor2.CBORTag(_SIGN1, [protected, {_RECEIPTS: joined}, payload, signature]))


def split_receipts(data: bytes) -> tuple[bytes, tuple[Receipt, ...]]:
    """The signed statement of a transparent one, as it stands in the log, and its receipts, none of them verified.

    Raises `MalformedError`.
    """
    if len(data) > _MOST_STATEMENT:
        msg = f"transparent statement: {len(data)} bytes, want at most {_MOST_STATEMENT}"
        raise MalformedError(msg)
    protected, unprotected, payload, signature = _sign1(data, "transparent statement")
    found = unprotected.get(_RECEIPTS) if set(unprotected) == {_RECEIPTS} else None
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_RECEIPTS or not _are(bytes, *found):
        msg = f"transparent statement: unprotected header, want 1 to {MAX_RECEIPTS} receipts under 394 and nothing else"
        raise MalformedError(msg)
    statement = _encode(cbor2.CBORTag(_SIGN1, [protected, {}, payload, signature]))
    receipts = tuple(Receipt.parse(each) for each in found)
    if join_receipts(statement, receipts) != data:
        msg = "transparent statement: not the one encoding of what it says"
        raise MalformedError(msg)
    return statement, receipts


def parse_receipts(data: bytes) -> tuple[bytes | None, tuple[Receipt, ...]]:
    """Read a transparent statement, as `split_receipts`, or a receipt alone, which has no statement.

    Raises `MalformedError`.
    """
    if len(data) <= _MOST_STATEMENT and _RECEIPTS in _sign1(data, "COSE receipt or transparent statement")[1]:
        return split_receipts(data)
    return None, (Receipt.parse(data),)


def key_id_of(key: VerifierKey) -> bytes:
    """What receipts call a log key: its RFC 9679 thumbprint, 32 bytes."""
    return sha256(_encode({1: 1, -1: 6, -2: key.public})).digest()


def key_set(keys: Iterable[VerifierKey]) -> bytes:
    """The keys as a COSE_KeySet (RFC 9052 §7), for `/.well-known/scitt-keys`."""
    return _encode([{1: 1, 2: key_id_of(key), 3: _EDDSA, -1: 6, -2: key.public} for key in keys])


def parse_key_set(data: bytes, name: str) -> tuple[VerifierKey, ...]:
    """Read a COSE_KeySet of Ed25519 keys as keys of the log `name`; `key_set(parse_key_set(data, name)) == data`.

    To be compared with a policy, never to be used as one. Raises `MalformedError`.
    """
    if len(data) > MAX_RECEIPT * _MOST_KEYS:
        msg = f"key set: {len(data)} bytes"
        raise MalformedError(msg)
    found = _decode(data, "key set")
    if not isinstance(found, list) or not 1 <= len(found) <= _MOST_KEYS:
        msg = f"key set: want a list of 1 to {_MOST_KEYS} keys"
        raise MalformedError(msg)
    keys = []
    for each in found:
        public = each.get(-2) if isinstance(each, dict) else None
        if type(public) is not bytes or len(public) != HASH_SIZE:
            msg = "key set: want Ed25519 keys of 32 bytes"
            raise MalformedError(msg)
        keys.append(VerifierKey(name, public))
    if key_set(keys) != data:
        msg = "key set: not the one encoding of these keys"
        raise MalformedError(msg)
    return tuple(keys)


def _head(protected: bytes) -> tuple[str, str, bytes, list[int] | None]:
    """Issuer, subject, key id and numbers, if any, of a header that has every label of ours and no other."""
    head = _decode(protected, "receipt: protected header", ordered=False)
    if not isinstance(head, dict) or not _are(int, *head) or set(head) != {_ALG, _KID, _CLAIMS, _VDS}:
        msg = "receipt: protected header, want alg, kid, claims and 395"
        raise MalformedError(msg)
    claims, kid = head[_CLAIMS], head[_KID]
    if not _are(int, head[_ALG], head[_VDS]) or head[_ALG] != _EDDSA or head[_VDS] != _RFC9162:
        alg, vds = _shown(head[_ALG]), _shown(head[_VDS])
        msg = f"receipt: algorithm {alg} over structure {vds}, want {_EDDSA} over {_RFC9162}"
        raise MalformedError(msg)
    if not isinstance(claims, dict) or any(type(key) not in {int, str} for key in claims) or type(kid) is not bytes:
        msg = "receipt: want a key id as bytes, and claims under numbers and texts"
        raise MalformedError(msg)
    issuer, subject = claims.get(_ISS), claims.get(_SUB, "")
    if type(issuer) is not str or type(subject) is not str or not issuer:
        msg = "receipt: issuer and subject, want text"
        raise MalformedError(msg)
    numbers = claims.get(_NUMBERS)
    if _NUMBERS in claims and (not isinstance(numbers, list) or not _are(int, *numbers)):
        msg = f"receipt: claim {_NUMBERS!r} is {_shown(numbers)}, want two whole numbers"
        raise MalformedError(msg)
    return issuer, subject, kid, numbers


def _sign1(data: bytes, what: str) -> tuple[bytes, dict[Any, Any], bytes | None, bytes]:
    found = _decode(data, what)
    if isinstance(found, cbor2.CBORTag) and found.tag == _SIGN1 and isinstance(found.value, list):
        parts = found.value
        if len(parts) == 4 and type(parts[0]) is bytes and isinstance(parts[1], dict) and type(parts[3]) is bytes:
            protected, unprotected, payload, signature = parts
            if payload is None or type(payload) is bytes:
                return protected, unprotected, payload, signature
    msg = f"{what}: want a COSE_Sign1, tag 18"
    raise MalformedError(msg)


def _decode(data: bytes, what: str, *, ordered: bool = True) -> Any:
    """One item in its one deterministic encoding: definite lengths, keys in order and none twice, nothing after it.

    With `ordered` false, keys may stand in any order.
    """
    stream = BytesIO(data)
    try:
        value = cbor2.CBORDecoder(stream).decode()
        again = cbor2.dumps(value, canonical=ordered)
    except _LEAKS as error:
        msg = f"{what}: not CBOR as it should be ({type(error).__name__})"
        raise MalformedError(msg) from None
    if again != data:
        msg = f"{what}: not in deterministic encoding, or with something behind it"
        raise MalformedError(msg)
    return value


def _shown(value: object) -> str:
    """`value` for a message, cut. A number in CBOR may have more digits than Python writes out."""
    try:
        return f"{value!r:.40}"
    except ValueError:
        return "a number of thousands of digits"


def _are(kind: type, *values: Any) -> bool:
    """Whether each is of exactly this type: True is no number."""
    return all(type(value) is kind for value in values)


def _encode(value: Any) -> bytes:
    return cbor2.dumps(value, canonical=True)


def _message(protected: bytes, root: bytes) -> bytes:
    """The Sig_structure of RFC 9052 §4.4 over the root."""
    return _encode(["Signature1", protected, b"", root])
