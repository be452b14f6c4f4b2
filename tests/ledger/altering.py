"""Bytes that are not quite what they should be, for every test that alters something."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["altered"]


@st.composite
def altered(draw, data: bytes):
    """`data` with some of its bytes flipped, dropped, inserted, repeated or cut off."""
    new = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(new) - 1, 0)))
        match draw(st.sampled_from(["flip", "drop", "insert", "repeat", "cut"])):
            case "flip" if new:
                new[at] ^= draw(st.integers(1, 255))
            case "drop":
                del new[at : at + draw(st.integers(1, 40))]
            case "insert":
                new[at:at] = draw(st.binary(min_size=1, max_size=4))
            case "repeat":
                piece = new[at : at + draw(st.integers(1, 80))]
                new[at:at] = piece
            case "cut":
                del new[at:]
    return bytes(new)
