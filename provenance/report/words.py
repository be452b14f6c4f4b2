"""The words, shapes and sentences of a verdict, the same in terminal, page and JSON.

Nothing here folds checks into one tick. A record reads as good only when something was checked and nothing that was
checked is broken or left open: values that this version does not know count as *could not be checked*.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from provenance.report.safe import safe_text
from provenance.verdict import Check, Credit, Node, Status, Verdict

__all__ = [
    "CAUTION",
    "RIVALS",
    "SHAPES",
    "STRENGTHS",
    "Says",
    "ai_word",
    "checks_summary",
    "claim_says",
    "claims",
    "credits_of",
    "grouped",
    "next_command",
    "node_tone",
    "node_word",
    "own_node",
    "pick_checks",
    "plural",
    "record_says",
    "short",
    "source_word",
    "title_of",
    "tone_of",
    "when",
]

SHAPES: Final[dict[Status, str]] = {"ok": "✔", "note": "◐", "bad": "✘", "unknown": "?"}
TONES: Final[dict[Status, str]] = {"ok": "good", "note": "worth knowing", "bad": "failed", "unknown": "open"}
STRENGTHS: Final = ("self", "counter-signed", "observed", "attested", "adjudicated")
CAUTION: Final = "An intact record of a false claim is still a false claim."
RIVALS: Final = "Every claim is shown, earliest first; neither wins."

_RECORDS: Final[dict[str, tuple[Status, str]]] = {
    "intact": ("ok", "The bytes are what was logged"),
    "altered": ("bad", "The bytes are not what was logged"),
    "cannot check": ("unknown", "Something that is needed to check is not here; that is no sign of tampering"),
}
_NODE_TONES: Final[dict[str, Status]] = {
    "disclosed": "ok",
    "sealed": "note",
    "erased": "note",
    "external": "note",
    "missing": "unknown",
    "not yet published": "unknown",
    "mismatch": "bad",
}
_SOURCES: Final = {  # cv.iptc.org/newscodes/digitalsourcetype; the retired terms are still met
    "trainedAlgorithmicMedia": "made by AI",
    "compositeWithTrainedAlgorithmicMedia": "partly made by AI",
    "compositeSynthetic": "partly synthetic",
    "algorithmicMedia": "made by an algorithm",
    "algorithmicallyEnhanced": "enhanced by an algorithm",
    "dataDrivenMedia": "made from data",
    "digitalCapture": "captured by a device",
    "computationalCapture": "captured by a device",
    "compositeCapture": "composed of captures",
    "composite": "composed of several elements",
    "digitalCreation": "made by a person, digitally",
    "digitalArt": "made by a person, digitally",
    "humanEdits": "edited by a person",
    "minorHumanEdits": "edited by a person",
    "negativeFilm": "scanned from film",
    "positiveFilm": "scanned from film",
    "print": "scanned from print",
    "screenCapture": "captured from a screen",
    "virtualRecording": "recorded from a virtual event",
}
_AI: Final = {
    "trainedAlgorithmicMedia": "AI",
    "compositeWithTrainedAlgorithmicMedia": "part AI",
    "compositeSynthetic": "part AI",
}
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d(\.\d+)?)?Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Says:
    """One of the two verdicts, ready to show: a shape, a word, a sentence. Safe text."""

    tone: Status | None  # None: a claim is neither good nor bad here
    shape: str
    word: str
    sentence: str


def record_says(verdict: Verdict) -> Says:
    """Say whether the bytes are what was logged, never better than the worst thing that was found."""
    record = verdict.record if verdict.record in _RECORDS else "cannot check"
    tone, sentence = _RECORDS[record]
    word: str = record
    failed, broken = _found(verdict, "bad")
    open_, _ = _found(verdict, "unknown")
    if record == "altered":
        sentence += f" ({_some(failed)})" if failed else ""
    elif failed:
        tone = "bad"
        word += ", with a work that does not match" if not broken else f", with {plural(broken, 'failed check')}"
        sentence = f"{sentence}, but not everything holds: {_some(failed)}" if record == "intact" else _some(failed)
    elif record == "intact" and (open_ or not verdict.checks):
        tone, word = "unknown", "intact, not fully checked"
        sentence += f", but not everything could be checked: {_some(open_)}" if open_ else ", but no check is listed"
    return Says(tone, SHAPES[tone], word, f"{sentence}.")


def claim_says(verdict: Verdict) -> Says:
    """Say who claims it and how strongly. A claim never gets a tick: it is not for us to say that it is true."""
    node = own_node(verdict)
    sentence = safe_text(verdict.claim, limit=400)
    strength = safe_text(node.strength if node else verdict.strength, limit=40)
    if not sentence and not strength:
        return Says(None, "◇", "none found", "Nobody claims this work in what was checked.")
    word = strength or "of unstated strength"
    if verdict.rivals:
        word += f", one of {len(verdict.rivals) + 1} claims on the same bytes"
    return Says(None, "◆", word, sentence or "The log names no claimant.")


def checks_summary(checks: Sequence[Check]) -> str:
    """Count the checks by outcome, the bad ones first: ``1 failed · 4 good``."""
    tones = [tone_of(check.status) for check in checks]
    order: tuple[Status, ...] = ("bad", "unknown", "note", "ok")
    return " · ".join(f"{n} {TONES[tone]}" for tone in order if (n := tones.count(tone))) or "nothing was checked"


def pick_checks(checks: Sequence[Check], most: int) -> tuple[list[Check], str]:
    """Return at most `most` checks in their order, and a count of those left out; the worst are kept first."""
    if len(checks) <= most:
        return list(checks), ""
    rank = {"bad": 0, "unknown": 1, "note": 2, "ok": 3}
    kept = set(sorted(range(len(checks)), key=lambda i: (rank[tone_of(checks[i].status)], i))[:most])
    left = [check for i, check in enumerate(checks) if i not in kept]
    return [checks[i] for i in sorted(kept)], f"and {plural(len(left), 'more check')}: {checks_summary(left)}"


def tone_of(status: str) -> Status:
    """Return the status of a check; one that this version does not know is ``unknown``."""
    return next((known for known in SHAPES if known == status), "unknown")


def node_tone(node: Node) -> Status:
    """Return how a work's own record stands."""
    return _NODE_TONES.get(node.status, "unknown")


def node_word(node: Node) -> str:
    """Return a work's status in words; *external* reads as what it means to the reader."""
    return "outside this log" if node.status == "external" else safe_text(node.status, limit=40)


def own_node(verdict: Verdict) -> Node | None:
    """Return the work that the file is, if it was found."""
    return next((node for node in verdict.nodes if node.id == verdict.work), None) if verdict.work else None


def claims(verdict: Verdict) -> tuple[Node, ...]:
    """Return every work that registered these bytes, earliest log position first, or none if there is no rival."""
    if not verdict.rivals:
        return ()
    own = own_node(verdict)
    both = (own, *verdict.rivals) if own else verdict.rivals
    return tuple(sorted(both, key=lambda node: (node.index is None, node.index or 0)))


def credits_of(nodes: Sequence[Node]) -> list[tuple[Credit, tuple[Node, ...]]]:
    """Return whom to credit and for which works; who has two roles, or two strengths, is listed for each."""
    found: dict[tuple[str, str, str], tuple[Credit, dict[str, Node]]] = {}
    for node in nodes:
        for credit in node.creators:
            entry = found.setdefault((credit.party, credit.role, credit.strength), (credit, {}))
            entry[1][node.id] = node
    return [(credit, tuple(works.values())) for credit, works in found.values()]


def title_of(node: Node, limit: int = 120) -> str:
    """Return a work's title, or in words why there is none."""
    if node.title and (title := safe_text(node.title, limit=limit)):
        return title
    if node.status in ("sealed", "erased"):
        return f"title {node.status}"
    return f"untitled {short(node.id)}"


def short(id_: str) -> str:
    """Shorten an id so that a person can compare it: eight hex digits, or the start of an external id."""
    return f"{id_[:8]}…" if re.fullmatch(r"[0-9a-f]{9,128}", id_, re.ASCII) else safe_text(id_, limit=28)


def when(time: str) -> str:
    """Return an RFC 3339 UTC time to the minute, for people. Anything else is shown as it is."""
    if found := _TIME.fullmatch(time):
        return f"{found[1]} {found[2]} UTC"
    return safe_text(time, limit=40)


def grouped(n: int) -> str:
    """Return an integer with spaces between thousands: ``120 884``."""
    return f"{n:,}".replace(",", " ")


def plural(n: int, noun: str) -> str:
    """Return ``1 work``, ``2 works``."""
    return f"{grouped(n)} {noun}{'' if n == 1 else 's'}"


def source_word(node: Node) -> str:
    """Return in plain words how a work came to be; terms that are not in the vocabulary are shown as they are."""
    term = _source_term(node)
    return _SOURCES.get(term) or safe_text(term, limit=60)


def ai_word(node: Node) -> str:
    """Return ``AI``, ``part AI``, or nothing when the work does not say that a model made it."""
    return _AI.get(_source_term(node), "")


def next_command(verdict: Verdict) -> str:
    """Return the command to run next, on one line."""
    return safe_text(verdict.next, limit=400) or "provenance verify FILE --policy LOG.policy"


def _source_term(node: Node) -> str:
    return node.source_type.rsplit("/", 1)[-1]


def _found(verdict: Verdict, tone: Status) -> tuple[list[str], int]:
    """Return in words which checks and works have this tone, and how many of them are checks."""
    checks = [
        f"{safe_text(check.name, limit=60)}: {safe_text(check.word, limit=40)}"
        for check in verdict.checks
        if tone_of(check.status) == tone
    ]
    works = [f"work {title_of(node, 60)}: {node_word(node)}" for node in verdict.nodes if node_tone(node) == tone]
    return checks + works, len(checks)


def _some(found: list[str]) -> str:
    more = f" and {len(found) - 2} more" if len(found) > 2 else ""
    return "; ".join(found[:2]) + more
