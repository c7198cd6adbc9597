"""Everything a task can be asked. Read through `ploinky.domain.commands`, where all commands are."""

from datetime import datetime

from ploinky.domain.command import Command
from ploinky.domain.payload import Payload


class TaskCommand(Command, frozen=True, kw_only=True):
    """For one task."""

    KIND = "task"


class SubmitTask(TaskCommand, frozen=True, kw_only=True):
    """Execute a command of an agent."""

    deployment_id: str
    command: str
    params: Payload
    metadata: Payload
    time_limit_seconds: float | None = None
    """Shorter or longer than the deployment's own; None = the deployment's."""
    idempotency: str | None = None
    request_digest: str | None = None


class StartAttempt(TaskCommand, frozen=True, kw_only=True):
    """Give a waiting task to an instance with a free slot, if there is one."""


class RecordClaimed(TaskCommand, frozen=True, kw_only=True):
    """The agent has worked on it for a while."""

    attempt: int


class RecordSucceeded(TaskCommand, frozen=True, kw_only=True):
    """A result was found."""

    attempt: int
    result: Payload
    claimed_at: datetime | None = None


class RecordFailed(TaskCommand, frozen=True, kw_only=True):
    """An error was found."""

    attempt: int
    code: str
    message: str
    error_details: Payload | None = None
    claimed_at: datetime | None = None


class ExpireAttempt(TaskCommand, frozen=True, kw_only=True):
    """The attempt is proven dead."""

    attempt: int
    reason: str


class CancelTask(TaskCommand, frozen=True, kw_only=True):
    """Stop it, running or not."""


class AbandonTask(TaskCommand, frozen=True, kw_only=True):
    """End a waiting task that nothing will ever execute."""

    reason: str


class RecordQuarantined(TaskCommand, frozen=True, kw_only=True):
    """What the agent left as a result cannot be one."""

    attempt: int
    reason: str
