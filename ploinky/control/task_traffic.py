"""Send attempts to instances, find what came back, and clear up once an end is committed."""

import asyncio
import logging
from collections.abc import Coroutine, Generator, Sequence
from itertools import islice
from types import coroutine
from typing import Any

from ploinky.control.commander import Commander
from ploinky.control.orders import Orders
from ploinky.control.signs_of_life import SignsOfLife
from ploinky.domain import events as e
from ploinky.domain.commands import (
    Command,
    RecordClaimed,
    RecordFailed,
    RecordQuarantined,
    RecordReady,
    RecordSucceeded,
    StartAttempt,
    StopInstance,
)
from ploinky.domain.errors import PloinkyError, QueueUnavailable
from ploinky.domain.instance import Instance, Status
from ploinky.domain.task import TaskState
from ploinky.journal.codec import Recorded
from ploinky.journal.dispatcher import Context
from ploinky.ports.courier import Claimed, Courier, Failed, Finding, Quarantined, Succeeded
from ploinky.ports.failpoints import reach
from ploinky.views.tasks import TaskRow
from ploinky.views.views import Views

log = logging.getLogger(__name__)

READY_POLL_SECONDS = 0.01
"""Between two looks at instances that are not ready; a rollout waits for each of them."""
IDLE_POLL_SECONDS = 0.15
SCAN_SECONDS = 1.0
"""Between two full scans of the queues: hints may be lost, scans are the truth."""
LONG_CLAIM_SECONDS = 0.9
"""Claims are recorded when they have stood from one scan to the next; those of short tasks go into their ends."""
STOP_GRACE_SECONDS = 5.0
NEXT_LIMIT_TASKS = 256
"""Waiting tasks looked at for the next one; those in front may wait for their repetition's time."""


class TaskTraffic:
    """All traffic of tasks with all instances, over one courier."""

    def __init__(self, views: Views, commander: Commander, courier: Courier, orders: Orders, life: SignsOfLife) -> None:
        """Take the courier over; instances are served once they are attached."""
        self._views = views
        self._commander = commander
        self._courier = courier
        self._orders = orders
        self._life = life
        self._attached: set[str] = set()
        self._background: set[asyncio.Task[None]] = set()
        courier.subscribe(self._hinted)

    def attach(self, instance_id: str) -> str:
        """Open an instance's queue, send again what is open there, and return the queue's identity.

        Sending again is harmless: an attempt that was claimed is not claimed twice. Raises `QueueUnavailable`.
        """
        identity = self._courier.attach(instance_id)
        self._attached.add(instance_id)
        for task_id in self._views.tasks.running.get(instance_id, ()):
            state = self._views.tasks.open[task_id].state
            self._spawn(self._send(task_id, state.attempt, instance_id))
            if state.is_cancel_requested:
                self._spawn(self._cancel(task_id, state.attempt, instance_id))
        return identity

    def is_attached(self, instance_id: str) -> bool:
        """Tell whether an instance's queue is open."""
        return instance_id in self._attached

    def has_runner(self, instance_id: str) -> bool:
        """Tell whether something takes tasks from an instance's queue."""
        return instance_id in self._attached and self._courier.is_ready(instance_id)

    def adopt(self, instance_id: str, identity: str) -> bool:
        """Open the queue of an instance that ran before, if it is still the one it was started with.

        Files from before a reboot, or in another folder, are nobody's answers.
        """
        if instance_id in self._attached:
            return True
        try:
            is_same = self._courier.attach(instance_id) == identity
        except QueueUnavailable:
            return False
        if is_same:
            self.attach(instance_id)
        return is_same

    def release(self, instance_id: str) -> None:
        """Close an instance's queue and remove it."""
        self._attached.discard(instance_id)
        self._life.forget(instance_id)
        self._courier.release(instance_id)

    def follow(self, batch: Sequence[Recorded]) -> None:
        """Act on committed task events, and on the end of a pause."""
        for recorded in batch:
            if recorded.kind == "task":
                self._follow_task(recorded)
            elif isinstance(recorded.event, e.InstanceResumed):
                self._life.forget(recorded.subject_id)  # it could give no sign while it was paused

    def _follow_task(self, recorded: Recorded) -> None:
        task_id, event = recorded.subject_id, recorded.event
        match event:
            case e.TaskSubmitted():
                reach("task.submit_committed")
                self._orders.remember(task_id, recorded.payloads)
            case e.AttemptStarted():
                reach("task.attempt_committed")
                if event.instance_id in self._attached:
                    self._spawn(self._send(task_id, event.attempt, event.instance_id))
            case e.CancelRequested():
                reach("task.cancel_committed")
                row = self._views.tasks.open.get(task_id)
                if row is not None and row.state.instance_id in self._attached:
                    self._spawn(self._cancel(task_id, row.state.attempt, row.state.instance_id))
            case e.AttemptExpired():
                reach("task.expiry_committed")
                self._settle(task_id)
            case e.TaskSucceeded() | e.TaskFailed() | e.TaskCancelled() | e.TaskDead():
                reach("task.end_committed")
                # After the waiters, whose turn is first: nobody waits for files to be removed.
                asyncio.get_running_loop().call_soon(self._settle, task_id)
                self._orders.forget(task_id)

    async def ingest(self, instance_id: str) -> None:
        """Record everything an instance that has ended left behind, before its attempts are given up."""
        if instance_id not in self._attached:
            return
        try:
            findings = self._courier.look(instance_id)
        except QueueUnavailable as error:
            log.warning("the queue of %s cannot be read: %s", instance_id, error.message)
            return
        await asyncio.gather(*(self._record(finding) for finding in findings))

    async def run(self) -> None:
        """Poll for readiness and scan the queues, for ever."""
        loop = asyncio.get_running_loop()
        next_scan = loop.time()
        while True:
            unready = [key for key in self._attached if _awaits_readiness(self._views.instances.get(key))]
            for instance_id in unready:
                if self._courier.is_ready(instance_id):
                    self._commander.give(RecordReady(subject_id=instance_id), _context(instance_id, "readiness"))
            if loop.time() >= next_scan:
                next_scan = loop.time() + SCAN_SECONDS
                self._scan()
            await asyncio.sleep(READY_POLL_SECONDS if unready else IDLE_POLL_SECONDS)

    def _scan(self) -> None:
        for instance_id in list(self._attached):
            if instance_id in self._views.tasks.running:
                self._look(instance_id, include_claims=True)
                instance = self._views.instances.get(instance_id)
                is_watched = instance is not None and instance.status is Status.RUNNING
                if is_watched and self._life.is_silent(instance_id, self._views.tasks.running[instance_id]):
                    self._stop(instance_id, "silent")

    def _hinted(self, instance_id: str) -> None:
        if instance_id in self._attached:
            self._look(instance_id, include_claims=False)

    def _look(self, instance_id: str, *, include_claims: bool) -> None:
        try:
            findings = self._courier.look(instance_id, include_claims=include_claims)
        except QueueUnavailable as error:
            log.warning("the queue of %s cannot be used: %s", instance_id, error.message)
            self._stop(instance_id, "queue_unavailable")
            return
        for finding in findings:
            self._spawn(self._record(finding))

    async def _record(self, finding: Finding) -> None:
        row = self._row_of(finding)
        if row is None:
            # Not a task this instance ever had: whatever it is, it is cleared away and counts for nothing.
            self._courier.settle(finding.instance_id, finding.task_id, finding.attempt)
            return
        reach("task.result_found")
        is_expected = row.state.state is TaskState.RUNNING and row.state.attempt == finding.attempt
        is_news = False
        try:
            for command in await self._commands(finding, row):
                recorded = self._commander.begin(command, _context(finding.instance_id, row.correlation))
                if not isinstance(finding, Claimed):
                    self._start_next(row)
                is_news = (await recorded).position > 0
        except PloinkyError as error:
            if error.is_retryable:
                return  # The file stays; a later scan finds it again.
            log.warning("a result of %s is refused: %s", finding.instance_id, error.message)
        if not isinstance(finding, Claimed) and not (is_expected and is_news):  # its end has settled it
            current = self._views.tasks.open.get(finding.task_id)
            if current is None or current.state.attempt != finding.attempt:
                self._courier.settle(finding.instance_id, finding.task_id, finding.attempt)

    def _start_next(self, ended: TaskRow) -> None:
        """Give the slot that an end frees to the next task, so that both share a commit.

        The policy does the same once the end is committed, and finds it done; here it saves each waiting task a commit.
        """
        indexes = self._commander.indexes
        for task_id in islice(self._views.tasks.waiting.get(ended.state.deployment_id, ()), NEXT_LIMIT_TASKS):
            retry_at = self._views.tasks.open[task_id].state.retry_at
            if task_id in indexes.waiting_deployments and (retry_at is None or retry_at <= indexes.now):
                context = Context("policy", ended.correlation, self._commander.decided_position)
                self._commander.give(StartAttempt(subject_id=task_id), context)
                return

    def _row_of(self, finding: Finding) -> TaskRow | None:
        """Return the row of a finding's task if that instance can have had it, so that nobody answers for others."""
        row = self._views.tasks.get(finding.task_id)
        if row is None or row.state.deployment_id != finding.instance_id.partition(".")[0]:
            return None
        is_current = row.state.attempt == finding.attempt
        return None if is_current and row.state.instance_id != finding.instance_id else row

    async def _commands(self, finding: Finding, row: TaskRow) -> list[Command]:
        task_id, attempt = finding.task_id, finding.attempt
        match finding:
            case Succeeded():
                result = await self._orders.payload(bytes(finding.data))
                return [
                    RecordSucceeded(subject_id=task_id, attempt=attempt, result=result, claimed_at=finding.claimed_at)
                ]
            case Failed():
                details = await self._orders.payload(bytes(finding.details)) if bytes(finding.details) else None
                failed = RecordFailed(
                    subject_id=task_id,
                    attempt=attempt,
                    code=finding.code,
                    message=finding.message,
                    error_details=details,
                    claimed_at=finding.claimed_at,
                )
                return [failed]
            case Quarantined():
                reason = finding.reason
                failed = RecordFailed(subject_id=task_id, attempt=attempt, code="RESULT_INVALID", message=reason)
                return [RecordQuarantined(subject_id=task_id, attempt=attempt, reason=reason), failed]
            case Claimed() if row.state.state is TaskState.RUNNING and row.state.attempt == attempt:
                is_long = self._life.note(finding) >= LONG_CLAIM_SECONDS
                return (
                    [] if row.state.is_claimed or not is_long else [RecordClaimed(subject_id=task_id, attempt=attempt)]
                )
            case _:
                return []

    async def _send(self, task_id: str, attempt: int, instance_id: str) -> None:
        row = self._views.tasks.open.get(task_id)
        if row is None or row.state.attempt != attempt or row.state.state is not TaskState.RUNNING:
            return
        try:
            order = await self._orders.order(task_id, row)
            await self._courier.send(instance_id, order)
        except QueueUnavailable as error:
            log.warning("attempt %s.%d cannot be sent: %s", task_id, attempt, error.message)
            self._stop(instance_id, "queue_unavailable")
        except PloinkyError as error:
            failed = RecordFailed(subject_id=task_id, attempt=attempt, code=error.code, message=error.message)
            self._commander.give(failed, _context(instance_id, row.correlation))
        reach("task.attempt_sent")

    async def _cancel(self, task_id: str, attempt: int, instance_id: str) -> None:
        try:
            await self._courier.cancel(instance_id, task_id, attempt)
            reach("task.cancel_sent")
        except QueueUnavailable:
            self._stop(instance_id, "queue_unavailable")

    def _settle(self, task_id: str) -> None:
        row = self._views.tasks.get(task_id)
        if row is not None and row.state.instance_id in self._attached:
            self._life.ended(row.state.instance_id, task_id)
            self._courier.settle(row.state.instance_id, task_id, row.state.attempt)
            reach("task.settled")

    def _stop(self, instance_id: str, reason: str) -> None:
        command = StopInstance(subject_id=instance_id, reason=reason, grace_seconds=STOP_GRACE_SECONDS)
        self._commander.give(command, _context(instance_id, "queue"))

    def _spawn(self, coroutine: Coroutine[Any, None, None]) -> None:
        """Run a coroutine at once up to where it waits, and the rest as a task; most wait for nothing."""
        try:
            awaited = coroutine.send(None)
        except StopIteration:
            return
        except Exception:
            log.exception("a part of the traffic of tasks ended unexpectedly")
            return
        task = asyncio.get_running_loop().create_task(_rest(coroutine, awaited))
        self._background.add(task)
        task.add_done_callback(self._background.discard)


@coroutine
def _rest(begun: Coroutine[Any, None, None], awaited: Any) -> Generator[Any, None, None]:
    """Go on with a coroutine that has begun and waits for `awaited`."""
    while True:
        error: BaseException | None = None
        try:
            yield awaited
        except BaseException as raised:  # noqa: BLE001 - what it waited for has failed, or it is cancelled: its matter
            error = raised
        try:
            awaited = begun.send(None) if error is None else begun.throw(error)
        except StopIteration:
            return


def _awaits_readiness(instance: Instance | None) -> bool:
    if instance is None or instance.status is not Status.RUNNING or instance.is_ready:
        return False
    return instance.release is None or instance.release.readiness_probe is None  # those are looked at from outside


def _context(instance_id: str, correlation: str) -> Context:
    return Context(f"instance:{instance_id}", correlation)
