"""Keys of those whom the vault's items are about, so that destroying one makes every old copy of an item unreadable.

A backup of the vault outlives an erasure. So each item can be stored encrypted under a key of the party it is about,
and the keys lie in a store of their own, which is backed up apart and for a short time only. An item's address stays
the SHA-256 of what it says; what is stored there is

    0x02 ‖ id of the key (32 bytes) ‖ nonce (12 bytes) ‖ AES-256-GCM of the item, with the address as associated data

under a key of the item's own, which follows from that key and the address (`provenance.branches`): so a single item can
be forgotten, and the others under its key stay. Where it begins with 0x01 it is under the key itself, as it was stored
at first: such an item ends with its party alone.

The id of a key is random: an erasure in the log names it among its targets and says about whom to nobody.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.errors import NotFound
from provenance.branches import Branch, branches_to
from provenance.queue import Staged
from provenance.vault import Vault, read_many

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "NOBODY",
    "KeepsSubjects",
    "Owned",
    "Part",
    "SubjectKey",
    "SubjectKeys",
    "WrappingVault",
    "is_wrapped",
    "keep",
    "subject_of",
]

Part = Literal["fields", "events"]
"""What a key is for: personal fields, which go with their subject, or sealed events, which others rest on."""

NOBODY = bytes(32)
"""The subject of what is put without saying whose it is."""

_WHOLE, _VERSION = b"\x01", b"\x02"  # under the key itself; under a key of its own
_ID, _NONCE, _TAG = 32, 12, 16  # bytes
_HEADER = len(_VERSION) + _ID + _NONCE

_ABOUT = MappingProxyType(
    {
        "consent.record": "subject",
        "dataset.snapshot": "creator",
        "grant.issue": "licensee",
        "grant.transfer": "to",
        "model.register": "creator",
        "payout.confirm": "payee",
        "split.declare": "holder",
        "split.transfer": "to",
        "work.create": "creator",
        "work.derive": "creator",
        "work.version": "creator",
    }
)


class SubjectKey(NamedTuple):
    """One key: `id` stands in every item that it encrypts, `secret` are its 32 bytes."""

    id: bytes
    secret: bytes

    @classmethod
    def generate(cls) -> SubjectKey:
        """A new key with a new id."""
        return cls(secrets.token_bytes(_ID), secrets.token_bytes(32))


class SubjectKeys(Protocol):
    """A store of wrapping keys, apart from the vault and its backups. Losing it loses every item under its keys.

    A subject is a party id (32 bytes). It has one *current* key for each `Part`, and may have older ones that still
    open what they encrypted. Everything is durable when it returns; all raise `Unavailable`.
    """

    def current(self, subjects: Iterable[tuple[bytes, Part]]) -> dict[tuple[bytes, Part], SubjectKey]:
        """The current key of each; one is made where there is none. Two callers at once get the same key."""

    def find(self, key_ids: Iterable[bytes]) -> dict[bytes, bytes]:
        """The secrets of those of these keys that are there, by key id."""

    def retire(self, subject: bytes, part: Part) -> list[bytes]:
        """Ids of all keys of a subject for a part; none is current any more: what comes next gets a new one."""

    def destroy(self, key_ids: Iterable[bytes]) -> None:
        """Forget these keys for good, and what they were divided into; unknown ones are no error.

        Their bytes are overwritten as far as that goes.
        """

    def divide(self, keys: Mapping[bytes, Sequence[SubjectKey]]) -> bool:
        """Put others in the place of each of these keys (by id), whose ids begin with the same 16 bytes.

        Their secrets are forgotten as by `destroy`, and none is current any more. `retire` goes on to name them, and
        not what they were divided into. All or none: False where one is not there, and then nothing is done.
        """


class Owned(NamedTuple):
    """A vault item with the event that it belongs to."""

    address: bytes
    data: bytes
    event: Staged

    @property
    def part(self) -> Part:
        """Whether it is the event itself, which is sealed, or a field of it."""
        return "events" if self.address == self.event.event_id else "fields"


@runtime_checkable
class KeepsSubjects(Protocol):
    """Declared by a vault that wants to know whom an item is about."""

    def put_for(self, items: Sequence[Owned], *, connection: Connection | None = None) -> None:
        """As `Vault.put`."""

    def retire(self, subject: bytes) -> list[bytes]:
        """Ids of the keys under which fields about a party lie, for an erasure to name; new fields get a new key."""


def keep(vault: Vault, items: Iterable[Owned], *, connection: Connection | None = None) -> None:
    """Put items into any vault, which is told whom they are about where it wants to know. As `Vault.put`."""
    if isinstance(vault, KeepsSubjects):
        vault.put_for(list(items), connection=connection)
    else:
        vault.put(((address, data) for address, data, _ in items), connection=connection)


def subject_of(type: str, event_id: bytes, event: bytes) -> bytes:  # noqa: A002 - the field's name
    """Id (32 bytes) of the party that an event is about, which its fields go with.

    A registration is about itself, a consent about its subject, a grant about its licensee, a work about its first
    creator; all else is about its actor. Follows from the event's bytes alone. `NOBODY` for what is no event.
    """
    try:
        value = orjson.loads(event)
        if type == "party.register" or value["actor"] == "self":
            return event_id
        role = _ABOUT.get(type)
        named = next((ref["id"] for ref in value["refs"] if ref["role"] == role and isinstance(ref["id"], str)), None)
        found = bytes.fromhex(named or value["actor"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return NOBODY
    return found if len(found) == _ID else NOBODY


def is_wrapped(stored: bytes) -> bool:
    """Whether this is an encrypted item, whose address does not follow from its bytes."""
    return stored[:1] in {_WHOLE, _VERSION} and len(stored) >= _HEADER + _TAG


class WrappingVault:
    """A `Vault` that keeps everything encrypted in another one (`stored`), under the keys of those it is about.

    An item whose key was destroyed is not there. What was stored before in plain stays readable. To erase the id of a
    key is to destroy the key. `stored` holds bytes as they are: what copies the vault reads that, and needs no key.
    """

    def __init__(self, stored: Vault, keys: SubjectKeys) -> None:
        self.stored = stored
        self.joins = stored.joins  # the keys are never in that transaction
        self._keys = keys

    def __repr__(self) -> str:
        return f"WrappingVault({self.stored!r})"

    def put(self, items: Iterable[tuple[bytes, bytes]], *, connection: Connection | None = None) -> None:
        """As `Vault.put`, for what is about nobody."""
        self._put(((address, data, (NOBODY, "fields")) for address, data in items), connection)

    def put_for(self, items: Sequence[Owned], *, connection: Connection | None = None) -> None:
        """As `Vault.put`, each item under the current key of whom it is about."""
        about = {event.event_id: subject_of(event.type, event.event_id, event.event) for _, _, event in items}
        self._put(((i.address, i.data, (about[i.event.event_id], i.part)) for i in items), connection)

    def get(self, address: bytes) -> bytes:
        """As `Vault.get`; `NotFound` also where its key was destroyed.

        What cannot be decrypted although its key is there comes as it is stored, like bytes that a disk has changed:
        whoever checks its hash sees that.
        """
        stored = self.stored.get(address)
        for _, found in self.opened([(address, stored)]):
            return found
        msg = f"vault item {address.hex()}: its key is not there"
        raise NotFound(msg)

    def many(self, addresses: Iterable[bytes]) -> dict[bytes, bytes]:
        """As `ReadsMany.many`; one by one where the vault below reads no faster."""
        return dict(self.opened(list(read_many(self.stored, addresses).items())))

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """As `Vault.items`, but for those whose key was destroyed."""
        page: list[tuple[bytes, bytes]] = []
        for pair in self.stored.items():
            page.append(pair)
            if len(page) == _PAGE:
                yield from self.opened(page)
                page = []
        yield from self.opened(page)

    def opened(self, page: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        """What items of `stored`, as (address, bytes), say; those whose key is not there are left out."""
        keys = self._keys_of(page)
        for address, stored in page:
            if not is_wrapped(stored):
                yield address, stored
            elif address in keys:
                yield address, _open(address, stored, keys[address])

    def erase(self, addresses: Iterable[bytes], *, connection: Connection | None = None) -> None:
        """As `Vault.erase`, of items and of keys by their ids. Keys go at once, whatever becomes of the transaction.

        That is before it commits: a key of which the log says that it is destroyed is never there.
        """
        named = list(addresses)
        self._keys.destroy(named)
        whole = set(named)
        self.forget([(at, data) for at, data in read_many(self.stored, named).items() if _key_id(data) not in whole])
        self.stored.erase(named, connection=connection)

    def forget(self, page: Sequence[tuple[bytes, bytes]]) -> None:
        """Destroy the keys of these items as they are stored, (address, bytes), wherever a copy of them may be."""
        wanted = [(_key_id(stored), address) for address, stored in page if _has_own_key(stored)]
        while wanted:
            kept: dict[Branch, list[bytes]] = {}
            for branch, address in self._branches(wanted):
                kept.setdefault(branch, []).append(address)
            secrets_ = self._keys.find([branch.id for branch in kept])
            parts = {
                branch.id: [SubjectKey(part.id, secret) for part, secret in branch.without(under, secrets_[branch.id])]
                for branch, under in kept.items()
                if branch.id in secrets_
            }
            if len(parts) == len(kept) and (not parts or self._keys.divide(parts)):
                return  # else another process was faster

    def retire(self, subject: bytes) -> list[bytes]:
        """As `KeepsSubjects.retire`."""
        return self._keys.retire(subject, "fields")

    def _put(self, items: Iterable[tuple[bytes, bytes, tuple[bytes, Part]]], connection: Connection | None) -> None:
        ready = list(items)
        keys = self._keys.current({whose for _, _, whose in ready}) if ready else {}
        self.stored.put([(at, _wrap(at, data, keys[whose])) for at, data, whose in ready], connection=connection)

    def _keys_of(self, page: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
        """The AES key of each of these items whose key is there, by address."""
        wrapped = [(_key_id(stored), address, stored) for address, stored in page if is_wrapped(stored)]
        roots = self._keys.find({root for root, _, _ in wrapped}) if wrapped else {}
        found = {
            address: Branch(root).key_of(address, roots[root]) if _has_own_key(stored) else roots[root]
            for root, address, stored in wrapped
            if root in roots
        }
        divided = [(root, at) for root, at, stored in wrapped if root not in roots and _has_own_key(stored)]
        branches = list(self._branches(divided))
        secrets_ = self._keys.find({branch.id for branch, _ in branches}) if branches else {}
        return found | {at: branch.key_of(at, secrets_[branch.id]) for branch, at in branches if branch.id in secrets_}

    def _branches(self, wanted: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[Branch, bytes]]:
        """The branch that is kept for each of these items, (id of its key, address), if one is."""
        if not wanted:
            return
        ways = [(branches_to(root, address), address) for root, address in wanted]
        kept = self._keys.find({branch.id for way, _ in ways for branch in way})
        for way, address in ways:
            yield from ((branch, address) for branch in way if branch.id in kept)


_PAGE = 1_000  # items in memory at once


def _key_id(stored: bytes) -> bytes:
    return stored[len(_VERSION) : len(_VERSION) + _ID]


def _has_own_key(stored: bytes) -> bool:
    return is_wrapped(stored) and stored[:1] == _VERSION


def _wrap(address: bytes, data: bytes, key: SubjectKey) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    own = Branch(key.id).key_of(address, key.secret)
    return _VERSION + key.id + nonce + AESGCM(own).encrypt(nonce, data, address)


def _open(address: bytes, stored: bytes, key: bytes) -> bytes:
    """What an item says; as it is stored where its key does not open it."""
    try:
        return AESGCM(key).decrypt(stored[len(_VERSION) + _ID : _HEADER], stored[_HEADER:], address)
    except InvalidTag:
        return stored
