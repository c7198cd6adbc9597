"""What every `Clock` and every `Ids` has to do."""

import os
import re
import signal
import threading
import time
from datetime import UTC, timedelta

import pytest

from ploinky.adapters.memory.clock import ManualClock, SequentialIds
from ploinky.adapters.system_clock import BLOCK_ITEMS, SystemClock, TimeOrderedIds
from ploinky.ports.clock import Clock, Ids


@pytest.fixture(params=[ManualClock, SystemClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


@pytest.fixture(params=[SequentialIds, TimeOrderedIds])
def ids(request: pytest.FixtureRequest) -> Ids:
    made: Ids = request.param()
    return made


def test_tells_aware_utc(clock: Clock) -> None:
    """A time without a zone would be misread on another machine."""
    assert clock.now().tzinfo is UTC


def test_measures_without_going_back(clock: Clock) -> None:
    """The monotonic time never falls."""
    assert clock.monotonic() <= clock.monotonic()


def test_mints_twenty_characters_of_base32hex(ids: Ids) -> None:
    """An id is fit for a file name, a URL and a host name."""
    assert all(re.fullmatch(r"[0-9a-v]{20}", ids.mint()) for _ in range(100))


def test_mints_in_order(ids: Ids) -> None:
    """Sorting ids sorts by time of minting, also past a block of random bytes."""
    minted = [ids.mint() for _ in range(3 * BLOCK_ITEMS)]
    assert minted == sorted(minted)
    assert len(set(minted)) == len(minted)


def test_salts_are_sixteen_bytes_and_never_repeat(ids: Ids) -> None:
    """Every salt is another one, also past a block of random bytes."""
    salts = [ids.salt() for _ in range(3 * BLOCK_ITEMS)]
    assert {len(salt) for salt in salts} == {16}
    assert len(set(salts)) == len(salts)


def test_threads_share_one_source() -> None:
    """Ids minted by several threads at once are all different."""
    ids = TimeOrderedIds()
    minted: list[list[str]] = [[] for _ in range(4)]
    salts: list[list[bytes]] = [[] for _ in range(4)]

    def mint(index: int) -> None:
        minted[index] += [ids.mint() for _ in range(5_000)]
        salts[index] += [ids.salt() for _ in range(5_000)]

    threads = [threading.Thread(target=mint, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id_ for part in minted for id_ in part}) == 20_000
    assert len({salt for part in salts for salt in part}) == 20_000
    assert len({id_[:10] for part in minted for id_ in part}) == 20_000


def test_a_forked_child_mints_differently() -> None:
    """A child takes nothing of the randomness its parent has in store."""
    ids = TimeOrderedIds()
    ids.mint(), ids.salt()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, ids.salt() + ids.mint()[10:].encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        theirs = answers.read()
    os.waitpid(child, 0)
    assert len(theirs) == 26
    assert theirs[:16] != ids.salt()
    assert theirs[16:] != ids.mint()[10:].encode()


def test_never_goes_back_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id minted after the wall clock was set back is still greater than the one before."""
    ids = TimeOrderedIds()
    before = ids.mint()
    earlier = time.time_ns() - 3_600_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: earlier)
    assert ids.mint() > before


def test_begins_with_the_time() -> None:
    """The first ten characters count microseconds since 2020."""
    microseconds = int(TimeOrderedIds().mint()[:10], 32)
    assert abs(microseconds / 1e6 + 1_577_836_800 - time.time()) < 60


def test_a_manual_clock_advances() -> None:
    """Both times move by what was asked for, and never back."""
    clock = ManualClock()
    start = clock.now()
    clock.advance(1.5)
    assert (clock.now() - start, clock.monotonic()) == (timedelta(seconds=1.5), 1.5)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_a_manual_clock_steps() -> None:
    """Setting the wall clock back leaves the measured time alone."""
    clock = ManualClock()
    start = clock.now()
    clock.step(-60)
    assert (clock.now() - start, clock.monotonic()) == (timedelta(seconds=-60), 0)
