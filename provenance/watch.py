"""Which entries of a log are about a party, a work or a file that somebody watches."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from provenance.index import Facts, facts_of
from provenance.readings import ItemStatus, Reading

__all__ = ["News", "Watch"]

_WORKS = ("work.create", "work.derive")


@dataclass(frozen=True, slots=True)
class News:
    """One entry that is about what is watched under `name`; `how` says in which way, as the end of a sentence.

    Of a sealed entry only its type and signer are known. Nothing here is judged: an audit does that.
    """

    index: int
    type: str
    issuer: str
    event: str
    name: str
    how: str
    status: ItemStatus


class Watch:
    """What is watched, by the names it is given: ids of events, or the SHA-256 of files, 32 bytes each.

    An entry is about a party that signed it, a party or work that its event names or erases, also a work of a watched
    party, and about a file whose digest its event has. `read` and `works` are as in `Standing`, and go on from there.
    """

    def __init__(
        self, names: Mapping[str, bytes], *, read: Mapping[str, int], works: Mapping[str, Sequence[str]]
    ) -> None:
        self._names = {name: watched.hex() for name, watched in names.items()}
        self._read = {watched: read.get(watched, 0) for watched in self._names.values()}
        self._works = {watched: dict.fromkeys(works.get(watched, ())) for watched in self._names.values()}

    @property
    def start(self) -> int:
        """The first entry that is not read for all that is watched; what was never watched before begins at 0."""
        return min(self._read.values(), default=0)

    @property
    def read(self) -> dict[str, int]:
        """For each thing that is watched, which entry is read next."""
        return dict(self._read)

    @property
    def works(self) -> dict[str, list[str]]:
        """For each party that is watched, the works that name it as a creator."""
        return {watched: list(works) for watched, works in self._works.items() if works}

    def news(self, reading: Reading) -> Iterator[News]:
        """What one entry says about what is watched. Entries come in order, from `start` on, and each is used up."""
        facts = _facts(reading)
        for name, watched in self._names.items():
            if reading.index < self._read[watched]:
                continue
            works = self._works[watched]
            if facts is not None and (how := _how(facts, watched, works)):
                issuer, event = facts.issuer.hex(), facts.event_id.hex()
                yield News(reading.index, facts.type, issuer, event, name, how, reading.status)
            if facts is not None and facts.type in _WORKS and ("creator", watched) in _targets(facts):
                works[facts.event_id.hex()] = None
            self._read[watched] = reading.index + 1


def _facts(reading: Reading) -> Facts | None:
    statement = reading.statement
    if statement is None:
        return None
    return facts_of(
        event_id=statement.event_id,
        type=statement.type,
        issuer=statement.issuer,
        sealed=statement.sealed,
        event=reading.event,
    )


def _targets(facts: Facts) -> list[tuple[str, str]]:
    return [(role or "a ref", target.hex()) for role, target, *_ in facts.links]


def _how(facts: Facts, watched: str, works: Container[str]) -> str:
    """How an entry is about what is watched, "" when it is not."""
    said = []
    if facts.event_id.hex() == watched:
        said.append("is its own entry")
    elif facts.issuer.hex() == watched:
        said.append("is signed by it")
    for role, target in _targets(facts):
        if target == watched:
            said.append(f"names it as {role}")
        elif target in works:
            said.append(f"names its work {target[:16]}… as {role}")
    said += [f"has its digest, as {kind}" for digest, kind in facts.digests if digest.hex() == watched]
    said += ["erases it" for target in facts.erased if target.hex() == watched or target.hex() in works]
    return " and ".join(dict.fromkeys(said))
