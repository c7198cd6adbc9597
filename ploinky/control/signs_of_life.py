"""Notice agents that have fallen silent: a claim whose sign of life does not change."""

from collections.abc import Iterable
from typing import NamedTuple

from ploinky.ports.clock import Clock
from ploinky.ports.courier import Claimed

SILENCE_LIMIT_SECONDS = 15.0


class Sign(NamedTuple):
    """What is known of one claim; instants on the monotonic clock."""

    attempt: int
    value: int
    changed_at: float
    first_at: float


class SignsOfLife:
    """The newest sign of each claimed attempt, timed on the monotonic clock: the agents' clocks mean nothing."""

    def __init__(self, clock: Clock) -> None:
        """Start with no claim known."""
        self._clock = clock
        self._signs: dict[str, dict[str, Sign]] = {}

    def note(self, claimed: Claimed) -> float:
        """Take a sign in; only a change counts. Returns for how many seconds the claim has been known."""
        tasks = self._signs.setdefault(claimed.instance_id, {})
        known, now = tasks.get(claimed.task_id), self._clock.monotonic()
        if known is None or known.attempt != claimed.attempt:
            tasks[claimed.task_id] = Sign(claimed.attempt, claimed.sign_of_life, now, now)
            return 0.0
        if known.value != claimed.sign_of_life:
            tasks[claimed.task_id] = known._replace(value=claimed.sign_of_life, changed_at=now)
        return now - known.first_at

    def is_silent(self, instance_id: str, running: Iterable[str]) -> bool:
        """Tell whether any running attempt of an instance has been silent for too long."""
        tasks = self._signs.get(instance_id, {})
        oldest = self._clock.monotonic() - SILENCE_LIMIT_SECONDS
        return any(tasks[task_id].changed_at < oldest for task_id in running if task_id in tasks)

    def ended(self, instance_id: str, task_id: str) -> None:
        """Forget an attempt that is over."""
        self._signs.get(instance_id, {}).pop(task_id, None)

    def forget(self, instance_id: str) -> None:
        """Forget an instance; also after it was paused, when its signs have to start anew."""
        self._signs.pop(instance_id, None)
