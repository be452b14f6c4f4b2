"""Handing a log over to new keys: the event that says so, the link that verifiers follow, and the key in its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from adapters.assemble import open_log_of
from adapters.connect import Clock, keys_of, utc_now
from adapters.files import sync_directory
from adapters.key_files import key_files, show_key_files
from adapters.keys import Keys, Passphrase, ask_once, log_signer, market_signer, pq_signer
from adapters.locations import Place, optional_storage, parts_at
from adapters.log_keys import with_secrets
from adapters.witnesses import witnessing_by
from ledger.checkpoint import Checkpoint
from ledger.cosignature import CosignerKey, Signs
from ledger.errors import NotFound, StorageError, UnknownKey
from ledger.keyring import Keyring
from ledger.log import Log
from ledger.note import Signer, VerifierKey
from ledger.storage import Checkpoints
from provenance.keys import RemotePartyKey
from provenance.sequencer import Signers
from provenance.succession import Link

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from provenance.subjects import SubjectKeys
    from provenance.vault import Vault

__all__ = ["HandedOver", "hand_over"]

K = TypeVar("K", Signer, Signs)


class HandedOver(NamedTuple):
    """What came of it: the keys of before and after, the checkpoint that both signed, and what was moved where."""

    before: Keyring
    after: Keyring
    checkpoint: Checkpoint
    moved: tuple[tuple[str, str], ...]
    """(from, to) of each key file that was put in its place or aside."""


def hand_over(
    database: str | Engine,
    *,
    to: Keys,
    publish: Place | None = None,
    objects: Place | None = None,
    checkpoints: str | Checkpoints | None = None,
    vault: Vault | None = None,
    index: str | None = None,
    schema: str | None = None,
    subject_keys: str | SubjectKeys | None = None,
    keys: Keys | None = None,
    passphrase: Passphrase | None = None,
    clock: Clock = utc_now,
) -> HandedOver:
    """Let the log sign with other keys from now on: those of `to`, "log" or "log_pq" or both; the rest stays.

    Both sides sign the checkpoint that ends with the event which says so. It is published with a link that leads
    verifiers from either side to the other; the key files of the published log follow. A new key in a file takes the
    place of the old one, which is kept beside it under its key id; keys elsewhere are yours to move. Other processes
    go on accepting events and take the new key from its place, or stop signing where they do not find it there.

    Where the ledger has witnesses, their quorum has to cosign that checkpoint: give them the new key *before*, and let
    them forget the old one afterwards. May be repeated until it has come to its end: until then nobody signs anything
    new. Where the ledger is, as in `connect`. Raises `UnknownKey` for keys that the log has or had, `QuorumNotMet`, and
    what `connect` raises.
    """
    parts = parts_at(database, objects, checkpoints, vault, index, schema, subject_keys)
    where, target = keys_of(parts.store, keys), optional_storage(publish)
    opens = ask_once(passphrase)
    before, asked = parts.read_layout(), parts.witnesses()
    key = _next(log_signer, "log", to, where, opens, before)
    also = _next(pq_signer, "log_pq", to, where, opens, before) if "log_pq" in to or before.also else None

    def opened(ring: Keyring) -> Log:
        witnessing = None if asked is None else witnessing_by(asked, lambda: ring)
        return open_log_of(parts, ring, target=target, witnessing=witnessing)

    head = opened(before).signed
    if before.holds_turn(head.signed):
        log = opened(with_secrets(before, where, opens))
        market = market_signer(where, opens)
        ledger = parts.ledger(
            log, signers=lambda: Signers(RemotePartyKey.of(log.signer), market), claim=None, clock=clock
        )
        ledger.publish()  # what the quorum does not cosign now, it will not cosign then
        head = ledger.hand_over(key, also=also)
    after = before.next(key, also, size=head.size)
    after.check_turn(head)
    log = opened(after)
    checkpoint = log.publish()
    row = log.row(head.size - 1)
    links = parts.links()
    if row.entry not in [link.entry for link in links]:
        links.append(Link(log.prove(head.size - 1), row.entry, row.opened))
        parts.note_link(len(links) - 1, links[-1])
    for place in log.places:
        show_key_files(place, key_files(after, witnessed=asked, links=links))
    # The key first: whoever is told of it finds it.
    moved = [*_move(to, where, "log", before.verifiers[0])]
    if before.also is not None or also is not None:
        moved += _move(to, where, "log_pq", before.verifiers[-1])
    parts.note_layout(after.public)
    return HandedOver(before, after.public, checkpoint, tuple(moved))


def _next(
    load: Callable[[Keys, Passphrase | None], K],
    name: str,
    to: Keys,
    where: Keys,
    passphrase: Passphrase | None,
    before: Keyring,
) -> K:
    """The key to hand over to, from where it was or from where an interrupted call has put it; else the present one."""
    if name not in to:
        return load(where, passphrase)
    try:
        return load(to, passphrase)
    except NotFound as missing:
        try:
            key = load(where, passphrase)
        except NotFound:
            raise missing from None
        if key.verifier in before.verifiers:
            msg = (
                f"{to[name]}: no key there, and {before.origin} signs with {key.verifier.key_id.hex()} now; "
                "if that is the one, it was handed over to before; else `provenance key new` makes one"
            )
            raise UnknownKey(msg) from missing
        return key


def _move(to: Keys, where: Keys, name: str, old: VerifierKey | CosignerKey) -> Iterator[tuple[str, str]]:
    """Put a new key file in the place of the old one, which stays beside it under its key id."""
    new, place = _file(to.get(name)), _file(where.get(name))
    if new is None or place is None or new == place or not new.exists():
        return
    try:
        if place.exists():
            aside = place.with_name(f"{place.stem}.{old.key_id.hex()}{place.suffix}")
            if not aside.exists():
                os.link(place, aside)
            yield str(place), str(aside)
        new.replace(place)  # at no moment there is none
        sync_directory(place.parent)
    except OSError as error:
        msg = f"{new}: cannot take the place of {place}: {error.strerror}; move it there and run this again"
        raise StorageError(msg) from error
    yield str(new), str(place)


def _file(uri: object) -> Path | None:
    return Path(uri.removeprefix("file:")) if isinstance(uri, str) and uri.startswith("file:") else None
