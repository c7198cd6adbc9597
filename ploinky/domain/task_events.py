"""Everything that can happen to a task. Read through `ploinky.domain.events`, where all events are."""

from datetime import datetime

from ploinky.domain.event import Event
from ploinky.domain.payload import PayloadReference


class TaskSubmitted(Event, frozen=True, kw_only=True):
    """A task was accepted."""

    TYPE = "task.submitted"
    deployment_id: str
    command: str
    params: PayloadReference
    metadata: PayloadReference
    time_limit_seconds: float
    lost_retries: int
    failed_retries: int
    backoff_seconds: float
    idempotency: str | None = None
    """Digest of caller, deployment and Idempotency-Key."""
    request_digest: str | None = None
    """Digest of what was asked, to tell a repeat from a misuse of the key."""


class AttemptStarted(Event, frozen=True, kw_only=True):
    """An attempt was given to an instance. Intent: send it."""

    TYPE = "task.attempt_started"
    attempt: int
    instance_id: str
    transport: str
    deadline_at: datetime


class TaskClaimed(Event, frozen=True, kw_only=True):
    """The agent works on the attempt, and has for a second."""

    TYPE = "task.claimed"
    attempt: int


class AttemptExpired(Event, frozen=True, kw_only=True):
    """The attempt is proven dead, or its handler failed and is to be repeated; the next one may start at `retry_at`."""

    TYPE = "task.attempt_expired"
    attempt: int
    reason: str
    code: str
    message: str
    retry_at: datetime


class CancelRequested(Event, frozen=True, kw_only=True):
    """Somebody wants the running task to stop. Intent: tell the agent."""

    TYPE = "task.cancel_requested"


class TaskSucceeded(Event, frozen=True, kw_only=True):
    """The first and only end: with a result."""

    TYPE = "task.succeeded"
    attempt: int
    result: PayloadReference
    claimed_at: datetime | None = None


class TaskFailed(Event, frozen=True, kw_only=True):
    """The first and only end: the handler's error, a time limit, no such command."""

    TYPE = "task.failed"
    attempt: int
    code: str
    message: str
    error_details: PayloadReference | None = None
    claimed_at: datetime | None = None


class TaskCancelled(Event, frozen=True, kw_only=True):
    """The first and only end: on request."""

    TYPE = "task.cancelled"


class TaskDead(Event, frozen=True, kw_only=True):
    """The first and only end: lost, and no repetition left."""

    TYPE = "task.dead"
    code: str
    message: str


class ResultLate(Event, frozen=True, kw_only=True):
    """An attempt that had ended already answered after all. Changes nothing; recorded once per attempt."""

    TYPE = "task.result_late"
    attempt: int


class ResultQuarantined(Event, frozen=True, kw_only=True):
    """The agent put something in place of a result that cannot be one. Recorded once per attempt."""

    TYPE = "task.result_quarantined"
    attempt: int
    reason: str
