"""Submit tasks, wait for their ends, cancel them."""

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from ploinky.control.commander import Commander
from ploinky.control.orders import Orders
from ploinky.control.waiters import TaskEnd, TaskWaiters
from ploinky.domain.commands import CancelTask, SubmitTask
from ploinky.domain.errors import Invalid
from ploinky.domain.payload import inline_payload
from ploinky.journal.dispatcher import Context
from ploinky.ports.clock import Ids
from ploinky.usecases.classify import TaskRequest
from ploinky.usecases.task_accounts import TaskAccounts, TaskOutcome

IDEMPOTENCY_KEY_LIMIT_CHARACTERS = 255


class Submission(NamedTuple):
    """What became of a request for a task."""

    task_id: str
    outcome: TaskOutcome | None
    """None when it goes on without the caller."""


class Tasks:
    """Tasks, for callers."""

    def __init__(
        self, commander: Commander, waiters: TaskWaiters, orders: Orders, ids: Ids, accounts: TaskAccounts
    ) -> None:
        """Take the machinery a task passes through."""
        self._commander = commander
        self._waiters = waiters
        self._orders = orders
        self._ids = ids
        self._accounts = accounts

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

        `idempotency` is the caller's name and Idempotency-Key. Raises `Invalid`, and the refusals of `SubmitTask`.
        """
        if idempotency is not None and len(idempotency[1]) > IDEMPOTENCY_KEY_LIMIT_CHARACTERS:
            raise Invalid(f"An Idempotency-Key has at most {IDEMPOTENCY_KEY_LIMIT_CHARACTERS} characters")
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
        # Registered before it is submitted: its end may be committed before this coroutine runs again.
        with self._waiters.wait(task_id) as end:
            answer = await self._commander.execute(command, context, is_new=True)
            if answer.subject_id == task_id:
                return Submission(task_id, await self._await(end, wait_seconds))
        return await self._join(answer.subject_id, wait_seconds)

    async def _join(self, task_id: str, wait_seconds: float) -> Submission:
        """Wait for a task that was accepted before."""
        if wait_seconds <= 0:
            return Submission(task_id, None)
        with self._waiters.wait(task_id) as end:
            account = await self._accounts.read(task_id)
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


def _digest(*parts: str | bytes) -> str:
    digest = sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8) + content)
    return digest.hexdigest()
