"""Hostile text made safe to look at.

Titles, names and file names are written by strangers. Escaping markup is the renderer's work; this module deals with
what survives escaping and still deceives the eye: control sequences, reordering, invisible characters, look-alike
letters, forged status marks, sheer length (C2PA threat 4.3.3.1, Unicode TR36 and TR39).
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["columns", "fit", "safe_text"]

MIXED = "⚠ mixed scripts"
_MAX_MARKS = 4  # combining marks on one letter; the richest living orthographies need three

_FORGEABLE = frozenset("⟦⟧⚠✔✓✅☑🗸🗹✘◐◆◇")
"""Marks with which our own output speaks, and their doubles: a title must not be able to say them."""

_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters, marks and symbols that draw nothing, though their category says otherwise."""

_JOINED_SCRIPTS = frozenset(
    (
        "ARABIC",
        "SYRIAC",
        "MONGOLIAN",
        "DEVANAGARI",
        "BENGALI",
        "GURMUKHI",
        "GUJARATI",
        "ORIYA",
        "TAMIL",
        "TELUGU",
        "KANNADA",
        "MALAYALAM",
        "SINHALA",
        "KHMER",
        "MYANMAR",
    )
)
"""Scripts whose spelling needs the zero-width joiner or non-joiner between letters."""

_ALIKE_SCRIPTS = frozenset(
    ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "DESERET", "LISU", "MATHEMATICAL", "FULLWIDTH")
)
"""Scripts (or disguises of Latin) whose letters pass for one another. Japanese words mix others legitimately."""

_LATIN_DOUBLES = frozenset("аеорсухіјѕһԁԛԝѵүАВЕЅІЈКМНОРСТУХҮԌԜαοιυνρΑΒΕΖΗΙΚΜΝΟΡΤΥΧօոսցհ")
"""Cyrillic, Greek and Armenian letters that pass for Latin ones in common fonts."""

_SPACES = re.compile(" {2,}")
_WORD = re.compile(r"[^\W\d_]+")


def safe_text(s: str, *, limit: int = 200) -> str:
    """Return `s` as one line that shows what is in it, and cannot act on a terminal or on its neighbors.

    At most `limit` characters of `s` are read; the rest becomes an ellipsis and a count. Control, format, private,
    unassigned and invisible characters are written as ``⟦U+202E⟧`` (runs as ``⟦U+202E×9⟧``), so are the marks that
    our reports use themselves. Any space becomes an ordinary one, runs of spaces one. A word that mixes scripts with
    look-alike letters, or a whole word of Latin doubles among Latin words, adds ``⚠ mixed scripts``. Joiners are left
    alone where emoji and Arabic or Indic spelling need them.

    The result is printable UTF-8, at most ``12 * limit + 60`` characters. It is *not* escaped for HTML.
    """
    shown = s[: max(0, limit)]
    if len(shown) == len(s) and s.isascii() and s.isprintable():
        return _SPACES.sub(" ", s).strip(" ")
    parts: list[str] = []
    run = ""  # the hidden character that is being counted
    length = marks = 0
    for i, ch in enumerate(shown):
        category = unicodedata.category(ch)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        hidden = category != "Zs" and (marks > _MAX_MARKS or _is_hidden(shown, i, category))
        if hidden and ch == run:
            length += 1
            continue
        if length:
            parts.append(_mark(run, length))
        run, length = (ch, 1) if hidden else ("", 0)
        if not hidden:
            parts.append(" " if category == "Zs" else ch)
    if length:
        parts.append(_mark(run, length))
    text = _SPACES.sub(" ", "".join(parts)).strip(" ")
    if left := len(s) - len(shown):
        text += f"… (+{left} more characters)"
    return f"{text} {MIXED}" if _has_look_alikes(shown) else text


def columns(s: str) -> int:
    """Return how many terminal columns `s` takes: two for wide East Asian characters, none for combining marks."""
    if s.isascii():
        return len(s)
    return sum(_columns(ch) for ch in s)


def fit(s: str, most: int) -> str:
    """Shorten the safe text `s` to at most `most` columns, with an ellipsis; a mixed-scripts warning survives."""
    if columns(s) <= most:
        return s
    tail = "… ⚠" if "⚠" in s else "…"
    room = most - columns(tail)
    end = used = 0
    for ch in s:
        used += _columns(ch)
        if used > room:
            break
        end += 1
    head = s[:end]
    if head.rfind("⟦") > head.rfind("⟧"):  # never leave half a mark
        head = head[: head.rfind("⟦")]
    return head.rstrip(" ") + tail


def _columns(ch: str) -> int:
    if unicodedata.category(ch) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(ch) in "WF" else 1


def _mark(ch: str, length: int) -> str:
    times = f"×{length}" if length > 1 else ""
    return f"⟦U+{ord(ch):04X}{times}⟧"


def _is_hidden(s: str, i: int, category: str) -> bool:
    ch = s[i]
    if ch in _FORGEABLE or ch in _INVISIBLE:
        return True
    before = s[i - 1] if i else ""
    after = s[i + 1] if i + 1 < len(s) else ""
    if ch in "\u200c\u200d":
        letters = _is_joined_letter(before) and _is_joined_letter(after)
        return not (letters or (ch == "\u200d" and _is_picture(before) and _is_picture(after)))
    if "\ufe00" <= ch <= "\ufe0f" or "\U000e0100" <= ch <= "\U000e01ef":
        return not (ch in "\ufe0e\ufe0f" and _is_picture(before) and before != ch)
    return category[0] == "C" or category in ("Zl", "Zp")


def _is_picture(ch: str) -> bool:
    return ch != "" and (ch == "\ufe0f" or unicodedata.category(ch) in ("So", "Sk")) and ch not in _FORGEABLE


def _is_joined_letter(ch: str) -> bool:
    return ch != "" and unicodedata.category(ch)[0] in "LM" and _script(ch) in _JOINED_SCRIPTS


def _script(ch: str) -> str:
    return unicodedata.name(ch, "").split(" ", 1)[0]


def _has_look_alikes(s: str) -> bool:
    if s.isascii():
        return False
    latin = doubles = False
    for word in _WORD.findall(s):
        scripts = {script for ch in word if (script := _script(ch)) in _ALIKE_SCRIPTS}
        if len(scripts) > 1:
            return True
        latin |= "LATIN" in scripts
        doubles |= len(word) > 1 and "LATIN" not in scripts and all(ch in _LATIN_DOUBLES for ch in word)
    return latin and doubles
