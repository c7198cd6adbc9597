"""Wait for the end of a task by watching the fold."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from ploinky.domain.events import TaskCancelled, TaskDead, TaskFailed, TaskSucceeded
from ploinky.domain.payload import Payload
from ploinky.journal.codec import Recorded

TaskEndEvent = TaskSucceeded | TaskFailed | TaskCancelled | TaskDead
WAITING_LIMIT_CALLERS = 4_096


class TaskEnd(NamedTuple):
    """How a task ended."""

    task_id: str
    position: int
    event: TaskEndEvent
    payload: Payload | None
    """The result or the error's details, as just committed."""


class TaskWaiters:
    """Those who wait for a task's end; register before the task is submitted."""

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._waiting: dict[str, list[asyncio.Future[TaskEnd]]] = {}

    @contextmanager
    def wait(self, task_id: str) -> Iterator[asyncio.Future[TaskEnd]]:
        """Give a future of the task's end, which is forgotten with the block."""
        future: asyncio.Future[TaskEnd] = asyncio.get_running_loop().create_future()
        futures = self._waiting.setdefault(task_id, [])
        futures.append(future)
        try:
            yield future
        finally:
            futures.remove(future)
            if not futures and self._waiting.get(task_id) is futures:
                del self._waiting[task_id]

    def follow(self, batch: Sequence[Recorded]) -> None:
        """Tell those whose task ended in a committed batch."""
        for recorded in batch:
            if recorded.kind != "task" or recorded.subject_id not in self._waiting:
                continue
            event = recorded.event
            if isinstance(event, TaskSucceeded | TaskFailed | TaskCancelled | TaskDead):
                payload = recorded.payloads.get("result") or recorded.payloads.get("error_details")
                end = TaskEnd(recorded.subject_id, recorded.position, event, payload)
                for future in self._waiting[recorded.subject_id]:
                    if not future.done():
                        future.set_result(end)
