"""The questions as methods, for whoever has a log: a market has its ledger, an auditor a published log's history."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from datetime import datetime

from ledger.errors import NotFound
from provenance.acts import agreement
from provenance.assent import Agreement
from provenance.before import Before
from provenance.item import Item
from provenance.members import Members
from provenance.moments import Moment, format_time
from provenance.offers import Offer, offers_of
from provenance.questions import census, kinship, training
from provenance.questions.answer import Answer
from provenance.questions.census import Acting, Due, Listed, Open
from provenance.questions.guard import Guard, guard
from provenance.questions.kinship import Kinship, Rate
from provenance.questions.training import Conflict, Training
from provenance.reservations import Reserved, reservations_of
from provenance.shares import shares_of
from provenance.states import DisputeStatus, GrantStatus, WorkStatus, dispute_status, grant_status, status_of
from provenance.ticket import Ticket

__all__ = ["Asks"]

Named = Ticket | str


class Asks:
    """Every question takes `at=`: a log size, a checkpoint or a log time; None is now, as far as the index goes.

    Raises `NotFound` for a size that the index has not reached. What is sealed from the one who asks, or erased,
    counts as far as its statement says: type, signer and place.
    """

    @abstractmethod
    def before(self, at: Moment = None) -> Before:
        """Everything that was logged by a moment."""

    @abstractmethod
    def item(self, address: bytes) -> Item | None:
        """The vault item at this address, None where it is not here."""

    # Creators

    def descendants(self, work: Named, *, depth: int | None = None, at: Moment = None) -> Answer[Kinship]:
        """Who derived from a work, nearest first, at most `depth` derivations away."""
        return kinship.descendants(_id(work), self.before(at), depth=depth)

    def ancestors(self, work: Named, *, depth: int | None = None, at: Moment = None) -> Answer[Kinship]:
        """What a work derives from, in this log and outside of it, nearest first."""
        return kinship.ancestors(_id(work), self.before(at), depth=depth)

    def rates(self, work: Named, *, at: Moment = None) -> Answer[Rate]:
        """What a work owes to each of its ancestors, in units of 10^-8, over all paths."""
        return kinship.rates(_id(work), self.before(at))

    def derivation(self, work: Named, *, license: str | None = None, at: Moment = None) -> Guard | None:  # noqa: A002
        """Whether a derived work may be used under `license` (by default its own), and what it owes for that.

        All rules that fail, each with its id; None for a work that derives from nothing.
        """
        return guard(_id(work), self.before(at), license=license)

    def trained_on(
        self, work: Named, *, members: Mapping[str, Collection[str]] | None = None, at: Moment = None
    ) -> Answer[Training]:
        """Which models were trained on a work, on what basis, and what was reserved or withdrawn before or since.

        `members` are the SHA-256 (hex) of what snapshots hold, by snapshot; by default those that are stored with them.
        """
        before = self.before(at)
        return training.trained_on(_id(work), before, members=self._stored(before) if members is None else members)

    def members(self, snapshot: Named, *, at: Moment = None) -> Members | None:
        """What a snapshot holds, where that is stored with it: exactly the members that it commits to.

        None where it is not, or is erased. A list that lies elsewhere is compared by `Members.check`. Raises
        `NotFound` for what is no snapshot, `ProofMismatch` and `MalformedError` where something else is stored.
        """
        before = self.before(at)
        if before.event(_id(snapshot), "dataset.snapshot") is None:
            msg = f"{snapshot}: no dataset.snapshot that can be read here"
            raise NotFound(msg)
        return training.stored_members(_id(snapshot), before, self.item)

    def about(self, thing: Named, *, at: Moment = None) -> Answer[Listed]:
        """Everything that points to a party, work, model, dataset or any other event, and what a party signed."""
        return census.about(_id(thing), self.before(at))

    def credited(self, party: Named, *, at: Moment = None) -> Answer[Listed]:
        """Where a party is credited."""
        return census.about(_id(party), self.before(at), "creator")

    # Auditors

    def counts(self, *, at: Moment = None) -> dict[str, int]:
        """Number of entries of each type, sealed ones included: an auditor can count the same in the public log."""
        return census.counts(self.before(at))

    def listed(self, *types: str, at: Moment = None) -> Answer[Listed]:
        """Every entry of these types."""
        return census.listed(types, self.before(at))

    def training_conflicts(
        self, model: Named, *, members: Mapping[str, Collection[str]] | None = None, at: Moment = None
    ) -> Answer[Conflict]:
        """Works that a model was trained on against a reservation, a withdrawal, or its own verdict.

        `members` as in `trained_on`: from them follows the set of what was used less what was allowed.
        """
        before = self.before(at)
        held = self._stored(before) if members is None else members
        return training.training_conflicts(_id(model), before, members=held)

    def _stored(self, before: Before) -> dict[str, list[str]]:
        """SHA-256 of the members of every snapshot that has them stored with it."""
        found = {}
        for entry in before.index.of_type("dataset.snapshot"):
            held = training.stored_members(entry.event_id, before, self.item)
            if held is not None:
                found[entry.event_id.hex()] = [member.digest for member in held]
        return found

    # Operators

    def pending(self, *, at: Moment = None) -> Answer[Acting]:
        """Acts that wait for somebody's word."""
        return census.pending(self.before(at))

    def open_disputes(self, *, at: Moment = None) -> Answer[Open]:
        """Disputes that are not over, each with every work that it tags."""
        return census.open_disputes(self.before(at))

    def expiring(self, by: datetime, *, at: Moment = None) -> Answer[Due]:
        """Grants that stand and end by then."""
        return census.expiring(format_time(by), self.before(at))

    # States

    def agreement(self, act: Named, *, at: Moment = None) -> Agreement | None:
        """Where an act of several signers stands: effective, pending (and for whose word), refused or expired.

        None for an event that is not in the log yet, or cannot be read here.
        """
        return agreement(_id(act), self.before(at))

    def offers_of(self, work: Named, *, at: Moment = None) -> list[Offer]:
        """The offers of a work that stand, earliest first."""
        return offers_of(_id(work), self.before(at))

    def shares_of(self, work: Named, *, at: Moment = None) -> dict[str, int]:
        """Units of a work by party id (hex), which come to 100,000,000; empty while no split is effective."""
        return {party.hex(): units for party, units in shares_of(_id(work), self.before(at)).items()}

    def reserved(self, work: Named, *, at: Moment = None) -> dict[str, Reserved]:
        """What is reserved of a work from programs that learn, by use; what nobody spoke of is not in it."""
        found = reservations_of(_id(work), self.before(at))
        return {use: Reserved(said, tuple(each.hex() for each in by)) for use, (said, by) in found.items()}

    def work_status(self, work: Named, *, at: Moment = None) -> WorkStatus:
        """The state of a work, and the event that says so."""
        return status_of(_id(work), self.before(at))

    def grant_status(self, grant: Named, *, at: Moment = None) -> GrantStatus:
        """Whether a grant can be used, by whom, and how often."""
        return grant_status(_id(grant), self.before(at))

    def dispute_status(self, dispute: Named, *, at: Moment = None) -> DisputeStatus:
        """Where a dispute stands: open, upheld, dismissed, resolved or cancelled."""
        return dispute_status(_id(dispute), self.before(at))


def _id(named: Named) -> bytes:
    return bytes.fromhex(str(named))
