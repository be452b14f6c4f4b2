"""Where accepted events wait, durable but not yet ordered, in the market's own database.

*Accepted* ends here: once the market's transaction has committed, the event will be sequenced, exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from provenance.once import Place

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from provenance.index import Facts

__all__ = ["Name", "Queue", "Staged", "places_taken", "retake"]


class Staged(NamedTuple):
    """One accepted event. `statement` is None for the market's own: the sequencer signs those."""

    id: int  # of the row; 0 before it is one
    event_id: bytes
    type: str
    event: bytes
    items: tuple[bytes, ...]  # vault items that belong to it
    statement: bytes | None
    sealed: bool
    staged_at: int = 0  # milliseconds since 1970 by the clock of whoever staged it; 0: not known


class Name(NamedTuple):
    """What the market calls an event: unique for each verb. The fingerprint is of the content that was asked for."""

    verb: str
    ref: str
    event_id: bytes
    fingerprint: bytes


class Queue(Protocol):
    """Accepted events and the market's names for them, next to the market's own rows."""

    @property
    def reading(self) -> Connection:
        """A connection of our own that sees everything committed, for reads only."""

    def joining(self, session: Any) -> AbstractContextManager[Connection]:
        """The connection of the caller's transaction (Session or Connection), flushed.

        For None it is a transaction of our own, which commits at the end of the `with` block.

        Raises `StorageError` when what would be written could survive a rollback of the caller.
        """

    def stage(
        self,
        connection: Connection,
        events: Sequence[Staged],
        *,
        name: Name | None = None,
        unless: Sequence[tuple[str, bytes]] = (),
    ) -> bool:
        """Add rows and take the market's `name` for them; or add nothing and return False when the name is taken.

        Nor when one of the places `unless` is, as (rule, key): what speaks against the events would be there. What is
        free stays so until the transaction ends: whoever would take it waits. False may also mean that another
        transaction was about to say the same at the same moment: look, and call again.

        Durable when the transaction of `connection` commits; gone when it does not. Raises `Conflict` for an event
        that is staged already.
        """

    def take(self, connection: Connection, places: Sequence[Place]) -> Place | None:
        """Take places that can be taken once; the first that another event has, and then none is taken.

        Waits for another transaction that is about to take the same. Durable and gone as `stage`. Places that the same
        event has are no error.
        """

    def wait_turn(self, connection: Connection, rule: str) -> None:
        """Wait until nobody else has the turn at `rule`, and have it until the transaction ends.

        What those who had it before have committed is seen from here on; `Unavailable` where this transaction looks at
        what was there when it began, and somebody had the turn since.
        """

    def give_back(self, connection: Connection, event_ids: Sequence[bytes]) -> None:
        """Free what these events took, in the transaction that took it: they will not be staged."""

    def holder(self, connection: Connection, rule: str, key: bytes) -> bytes | None:
        """Id of the event that has a place, None while it is free."""

    def named(self, connection: Connection, verb: str, ref: str) -> Name | None:
        """What this `ref` of a verb stands for, or None."""

    def names(self, connection: Connection, ref: str) -> list[tuple[str, bytes]]:
        """All (verb, event id) that `ref` stands for."""

    def every_name(self, verb: str | None = None) -> Iterator[list[tuple[str, str, bytes]]]:
        """Every name, or those of one verb, as (verb, ref, event id): some at a time, in the order of verb and ref."""

    def waiting(self, connection: Connection, event_ids: Iterable[bytes]) -> dict[bytes, Staged]:
        """Those of `event_ids` that are staged and not yet sequenced."""

    def of_type(self, connection: Connection, type: str) -> list[bytes]:  # noqa: A002 - the field's name
        """Ids of the events of this type that are staged and not yet sequenced, oldest first."""

    def forget_names(self, connection: Connection, names: Sequence[tuple[str, str]]) -> None:
        """Drop these names, as (verb, ref); those that are not there are no error."""

    def forget_files(self, connection: Connection, event_ids: Iterable[bytes]) -> None:
        """Drop what `see_file` was told of these events."""

    def see_file(self, connection: Connection, event_id: bytes, path: str) -> None:
        """Remember where a work's file was last seen on this machine."""

    def file_of(self, connection: Connection, event_id: bytes) -> str | None:
        """The path that `see_file` was last told, or None."""

    def leading(self) -> AbstractContextManager[None]:
        """Wait until nobody else, in any thread, process or host, sequences from this queue; then be the one who does.

        Given up at the end of the `with` block, also when the process dies. It saves work and nothing rests on it:
        two who lead at once get a `Conflict`, never a second entry. Raises `Unavailable` after a long wait.
        """

    def peek(self, limit: int) -> list[Staged]:
        """The oldest committed rows, at most `limit`, and how many wait is `len(queue)`."""

    def newest(self) -> int:
        """The largest `Staged.id` of a committed row, 0 when none waits."""

    def remove(self, connection: Connection, event_ids: Sequence[bytes]) -> None:
        """Drop the rows of these events. Raises `Conflict` when another sequencer has taken one."""

    def forget(self, connection: Connection, event_ids: Iterable[bytes]) -> None:
        """Drop the rows of these events, which are in the log; those that are gone already are no error."""

    def __len__(self) -> int:
        """Rows that wait."""


def places_taken(facts: Iterable[Facts]) -> list[Place]:
    """The places that these events take, in their order."""
    return [Place(rule, key, fact.event_id) for fact in facts for rule, key in fact.places]


def retake(queue: Queue, facts: Iterable[Facts]) -> None:
    """Take the places that these events take (`provenance.once`); those that are taken stay as they are."""
    places = places_taken(facts)
    if places:
        with queue.joining(None) as connection:
            for place in places:
                queue.take(connection, [place])
