"""An agent is silent when a claim's sign does not change for long on our own clock."""

import pytest

from ploinky.adapters.memory.clock import ManualClock
from ploinky.control.signs_of_life import SILENCE_LIMIT_SECONDS, SignsOfLife
from ploinky.ports.courier import Claimed

LONG = SILENCE_LIMIT_SECONDS + 0.1


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def claimed(sign: int, task_id: str = "t1", instance_id: str = "i1") -> Claimed:
    return Claimed(instance_id=instance_id, task_id=task_id, attempt=1, sign_of_life=sign)


def test_is_alive_at_first(clock: ManualClock) -> None:
    """A claim that was just seen is alive, and so is one that was never seen."""
    life = SignsOfLife(clock)
    assert not life.is_silent("i1", ["t1"])
    life.note(claimed(1))
    assert not life.is_silent("i1", ["t1"])


def test_is_silent_after_the_limit(clock: ManualClock) -> None:
    """Without another sign within the limit it is silent, and not before."""
    life = SignsOfLife(clock)
    life.note(claimed(1))
    clock.advance(SILENCE_LIMIT_SECONDS - 0.1)
    assert not life.is_silent("i1", ["t1"])
    clock.advance(0.2)
    assert life.is_silent("i1", ["t1"])


def test_only_a_change_counts(clock: ManualClock) -> None:
    """Seeing the same sign again is no life; any other value is, also a smaller one."""
    life = SignsOfLife(clock)
    life.note(claimed(5))
    clock.advance(LONG)
    life.note(claimed(5))
    assert life.is_silent("i1", ["t1"])
    life.note(claimed(4))
    assert not life.is_silent("i1", ["t1"])


def test_one_silent_attempt_is_enough(clock: ManualClock) -> None:
    """The instance is silent when any of its running attempts is."""
    life = SignsOfLife(clock)
    life.note(claimed(1, "t1"))
    clock.advance(LONG)
    life.note(claimed(1, "t2"))
    assert life.is_silent("i1", ["t1", "t2"])
    assert not life.is_silent("i1", ["t2"])
    assert not life.is_silent("i2", ["t1"])


def test_forgets_what_ended(clock: ManualClock) -> None:
    """What is over, and an instance that starts anew, is silent no more."""
    life = SignsOfLife(clock)
    for task_id in ("t1", "t2"):
        life.note(claimed(1, task_id))
    clock.advance(LONG)
    life.ended("i1", "t1")
    life.ended("i1", "unknown")
    life.ended("i9", "t1")
    assert not life.is_silent("i1", ["t1"])
    assert life.is_silent("i1", ["t2"])
    life.forget("i1")
    life.forget("i1")
    assert not life.is_silent("i1", ["t1", "t2"])


def test_a_set_clock_changes_nothing() -> None:
    """The wall clock may jump: only the monotonic one is asked."""
    clock = ManualClock()
    life = SignsOfLife(clock)
    life.note(claimed(1))
    clock.step(-3_600.0)
    assert not life.is_silent("i1", ["t1"])
