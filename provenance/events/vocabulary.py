"""The words that events are made of, as data. A table may grow with its version; a word never changes its meaning.

Which versions a log began with stands in its genesis event, as `VOCABULARIES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

__all__ = [
    "ALWAYS_OPEN",
    "GENERATIVE",
    "LEAF_RULE",
    "RETIRED",
    "VOCABULARIES",
    "CreatorRole",
    "DigestName",
    "HumanContribution",
    "ManifestState",
    "PartyKind",
    "Relation",
    "RoyaltyPolicy",
    "SourceType",
    "Strength",
    "Tools",
]

VOCABULARIES: Mapping[str, str] = MappingProxyType(
    {
        "creator-role": "1",
        "human-contribution": "1",
        "iptc-digital-source-type": "2024-Q3",
        "machine-terms": "1",
        "party-kind": "1",
        "relation": "1",
        "strength": "1",
    }
)
"""Versions of the tables in this module, by name."""

LEAF_RULE = "c2sp.org/tlog-tiles entry = COSE_Sign1 bytes"
"""Which bytes are a leaf of the log: the whole signed statement, as it stands in the entry bundle."""

ALWAYS_OPEN = ("log.", "party.register", "party.keys", "vocab.", "erasure.", "hold.")
"""Types, or beginnings of types, that no policy can seal: without them nothing else could be checked."""

Strength = Literal["self", "counter-signed", "observed", "attested", "adjudicated"]
"""How strongly something is said: by whom it is about · by two sides · by the market of others · by a third party that
looked · by a judgment."""

PartyKind = Literal["person", "org", "market", "software", "model-provider", "collective"]

CreatorRole = Literal[
    "author",
    "photographer",
    "editor",
    "illustrator",
    "composer",
    "performer",
    "narrator",
    "developer",
    "curator",
    "prompter",
    "model-provider",
    "contributor",
]

Relation = Literal["edited", "composed", "translated", "adapted", "sampled", "generated-from", "other"]
"""How a work was made from its parent."""

SourceType = Literal[
    "digitalCapture",
    "negativeFilm",
    "positiveFilm",
    "print",
    "minorHumanEdits",
    "humanEdits",
    "compositeCapture",
    "algorithmicallyEnhanced",
    "dataDrivenMedia",
    "digitalCreation",
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "algorithmicMedia",
    "screenCapture",
    "virtualRecording",
    "composite",
    "compositeSynthetic",
]
"""Terms of http://cv.iptc.org/newscodes/digitalsourcetype/, release of the third quarter of 2024."""

RETIRED: frozenset[SourceType] = frozenset({"minorHumanEdits"})
"""Terms that are read and no longer written."""

GENERATIVE: frozenset[SourceType] = frozenset(
    {
        "trainedAlgorithmicMedia",
        "compositeWithTrainedAlgorithmicMedia",
        "compositeSynthetic",
        "algorithmicMedia",
    }
)
"""Terms of works that a program made, at least in part: these name their tools or say that they do not."""

HumanContribution = Literal["none", "some", "full", "undisclosed"]

Tools = Literal["listed", "undisclosed", "none"]
"""Whether the tools stand in the refs, exist and are not named, or were not used."""

DigestName = Literal["sha-256", "sha-384", "sha-512", "sha3-256", "sha3-384", "sha3-512", "blake2b-256"]
"""Names of the IANA registry of named information hash algorithms, where that has them."""

ManifestState = Literal["Valid", "Trusted"]
"""Validation state of a C2PA manifest store: well-formed and intact · signed under a trust list as well."""

RoyaltyPolicy = Literal["none", "LAP", "LRP", "flat"]
"""No royalty · absolute: each descendant pays the rate · relative: each pays its parents, and so on · once, at sale."""
