"""What a log says of itself, with its own key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from ledger.note import VerifierKey
from provenance.errors import Reason
from provenance.events.envelope import Event, Model
from provenance.events.fields import EventType, Hex, Origin, Term, Time, Vkey
from provenance.events.vocabulary import ALWAYS_OPEN

__all__ = ["LogGenesis", "LogTime"]


class _Genesis(Model):
    origin: Origin
    log_keys: Annotated[tuple[Vkey, ...], Field(min_length=1, max_length=16)]
    leaf_rule: Literal["c2sp.org/tlog-tiles entry = COSE_Sign1 bytes"]
    sealed: Annotated[tuple[EventType, ...], Field(max_length=100)]
    vocabularies: Annotated[dict[Term, Term], Field(max_length=100)]


class LogGenesis(Event):
    """The first entry: what this log is. Its actor is "self", and its id is the party that all other log.* name.

    `log_keys` are vkeys (c2sp.org/signed-note) named like the log, `sealed` the types whose events stay in the vault,
    `vocabularies` the tables that the log begins with. Maps to the registration policy of SCITT (RFC 9943), which has
    to be registered itself. For example::

        {"body": {"leaf_rule": "c2sp.org/tlog-tiles entry = COSE_Sign1 bytes",
                  "log_keys": ["example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"],
                  "origin": "example.com/foo",
                  "sealed": ["grant.issue"],
                  "vocabularies": {"iptc-digital-source-type": "2024-Q3"}},
         "actor": "self", "ledger": "example.com/foo", "strength": "self"}
    """

    type: Literal["log.genesis"]
    actor: Literal["self"]
    strength: Literal["self"]
    body: _Genesis
    refs: tuple[()]
    commits: dict[Literal["ref"], Hex] = Field(max_length=0)

    def broken_rules(self) -> Iterator[Reason]:
        """`log.genesis.origin`, `log.genesis.keys`, `log.genesis.sealed`."""
        body = self.body
        if body.origin != self.ledger:
            yield Reason("log.genesis.origin", f"body.origin: {body.origin}, want {self.ledger} as in ledger")
        for vkey in body.log_keys:
            name = VerifierKey.parse(vkey).name
            if name != body.origin:
                yield Reason("log.genesis.keys", f"body.log_keys: a key named {name}, want {body.origin}")
        if len(set(body.log_keys)) != len(body.log_keys):
            yield Reason("log.genesis.keys", "body.log_keys: a key stands there twice")
        for sealed in body.sealed:
            if sealed.startswith(ALWAYS_OPEN):
                yield Reason("log.genesis.sealed", f"body.sealed: {sealed} is always open: nothing else rests on less")
        if len(set(body.sealed)) != len(body.sealed):
            yield Reason("log.genesis.sealed", "body.sealed: a type stands there twice")


class _Time(Model):
    time: Time


class LogTime(Event):
    """The log's clock: entries from here on have this log time (RFC 3339, UTC, whole seconds).

    The actor is the genesis event. Its word is the operator's, bounded by the timestamps of witnesses
    (c2sp.org/tlog-cosignature). For example::

        {"body": {"time": "2026-11-23T07:15:00Z"},
         "actor": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "strength": "self"}
    """

    type: Literal["log.time"]
    actor: Hex
    strength: Literal["self"]
    body: _Time
    refs: tuple[()]
    commits: dict[Literal["ref"], Hex] = Field(max_length=0)
