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

KeyReason = Literal["rotate", "recover", "deactivate", "compromise", "claim"]
"""Why keys change: as planned · what a weaker key did is void · for good · one was stolen · the first of its own."""

LinkScheme = Literal["did:key", "did:web", "did:webvh", "x509", "account", "party"]
"""Where a party is somebody else as well."""

AliasRelation = Literal["same-bits", "re-encode"]
"""The same file under another name · the same work in other bytes."""

VersionRelation = Literal["crop", "revision"]
"""A part of a work · a later state of it."""

AmendCause = Literal["discovered", "judged"]
"""Why a parent is named late: it was found out · a judgment says so."""

WorkState = Literal["active", "deactivated", "suspended", "takendown", "deleted"]
"""The account states of atproto, of a work."""

TrainingMethod = Literal["pretrain", "finetune", "adapter", "distil", "merge"]
"""How a model was made from its inputs and its base."""

TrainingRights = Literal["clear", "denied", "exception-claimed", "unknown"]
"""What was found of all inputs together."""

TrainingBasis = Literal["license", "consent", "exception", "public-domain", "contract", "none"]
"""On what ground an input was used."""

Verdict = Literal["permit", "deny", "claimed", "unknown"]
"""What was found of one input; `claimed` is a statutory exception, which is no permission."""

RunState = Literal["started", "complete", "failed", "aborted"]
"""States of an OpenLineage run; the last three are its end."""

AttributionMode = Literal["named", "pseudonym", "anonymous", "remove-me"]
"""How a creator is credited; the last asks for what CC BY 4.0 §3(a)(3) grants."""

AttributionWord = Literal["accept", "reject", "dispute"]
"""What the side of the child says to a claim."""

AssentAnswer = Literal["yes", "no"]

AiUse = Literal["train", "train_generative", "inference_input", "index", "mining", "search"]
"""Uses by programs that learn. The categories of AIPREF, CAWG, TDMRep and RSL are mapped to these."""

Reservation = Literal["allow", "disallow", "constrained"]
"""What is said of one use; `constrained` is CAWG's: only with a grant."""

SelectorKind = Literal["work", "digest", "iscc", "url"]
"""By what a reservation finds what it is about."""

ConsentState = Literal[
    "ConsentUnknown",
    "ConsentRequested",
    "ConsentRequestDeferred",
    "ConsentRefused",
    "ConsentGiven",
    "RenewedConsentGiven",
    "ConsentExpired",
    "ConsentInvalidated",
    "ConsentRevoked",
    "ConsentWithdrawn",
]
"""Consent statuses of the Data Privacy Vocabulary (W3C DPV 2.3): withdrawn by the person, revoked by another party."""

LegalBasis = Literal[
    "Consent",
    "ExpressedConsent",
    "ExplicitlyExpressedConsent",
    "ImpliedConsent",
    "InformedConsent",
    "Contract",
    "LegalObligation",
    "LegitimateInterest",
    "PublicInterest",
    "VitalInterest",
    "A6-1-a",
    "A6-1-a-explicit-consent",
    "A6-1-a-non-explicit-consent",
    "A6-1-b",
    "A6-1-c",
    "A6-1-d",
    "A6-1-e",
    "A6-1-f",
    "A9-2-a",
]
"""Legal bases of the Data Privacy Vocabulary (W3C DPV 2.3), and of its extension for the GDPR."""

DisputeTag = Literal[
    "improper-registration",
    "improper-usage",
    "improper-payment",
    "content-standards-violation",
]
"""What a dispute may say of its target: the tags that Story allows."""

Decision = Literal["upheld", "dismissed"]
"""How a dispute is judged."""

ImportOutcome = Literal["accepted", "degraded", "duplicate", "rejected", "skipped"]
"""What became of an imported thing: whole · with fields lost · was there · refused · left out on purpose."""
