"""A log's own database, seen as the folder that it would publish: what checks the one checks the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ledger.checkpoint import open_checkpoint
from ledger.copies import Copies, Fits, Gone, get_or_none
from ledger.errors import NotFound, StorageError
from ledger.fsck import Fault
from ledger.keyring import own_note
from ledger.policy import Policy
from ledger.repair import Repaired, checkpoint_in, newest_shown, repair
from ledger.storage import Database, Head, ReadsObjects, Row
from ledger.stored import Stored
from ledger.tile import CHECKPOINT, WIDTH, bundle_path, open_path, pack_bundle, pack_open

__all__ = ["Owned", "repair_owned"]


class Owned:
    """What a database holds of one log at one moment, as `ReadsObjects`.

    The checkpoint comes from the head row, and what is partial from the rows behind the last full bundle. `head` and
    `rows` are what was read; entries from `checkpoint.size` to `head.size` are sequenced and not yet published.
    Raises `StorageError` when head and rows contradict each other, and what `open_checkpoint` raises.
    """

    def __init__(self, database: Database, policy: Policy, origin: str) -> None:
        self._database = database
        self.head, self.rows = _head_and_rows(database, origin)
        self.checkpoint = open_checkpoint(self.head.signed, policy)
        try:
            edge = Stored(database).edge(self.checkpoint.size, self.head.size, self.rows)
        except NotFound:
            raise
        except StorageError as error:
            msg = f"rows of {origin}: {error}"
            raise StorageError(msg) from error
        self._partial = dict(edge.partial()[0])
        self._partial[CHECKPOINT] = self.head.signed
        if any(row.opened for row in self.rows):
            # Of what is open beside them, all: a reader takes what its checkpoint covers.
            self._partial[open_path(self.head.size // WIDTH)] = pack_open([row.opened for row in self.rows])

    def get(self, path: str) -> bytes:
        """As `ReadsObjects.get`."""
        data = self._partial.get(path)
        return self._database.get(path) if data is None else data


def _head_and_rows(database: Database, origin: str) -> tuple[Head, list[Row]]:
    """Both as of one moment: the market may sequence between two reads."""
    while True:
        head = database.head(origin)
        rows = list(database.rows(origin))
        if database.head(origin) == head:
            return head, rows


def repair_owned(
    database: Database,
    policy: Policy,
    origin: str,
    published: Sequence[ReadsObjects],
    *,
    fits: Fits | None = None,
    gone: Gone | None = None,
    numbers: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Repaired, Copies | None]:
    """Mend a log's own database from itself and from what is published; return what was done, and the proven copies.

    A head whose signature is broken is replaced by the newest signed checkpoint that is published. Rows behind the last
    full bundle come from wherever the checkpoint proves them; those that it does not cover stay as they are.
    `numbers` are the indexes that the rows are stored under, in their order, where they may be wrong. The rest as in
    `repair`.
    """
    head, rows = _head_and_rows(database, origin)
    own = checkpoint_in(head.signed, policy)
    newest = own or newest_shown(published, policy)
    if newest is None:
        text = f"head of {origin}: no checkpoint with a good signature is here or published; restore a backup"
        return Repaired(lost=[Fault(f"head of {origin}", text)]), None
    copies = Copies(newest, [_WithRows(database, rows, head.size // WIDTH), *published])
    report = repair(database, copies, fits=fits, gone=gone, partial=False, progress=progress)
    if own is None:
        with database.transaction() as tx:
            tx.swap(origin, head.signed, own_note(newest, policy))
        report.mended.append(f"head of {origin}")
    _mend_rows(database, origin, head, rows, numbers, copies, fits, report)
    return report, copies


def _mend_rows(
    database: Database,
    origin: str,
    head: Head,
    rows: list[Row],
    numbers: Sequence[int] | None,
    copies: Copies,
    fits: Fits | None,
    report: Repaired,
) -> None:
    place = f"rows of {origin}"
    number = copies.checkpoint.size // WIDTH
    while get_or_none(database, bundle_path(number)) is not None:
        number += 1
    first = number * WIDTH
    good: list[Row] = []
    if first < copies.checkpoint.size:
        entries = copies.entries(number)
        if entries is None:
            text = f"{place}: no copy has those from #{first} on unchanged; restore a backup"
            report.lost.append(Fault(place, text))
            return
        if fits is None:
            beside = {row.entry: row.opened for row in rows}
            good = [Row(entry, beside.get(entry, b"")) for entry in entries]
        else:
            good = [Row(*pair) for pair in zip(entries, copies.opened(number, entries, fits), strict=True)]
    right = list(range(first, first + len(rows)))
    stored = right if numbers is None else list(numbers)
    stop = max(first + len(rows) if stored == right else head.size, first + len(good))
    at = dict(zip(stored, rows, strict=True))
    kept = _unproven(at, first, range(first + len(good), stop), {row.entry for row in good})
    if kept is None:
        text = f"{place}: nobody can tell which is which from #{first + len(good)} on; restore a backup"
        report.lost.append(Fault(place, text))
        return
    good += kept
    if (good, stop, stored) != (rows, head.size, right):
        with database.transaction() as tx:
            tx.extend(origin, head.size, stop, good, trim=True)
        report.mended.append(place)


def _unproven(rows: dict[int, Row], first: int, wanted: range, proven: set[bytes]) -> list[Row] | None:
    """The rows that no checkpoint covers, each under its number; one that lost its number takes the one place left."""
    gaps = [idx for idx in wanted if idx not in rows]
    lost = [row for idx, row in rows.items() if not first <= idx < wanted.stop and row.entry not in proven]
    if len(gaps) > 1 or len(gaps) != len(lost):
        return None
    return [rows[idx] if idx in rows else lost[0] for idx in wanted]


class _WithRows:
    """The objects of a database, with the bundle that its rows are."""

    def __init__(self, objects: ReadsObjects, rows: Sequence[Row], number: int) -> None:
        self._objects = objects
        self._rows = rows
        self._number = number

    def get(self, path: str) -> bytes:
        """As `ReadsObjects.get`."""
        if path == open_path(self._number) and self._rows:
            return pack_open([row.opened for row in self._rows])
        if path.startswith(f"{bundle_path(self._number)}.p/") and self._rows:
            return pack_bundle([row.entry for row in self._rows])
        return self._objects.get(path)
