"""robots.txt (RFC 9309) with `Content-Usage` lines (draft-ietf-aipref-attach-05): may a path be fetched, and used how.

::

    User-Agent: *
    Disallow: /never/
    Content-Usage: train-ai=n
    Content-Usage: /ai-ok/ train-ai=y
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from provenance.rights.reservations import Said, combine, matches, parse_aipref

__all__ = ["MAX_ROBOTS", "RobotsAnswer", "read_robots"]

MAX_ROBOTS = 512_000
"""Most bytes of a file that are read (RFC 9309 §2.5 asks for at least 500 KiB); what comes after is ignored."""


class RobotsAnswer(NamedTuple):
    """What a file says of one path to one agent."""

    crawl: bool
    """Whether it may be fetched at all."""
    fields: tuple[str, ...]
    """The preferences about it, as they are written; none where it may not be fetched."""

    def said(self, *, version: str = "08") -> dict[str, Said]:
        """The preferences by a version of the vocabulary `aipref`: of several about the same path, the strictest."""
        read = [parse_aipref(field, version=version) for field in self.fields or ("",)]
        return {label: combine(each[label] for each in read) for label in read[0]}


def read_robots(data: bytes, *, agent: str, path: str) -> RobotsAnswer:
    """What a robots.txt says to `agent` (its product token: ExampleBot) of `path`, which begins with `/`.

    The groups that name the agent count, in any case of letters, else those for `*`; the longest path that matches
    decides. Lines that are none of this are ignored, and so nothing is malformed. A preference without a path is about
    every one.
    """
    rules = list(_rules(data[:MAX_ROBOTS].decode("utf-8", "replace").removeprefix("\ufeff"), agent.lower()))
    walls = [(len(value), key == "allow") for key, value in rules if key != "content-usage" and _about(value, path)]
    # Of two that are as long, the one that allows (RFC 9309 §2.2.2).
    if walls and not max(walls)[1]:
        return RobotsAnswer(crawl=False, fields=())
    usages = [_usage(value) for key, value in rules if key == "content-usage"]
    found = [(len(location), field) for location, field in usages if matches(location, path)]
    longest = max((length for length, _ in found), default=0)
    return RobotsAnswer(crawl=True, fields=tuple(field for length, field in found if length == longest))


def _about(location: str, path: str) -> bool:
    return bool(location) and matches(location, path)


def _usage(value: str) -> tuple[str, str]:
    """The path and the preference of a line."""
    if not value.startswith("/"):
        return "/", value
    location, _, field = value.partition(" ")
    return location, field.strip()


def _rules(text: str, agent: str) -> Iterator[tuple[str, str]]:
    """Key and value of each line in the groups for this agent."""
    groups: list[tuple[set[str], list[tuple[str, str]]]] = []
    for key, value in _lines(text):
        if key == "user-agent":
            if not groups or groups[-1][1]:
                groups.append((set(), []))
            groups[-1][0].add(value.lower())
        elif groups:
            groups[-1][1].append((key, value))
    own = [rules for agents, rules in groups if agent in agents]
    return _chained(own or [rules for agents, rules in groups if "*" in agents])


def _chained(groups: Iterable[list[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    for rules in groups:
        yield from (rule for rule in rules if rule[0] in {"allow", "disallow", "content-usage"})


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in re.split(r"\r\n|\n|\r", text):
        key, colon, value = line.partition("#")[0].partition(":")
        if colon:
            yield key.strip(" \t").lower(), re.sub(r"[ \t]+", " ", value.strip(" \t"))
