"""Events: what is said, as canonical JSON. Writing is strict; reading keeps what it does not know, and reports it."""

from provenance.events.envelope import Event
from provenance.events.reading import Unknown, read_event
from provenance.events.vocabulary import LEAF_RULE, VOCABULARIES, VOCABULARY_DIGESTS
from provenance.events.writing import Draft, new_event

__all__ = ["LEAF_RULE", "VOCABULARIES", "VOCABULARY_DIGESTS", "Draft", "Event", "Unknown", "new_event", "read_event"]
