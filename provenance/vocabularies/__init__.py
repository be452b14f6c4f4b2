"""The words that events are made of, as data: one table for each version of a vocabulary, pinned by its SHA-256.

A table may grow with its version; a word never changes its meaning. A new draft of a standard is a new table that the
log adopts, not other code; retired terms stay readable and are not written.

    >>> from provenance.vocabularies import BUILT_IN
    >>> BUILT_IN.term("iptc-digital-source-type", "minorHumanEdits").instead
    'humanEdits'
"""

from provenance.vocabularies.known import BUILT_IN, SAYS_WORDS, Vocabularies, vocabularies_at
from provenance.vocabularies.table import Table, Term
from provenance.vocabularies.word import Word, word

__all__ = ["BUILT_IN", "SAYS_WORDS", "Table", "Term", "Vocabularies", "Word", "vocabularies_at", "word"]
