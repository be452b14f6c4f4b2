"""Policies: whose signatures a verifier accepts (c2sp.org/tlog-policy).

The smallest real form: `log` lines, `#` comments and `quorum none`::

    log market.example/log+2f1e8d0c+AZ… https://market.example/log
    quorum none

Everything that verifies takes a policy. Nothing that is verified brings its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ledger.errors import MalformedError
from ledger.note import VerifierKey

__all__ = ["MAX_POLICY", "LogLine", "Policy"]

MAX_POLICY = 65_536
"""Characters of the longest policy that is read."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One accepted log: its verifier key (whose name is the origin) and, where given, where it is published."""

    key: VerifierKey
    url: str = ""

    def __str__(self) -> str:
        return f"log {self.key} {self.url}" if self.url else f"log {self.key}"


@dataclass(frozen=True, slots=True)
class Policy:
    """The logs a verifier accepts. Any one listed key of a log's origin is enough; no witness is asked for."""

    logs: tuple[LogLine, ...]

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Read a policy. Raises `MalformedError` with the line, also for lines it does not know or cannot honor."""
        if len(text) > MAX_POLICY:
            msg = f"policy: {len(text)} characters, want at most {MAX_POLICY}"
            raise MalformedError(msg)
        logs: list[LogLine] = []
        quorum = ""
        for number, line in enumerate(text.split("\n"), 1):
            words = [word for word in re.split(r"[ \t]+", line) if word]
            if not words or words[0].startswith("#"):
                continue
            match words:
                case ["log", key] | ["log", key, _]:
                    logs.append(LogLine(VerifierKey.parse(key), words[2] if len(words) == 3 else ""))
                case ["quorum", "none"] if not quorum:
                    quorum = "none"
                case _:
                    msg = f"policy line {number}: {line[:80]!r}, want 'log VKEY [URL]' or, once, 'quorum none'"
                    raise MalformedError(msg)
        if not quorum:
            msg = "policy: no quorum line, want 'quorum none'"
            raise MalformedError(msg)
        publics = [log.key.public for log in logs]
        if len(set(publics)) != len(publics):
            msg = "policy: one public key stands in it twice"
            raise MalformedError(msg)
        return cls(tuple(logs))

    @classmethod
    def of(cls, *keys: VerifierKey) -> Policy:
        """The policy that accepts exactly these log keys."""
        return cls(tuple(LogLine(key) for key in keys))

    def __str__(self) -> str:
        return "".join(f"{log}\n" for log in self.logs) + "quorum none\n"

    @property
    def origins(self) -> frozenset[str]:
        """Origins of the logs that the policy accepts."""
        return frozenset(log.key.name for log in self.logs)

    def keys(self, origin: str) -> tuple[VerifierKey, ...]:
        """The keys accepted for this origin."""
        return tuple(log.key for log in self.logs if log.key.name == origin)
