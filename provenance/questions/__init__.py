"""What creators, auditors and operators ask of a log, as of any moment. Every answer names the events it rests on."""

from provenance.questions.asks import Asks
from provenance.questions.census import Acting, Due, Listed, Open
from provenance.questions.kinship import Kinship, Rate
from provenance.questions.training import Conflict, Training

__all__ = ["Acting", "Answer", "Asks", "Conflict", "Due", "Kinship", "Listed", "Open", "Rate", "Training"]

from provenance.questions.answer import Answer
