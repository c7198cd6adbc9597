"""When somebody has to look at something again although nothing happens to it.

Only a hint to the policies, which decide with the clock's instant: an entry too many costs a look, one too few costs a
task or an instance that nobody looks at again.
"""

import heapq
from datetime import datetime, timedelta

from ploinky.domain.deployment import Deployment
from ploinky.domain.instance import LIVE, Instance, Status
from ploinky.domain.task import Task, TaskState

START_LIMIT = timedelta(seconds=60)
"""From its creation until an instance must have said that it is ready, where its release does not say."""
DRAIN_LIMIT = timedelta(seconds=30)
"""How long an instance of an earlier generation may finish what it has."""
WARM_REST = timedelta(seconds=10)
"""How long an instance beyond those that serve stays awake without work, before it is frozen again."""
ORPHAN_GRACE = timedelta(seconds=30)
"""How long something the journal does not know may go on running."""
WAITING_LIMIT = timedelta(hours=1)
"""How long a task may wait for a slot, anew after each attempt."""
DEADLINE_GRACE = timedelta(seconds=10)
"""How long after an attempt's deadline its agent may still say so itself."""
SWEEP_LEAST_ENTRIES = 1_000
"""Entries that nobody needs any more are swept out when they are more than half, and so many."""

Subject = tuple[str, str]
"""An aggregate's kind and id."""


class DueTimes:
    """Instants with the aggregate to look at. As large as what is alive, not as what has been."""

    def __init__(self) -> None:
        """Start empty."""
        self._heap: list[tuple[datetime, Subject]] = []
        self._known: dict[Subject, tuple[datetime, ...]] = {}
        self._known_count = 0

    def __len__(self) -> int:
        """Return how many instants are kept, those that were replaced and not yet swept included."""
        return len(self._heap)

    def place(self, subject: Subject, instants: tuple[datetime, ...]) -> None:
        """Have somebody look at `subject` at each of `instants`, instead of what was known of it."""
        known = self._known.pop(subject, ())
        self._known_count += len(instants) - len(known)
        if instants:
            self._known[subject] = instants
        for at in instants:
            if at not in known:
                heapq.heappush(self._heap, (at, subject))
        if len(self._heap) > 2 * self._known_count + SWEEP_LEAST_ENTRIES:
            self._sweep()

    def next_at(self) -> datetime | None:
        """Return when the next look is due."""
        while self._heap and not self._is_known(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: datetime) -> set[Subject]:
        """Remove and return what is due."""
        due: set[Subject] = set()
        while self._heap and self._heap[0][0] <= now:
            at, subject = heapq.heappop(self._heap)
            if self._is_known(at, subject):
                due.add(subject)
                left = tuple(instant for instant in self._known[subject] if instant != at)
                self._known_count -= len(self._known[subject]) - len(left)
                if left:
                    self._known[subject] = left
                else:
                    del self._known[subject]
        return due

    def _is_known(self, at: datetime, subject: Subject) -> bool:
        return at in self._known.get(subject, ())

    def _sweep(self) -> None:
        self._heap = [(at, subject) for subject, instants in self._known.items() for at in instants]
        heapq.heapify(self._heap)


def deployment_due(state: Deployment) -> tuple[datetime, ...]:
    """Return when a deployment needs a look: to be restarted, to be confirmed, and to end what still drains."""
    if state.is_gone:
        return ()
    drained_at = state.switched_at + DRAIN_LIMIT if state.switched_at else None
    verify_until = state.rollout.verify_until if state.rollout else None
    return tuple(at for at in (state.restart_due_at, verify_until, drained_at) if at is not None)


def start_limit(state: Instance) -> timedelta:
    """Return how long an instance may take to become ready."""
    return timedelta(seconds=state.release.start_limit_seconds) if state.release else START_LIMIT


def instance_due(state: Instance, created_at: datetime, changed_at: datetime) -> tuple[datetime, ...]:
    """Return when an instance needs a look."""
    is_warm = state.release is not None and state.release.warm_instances > 0
    if is_warm and state.is_ready and state.status is Status.RUNNING:
        return (changed_at + WARM_REST,)
    if state.status in LIVE and not state.deployment_id:
        return (created_at + ORPHAN_GRACE,)
    if state.status in {Status.CREATED, Status.RUNNING} and not state.is_ready:
        return (created_at + start_limit(state),)
    return ()


def task_due(state: Task, submitted_at: datetime) -> tuple[datetime, ...]:
    """Return when a task needs a look."""
    if state.state is TaskState.RUNNING and state.deadline_at is not None:
        return (state.deadline_at + DEADLINE_GRACE,)
    if state.state is TaskState.SUBMITTED and state.retry_at is not None:
        return state.retry_at, state.retry_at + WAITING_LIMIT
    return (submitted_at + WAITING_LIMIT,) if state.state is TaskState.SUBMITTED else ()
