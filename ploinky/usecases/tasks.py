"""Submit tasks, wait for their ends, read and cancel them."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from ploinky.control.commander import Commander
from ploinky.control.orders import Orders
from ploinky.control.pools import Pools
from ploinky.control.waiters import TaskEnd, TaskEndEvent, TaskWaiters
from ploinky.domain.commands import CancelTask, SubmitTask
from ploinky.domain.errors import BlobNotFound, TaskNotFound
from ploinky.domain.events import TaskCancelled, TaskDead, TaskFailed, TaskSucceeded
from ploinky.domain.ids import stream_name
from ploinky.domain.payload import inline_payload
from ploinky.domain.task import ENDED, Task
from ploinky.journal.codec import Codec
from ploinky.journal.dispatcher import Context
from ploinky.ports.clock import Ids
from ploinky.ports.journal_store import JournalStore
from ploinky.ports.secrets import Signer
from ploinky.usecases.classify import TaskRequest
from ploinky.views.tasks import TaskRow, TasksView
from ploinky.views.views import Views

TASK_TOKEN = "task"  # noqa: S105 - the purpose of a token, not a token
ENDS = (TaskSucceeded, TaskFailed, TaskCancelled, TaskDead)


class Submission(NamedTuple):
    """What became of a request for a task."""

    task_id: str
    end: "TaskOutcome | None"
    """None when it goes on without the caller."""


class TaskOutcome(NamedTuple):
    """How a task ended, with its content."""

    event: TaskEndEvent
    content: bytes
    """The result as JSON, or the error's details as JSON; may be empty."""


class TaskAccount(NamedTuple):
    """All there is to say of one task."""

    task_id: str
    row: TaskRow
    outcome: TaskOutcome | None


class Tasks:
    """Tasks, for callers."""

    def __init__(
        self,
        views: Views,
        commander: Commander,
        waiters: TaskWaiters,
        orders: Orders,
        store: JournalStore,
        codec: Codec,
        ids: Ids,
        signer: Signer,
        pools: Pools,
    ) -> None:
        """Take the machinery."""
        self._views = views
        self._commander = commander
        self._waiters = waiters
        self._orders = orders
        self._store = store
        self._codec = codec
        self._ids = ids
        self._signer = signer
        self._pools = pools

    async def submit(
        self,
        deployment_id: str,
        request: TaskRequest,
        metadata: Mapping[str, Any],
        context: Context,
        *,
        wait_seconds: float,
        idempotency: tuple[str, str] | None = None,
    ) -> Submission:
        """Accept a task durably, then wait for its end for at most `wait_seconds` (0: do not wait).

        `idempotency` is the caller's name and Idempotency-Key. Raises the refusals of `SubmitTask`.
        """
        task_id = self._ids.mint()
        command = SubmitTask(
            subject_id=task_id,
            deployment_id=deployment_id,
            command=request.command,
            params=await self._orders.payload(request.params),
            metadata=inline_payload(msgspec.json.encode(metadata), self._ids.salt()),
            idempotency=_digest(deployment_id, *idempotency) if idempotency else None,
            request_digest=_digest(request.command, request.params) if idempotency else None,
        )
        with self._waiters.wait(task_id) as end:
            answer = await self._commander.execute(command, context)
            if answer.subject_id == task_id:
                return Submission(task_id, await self._await(end, wait_seconds))
        return await self._join(answer.subject_id, wait_seconds)

    async def _join(self, task_id: str, wait_seconds: float) -> Submission:
        """Wait for a task that was accepted before."""
        if wait_seconds <= 0:
            return Submission(task_id, None)
        with self._waiters.wait(task_id) as end:
            account = await self.read(task_id)
            if account.outcome is not None:
                return Submission(task_id, account.outcome)
            return Submission(task_id, await self._await(end, wait_seconds))

    async def _await(self, end: asyncio.Future[TaskEnd], wait_seconds: float) -> TaskOutcome | None:
        if wait_seconds <= 0:
            return None
        try:
            async with asyncio.timeout(wait_seconds):
                found = await end
        except TimeoutError:
            return None
        content = await self._orders.content(found.payload) if found.payload else b""
        return TaskOutcome(found.event, content)

    async def cancel(self, task_id: str, context: Context) -> None:
        """Stop a task, running or not. Idempotent; raises `TransitionInvalid` when it has ended otherwise."""
        await self._commander.execute(CancelTask(subject_id=task_id), context, is_urgent=True)

    async def read(self, task_id: str) -> TaskAccount:
        """Return a task's account; from the journal when it ended long ago. Raises `TaskNotFound`."""
        row = self._views.tasks.get(task_id) or await self._pools.slow(lambda: self._replay(task_id))
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


def _digest(*parts: str | bytes) -> str:
    digest = sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8) + content)
    return digest.hexdigest()
