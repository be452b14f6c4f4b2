"""A request that arrives when its sender has given up must not come over what was written since."""

from __future__ import annotations

import pytest
from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError
from obstore.store import MemoryStore

from adapters.objects import Bucket
from ledger import Unavailable
from ledger.tile import pack_open


class Slow:
    """A store that keeps one write back until it is told to let it arrive."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.get = self.store.get
        self.holds = False
        self.held: tuple | None = None

    def put(self, *arguments, **options):
        if self.holds:
            self.holds, self.held = False, (arguments, options)
            msg = "Generic S3 error: HTTP error: operation timed out"
            raise GenericError(msg)
        return self.store.put(*arguments, **options)

    def arrive(self) -> None:
        arguments, options = self.held
        self.store.put(*arguments, **options)


@pytest.mark.parametrize("path", ["events/000", "checkpoint"])
@pytest.mark.parametrize("before", [[], [b"1"]])
@pytest.mark.parametrize("others", [False, True])
def test_what_arrives_late_is_refused(path, before, others):
    slow = Slow()
    bucket = Bucket(slow)
    for data in before:
        bucket.replace(path, data)
    slow.holds = True
    with pytest.raises(Unavailable, match="try again"):
        bucket.replace(path, b"12")
    (Bucket(slow) if others else bucket).replace(path, b"123")
    with pytest.raises((AlreadyExistsError, PreconditionError)):
        slow.arrive()
    assert bucket.get(path) == b"123"
    bucket.replace(path, b"1234")
    assert bucket.get(path) == b"1234"


def test_what_arrives_before_the_next_is_written_over():
    slow = Slow()
    bucket = Bucket(slow)
    bucket.replace("events/000", b"1")
    slow.holds = True
    with pytest.raises(Unavailable):
        bucket.replace("events/000", b"12")
    slow.arrive()
    bucket.replace("events/000", b"123")
    assert bucket.get("events/000") == b"123"


def test_an_open_bundle_only_grows():
    """A writer that was overtaken has not seen the newer one."""
    slow = Slow()
    bucket, other = Bucket(slow), Bucket(slow)
    one, two = pack_open([b"one"]), pack_open([b"one", b"two"])
    bucket.replace("events/000", one)
    other.replace("events/000", two)
    bucket.replace("events/000", one)
    assert bucket.get("events/000") == two
    bucket.replace("events/000", pack_open([b"", b"two"]))  # one item erased
    assert bucket.get("events/000") == pack_open([b"", b"two"])
