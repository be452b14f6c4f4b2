"""The words in an event, wherever they stand, and whether they may be written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from provenance.errors import Reason
from provenance.vocabularies import Vocabularies, Word

__all__ = ["refused_words", "vocabularies_of", "words_of"]

Where = tuple[str | int, ...]
Found = tuple[str, str, Where]
"""Vocabulary, word, and the steps to it: ("creator-role", "author", ("refs", 0, "as"))."""

Reader = Callable[[Any, Where, list[Found]], None]
"""Adds the words in a value to a list. This runs for every event: generators inside each other would take longer."""


def words_of(model: BaseModel) -> list[Found]:
    """Each word in a model and in those inside it, in the order of its fields."""
    found: list[Found] = []
    _model(model, (), found)
    return found


def refused_words(model: BaseModel, vocabularies: Vocabularies) -> Iterator[Reason]:
    """`vocab.retired` for each word that is only read, `vocab.adopted` for each that stands in no table in use."""
    for vocabulary, word, where in words_of(model):
        refused = vocabularies.refuses(vocabulary, word)
        if refused is not None:
            yield Reason(refused[0], f"{'.'.join(map(str, where))}: {refused[1]}")


def vocabularies_of(model: type[BaseModel]) -> frozenset[str]:
    """The vocabularies of all words that a model or one inside it may hold."""
    return frozenset(_marks(model))


def _marks(hint: Any) -> Iterator[str]:
    if isinstance(hint, Word):
        yield hint.vocabulary
    elif isinstance(hint, type) and issubclass(hint, BaseModel):
        for inner in get_type_hints(hint, include_extras=True).values():
            yield from _marks(inner)
    else:
        for inner in get_args(hint):
            yield from _marks(inner)


def _model(model: BaseModel, where: Where, found: list[Found]) -> None:
    for name, said, read in _readers(type(model)):
        value = getattr(model, name)
        if value is not None:
            read(value, (*where, said), found)


@cache
def _readers(model: type[BaseModel]) -> tuple[tuple[str, str, Reader], ...]:
    """How to find the words in each field of a model that may hold some. Most fields hold none, and cost nothing."""
    found = []
    hints = get_type_hints(model, include_extras=True)
    for name, field in model.model_fields.items():
        reader = _reader(hints[name])
        if reader is not None:
            found.append((name, field.alias or name, reader))
    return tuple(found)


def _reader(hint: Any) -> Reader | None:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        mark = next((each for each in arguments[1:] if isinstance(each, Word)), None)
        return _reader(arguments[0]) if mark is None else _word(mark.vocabulary)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return _model if _readers(hint) else None
    if origin is dict:
        return _pairs(*map(_reader, arguments)) if any(map(_reader, arguments)) else None
    reader = next(filter(None, map(_reader, arguments)), None)
    if reader is None or origin is not tuple:
        # In a union at most one member is no model, and a model is read by its own type.
        return reader
    return _all(reader)


def _word(vocabulary: str) -> Reader:
    def read(value: Any, where: Where, found: list[Found]) -> None:
        found.append((vocabulary, value, where))

    return read


def _all(reader: Reader) -> Reader:
    def read(values: Any, where: Where, found: list[Found]) -> None:
        for number, value in enumerate(values):
            reader(value, (*where, number), found)

    return read


def _pairs(keys: Reader | None, values: Reader | None) -> Reader:
    def read(pairs: Any, where: Where, found: list[Found]) -> None:
        for key, value in pairs.items():
            if keys is not None:
                keys(key, (*where, key), found)
            if values is not None:
                values(value, (*where, key), found)

    return read
