"""Fields of events that hold a word of a vocabulary."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from provenance.vocabularies.known import BUILT_IN, Vocabularies
from provenance.vocabularies.table import WORD

__all__ = ["Word", "word"]

_TOLD = 20  # words that an error names


class Word:
    """Marks a text field as a word of one vocabulary: `Annotated[str, word("relation")]`.

    It takes every word of every table known, retired ones included: what was written is read. Which tables are known
    says the validation context, a `Vocabularies`; without one, those that are built in.
    """

    __slots__ = ("vocabulary",)

    def __init__(self, vocabulary: str) -> None:
        self.vocabulary = vocabulary

    def __repr__(self) -> str:
        return f"word({self.vocabulary!r})"

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        tables = [table for table in BUILT_IN if table.vocabulary == self.vocabulary]
        # What is built in is told without leaving pydantic's own code: this runs for every event.
        words = list(dict.fromkeys(term for table in tables for term in table.terms))
        built_in = core_schema.literal_schema(words)
        if any(table.closed for table in tables):
            return built_in
        told = ", ".join(words[:_TOLD]) + (" …" if len(words) > _TOLD else "")
        adopted = core_schema.with_info_plain_validator_function(self._adopted)
        return core_schema.union_schema(
            [built_in, core_schema.chain_schema([core_schema.str_schema(pattern=WORD, strict=True), adopted])],
            mode="left_to_right",
            custom_error_type="word",
            custom_error_message=f"no word of any table of {self.vocabulary} that is known here: {told}",
            serialization=core_schema.simple_ser_schema("str"),
        )

    def _adopted(self, value: Any, info: ValidationInfo) -> Any:
        known = info.context
        if not isinstance(known, Vocabularies) or known.term(self.vocabulary, value) is None:
            msg = "unknown word"
            raise ValueError(msg)
        return value


def word(vocabulary: str) -> Word:
    """The mark of a word of this vocabulary. Raises `LookupError` unless a table of it is built in."""
    if BUILT_IN.active(vocabulary) is None:
        msg = f"vocabulary {vocabulary}: no table of it is built in"
        raise LookupError(msg)
    return Word(vocabulary)
