"""All types of events that this version knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, get_args

from pydantic import Discriminator, TypeAdapter, ValidationError

from provenance.events.afterwards import DeriveAmend, WorkAlias, WorkStatus, WorkVersion
from provenance.events.assent import AssentAnswer
from provenance.events.attest import AttestIssue, AttestRevoke, ConformanceResult
from provenance.events.attribution import AttributionAnswer, AttributionClaim, AttributionSet
from provenance.events.consent import ConsentRecord
from provenance.events.data import DatasetSnapshot, GenerationRun, ModelRegister, ModelTrain
from provenance.events.dispute import DisputeAppeal, DisputeCancel, DisputeJudge, DisputeOpen, DisputeResolve
from provenance.events.envelope import Event
from provenance.events.erasure import ErasureExecute, HoldRelease, HoldSet
from provenance.events.fields import ONE_WORD
from provenance.events.grant import GrantConsume, GrantRevoke, GrantTransfer
from provenance.events.log import LogGenesis, LogKeys, LogTime
from provenance.events.mandate import MandateGrant, MandateRevoke
from provenance.events.money import FxQuote, PayoutConfirm, RevenueReport, SettlementCompute
from provenance.events.party import PartyKeys, PartyLink, PartyRegister, PartyUnlink
from provenance.events.portability import ExportMade, ImportAccepted
from provenance.events.reservation import ReservationDeclare
from provenance.events.rights import GrantIssue, OfferAttach, OfferDetach, TermsPublish
from provenance.events.split import SplitDeclare, SplitTransfer
from provenance.events.syndication import SyndicatePlace, SyndicateWithdraw
from provenance.events.vocab import VocabAdopt, VocabRetire
from provenance.events.work import WorkCreate, WorkDerive, WorkManifest

__all__ = ["EVENT", "MODELS", "AnyEvent", "problems"]

AnyEvent = Annotated[
    LogGenesis
    | LogTime
    | LogKeys
    | PartyRegister
    | PartyKeys
    | PartyLink
    | PartyUnlink
    | MandateGrant
    | MandateRevoke
    | WorkCreate
    | WorkDerive
    | WorkManifest
    | WorkAlias
    | WorkVersion
    | WorkStatus
    | DeriveAmend
    | DatasetSnapshot
    | ModelRegister
    | ModelTrain
    | GenerationRun
    | TermsPublish
    | OfferAttach
    | OfferDetach
    | GrantIssue
    | GrantTransfer
    | GrantConsume
    | GrantRevoke
    | AttributionSet
    | AttributionClaim
    | AttributionAnswer
    | AssentAnswer
    | ReservationDeclare
    | ConsentRecord
    | ErasureExecute
    | HoldSet
    | HoldRelease
    | SplitDeclare
    | SplitTransfer
    | RevenueReport
    | SettlementCompute
    | PayoutConfirm
    | FxQuote
    | DisputeOpen
    | DisputeJudge
    | DisputeResolve
    | DisputeCancel
    | DisputeAppeal
    | AttestIssue
    | AttestRevoke
    | ConformanceResult
    | SyndicatePlace
    | SyndicateWithdraw
    | VocabAdopt
    | VocabRetire
    | ExportMade
    | ImportAccepted,
    Discriminator("type"),
]

EVENT: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)
"""Reads the JSON of an event, strictly. Every type is told by its `type`."""

MODELS: Mapping[str, type[Event]] = MappingProxyType(
    {get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(get_args(AnyEvent)[0])}
)
"""The model of each type."""


def problems(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Each place in the event and what is wrong there, without the value: it might be personal."""
    for one in error.errors(include_url=False, include_input=False):
        what = one["msg"].removeprefix("Value error, ")
        if one.get("ctx", {}).get("pattern") == ONE_WORD:
            what = "want one word, such as court-order: letters, digits and . _ : + / ( ) - up to 100 of them"
        # The first step is the type, which the union adds.
        yield ".".join(map(str, one["loc"][1:])) or "type", what
