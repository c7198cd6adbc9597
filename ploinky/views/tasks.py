"""Tasks: every open one, and the most recent ended ones."""

from collections import OrderedDict
from datetime import datetime

import msgspec

from ploinky.domain.events import TaskSubmitted
from ploinky.domain.indexes import IDEMPOTENCY_LIMIT_KEYS
from ploinky.domain.task import ENDED, Task, TaskState, evolve
from ploinky.journal.codec import Recorded

RECENT_LIMIT_TASKS = 10_000
"""Ended tasks kept in memory; older ones are read from the journal."""


class TaskRow(msgspec.Struct, kw_only=True):
    """One task as of its newest committed event."""

    state: Task
    version: int
    submitted_position: int
    """Where its params and metadata are."""
    submitted_at: datetime
    correlation: str
    ended_position: int = 0
    """Where its result is; 0 while open."""
    ended_at: datetime | None = None


class IdempotencyRow(msgspec.Struct, frozen=True):
    """What an Idempotency-Key stands for."""

    task_id: str
    request_digest: str
    submitted_at: datetime


class TasksDump(msgspec.Struct, frozen=True):
    """What a snapshot keeps of tasks."""

    open: dict[str, TaskRow]
    recent: dict[str, TaskRow]
    idempotency: dict[str, IdempotencyRow]


class TasksView:
    """Fold tasks, and know who waits and who runs where."""

    kind = "task"

    def __init__(self) -> None:
        """Start empty."""
        self.open: dict[str, TaskRow] = {}
        self.recent: OrderedDict[str, TaskRow] = OrderedDict()
        self.idempotency: dict[str, IdempotencyRow] = {}
        self.waiting: dict[str, dict[str, None]] = {}
        """By deployment, the tasks without an attempt, oldest first."""
        self.running: dict[str, dict[str, None]] = {}
        """By instance, the tasks with an attempt there."""

    def apply(self, recorded: Recorded) -> TaskRow | None:
        """Fold one task event; return its row, or None for an afterthought on a task long ended."""
        task_id = recorded.subject_id
        row = self.open.get(task_id) or self.recent.get(task_id)
        if row is None:
            if not isinstance(recorded.event, TaskSubmitted):
                return None
            row = self._submitted(recorded, recorded.event)
        before = row.state
        row.state = after = evolve(before, recorded.event)
        row.version = recorded.version
        if before.state is not after.state or before.state is TaskState.ABSENT:
            self._unplace(task_id, before)
            self._place(task_id, after)
            if after.state in ENDED:
                row.ended_position, row.ended_at = recorded.position, recorded.at
                self._end(task_id, row)
        return row

    def get(self, task_id: str) -> TaskRow | None:
        """Return a task's row, or None when it is unknown or ended long ago."""
        return self.open.get(task_id) or self.recent.get(task_id)

    def _submitted(self, recorded: Recorded, event: TaskSubmitted) -> TaskRow:
        row = TaskRow(
            state=Task(),
            version=0,
            submitted_position=recorded.position,
            submitted_at=recorded.at,
            correlation=recorded.correlation,
        )
        self.open[recorded.subject_id] = row
        if event.idempotency is not None:
            kept = IdempotencyRow(recorded.subject_id, event.request_digest or "", recorded.at)
            self.idempotency.pop(event.idempotency, None)
            self.idempotency[event.idempotency] = kept
            if len(self.idempotency) > IDEMPOTENCY_LIMIT_KEYS:
                del self.idempotency[next(iter(self.idempotency))]
        return row

    def _end(self, task_id: str, row: TaskRow) -> None:
        del self.open[task_id]
        self.recent[task_id] = row
        if len(self.recent) > RECENT_LIMIT_TASKS:
            self.recent.popitem(last=False)

    def _place(self, task_id: str, task: Task) -> None:
        if task.state is TaskState.SUBMITTED:
            self.waiting.setdefault(task.deployment_id, {})[task_id] = None
        elif task.state is TaskState.RUNNING:
            self.running.setdefault(task.instance_id, {})[task_id] = None

    def _unplace(self, task_id: str, task: Task) -> None:
        if task.state is TaskState.SUBMITTED:
            _drop(self.waiting, task.deployment_id, task_id)
        elif task.state is TaskState.RUNNING:
            _drop(self.running, task.instance_id, task_id)

    def dump(self) -> TasksDump:
        """Return what a snapshot keeps."""
        return TasksDump(self.open, self.recent, self.idempotency)

    def load(self, raw: msgspec.Raw) -> None:
        """Take a snapshot's rows, whatever order they were written in: the oldest are the first to go."""
        dump = msgspec.json.decode(raw, type=TasksDump)
        self.open = dict(sorted(dump.open.items(), key=lambda item: item[1].submitted_position))
        self.recent = OrderedDict(sorted(dump.recent.items(), key=lambda item: item[1].ended_position))
        by_age = sorted(dump.idempotency.items(), key=lambda item: (item[1].submitted_at, item[1].task_id))
        self.idempotency = dict(by_age)
        for task_id, row in self.open.items():
            self._place(task_id, row.state)


def _drop(places: dict[str, dict[str, None]], owner: str, task_id: str) -> None:
    tasks = places.get(owner)
    if tasks is not None:
        tasks.pop(task_id, None)
        if not tasks:
            del places[owner]
