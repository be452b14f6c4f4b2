"""Rights: terms, offers under them, and grants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from provenance.errors import Reason
from provenance.events.envelope import (
    ONE,
    Ending,
    Event,
    EventRef,
    Model,
    OnlyRef,
    RefId,
    Roles,
    Rules,
    repeated,
)
from provenance.events.fields import Amount, Count, Currency, Hex, License, Rate, Seconds, Term, Territory, Time, Token
from provenance.events.vocabulary import RoyaltyPolicy
from provenance.events.work import WorkRef

__all__ = [
    "GrantIssue",
    "LicenseeRef",
    "MachineTerms",
    "OfferAttach",
    "OfferDetach",
    "OfferRef",
    "Price",
    "TermsPublish",
    "TermsRef",
]

_Party = Hex
_Terms = Annotated[tuple[Term, ...], Field(max_length=200)]


class Price(Model):
    """Money in minor units, by ISO 4217: {"amount": "1250", "currency": "EUR"} is 12.50 EUR."""

    amount: Amount
    currency: Currency


class _Derivatives(Model):
    """Whether derived works are allowed, must credit this one, need approval, must be offered under the same terms."""

    allowed: bool | None = None
    attribution: bool | None = None
    approval: bool | None = None
    reciprocal: bool | None = None


class _Ai(Model):
    """Uses by programs that learn: each is allowed, refused, or (absent) not spoken of."""

    train: bool | None = None
    train_generative: bool | None = None
    inference_input: bool | None = None
    index: bool | None = None
    mining: bool | None = None
    search: bool | None = None


class _Attribution(Model):
    """Whether a visible credit is owed, and a link."""

    text: bool | None = None
    link: bool | None = None


class _Term(Model):
    """How long a license lasts from its grant, in seconds; 0 never ends."""

    expiration: Seconds


class _Royalty(Model):
    policy: RoyaltyPolicy
    rate: Rate | None = None


class MachineTerms(Model):
    """Terms as a program can weigh them. What is absent is not said, which is neither yes nor no.

    `rev_ceiling` is the most revenue under one license, in minor units of the fee's currency; `fee` with amount "0"
    names the currency alone. `territory` lists where the license holds; absent, everywhere. `revocable` false means
    that what was granted stays granted.
    """

    reproduce: bool | None = None
    distribute: bool | None = None
    commercial: bool | None = None
    derivatives: _Derivatives | None = None
    ai: _Ai | None = None
    attribution: _Attribution | None = None
    share_alike: bool | None = None
    use_restrictions: _Terms | None = None
    territory: Annotated[tuple[Territory, ...], Field(max_length=400)] | None = None
    channels: _Terms | None = None
    audience: Term | None = None
    term: _Term | None = None
    transferable: bool | None = None
    revocable: bool | None = None
    sublicensable: bool | None = None
    fee: Price | None = None
    royalty: _Royalty | None = None
    rev_ceiling: Amount | None = None
    duties: _Terms | None = None
    governing_law: Token | None = None


class _Publish(Model):
    license: License
    text_digest: Hex | None = None
    machine: MachineTerms


class TermsPublish(Event):
    """Terms that works can be offered under. Immutable: other terms are another event.

    `license` is an SPDX expression or a LicenseRef-…, `text_digest` the SHA-256 of the text that binds, `machine` what
    a program can weigh. Maps to an ODRL Set, Story's PIL terms, RSL, SPDX and Creative Commons. For example::

        {"body": {"license": "CC-BY-NC-4.0",
                  "machine": {"ai": {"train_generative": false},
                              "attribution": {"link": true, "text": true},
                              "commercial": false,
                              "derivatives": {"allowed": true, "attribution": true},
                              "distribute": true,
                              "reproduce": true},
                  "text_digest": "06b49d06653e027fa96af064e0d1af8bbd0e61db61938eccdd7cb2a087a2de17"}}
    """

    signed_by = "who wrote the terms"
    rules: ClassVar[Rules] = {
        "commercial": "terms that allow no commerce have no royalty and no ceiling",
        "royalty": "terms that allow commerce say their royalty policy; with the policy `none` there is no rate",
        "fee": "terms with a fee say their royalty policy",
        "currency": "a royalty and a ceiling have a currency, by `fee`",
        "derivatives": "terms that allow no derived works ask nothing of them",
        "repeated": "nothing stands twice in a list",
    }

    type: Literal["terms.publish"]
    actor: _Party
    body: _Publish
    refs: tuple[()]
    commits: OnlyRef

    def _breaks(self) -> Iterator[Reason]:
        """What makes terms well-formed is taken from Story's PILicenseTemplate.

        A royalty policy "none" is one that was stated: CC BY allows commerce and asks for no royalty.
        """
        terms = self.body.machine
        royalty = terms.royalty
        shares = royalty is not None and (royalty.policy != "none" or royalty.rate not in {None, "0"})
        if terms.commercial is False:
            for name, said in (("royalty", shares), ("rev_ceiling", terms.rev_ceiling is not None)):
                if said:
                    yield _machine_reason("commercial", f"{name}: said, but commercial is false")
        if terms.commercial and royalty is None:
            yield _machine_reason("royalty", 'royalty: absent, but commercial is true; say at least {"policy":"none"}')
        if royalty is not None and royalty.policy == "none" and royalty.rate not in {None, "0"}:
            yield _machine_reason("royalty", f"royalty.rate: {royalty.rate}, but the policy is none")
        if terms.fee is not None and terms.fee.amount != "0" and royalty is None:
            yield _machine_reason("fee", 'royalty: absent, but there is a fee; say at least {"policy":"none"}')
        if terms.fee is None and ((royalty is not None and royalty.policy != "none") or terms.rev_ceiling is not None):
            yield _machine_reason("currency", 'fee: absent, so that money has no currency; "amount" may be "0"')
        derivatives = terms.derivatives
        if derivatives is not None and derivatives.allowed is False:
            for name in ("attribution", "approval", "reciprocal"):
                if getattr(derivatives, name):
                    yield _machine_reason("derivatives", f"derivatives.{name}: true, but derivatives are not allowed")
        for name in ("use_restrictions", "territory", "channels", "duties"):
            if repeated(getattr(terms, name) or ()):
                yield _machine_reason("repeated", f"{name}: a value stands there twice")


def _machine_reason(rule: str, sentence: str) -> Reason:
    return Reason(f"terms.publish.{rule}", f"body.machine.{sentence}")


class TermsRef(Model):
    """The terms of an offer."""

    role: Literal["terms"]
    id: RefId


class _Overrides(Model):
    """What this offer asks instead of its terms: never less than they do."""

    rate: Rate | None = None
    fee: Price | None = None


class _Attach(Model):
    audience: Term = "public"
    price: Price | None = None
    overrides: _Overrides


class OfferAttach(Event):
    """A work is on offer under terms. No price means free.

    `audience` says to whom ("public" where it is absent), `overrides` what is asked instead of the terms: a royalty
    `rate` in units of 10^-8, a `fee`. Maps to an ODRL Offer. For example::

        {"body": {"audience": "public", "overrides": {}, "price": {"amount": "1250", "currency": "EUR"}},
         "refs": [{"role": "work", "id": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"},
                  {"role": "terms", "id": "084fed08b978af4d7d196a7446a86b58009e636b611db16211b65a9aadff29c5"}]}
    """

    signed_by = "a creator or owner of the work, or the market"
    roles: ClassVar[Roles] = {"work": ONE, "terms": ONE}

    type: Literal["offer.attach"]
    actor: _Party
    body: _Attach
    refs: tuple[Annotated[WorkRef | TermsRef, Field(discriminator="role")], ...]
    commits: OnlyRef


class OfferDetach(Event):
    """An offer ends: nothing is granted under it from here on, what was granted stays.

    For example::

    {"body": {"reason": "exclusive-sale"},
     "refs": [{"role": "offer", "id": "e77b9a9ae9e30b0dbdb6f510a264ef9de781501d7b6b92ae89eb059c5ab743db"}]}
    """

    signed_by = "who made the offer, or the market"
    roles: ClassVar[Roles] = {"offer": ONE}

    type: Literal["offer.detach"]
    actor: _Party
    body: Ending
    refs: tuple[EventRef[Literal["offer"]], ...]
    commits: OnlyRef


class OfferRef(Model):
    """The offer that a grant follows from."""

    role: Literal["offer"]
    id: RefId


class LicenseeRef(Model):
    """The party that gets the license."""

    role: Literal["licensee"]
    id: RefId


class _Issue(Model):
    scope: Annotated[tuple[Term, ...], Field(min_length=1, max_length=100)]
    quantity: Count
    price: Price | None = None
    expires: Time | None = None
    transferable: bool


class GrantIssue(Event):
    """A license was granted under an offer. Sealed by default: the log shows that, not to whom and for what.

    `scope` are the acts it covers, `price` what was paid in all, `expires` in log time; absent, it does not. Personal:
    `ref`. Maps to an ODRL Agreement. For example::

        {"body": {"price": {"amount": "1250", "currency": "EUR"},
                  "quantity": 1,
                  "scope": ["use"],
                  "transferable": false},
         "refs": [{"role": "offer", "id": "e77b9a9ae9e30b0dbdb6f510a264ef9de781501d7b6b92ae89eb059c5ab743db"},
                  {"role": "work", "id": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"},
                  {"role": "licensee", "id": "67586e98fad27da0b9968bc039a1ef34c939b9b8e523a8bef89d478608c5ecf6"}],
         "personal": {"ref": "order:7731"}}
    """

    signed_by = "the licensor's side: a creator, an owner, or the market under a standing offer"
    roles: ClassVar[Roles] = {"offer": ONE, "work": ONE, "licensee": ONE}

    type: Literal["grant.issue"]
    actor: _Party
    body: _Issue
    refs: tuple[Annotated[OfferRef | WorkRef | LicenseeRef, Field(discriminator="role")], ...]
    commits: OnlyRef
