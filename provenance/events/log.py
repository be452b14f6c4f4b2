"""What a log says of itself, with its own key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ledger.policy import parse_log_key
from provenance.errors import Reason
from provenance.events.envelope import ONE, Event, EventRef, Model, OnlyRef, Roles, Rules, repeated
from provenance.events.fields import EventType, Hex, Origin, Term, Time, Vkey
from provenance.events.vocabulary import ALWAYS_OPEN

__all__ = ["LogGenesis", "LogKeys", "LogTime"]

_LOG_KEY = "the log's own key"


class _Genesis(Model):
    origin: Origin
    log_keys: Annotated[tuple[Vkey, ...], Field(min_length=1, max_length=16)]
    leaf_rule: Literal["c2sp.org/tlog-tiles entry = COSE_Sign1 bytes"]
    sealed: Annotated[tuple[EventType, ...], Field(max_length=100)]
    vocabularies: Annotated[dict[Term, Term], Field(max_length=100)]
    vocabulary_digests: Annotated[dict[Term, Hex], Field(max_length=100)] | None = None


class LogGenesis(Event):
    """The first entry: what this log is. Its actor is "self", and its id is the party that all other log.* name.

    `log_keys` are vkeys (c2sp.org/signed-note) named like the log, `sealed` the types whose events stay in the vault,
    `vocabularies` the versions of the tables that the log begins with, `vocabulary_digests` the SHA-256 of each in
    canonical JSON. Maps to the registration policy of SCITT (RFC 9943), which has to be registered itself. For
    example::

        {"body": {"leaf_rule": "c2sp.org/tlog-tiles entry = COSE_Sign1 bytes",
                  "log_keys": ["example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"],
                  "origin": "example.com/foo",
                  "sealed": ["grant.issue"],
                  "vocabularies": {"iptc-digital-source-type": "2024-Q3"},
                  "vocabulary_digests": {
                      "iptc-digital-source-type": "0263829989b6fd954f72baaf2fc64bc2e2f01d692d4de72986ea808f6e99813f"}},
         "actor": "self", "ledger": "example.com/foo", "strength": "self"}
    """

    signed_by = _LOG_KEY
    rules: ClassVar[Rules] = {
        "origin": "`origin` is the ledger it stands in",
        "keys": "the keys are named like the log, and none stands there twice",
        "sealed": "no type that is always open is sealed, and none stands there twice",
        "vocabularies": "each digest is of a table in `vocabularies`",
    }

    type: Literal["log.genesis"]
    actor: Literal["self"]
    strength: Literal["self"]
    body: _Genesis
    refs: tuple[()]
    commits: Annotated[OnlyRef, Field(max_length=0)]

    def _breaks(self) -> Iterator[Reason]:
        body = self.body
        if body.origin != self.ledger:
            yield self._broken("origin", f"body.origin: {body.origin}, want {self.ledger} as in ledger")
        for text in _wrong_names(body.log_keys, body.origin):
            yield self._broken("keys", f"body.log_keys: {text}")
        for sealed in body.sealed:
            if sealed.startswith(ALWAYS_OPEN):
                yield self._broken("sealed", f"body.sealed: {sealed} is always open: nothing else rests on less")
        if repeated(body.sealed):
            yield self._broken("sealed", "body.sealed: a type stands there twice")
        for name in sorted((body.vocabulary_digests or {}).keys() - body.vocabularies.keys()):
            yield self._broken("vocabularies", f"body.vocabulary_digests: {name}, which is not in vocabularies")


class _Keys(Model):
    log_keys: Annotated[tuple[Vkey, ...], Field(min_length=1, max_length=16)]
    retired: Annotated[tuple[Vkey, ...], Field(max_length=16)]


class LogKeys(Event):
    """The log's keys change: from here on it signs checkpoints with `log_keys`, and with none that is `retired`.

    Both are vkeys (c2sp.org/signed-note; c2sp.org/tlog-cosignature for ML-DSA-44) named like the log. Said by a key of
    before, as the last entry under a checkpoint that keys of before and after have signed. Maps to the rotation of log
    keys that c2sp.org/tlog-policy leaves to the log. For example::

        {"body": {"log_keys": ["example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"],
                  "retired": []},
         "refs": [{"role": "prev", "id": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"}],
         "actor": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
         "ledger": "example.com/foo", "strength": "self"}
    """

    signed_by = _LOG_KEY
    roles: ClassVar[Roles] = {"prev": ONE}
    rules: ClassVar[Rules] = {"keys": "the keys are named like the log, and none stands there twice"}

    type: Literal["log.keys"]
    actor: Hex
    strength: Literal["self"]
    body: _Keys
    refs: tuple[EventRef[Literal["prev"]], ...]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        for text in _wrong_names((*self.body.log_keys, *self.body.retired), self.ledger):
            yield self._broken("keys", f"body: {text}")


class _Time(Model):
    time: Time


class LogTime(Event):
    """The log's clock: entries from here on have this log time (RFC 3339, UTC, whole seconds).

    The actor is the genesis event. Its word is the operator's, bounded by the timestamps of witnesses
    (c2sp.org/tlog-cosignature). For example::

        {"body": {"time": "2026-11-23T07:15:00Z"},
         "actor": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "strength": "self"}
    """

    signed_by = _LOG_KEY

    type: Literal["log.time"]
    actor: Hex
    strength: Literal["self"]
    body: _Time
    refs: tuple[()]
    commits: Annotated[OnlyRef, Field(max_length=0)]


def _wrong_names(vkeys: tuple[str, ...], origin: str) -> Iterator[str]:
    for vkey in vkeys:
        name = parse_log_key(vkey).name
        if name != origin:
            yield f"a key named {name}, want {origin}"
    if repeated(vkeys):
        yield "a key stands there twice"
