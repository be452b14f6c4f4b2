"""A ledger as it is run: from accepted to published, checked and watched. `provenance.ledger` says what is recorded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import orjson

from ledger.checkpoint import Checkpoint
from ledger.cosignature import Signs
from ledger.errors import NotFound, QuorumNotMet, UnknownKey
from ledger.log import Log
from ledger.note import Signer
from ledger.rounds import Report, Rounds
from provenance.events import new_event
from provenance.following import BATCH, Following
from provenance.health import Checkup, Health, Standing
from provenance.identity import Parties, Party, has_changed, read_party
from provenance.index import IndexStore
from provenance.moments import format_time
from provenance.notes import MemoryNotes, Notes
from provenance.observe import UNOBSERVED, Observer
from provenance.publishing import Publisher
from provenance.queue import Queue
from provenance.recall import Recall
from provenance.scrubs import Scrubbed
from provenance.sequencer import Sequencer, Signers
from provenance.staging import Staging
from provenance.statement import Statement
from provenance.vault import Vault
from provenance.vocabularies import vocabularies_at
from provenance.worker import Worker

__all__ = ["RunningLedger"]

logger = logging.getLogger(__name__)


class RunningLedger:
    """The parts of one market's ledger, and what moves events through them. Safe to share between threads."""

    def __init__(
        self,
        *,
        log: Log,
        queue: Queue,
        vault: Vault,
        index: IndexStore,
        signers: Callable[[], Signers] | None,
        claim: Callable[[], str] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        notes: Notes | None = None,
        folders: Mapping[str, Path] | None = None,
        rounds: Callable[[], Rounds] | None = None,
        scrubs: Callable[[], Scrubbed] | None = None,
    ) -> None:
        """Not for users: `adapters.connect`. Without `signers` events are only staged, by whoever holds no key.

        `notes` is what all processes share for `health`, which also watches the volumes of `folders`.
        """
        self.log = log
        self._queue = queue
        self._vault = vault
        self._index = index
        self._clock = clock
        self._claim = claim
        self._signs = signers is not None
        genesis = log.row(0)
        sealed = frozenset(orjson.loads(genesis.opened)["body"]["sealed"])
        self._genesis = Statement.parse(genesis.entry).event_id
        self._sealed: frozenset[str] = sealed
        self._vocabularies = vocabularies_at([genesis.opened])  # as far as is known; `Desk.draft` looks again
        self._recall = Recall(log=log, queue=queue, vault=vault, index=index)
        self._parties = Parties(self._find_party, changes=self._key_changes, newer=self._has_changed)
        self._changes_seen = 0
        self._following = Following(
            log=log, queue=queue, vault=vault, index=index, forget=self._recall.forget, read=self._recall.read
        )
        self._following.follow()  # also finishes what a crash interrupted
        self.market = self._find_market(signers().market.public.thumbprint[:8] if signers else None)
        self._following.market = self.market
        self._sequencer = Sequencer(
            log=log,
            queue=queue,
            vault=vault,
            index=index,
            following=self._following,
            signers=signers or _no_signers,
            genesis=self._genesis,
            market=self.market,
            clock=clock,
            may_sign=self._check_market_key,
            late=self._find_late,
        )
        self._staging = Staging(
            queue=queue,
            index=index,
            recall=self._recall,
            sealed=sealed,
            market=self.market,
            clock=clock,
            parties=self._parties.get,
        )
        self._observer: Observer = UNOBSERVED
        self._worker: Worker | None = None  # the one that was made last
        self._rounds = rounds
        self._scrubs = scrubs
        self._notes = kept = notes or MemoryNotes()
        self._publisher = Publisher(log=log, sequencer=self._sequencer, index=index, notes=kept, clock=clock)
        self._checkup = Checkup(
            log=log,
            queue=queue,
            index=index,
            notes=kept,
            clock=clock,
            folders=folders or {},
            own_error=lambda: self._worker.error if self._worker else None,
        )

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self.log.origin

    # From accepted to published

    def sequence_once(self, limit: int = BATCH) -> int:
        """Move at most `limit` accepted events into the log; return how many. Idempotent, durable on return.

        Whoever calls: others that sequence at the same time, in whichever process, wait, and their events ride in this
        batch. 0 means that everything accepted before is sequenced. Raises `Rollback` when the clock is behind the log.
        """
        return self._sequencer.sequence_once(limit)

    def publish_once(self) -> Checkpoint:
        """Sign a checkpoint over what is sequenced and write it to where the log is published. Idempotent.

        Raises `QuorumNotMet` where witnesses are asked and too few answered: everything stays sequenced, readers go on
        seeing the last one, and the next call asks again.
        """
        return self._publisher.publish()

    def publish(self) -> Checkpoint:
        """Sequence everything accepted before the call, then `publish_once`."""
        self._sequencer.drain()
        return self._publisher.publish()

    def _publish_recorded(self) -> None:
        """Publish what a verb has recorded; without a quorum of witnesses that comes later."""
        try:
            self.publish()
        except QuorumNotMet as error:
            logger.warning("%s: recorded, not published yet: %s", self.origin, error, extra={"origin": self.origin})

    def hand_over(self, key: Signer, *, also: Signs | None = None) -> Checkpoint:
        """Let the log sign with `key` from now on, and with `also` (ML-DSA-44) where it signs with one or is to begin.

        The `log.keys` event that says so is the last entry under a checkpoint that the keys of before and these sign;
        it is durable when this returns, and whoever holds the keys of before signs no more. `adapters.hand_over` does
        this and all that goes with it: the new key in its place, and the link that verifiers follow. Raises
        `UnknownKey` for keys that the log has or had, `MalformedError` where an ML-DSA-44 key would have no successor.
        """
        self._sequencer.drain()
        now = self.log.keys
        after = now.next(key, also, size=self.log.size + 1)  # refuses before anything is written
        earlier = self._index.on().of_type("log.keys")
        prev = earlier[-1].event_id if earlier else self._genesis
        retired = [str(each) for each in now.verifiers if each not in after.verifiers]
        draft = new_event(
            "log.keys",
            ledger=self.origin,
            actor=self._genesis.hex(),
            strength="self",
            claimed_at=format_time(self._clock()),
            body={"log_keys": [str(each) for each in after.verifiers], "retired": retired},
            refs=[{"role": "prev", "id": prev.hex()}],
        )
        self._sequencer.hand_over((key, also), to=draft)
        return self.log.signed

    def worker(self, *, window: float = 1.0) -> Worker:
        """What sequences and publishes by itself, once per `window` seconds, for those without a scheduler."""
        self._worker = Worker(self, window=window, beat=self._publisher.beat)
        return self._worker

    @property
    def waiting(self) -> int:
        """Events accepted and not yet sequenced."""
        return len(self._queue)

    # How it is

    def fsck_slice(self, seconds: float = 5.0) -> Report:
        """Check for about so many seconds what is stored – log, vault, index, queue, published places – and report.

        The next call, from whichever process, goes on where this one stopped; after the end a new pass begins. How far
        it came is durable on return. What is wrong is in the report, and turns `health` bad; nothing is mended. It ends
        between two portions: most take milliseconds, SQLite's own check of a table or file 3 s for a million events.
        """
        if self._rounds is None:
            msg = f"{self.origin}: this ledger was put together without a check of its storage; use adapters.connect"
            raise NotFound(msg)
        return self._rounds().slice(seconds, now=format_time(self._clock()))

    def scrub(self) -> Scrubbed:
        """Rewrite what may still hold the bytes of what was erased, and note how far; what is beyond reach is named.

        As `adapters.scrub.scrub`: others wait meanwhile, so when the market is quiet. Raises `Unavailable` when
        somebody does not let go.
        """
        if self._scrubs is None:
            msg = f"{self.origin}: this ledger was put together without its storage; use adapters.connect"
            raise NotFound(msg)
        return self._scrubs()

    def health(self, *, window: float | None = None) -> Health:
        """Every check, each with its limit and its fix; they turn before anybody outside notices. Never raises.

        Limits follow from `window`, the seconds between checkpoints: by default that of the worker that spoke last,
        in whichever process, else 1. It reads and writes nothing: for a health endpoint, a cron job, a test.
        """
        return self._checkup.health(window=window)

    def standing(self) -> Standing:
        """The figures: sizes, what waits and for how long. Raises `Unavailable`, `Rollback`, `Fork`."""
        return self._checkup.standing()

    def fsck_report(self) -> Report | None:
        """How far checking in slices has come and what it found, in whichever process; None before the first."""
        return self._checkup.fsck()

    def observe(self, observer: Observer) -> None:
        """Let `observer` watch every step from now on, instead of whoever did before. It learns no contents."""
        self._observer = self._sequencer.observer = self._publisher.observer = observer

    # Parties

    def _find_party(self, party_id: bytes) -> Party | None:
        return read_party(party_id, self._index.on(), self._recall.read, self._signed)

    def _signed(self, idx: int) -> Statement:
        if idx >= self.log.size:
            self.log.refresh()  # another process sequenced it
        return Statement.parse(self.log.row(idx).entry)

    def _find_market(self, kid: bytes | None) -> bytes:
        """The registered party that has this key now; without one, the first that is registered as a market."""
        for entry in self._index.on().of_type("party.register"):
            party = self._parties.get(entry.event_id)
            if party is None:
                continue
            if kid in party.state.keys if kid else party.kind == "market":
                return party.id
            if kid and party.kind == "market" and party.judge(kid, self.log.size).word == "retired":
                raise UnknownKey(self._retired(party, kid))
        what = f"the key {kid.hex()}; is this the right market key?" if kid else "the kind market; is it the right log?"
        msg = f"{self.log.origin}: no party in this log has {what}"
        raise UnknownKey(msg)

    def _check_market_key(self, kid: bytes) -> None:
        """Raise `UnknownKey` unless the market may sign the next entry with this key."""
        party = self._parties.get(self.market)
        if party is not None and party.judge(kid, self.log.size).word != "valid":
            raise UnknownKey(self._retired(party, kid))

    def _retired(self, party: Party, kid: bytes) -> str:
        now = ", ".join(sorted(known.hex() for known in party.state.keys)) or "none"
        return (
            f"{self.log.origin}: market key {kid.hex()}: {party.judge(kid, self.log.size).text}, valid is {now}; "
            "connect with that key, and what waits is sequenced"
        )

    def _key_changes(self) -> int:
        """Entries of the log up to and with the last one that changes keys."""
        for entry in self._index.on().of_type("party.keys", start=self._changes_seen):
            self._changes_seen = max(self._changes_seen, entry.idx + 1)
        return self._changes_seen

    def _has_changed(self, party: Party) -> bool:
        return has_changed(party, self._index.on())

    def _find_late(self, statements: Iterable[bytes]) -> list[tuple[bytes, str]]:
        """Of statements that were just logged, those whose key was retired meanwhile: (event id, how)."""
        if not self._key_changes():
            return []
        found, parties, index = list[tuple[bytes, str]](), dict[str, Party | None](), self._index.on()
        for statement in map(Statement.parse, statements):
            if statement.issuer not in parties:
                parties[statement.issuer] = self._parties.get(bytes.fromhex(statement.issuer))
            party = parties[statement.issuer]
            if party is None or party.judge(statement.kid, self.log.size).word != "retired":
                continue
            entry = index.find(statement.event_id)
            if entry is not None and (verdict := party.judge(statement.kid, entry.idx)).word == "retired":
                found.append((statement.event_id, verdict.text))
        return found


def _no_signers() -> Signers:
    msg = "this process was connected without keys: it stages events, and a worker with keys sequences them"
    raise UnknownKey(msg)
