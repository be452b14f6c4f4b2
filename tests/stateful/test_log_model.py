"""A log against a list: whatever is done in whatever order, both hold the same, and every proof verifies."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adapters.files import Directory
from adapters.sql.store import SqlStore
from ledger import Client, Log, Proof, Row, SigningKey, fsck
from ledger.merkle import verify_consistency
from ledger.testing import MemoryStore

KEY = SigningKey("market.example/log", bytes(range(32)))
entries = st.binary(max_size=40)
rows = st.lists(st.builds(Row, entries, st.just(b"") | entries), max_size=8)


class LogMachine(RuleBasedStateMachine):
    """`self.model` is the list; `self.published` the checkpoints seen, oldest first."""

    @initialize(
        kind=st.sampled_from(["memory", "sqlite"]),
        window=st.sampled_from([0.0, 3600.0]),
        genesis=st.builds(Row, entries, entries),
    )
    def create(self, kind, window, genesis):
        self.folder = Path(tempfile.mkdtemp(prefix="log"))
        self.public = MemoryStore() if kind == "memory" else Directory(self.folder / "public")
        self.url = f"sqlite:///{self.folder / 'log.db'}"
        self.kind, self.window = kind, window
        self.store = MemoryStore() if kind == "memory" else SqlStore(self.url, create=True)
        self.log = Log.create(self.store, KEY, genesis, publish=[self.public], window=window)
        self.model = [genesis]
        self.client = Client(self.public, self.log.policy)
        self.published = [self.log.checkpoint]

    @rule(entry=entries)
    def append(self, entry):
        assert self.log.append(entry) == len(self.model)
        self.model.append(Row(entry, b""))

    @rule(batch=rows)
    def extend(self, batch):
        assert self.log.extend(batch) == len(self.model)
        self.model += batch

    @rule(number=st.integers(200, 300), entry=entries)
    def fill(self, number, entry):
        batch = [Row(entry + b"%d" % i, b"") for i in range(number)]
        assert self.log.extend(batch) == len(self.model)
        self.model += batch

    @rule()
    def publish(self):
        checkpoint = self.log.publish()
        assert checkpoint.size == len(self.model)
        assert self.client.latest(since=self.published[0]) == checkpoint
        self.published.append(checkpoint)

    @rule()
    def reopen(self):
        if self.kind == "sqlite":
            self.store.close()
            self.store = SqlStore(self.url)
        self.log = Log.open(self.store, KEY, publish=[self.public], window=self.window, remembered=self.published[-1])

    @rule()
    def second_handle(self):
        other = Log.open(self.store, KEY, window=self.window)
        assert other.append(b"from elsewhere") == len(self.model)
        self.model.append(Row(b"from elsewhere", b""))
        assert self.log.append(b"and here") == len(self.model)
        self.model.append(Row(b"and here", b""))

    @rule(data=st.data(), elsewhere=st.booleans())
    def redact(self, data, elsewhere):
        gone = data.draw(st.sets(st.integers(0, len(self.model) - 1), max_size=4))
        log = Log.open(self.store, KEY, publish=[self.public], window=self.window) if elsewhere else self.log
        assert log.extend([Row(b"why", b"because")], redact=gone) == len(self.model)
        self.model = [row._replace(opened=b"") if at in gone else row for at, row in enumerate(self.model)]
        self.model.append(Row(b"why", b"because"))
        log.redact(gone)
        self.log.refresh()

    @rule(data=st.data())
    def prove(self, data):
        checkpoint = self.log.checkpoint
        index = data.draw(st.integers(0, checkpoint.size - 1))
        proof = Proof.parse(bytes(self.log.prove(index)))
        assert proof.verify(self.model[index].entry, self.log.policy) == checkpoint
        old = data.draw(st.sampled_from(self.published))
        verify_consistency(
            self.log.prove_consistency(old.size),
            old=old.size,
            new=checkpoint.size,
            old_root=old.root,
            new_root=checkpoint.root,
        )
        assert self.log.root_at(old.size) == old.root

    @rule(data=st.data())
    def read(self, data):
        start = data.draw(st.integers(0, len(self.model)))
        stop = data.draw(st.integers(start, len(self.model)))
        assert list(self.log.rows(start, stop)) == self.model[start:stop]

    @rule()
    def audit(self):
        client = Client(self.public, self.log.policy)
        size = client.latest().size
        assert fsck(client) == size
        assert list(client.entries(0, size)) == [row.entry for row in self.model[:size]]
        for number in range(-(-size // 256)):
            want = [row.opened for row in self.model[number * 256 : min(size, number * 256 + 256)]]
            got = client.opened(number)[: len(want)]  # whoever redacts shows all that is there
            assert got + [b""] * (len(want) - len(got)) == want

    @invariant()
    @precondition(lambda self: hasattr(self, "log"))
    def sizes_agree(self):
        assert self.log.size == len(self.model)
        assert self.published[-1].size <= self.log.checkpoint.size <= self.log.size

    def teardown(self):
        if hasattr(self, "folder"):
            if self.kind == "sqlite":
                self.store.close()
            shutil.rmtree(self.folder)


LogMachine.TestCase.settings = settings(stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow])
TestLog = LogMachine.TestCase
