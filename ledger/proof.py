r"""Inclusion proofs as text (c2sp.org/tlog-proof): index, path and signed checkpoint in one `.tlog-proof` file.

::

    c2sp.org/tlog-proof@v1
    index 5
    rzFuy5Go7nrpkhBwKy1HWPMM3eO/YePY54fXRoH5Cm4=
    …

    market.example/log
    …the checkpoint, as it was signed
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from ledger.checkpoint import Checkpoint, open_checkpoint, parse_decimal
from ledger.errors import MalformedError
from ledger.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from ledger.note import MAX_NOTE, decode_base64
from ledger.policy import Policy

__all__ = ["MAX_HASHES", "Proof"]

MAX_HASHES = 63
"""Most hashes in a proof that is read (the limit of c2sp.org/tlog-witness)."""

_HEADER = "c2sp.org/tlog-proof@v1"
_MAX_EXTRA = 65_536


@dataclass(frozen=True, slots=True)
class Proof:
    """That an entry stands at 0-based `index` of a log: to be believed only after `verify`.

    `extra` is unauthenticated. None and b"" differ: the first has no `extra` line.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    @classmethod
    def parse(cls, data: bytes) -> Proof:
        """Read a proof; `bytes(Proof.parse(data)) == data`. Raises `MalformedError`. Verifies nothing."""
        if len(data) > MAX_NOTE + _MAX_EXTRA * 2:
            msg = f"proof: {len(data)} bytes, want at most {MAX_NOTE + _MAX_EXTRA * 2}"
            raise MalformedError(msg)
        head, separator, checkpoint = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            msg = f"proof: not ASCII at byte {error.start}"
            raise MalformedError(msg) from error
        if not separator or not checkpoint:
            msg = "proof: want an empty line and a checkpoint after the hashes"
            raise MalformedError(msg)
        if lines.pop(0) != _HEADER:
            msg = f"proof: want first line {_HEADER!r}"
            raise MalformedError(msg)
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = decode_base64(lines.pop(0).removeprefix("extra "), "proof extra")
            if len(extra) > _MAX_EXTRA:
                msg = f"proof extra: {len(extra)} bytes, want at most {_MAX_EXTRA}"
                raise MalformedError(msg)
        if not lines or not lines[0].startswith("index "):
            msg = "proof: want a line 'index N' after the header"
            raise MalformedError(msg)
        index = parse_decimal(lines.pop(0).removeprefix("index "), "proof index")
        if len(lines) > MAX_HASHES:
            msg = f"proof: {len(lines)} hashes, want at most {MAX_HASHES}"
            raise MalformedError(msg)
        hashes = tuple(decode_base64(line, f"proof hash {i}") for i, line in enumerate(lines))
        for i, hash_ in enumerate(hashes):
            if len(hash_) != HASH_SIZE:
                msg = f"proof hash {i}: {len(hash_)} bytes, want {HASH_SIZE}"
                raise MalformedError(msg)
        return cls(index, hashes, checkpoint, extra)

    def __bytes__(self) -> bytes:
        lines = [_HEADER]
        if self.extra is not None:
            lines.append("extra " + base64.b64encode(self.extra).decode())
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(h).decode() for h in self.hashes]
        return ("\n".join(lines) + "\n\n").encode() + self.checkpoint

    def verify(self, entry: bytes, policy: Policy) -> Checkpoint:
        """Return the checkpoint under which exactly these `entry` bytes stand at `index`.

        Raises `MalformedError`, `UnknownKey`, `InvalidSignature`, `ProofMismatch`. The keys come from `policy` and the
        leaf hash from `entry`; the proof configures nothing.
        """
        checkpoint = open_checkpoint(self.checkpoint, policy)
        verify_inclusion(
            self.hashes, index=self.index, size=checkpoint.size, leaf=leaf_hash(entry), root=checkpoint.root
        )
        return checkpoint
