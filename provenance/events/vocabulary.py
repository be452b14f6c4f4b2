"""Types of the fields that hold a word, each from a table of `provenance.vocabularies`.

Which versions a log began with stands in its genesis event, as `VOCABULARIES`, each by its SHA-256.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from provenance.vocabularies import BUILT_IN, word

__all__ = [
    "ALWAYS_OPEN",
    "GENERATIVE",
    "LEAF_RULE",
    "VOCABULARIES",
    "VOCABULARY_DIGESTS",
    "AiUse",
    "AliasRelation",
    "AmendCause",
    "AssentAnswer",
    "AttributionMode",
    "AttributionWord",
    "ConsentState",
    "CreatorRole",
    "Decision",
    "DigestName",
    "DisputeTag",
    "HumanContribution",
    "ImportOutcome",
    "KeyReason",
    "LegalBasis",
    "LinkScheme",
    "ManifestState",
    "PartyKind",
    "Relation",
    "Reservation",
    "RoyaltyPolicy",
    "RunState",
    "SelectorKind",
    "SourceType",
    "Strength",
    "Tools",
    "TrainingBasis",
    "TrainingMethod",
    "TrainingRights",
    "Verdict",
    "VersionRelation",
    "WorkState",
]

VOCABULARIES: Mapping[str, str] = MappingProxyType(BUILT_IN.pins())
"""Version of each table that a new log begins with, by vocabulary."""

VOCABULARY_DIGESTS: Mapping[str, str] = MappingProxyType(BUILT_IN.digests())
"""SHA-256 in hex of each of them."""

LEAF_RULE = "c2sp.org/tlog-tiles entry = COSE_Sign1 bytes"
"""Which bytes are a leaf of the log: the whole signed statement, as it stands in the entry bundle."""

ALWAYS_OPEN = ("log.", "party.register", "party.keys", "vocab.", "erasure.", "hold.")
"""Types, or beginnings of types, that no policy can seal: without them nothing else could be checked."""

Strength = Annotated[str, word("strength")]
"""How strongly something is said."""

PartyKind = Annotated[str, word("party-kind")]

CreatorRole = Annotated[str, word("creator-role")]

Relation = Annotated[str, word("relation")]
"""How a work was made from its parent."""

SourceType = Annotated[str, word("iptc-digital-source-type")]
"""Terms of http://cv.iptc.org/newscodes/digitalsourcetype/, release of the third quarter of 2024."""

GENERATIVE: frozenset[str] = frozenset(
    term.word
    for table in BUILT_IN
    if table.vocabulary == "iptc-digital-source-type"
    for term in table.terms.values()
    if term.facts.get("generative") is True
)
"""Built-in terms of works that a program made, at least in part: these name their tools or say that they do not."""

HumanContribution = Annotated[str, word("human-contribution")]

Tools = Annotated[str, word("tools")]
"""Whether the tools are named."""

DigestName = Annotated[str, word("digest-name")]
"""Names of the IANA registry of named information hash algorithms, where that has them."""

ManifestState = Annotated[str, word("manifest-state")]
"""Validation state of a C2PA manifest store."""

RoyaltyPolicy = Annotated[str, word("royalty-policy")]
"""Who pays a royalty to whom."""

KeyReason = Annotated[str, word("key-reason")]
"""Why keys change."""

LinkScheme = Annotated[str, word("link-scheme")]
"""Where a party is somebody else as well."""

AliasRelation = Annotated[str, word("alias-relation")]
"""What another file of a work is to it."""

VersionRelation = Annotated[str, word("version-relation")]
"""What a version is of its work."""

AmendCause = Annotated[str, word("amend-cause")]
"""Why a parent is named late."""

WorkState = Annotated[str, word("work-status")]
"""The account states of atproto, of a work."""

TrainingMethod = Annotated[str, word("training-method")]
"""How a model was made from its inputs and its base."""

TrainingRights = Annotated[str, word("training-rights")]
"""What was found of all inputs together."""

TrainingBasis = Annotated[str, word("training-basis")]
"""On what ground an input was used."""

Verdict = Annotated[str, word("verdict")]
"""What was found of one input."""

RunState = Annotated[str, word("run-state")]
"""States of an OpenLineage run; all but `started` are its end."""

AttributionMode = Annotated[str, word("attribution-mode")]
"""How a creator is credited; `remove-me` asks for what CC BY 4.0 §3(a)(3) grants."""

AttributionWord = Annotated[str, word("attribution-answer")]
"""What the side of the child says to a claim."""

AssentAnswer = Annotated[str, word("assent-answer")]

AiUse = Annotated[str, word("ai-use")]
"""Uses by programs that learn. The categories of AIPREF, CAWG, TDMRep and RSL are mapped to these."""

Reservation = Annotated[str, word("reservation")]
"""What is said of one use."""

SelectorKind = Annotated[str, word("selector-kind")]
"""By what a reservation finds what it is about."""

ConsentState = Annotated[str, word("consent-status")]
"""Consent statuses of the Data Privacy Vocabulary (W3C DPV 2.3)."""

LegalBasis = Annotated[str, word("legal-basis")]
"""Legal bases of the Data Privacy Vocabulary (W3C DPV 2.3), and of its extension for the GDPR."""

DisputeTag = Annotated[str, word("dispute-tag")]
"""What a dispute may say of its target: the tags that Story allows."""

Decision = Annotated[str, word("decision")]
"""How a dispute is judged."""

ImportOutcome = Annotated[str, word("import-outcome")]
"""What became of an imported thing."""
