"""How the watching thread paces itself; the pauses are read, not timed."""

import time

import pytest

from ploinky.adapters import file_courier_pace as pace_module
from ploinky.adapters.file_courier_pace import (
    CROWD_ATTEMPTS,
    CROWDED_PAUSE_SECONDS,
    FASTEST_PAUSE_SECONDS,
    PARKED_PAUSE_SECONDS,
    RESTART_INTERVAL_SECONDS,
    SLOWEST_PAUSE_SECONDS,
    WatchPace,
)


class StandingClock:
    """The time module with a hand of its own; sleeping is written down."""

    def __init__(self) -> None:
        self.now_seconds = 1_000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now_seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StandingClock:
    clock = StandingClock()
    monkeypatch.setattr(pace_module, "time", clock)
    return clock


@pytest.fixture
def pace(clock: StandingClock) -> WatchPace:
    pace = WatchPace()
    pace.note_restart()
    return pace


def test_parks_while_nothing_is_open(pace: WatchPace) -> None:
    """Without an open attempt there is no hurry."""
    assert pace._pause_seconds() == PARKED_PAUSE_SECONDS


@pytest.mark.parametrize(
    ("open_attempts", "quiet_seconds", "pause_seconds"),
    [
        (1, 0.0, FASTEST_PAUSE_SECONDS),
        (1, 0.1, 0.002),
        (1, 60.0, SLOWEST_PAUSE_SECONDS),
        (CROWD_ATTEMPTS + 1, 0.0, CROWDED_PAUSE_SECONDS),
        (CROWD_ATTEMPTS + 1, 60.0, SLOWEST_PAUSE_SECONDS),
    ],
)
def test_the_pause_follows_what_is_waited_for(
    pace: WatchPace, clock: StandingClock, open_attempts: int, quiet_seconds: float, pause_seconds: float
) -> None:
    """A fifty-th of the quiet time, within bounds that depend on how much is open."""
    pace.open_attempts = open_attempts
    pace.note_activity()
    clock.now_seconds += quiet_seconds
    assert pace._pause_seconds() == pytest.approx(pause_seconds)


def test_pauses_on_every_other_call(pace: WatchPace, clock: StandingClock) -> None:
    """The turn that confirms a change does not pause a second time."""
    pace.open_attempts = 1
    pace.note_activity()
    assert [pace.is_set() for _ in range(4)] == [False] * 4
    assert clock.slept == [FASTEST_PAUSE_SECONDS] * 2


def test_stops_without_a_pause(pace: WatchPace, clock: StandingClock) -> None:
    """A stop is seen at once."""
    pace.open_attempts = 1
    pace.stop()
    assert pace.is_set()
    assert clock.slept == []


def test_restarts_at_most_once_in_an_interval(pace: WatchPace, clock: StandingClock) -> None:
    """A wanted restart waits until the interval since the last one is over, and the pause ends with it."""
    pace.want_restart()
    assert not pace._has_to_end()
    assert pace._pause_seconds() <= RESTART_INTERVAL_SECONDS
    clock.now_seconds += RESTART_INTERVAL_SECONDS * 0.75
    assert pace._pause_seconds() == pytest.approx(RESTART_INTERVAL_SECONDS * 0.25)
    clock.now_seconds += RESTART_INTERVAL_SECONDS
    assert pace.is_set()
    pace.note_restart()
    assert not pace._has_to_end()


def test_activity_wakes_a_parked_pace() -> None:
    """A wait of ten minutes ends with the first sign of activity."""
    pace = WatchPace()
    pace._is_drowsy = True
    pace.note_activity()
    started_at = time.monotonic()
    pace.wait(600)
    assert time.monotonic() - started_at < 300
