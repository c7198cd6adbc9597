"""When somebody has to look at something again although nothing happens to it.

Only a hint to the policies, which decide with the clock's instant: an entry too many costs a look, so entries are not
taken back.
"""

import heapq
from datetime import datetime, timedelta

from ploinky.domain.deployment import Deployment
from ploinky.domain.instance import LIVE, Instance, Status
from ploinky.domain.task import Task, TaskState

START_LIMIT = timedelta(seconds=60)
"""From its creation until an instance must have said that it is ready."""
DRAIN_LIMIT = timedelta(seconds=30)
"""How long an instance of an earlier generation may finish what it has."""
ORPHAN_GRACE = timedelta(seconds=30)
"""How long something the journal does not know may go on running."""
WAITING_LIMIT = timedelta(hours=1)
"""How long a task may wait for a slot."""
DEADLINE_GRACE = timedelta(seconds=10)
"""How long after an attempt's deadline its agent may still say so itself."""

Subject = tuple[str, str]
"""An aggregate's kind and id."""


class DueTimes:
    """A heap of instants with the aggregate to look at."""

    def __init__(self) -> None:
        """Start empty."""
        self._heap: list[tuple[datetime, Subject]] = []

    def add(self, at: datetime, subject: Subject) -> None:
        """Have somebody look at `subject` at `at`."""
        heapq.heappush(self._heap, (at, subject))

    def next_at(self) -> datetime | None:
        """Return when the next look is due."""
        return self._heap[0][0] if self._heap else None

    def take(self, now: datetime) -> set[Subject]:
        """Remove and return what is due."""
        due: set[Subject] = set()
        while self._heap and self._heap[0][0] <= now:
            due.add(heapq.heappop(self._heap)[1])
        return due


def deployment_due(state: Deployment) -> datetime | None:
    """Return when a deployment needs a look."""
    return state.restart_due_at


def instance_due(state: Instance, created_at: datetime, changed_at: datetime) -> datetime | None:
    """Return when an instance needs a look."""
    if state.status in LIVE and not state.deployment_id:
        return created_at + ORPHAN_GRACE
    if state.status in {Status.CREATED, Status.RUNNING} and not state.is_ready:
        return created_at + START_LIMIT
    return changed_at + DRAIN_LIMIT if state.status in LIVE else None


def task_due(state: Task, submitted_at: datetime) -> datetime | None:
    """Return when a task needs a look."""
    if state.state is TaskState.RUNNING and state.deadline_at is not None:
        return state.deadline_at + DEADLINE_GRACE
    if state.state is TaskState.SUBMITTED:
        return state.retry_at or submitted_at + WAITING_LIMIT
    return None
