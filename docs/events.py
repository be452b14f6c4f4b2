"""Write the reference of all event types from their models: `python docs/events.py docs/reference/events.md`.

What the page says of a type is what the program holds: the docstring, the fields and roles of its model, the rules that
are named there, those between events in `provenance.rules`, and the places in `provenance.once`.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from adapters.begin import SEALED
from provenance.events import fields, vocabulary
from provenance.events.envelope import Event, Times
from provenance.events.union import MODELS
from provenance.events.vocabulary import ALWAYS_OPEN
from provenance.once import CHAINS, ONCE, TURNS
from provenance.rules import RULES, WORKS
from provenance.rules.refs import _wanted
from provenance.vocabularies import BUILT_IN, Term, Word

_FAMILIES = {
    "log": "The log itself",
    "party": "Parties",
    "mandate": "Mandates",
    "work": "Works",
    "afterwards": "Works, afterwards",
    "data": "Datasets, models, runs",
    "rights": "Terms, offers, grants",
    "grant": "What becomes of a grant",
    "attribution": "Credit",
    "assent": "Assent",
    "reservation": "Reservations",
    "consent": "Consent",
    "erasure": "Erasures and holds",
    "split": "Shares",
    "money": "Money",
    "dispute": "Disputes",
    "attest": "Attestations and tests",
    "syndication": "Syndication",
    "vocab": "Vocabularies",
    "portability": "Bundles",
}
"""Headings, by the module of a model."""

_PLACES = {
    "assent": "each party answers an act once",
    "dispute.evidence": "no two disputes or appeals rest on the same `evidence`",
    "grant.consume": "each `number` of a grant once",
    "party.keys": "one successor of each `prev`, but for a recovery",
    "vocabulary": "each `version` of a `vocabulary` once",
}
"""What taking a place means, where it is not one event for each ref of a role."""

_FIRST = {
    "consent.record": "`subject` with each `controller`",
    "payout.confirm": "`settlement` with each `payee`",
    "revenue.report": "`work` with each `source_key`",
}
"""What a chain is of, where it is not one ref."""

_INTRO = """\
# Events

Every type of event that this release writes and reads; the page is made from the models (`python docs/events.py
docs/reference/events.md`). An event is canonical JSON with these keys, all of them always there:

| key | what |
|---|---|
| `v`, `kind` | 1, `event` |
| `type` | one of those below |
| `ledger` | name of the log it is for |
| `actor` | party id of who says it, or `self` where it registers itself |
| `strength` | {strengths}: how strongly it is said |
| `claimed_at` | when it is said to have been, RFC 3339 in UTC, whole seconds; the log's own time is another |
| `salt` | 32 random bytes in hex |
| `body` | all values |
| `refs` | all pointers: objects with `role` and `id` |
| `commits` | addresses of vault items, by the name of the personal field; `ref` is the market's own name for it |

The `id` of a ref is an event id; or an event of another log, `{{"log": …, "event": …}}` with the SHA-256 of its proof
as `proof` if there is one; or a thing outside, `{{"scheme": …, "id": …}}` with the SHA-256 of its bytes as `digest` if
that is known. A *work* is an event of type {works}. A wrong number of refs of one role, or the same thing twice in one,
breaks the rule `<type>.<role>`: `work.manifest.work`. What has more than 1,000 parents names a `dataset.snapshot` of
them as its one parent.

**Recording a fact needs nobody's permission; granting one does.** What holds inside one event (*rules of the event*) is
checked where it is built and where one is submitted. What rests on earlier events (*rules between events*) is judged as
an event is staged, all of it, and again by an audit. What two writers might do at the same moment is decided by a
*place*: a unique row that is written with the event, so that the second one is refused while it still can be. A grant
keeps places free until its transaction ends, the withdrawal of its offer, the next state of its work and what is said
next of a dispute about that: whoever wants one of them waits, and a grant that comes after is refused. The
[last table](#what-is-decided-when) says which is which. Rules `G1.unknown-ref`, `G1.ref-type`, `G2.duplicate-parent`,
`G3.actor` and `mandate.*` hold for all types.

An event with an unknown type, field or word is kept byte for byte, and every decision that rests on it is *unknown*.
A word is read when any known table has it. It is written when a table in use has it: otherwise `vocab.adopted` refuses
it, and `vocab.retired` where it is retired there.
No field takes free text: what a person might write is personal, and its address alone is in the event.
"""


def page() -> str:
    """The page, in Markdown."""
    lines = [_INTRO.format(strengths=_words(vocabulary.Strength), works=_listed(WORKS))]
    family = ""
    for type_, model in MODELS.items():
        if family != model.__module__:
            family = model.__module__
            lines.append(f"## {_FAMILIES[family.rpartition('.')[2]]}\n")
        lines += _section(type_, model)
    lines += [*_decided(), *_types()]
    return "\n".join(lines).rstrip() + "\n"


def main(path: str) -> None:
    """Write the page."""
    Path(path).write_text(page(), "utf-8")


# One type


def _section(type_: str, model: type[Event]) -> Iterator[str]:
    meaning, _, example = inspect.cleandoc(model.__doc__ or "").partition("::\n")
    yield f"### `{type_}`\n"
    yield _one_line(meaning).removesuffix("For example").rstrip() + "\n"
    state = "Always open."
    if not type_.startswith(ALWAYS_OPEN):
        state = "Sealed by default." if type_ in SEALED else "Open by default."
    yield f"Signed by {model.signed_by}. {state}\n"
    rows = list(_rows(get_type_hints(model, include_extras=True)["body"]))
    if rows:
        yield "| body | type | |\n|---|---|---|"
        yield from (f"| `{name}` | {kind} | {'may be absent' if optional else ''} |" for name, kind, optional in rows)
        yield ""
    if model.roles:
        yield "| refs | target | how many | says also |\n|---|---|---|---|"
        yield from (_ref_row(type_, role, times, model) for role, times in model.roles.items())
        yield ""
    named = get_args(get_args(_bare(get_type_hints(model, include_extras=True)["commits"]))[0])
    limit = getattr(model.model_fields["commits"], "metadata", [])
    if not any(getattr(each, "max_length", None) == 0 for each in limit):
        yield f"Personal: {_listed(named)}.\n"
    inside = [f"* `{type_}.{name}`: {text}" for name, text in model.rules.items()]
    between = [f"* {text}" for rule in RULES.get(type_, ()) for text in _rule(rule)]
    for heading, found in (("Rules of the event", inside), ("Rules between events", between)):
        if found:
            yield f"{heading}:\n"
            yield from found
            yield ""
    places = list(_places(type_))
    if places:
        yield f"Place: {'; '.join(places)}.\n"
    yield f"```json\n{inspect.cleandoc(example).strip()}\n```\n"


def _ref_row(type_: str, role: str, times: Times, model: type[Event]) -> str:
    shape = _shapes(model)[role]
    wanted = _wanted(type_, role, "")
    target = "any event" if wanted == ("",) else "a work" if wanted == WORKS else _listed(wanted, "or")
    hints = get_type_hints(shape, include_extras=True) if "[" not in shape.__name__ else {}
    id_type = shape.model_fields["id"].annotation
    if id_type is not str:
        target += "; or of another log, or outside"
    number = {(1, 1): "1", (0, 1): "0 or 1"}.get(times[:2], f"{times.least} to {times.most:,}")
    also = [
        f"`{name.rstrip('_')}` {_kind(hint)}" + (", may be absent" if _optional(hint) else "")
        for name, hint in hints.items()
        if name not in {"role", "id", "model_config"} and name in shape.model_fields
    ]
    return f"| `{role}` | {target} | {number} | {'; '.join(also)} |"


def _shapes(model: type[Event]) -> dict[str, type[BaseModel]]:
    """The model of each ref of a type, by role."""
    found: dict[str, type[BaseModel]] = {}

    def walk(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found[get_args(annotation.model_fields["role"].annotation)[0]] = annotation
            return
        for each in get_args(annotation):
            walk(each)

    walk(model.model_fields["refs"].annotation)
    return found


def _rule(rule: Any) -> Iterator[str]:
    """What a rule says of itself: `id`: sentence."""
    doc = inspect.getdoc(rule)
    if doc is None:  # made by a function that says it for all
        outer = sys.modules[rule.__module__].__dict__[rule.__qualname__.partition(".")[0]]
        names = inspect.getclosurevars(rule).nonlocals
        doc = re.sub(r"<(\w+)>", lambda found: str(names[found[1]]), inspect.getdoc(outer) or "")
    yield _one_line(doc.partition("\n\n")[0])


def _places(type_: str) -> Iterator[str]:
    if type_ in CHAINS:
        family, start = CHAINS[type_]
        role = inspect.getclosurevars(start).nonlocals.get("role")
        of = _FIRST.get(type_) or (f"`{role}`" if role else "")
        first = f", and one first event for each {of}" if of else ""
        chained = "prev" in MODELS[type_].roles
        yield f"`{family}`, " + (f"one event behind each `prev`{first}" if chained else f"one event for each `{role}`")
    if type_ in ONCE:
        name, keys = ONCE[type_]
        role = inspect.getclosurevars(keys).nonlocals.get("role")
        yield f"`{name}`, " + (f"one event for each `{role}`" if role else _PLACES[name])
    if type_ in TURNS:
        all_ = " and ".join(f"`{other}`" for other, rule in TURNS.items() if rule == TURNS[type_])
        yield f"none, but all {all_} wait for each other"


# Types of fields


def _rows(annotation: Any, before: str = "") -> Iterator[tuple[str, str, bool]]:
    """Each field of a body: name, type, whether it may be absent."""
    for name, hint in get_type_hints(annotation, include_extras=True).items():
        if name not in annotation.model_fields:
            continue
        shown = before + (annotation.model_fields[name].alias or name)
        yield shown, _kind(hint), _optional(hint) or not annotation.model_fields[name].is_required()
        inner, steps = _bare(hint), ""
        if get_origin(inner) is tuple:
            inner, steps = _bare(get_args(inner)[0]), "[]"
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _rows(inner, f"{shown}{steps}.")


def _kind(hint: Any) -> str:
    """A type in words, by its name where it has one."""
    parts = get_args(hint)
    for module in (fields, vocabulary):
        for name in module.__all__:
            own = get_args(module.__dict__[name])
            if own and parts[: len(own)] == own:  # a mark of the field itself may follow
                return f"[{name}](#{'types' if module is fields else 'words'}-of-fields)"
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *metadata = get_args(hint)
        size, kind = _size(metadata), _kind(inner)
        if size and kind.startswith("list of "):
            return f"list of {size} {kind.removeprefix('list of ')}"
        return f"{size} entries, {kind}" if size else kind
    if origin in {Union, UnionType}:
        inner = [each for each in get_args(hint) if each is not type(None)]
        return " or ".join(map(_kind, inner))
    if origin is Literal:
        return _words(hint)
    if origin is tuple:
        return f"list of {_kind(get_args(hint)[0])}" if get_args(hint) else "empty list"
    if origin is dict:
        key, value = get_args(hint)
        return f"{_kind(value)} by {_kind(key)}" if value is not Any else "JSON object"
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        if hint.__name__.startswith("_") or not hint.__doc__:
            return "object"
        sentence = inspect.cleandoc(hint.__doc__).partition(". ")[0].partition("\n")[0].rstrip(".").partition(":")[0]
        return sentence[0].lower() + sentence[1:]
    return {bool: "true or false", str: "text", int: "integer"}.get(hint, str(hint))


def _size(metadata: list[Any]) -> str:
    parts = [part for each in metadata for part in (each, *getattr(each, "metadata", ()))]
    least = next((part.min_length for part in parts if getattr(part, "min_length", None) is not None), 0)
    most = next((part.max_length for part in parts if getattr(part, "max_length", None) is not None), None)
    return "" if most is None and not least else f"{least} or more" if most is None else f"{least} to {most:,}"


def _bare(hint: Any) -> Any:
    """Without metadata and without None."""
    while True:
        if get_origin(hint) is Annotated:
            hint = get_args(hint)[0]
        elif get_origin(hint) in {Union, UnionType} and type(None) in get_args(hint):
            (hint, *rest) = [each for each in get_args(hint) if each is not type(None)]
            if rest:
                return None
        else:
            return hint


def _optional(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return _optional(get_args(hint)[0])
    return get_origin(hint) in {Union, UnionType} and type(None) in get_args(hint)


# What is at the end


def _decided() -> Iterator[str]:
    yield "## What is decided when\n"
    yield "A type that is not here has neither: whatever holds inside the event is accepted in any order.\n"
    yield "| type | place: refused at once | judged against what is there |\n|---|---|---|"
    for type_ in MODELS:
        rules = [name for rule in RULES.get(type_, ()) for text in _rule(rule) for name in _named(text)]
        places = "; ".join(_places(type_))
        if places or rules:
            yield f"| `{type_}` | {places} | {', '.join(f'`{name}`' for name in dict.fromkeys(rules))} |"
    yield ""


def _named(text: str) -> Iterator[str]:
    """Ids of rules in what a rule says of itself; one that begins with a dot goes on from the last."""
    last = ""
    for name in re.findall(r"`([A-Za-z0-9]*\.[A-Za-z0-9.*-]+)`", text):
        last = last.rpartition(".")[0] + name if name.startswith(".") else name
        yield last


def _types() -> Iterator[str]:
    yield "## Types of fields\n\n| type | what | range |\n|---|---|---|"
    docs = _docs_of(fields)
    yield from (f"| {name} | {docs[name]} | {_range(fields.__dict__[name])} |" for name in sorted(fields.__all__))
    yield "\n## Words of fields\n\n| field | words of its table | what it says |\n|---|---|---|"
    docs = _docs_of(vocabulary)
    for name in vocabulary.__all__:
        words = ", ".join(
            f"`{term.word}`" + (f" ({_one_line(term.label)})" if term.label else "")
            for term in _terms(vocabulary.__dict__[name])
        )
        if words:
            yield f"| {name} | {words} | {docs.get(name, '')} |"


def _range(hint: Any) -> str:
    """Least and greatest number, or pattern and greatest length of a text."""
    parts = [part for each in get_args(hint)[1:] for part in (each, *getattr(each, "metadata", ()))]
    said = {name: getattr(part, name) for part in parts for name in ("ge", "le", "pattern") if hasattr(part, name)}
    if "ge" in said:
        return f"{said['ge']} to {said['le']:,}"
    pattern = str(said.get("pattern") or "").replace("|", "\\|")
    return f"`{pattern}`" if pattern else ""


def _docs_of(module: ModuleType) -> dict[str, str]:
    """The string that stands behind each assignment of a module."""
    body = ast.parse(inspect.getsource(module)).body
    found = {}
    for statement, after in itertools.pairwise(body):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if not isinstance(target, ast.Name) or not isinstance(after, ast.Expr):
            continue
        if isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            found[target.id] = _one_line(after.value.value)
    return found


def _words(hint: Any) -> str:
    """What a field may say: the words of a `Literal`, or those of a table."""
    return _listed(get_args(hint) if get_origin(hint) is Literal else (term.word for term in _terms(hint)), "or")


def _terms(hint: Any) -> list[Term]:
    """The terms in use of the newest table; none for any other type."""
    mark = next((each for each in get_args(hint)[1:] if isinstance(each, Word)), None)
    table = None if mark is None else BUILT_IN.active(mark.vocabulary)
    return [] if table is None else [term for term in table.terms.values() if not term.retired]


def _listed(names: Any, last: str = "and") -> str:
    *most, end = (f"`{name}`" for name in names)
    return f"{', '.join(most)} {last} {end}" if most else end


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    main(*sys.argv[1:])
