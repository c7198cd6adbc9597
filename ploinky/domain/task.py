"""A task: accepted once, attempted until it ends, ended exactly once.

submitted (waiting) -> running (an attempt is out) -> succeeded | failed | cancelled | dead. An attempt that is lost
puts the task back to submitted while repetitions are left. Results of attempts that are over change nothing.
"""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.decider import Attached, Decider, Decision, Repeated, refuse_unknown
from ploinky.domain.errors import (
    DeploymentNotFound,
    DeploymentNotReady,
    IdempotencyConflict,
    Invalid,
    Overloaded,
    TaskNotFound,
    TransitionInvalid,
)
from ploinky.domain.indexes import DeploymentEntry, Indexes

WAITING_LIMIT_TASKS = 10_000
"""Tasks of one deployment that may wait for a slot."""
LONGEST_BACKOFF_SECONDS = 300.0
LONGEST_TIME_LIMIT_SECONDS = 24 * 3600.0
MESSAGE_LIMIT_CHARACTERS = 2_000

LOST_CODES = frozenset({"WORKER_DIED"})
"""Error codes by which agentcore says that the attempt was lost, not that the handler failed."""
ENDED_CODES = LOST_CODES | {"CANCELLED"}
"""Codes that only say how the attempt ended: no result, so never a late one."""
LOSSES = {
    "instance_exited": "its agent ended",
    "instance_overdue": "its agent did not end it at its time limit",
    "instance_queue_lost": "its queue is not the one it was given",
    "instance_queue_unavailable": "its agent broke the queue",
    "instance_replaced": "its agent was replaced before it was done",
    "instance_shutdown": "the server was stopped",
    "instance_silent": "its agent fell silent",
    "instance_vanished": "its container or process was removed from outside",
}
"""Why an attempt was lost, in words, by how its instance ended."""
FINAL_CODES = frozenset({"COMMAND_NOT_FOUND", "NO_HANDLER", "INVALID_MANIFEST", "INVALID_TASK", "RESULT_TOO_LARGE"})
"""Errors that a repetition cannot mend."""


class TaskState(StrEnum):
    """Where a task is."""

    ABSENT = "absent"
    SUBMITTED = "submitted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"


ANSWERED = frozenset({TaskState.SUCCEEDED, TaskState.FAILED})
"""Ended by an answer of the newest attempt."""
ENDED = ANSWERED | {TaskState.CANCELLED, TaskState.DEAD}


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one task."""

    state: TaskState = TaskState.ABSENT
    attempt: int = 0
    """The newest attempt's number; 0 before the first."""
    instance_id: str = ""
    """The instance of the newest attempt."""
    deployment_id: str = ""
    command: str = ""
    time_limit_seconds: float = 0.0
    lost_retries: int = 0
    failed_retries: int = 0
    backoff_seconds: float = 0.0
    losses: int = 0
    failures: int = 0
    retry_at: datetime | None = None
    deadline_at: datetime | None = None
    is_cancel_requested: bool = False
    is_claimed: bool = False
    code: str = ""
    message: str = ""
    noted_attempts: tuple[int, ...] = ()
    """Attempts with a repeated failure, a late or a quarantined result on record; further ones are not recorded."""


def decide(command: c.Command, state: Task, indexes: Indexes) -> Decision:
    """Decide on a task's command."""
    match command:
        case c.SubmitTask():
            return _submit(command, state, indexes)
        case _ if state.state is TaskState.ABSENT:
            raise TaskNotFound(task=command.subject_id)
        case c.StartAttempt():
            return _start(state, indexes)
        case c.RecordSucceeded() | c.RecordFailed():
            return _answer(command, state, indexes)
        case c.ExpireAttempt():
            if state.state is not TaskState.RUNNING or command.attempt != state.attempt:
                return []
            why = LOSSES.get(command.reason, command.reason)
            return _lost(state, command.reason, f"The attempt was lost: {why}", indexes)
        case c.RecordClaimed():
            is_news = state.state is TaskState.RUNNING and command.attempt == state.attempt and not state.is_claimed
            return [e.TaskClaimed(attempt=command.attempt)] if is_news else []
        case c.RecordQuarantined():
            is_news = command.attempt not in state.noted_attempts and 1 <= command.attempt <= state.attempt
            return [e.ResultQuarantined(attempt=command.attempt, reason=command.reason)] if is_news else []
        case c.CancelTask():
            return _cancel(command, state)
        case c.AbandonTask():
            if state.state is not TaskState.SUBMITTED:
                return []
            return [e.TaskDead(code="TASK_LOST", message=command.reason)]
        case _:
            return refuse_unknown(command)


def _submit(command: c.SubmitTask, state: Task, indexes: Indexes) -> Decision:
    if state.state is not TaskState.ABSENT:
        return Repeated(command.subject_id)
    deployment = indexes.deployments.get(command.deployment_id)
    if deployment is None:
        raise DeploymentNotFound(deployment=command.deployment_id)
    if command.idempotency is not None and (known := indexes.find_idempotent(command.idempotency)) is not None:
        if known.request_digest != (command.request_digest or ""):
            raise IdempotencyConflict(task=known.task_id)
        return Repeated(known.task_id)
    if deployment.release is not None and not deployment.release.takes_tasks:
        raise TransitionInvalid(
            "This deployment answers with a web server of its own and takes no tasks",
            hint="Send requests to its URL; or run agentcore in it as well, with `mode` file in its manifest.",
        )
    if not deployment.is_accepting:
        raise DeploymentNotReady(deployment=command.deployment_id)
    if deployment.waiting >= WAITING_LIMIT_TASKS:
        raise Overloaded(f"{WAITING_LIMIT_TASKS} tasks of this deployment are waiting already")
    submitted = _submitted(command, deployment)
    events: list[e.Event | Attached] = [Attached(submitted, {"params": command.params, "metadata": command.metadata})]
    instance_id = indexes.free_instance(command.deployment_id) if not deployment.waiting else None
    if instance_id is not None:
        events.append(_attempt(1, instance_id, submitted.time_limit_seconds, indexes))
    return events


def _submitted(command: c.SubmitTask, deployment: DeploymentEntry) -> e.TaskSubmitted:
    release = deployment.release
    limit = command.time_limit_seconds
    if limit is None:
        limit = release.time_limit_seconds if release else 300.0
    if not 0 < limit <= LONGEST_TIME_LIMIT_SECONDS:
        raise Invalid("The time limit is out of range", time_limit_seconds=limit)
    return e.TaskSubmitted(
        deployment_id=command.deployment_id,
        command=command.command,
        params=command.params.reference,
        metadata=command.metadata.reference,
        time_limit_seconds=limit,
        lost_retries=release.retries.lost if release else 3,
        failed_retries=release.retries.failed if release else 0,
        backoff_seconds=release.retries.backoff_seconds if release else 1.0,
        idempotency=command.idempotency,
        request_digest=command.request_digest,
    )


def _attempt(attempt: int, instance_id: str, time_limit_seconds: float, indexes: Indexes) -> e.AttemptStarted:
    return e.AttemptStarted(
        attempt=attempt,
        instance_id=instance_id,
        transport="file",
        deadline_at=indexes.now + timedelta(seconds=time_limit_seconds),
    )


def _start(state: Task, indexes: Indexes) -> Decision:
    is_early = state.retry_at is not None and state.retry_at > indexes.now
    if state.state is not TaskState.SUBMITTED or is_early or state.deployment_id not in indexes.deployments:
        return []
    instance_id = indexes.free_instance(state.deployment_id)
    if instance_id is None:
        return []
    return [_attempt(state.attempt + 1, instance_id, state.time_limit_seconds, indexes)]


def _answer(command: c.RecordSucceeded | c.RecordFailed, state: Task, indexes: Indexes) -> Decision:
    if command.attempt > state.attempt or command.attempt < 1:
        raise TransitionInvalid("No such attempt was started", attempt=command.attempt)
    if state.state is not TaskState.RUNNING or command.attempt != state.attempt:
        is_repeat = state.state in ANSWERED and command.attempt == state.attempt
        is_known = is_repeat or command.attempt in state.noted_attempts or _says_ended(command)
        return [] if is_known else [e.ResultLate(attempt=command.attempt)]
    if isinstance(command, c.RecordSucceeded):
        succeeded = e.TaskSucceeded(
            attempt=command.attempt, result=command.result.reference, claimed_at=command.claimed_at
        )
        return [Attached(succeeded, {"result": command.result})]
    return _error(command, state, indexes)


def _says_ended(command: c.RecordSucceeded | c.RecordFailed) -> bool:
    return isinstance(command, c.RecordFailed) and command.code in ENDED_CODES


def _error(command: c.RecordFailed, state: Task, indexes: Indexes) -> Decision:
    message = command.message[:MESSAGE_LIMIT_CHARACTERS]
    if command.code in LOST_CODES:
        return _lost(state, "worker_died", message, indexes)
    if command.code == "CANCELLED" and state.is_cancel_requested:
        return [e.TaskCancelled()]
    may_repeat = state.failures < state.failed_retries and not state.is_cancel_requested
    if may_repeat and command.code not in FINAL_CODES:
        delay = _backoff_seconds(state, state.failures + 1)
        return [_expired(state, "failed", command.code, message, indexes.now + timedelta(seconds=delay))]
    details = command.error_details
    failed = e.TaskFailed(
        attempt=command.attempt,
        code=command.code,
        message=message,
        error_details=details.reference if details else None,
        claimed_at=command.claimed_at,
    )
    return [Attached(failed, {"error_details": details})] if details else [failed]


def _lost(state: Task, reason: str, message: str, indexes: Indexes) -> Decision:
    if state.is_cancel_requested:
        return [e.TaskCancelled()]
    if state.losses >= state.lost_retries:
        repeated = f" after {state.attempt} attempts" if state.attempt > 1 else ""
        return [e.TaskDead(code="TASK_LOST", message=f"{message}{repeated}; no repetition is left")]
    # The first repetition is at once: the usual cause is a restart, not the task.
    delay = _backoff_seconds(state, state.losses) if state.losses else 0.0
    return [_expired(state, reason, "TASK_LOST", message, indexes.now + timedelta(seconds=delay))]


def _expired(state: Task, reason: str, code: str, message: str, retry_at: datetime) -> e.AttemptExpired:
    return e.AttemptExpired(attempt=state.attempt, reason=reason, code=code, message=message, retry_at=retry_at)


def _backoff_seconds(state: Task, repetition: int) -> float:
    return min(state.backoff_seconds * 2.0 ** min(repetition - 1, 16), LONGEST_BACKOFF_SECONDS)


def _cancel(command: c.CancelTask, state: Task) -> Decision:
    match state.state:
        case TaskState.SUBMITTED:
            return [e.TaskCancelled()]
        case TaskState.RUNNING:
            return [] if state.is_cancel_requested else [e.CancelRequested()]
        case TaskState.CANCELLED:
            return []
        case _:
            raise TransitionInvalid(f"The task has {state.state} already", task=command.subject_id)


def evolve(state: Task, event: e.Event) -> Task:
    """Fold one event in."""
    replace = msgspec.structs.replace
    match event:
        case e.TaskSubmitted():
            return Task(
                state=TaskState.SUBMITTED,
                deployment_id=event.deployment_id,
                command=event.command,
                time_limit_seconds=event.time_limit_seconds,
                lost_retries=event.lost_retries,
                failed_retries=event.failed_retries,
                backoff_seconds=event.backoff_seconds,
            )
        case e.AttemptStarted():
            return replace(
                state,
                state=TaskState.RUNNING,
                attempt=event.attempt,
                instance_id=event.instance_id,
                deadline_at=event.deadline_at,
                retry_at=None,
                is_claimed=False,
            )
        case e.TaskSucceeded():
            return replace(state, state=TaskState.SUCCEEDED)
        case e.TaskFailed():
            return replace(state, state=TaskState.FAILED, code=event.code, message=event.message)
        case e.TaskCancelled():
            return replace(state, state=TaskState.CANCELLED, code="CANCELLED", message="The task was cancelled")
        case e.TaskDead():
            return replace(state, state=TaskState.DEAD, code=event.code, message=event.message)
        case _:
            return _evolve_attempt(state, event)


def _evolve_attempt(state: Task, event: e.Event) -> Task:
    replace = msgspec.structs.replace
    match event:
        case e.AttemptExpired():
            is_failure = event.reason == "failed"
            return replace(
                state,
                state=TaskState.SUBMITTED,
                losses=state.losses + (not is_failure),
                failures=state.failures + is_failure,
                noted_attempts=(*state.noted_attempts, *([event.attempt] if is_failure else [])),
                retry_at=event.retry_at,
                deadline_at=None,
            )
        case e.CancelRequested():
            return replace(state, is_cancel_requested=True)
        case e.TaskClaimed():
            return replace(state, is_claimed=True)
        case e.ResultLate() | e.ResultQuarantined():
            return replace(state, noted_attempts=(*state.noted_attempts, event.attempt))
        case _:
            return state


TASK = Decider("task", Task(), decide, evolve)
