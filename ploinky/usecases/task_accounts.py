"""Read tasks: the recent ones from the views, older ones from the journal."""

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from ploinky.control.orders import Orders
from ploinky.control.pools import Pools
from ploinky.control.waiters import TaskEndEvent
from ploinky.domain.errors import BlobNotFound, TaskNotFound
from ploinky.domain.events import TaskCancelled, TaskDead, TaskFailed, TaskSucceeded
from ploinky.domain.ids import stream_name
from ploinky.domain.task import ENDED, Task
from ploinky.journal.codec import Codec
from ploinky.ports.journal_store import JournalStore
from ploinky.ports.secrets import Signer
from ploinky.views.tasks import TaskRow, TasksView
from ploinky.views.views import Views

TASK_TOKEN = "task"  # noqa: S105 - the purpose of a token, not a token
ENDS = (TaskSucceeded, TaskFailed, TaskCancelled, TaskDead)


class TaskOutcome(NamedTuple):
    """How a task ended, with its content."""

    event: TaskEndEvent
    content: bytes
    """The result as JSON, or the error's details as JSON; empty when there are none or they are no longer kept."""


class TaskAccount(NamedTuple):
    """All there is to say of one task."""

    task_id: str
    row: TaskRow
    outcome: TaskOutcome | None


def failure_of(outcome: TaskOutcome) -> tuple[str, str]:
    """Return the code and message of a task that did not succeed."""
    event = outcome.event
    if isinstance(event, TaskCancelled):
        return "CANCELLED", "The task was cancelled"
    return (event.code, event.message) if not isinstance(event, TaskSucceeded) else ("", "")


def error_details(outcome: TaskOutcome) -> dict[str, Any]:
    """Return the details an agent gave with its error."""
    try:
        details = msgspec.json.decode(outcome.content) if outcome.content else {}
    except RecursionError:  # An agent's own; what it nests too deeply for us is left out.
        return {}
    if isinstance(details, dict):
        return details
    return {} if details is None else {"details": details}


class TaskAccounts:
    """What is known of tasks, for callers."""

    def __init__(
        self, views: Views, store: JournalStore, codec: Codec, orders: Orders, pools: Pools, signer: Signer
    ) -> None:
        """Take where tasks are read."""
        self._views = views
        self._store = store
        self._codec = codec
        self._orders = orders
        self._pools = pools
        self._signer = signer

    async def read(self, task_id: str) -> TaskAccount:
        """Return a task's account; from the journal when it ended long ago. Raises `TaskNotFound`."""
        row = self._views.tasks.get(task_id)
        if row is None:
            row = await self._pools.slow(lambda: self._replay(task_id))
        if row.state.state not in ENDED:
            return TaskAccount(task_id, row, None)
        records = self._store.read(row.ended_position - 1, 1)
        event = self._codec.decode(records[0]) if records else None
        if not isinstance(event, ENDS):
            raise TaskNotFound(task=task_id)
        name = "result" if isinstance(event, TaskSucceeded) else "error_details"
        try:
            content = await self._orders.stored(row.ended_position, name)
        except BlobNotFound:
            content = None
        return TaskAccount(task_id, row, TaskOutcome(event, content or b""))

    def _replay(self, task_id: str) -> TaskRow:
        view = TasksView()
        version = 0
        while records := self._store.read_stream(stream_name("task", task_id), version):
            for record in records:
                version = record.version
                recorded = self._codec.recorded(record)
                if recorded is not None:
                    view.apply(recorded)
        row = view.get(task_id)
        if row is None:
            raise TaskNotFound(task=task_id)
        return row

    def reading_token(self, task_id: str) -> str:
        """Return the token by which an anonymous caller may read this one task."""
        return self._signer.token(TASK_TOKEN, task_id)

    def may_read(self, task_id: str, token: str) -> bool:
        """Tell whether a token is for reading this task."""
        return self._signer.is_valid(TASK_TOKEN, task_id, token)

    def list(self, deployment_id: str | None, state: str | None) -> list[tuple[str, TaskRow]]:
        """Return open tasks and the recent ended ones, newest first."""
        rows = [*self._views.tasks.recent.items(), *self._views.tasks.open.items()]
        chosen = [item for item in rows if _matches(item[1].state, deployment_id, state)]
        return sorted(chosen, key=_submitted_at, reverse=True)


def _matches(task: Task, deployment_id: str | None, state: str | None) -> bool:
    return (deployment_id is None or task.deployment_id == deployment_id) and (state is None or task.state == state)


def _submitted_at(item: tuple[str, TaskRow]) -> datetime:
    return item[1].submitted_at
