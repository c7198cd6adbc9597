"""The way of a task to an instance and of its result back."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

import msgspec


class TaskOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, to be executed by one instance. Its JSON form is the task file."""

    id: str
    attempt: int
    command: str
    params: msgspec.Raw
    """A JSON array, as the caller's bytes gave it."""
    metadata: Mapping[str, object]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something found in an instance's queue, untrusted and checked for its form only."""

    instance_id: str
    task_id: str
    attempt: int


class Claimed(Finding, frozen=True, kw_only=True):
    """The agent took the attempt; `sign_of_life` changes as long as it works on it."""

    sign_of_life: int


class Succeeded(Finding, frozen=True, kw_only=True):
    """A result. `data` is JSON."""

    data: msgspec.Raw
    claimed_at: datetime | None


class Failed(Finding, frozen=True, kw_only=True):
    """An error of the handler, or of agentcore on its behalf."""

    code: str
    message: str
    details: msgspec.Raw
    claimed_at: datetime | None


class Quarantined(Finding, frozen=True, kw_only=True):
    """A file that cannot be a result: a link, too large, not JSON, of another attempt. It was removed."""

    reason: str


class Courier(Protocol):
    """Carry attempts to instances. Called on the event loop only; must not block for longer than a small file takes.

    **Errors**: `QueueUnavailable` when an instance's queue is gone, was tampered with, or is full.
    """

    def provision(self, instance_id: str, owner_user_id: int | None) -> str:
        """Make the instance's queue folder and return its absolute path. Idempotent."""

    def attach(self, instance_id: str) -> str:
        """Open an existing queue for traffic; return its identity (boot id and inode), by which a replaced one shows.

        Raises `QueueUnavailable` when it is gone.
        """

    def is_ready(self, instance_id: str) -> bool:
        """Tell whether the agent has said that it watches the queue."""

    async def send(self, instance_id: str, order: TaskOrder) -> None:
        """Hand an attempt over. Idempotent for the same attempt."""

    async def cancel(self, instance_id: str, task_id: str, attempt: int) -> None:
        """Ask the agent to stop an attempt. Idempotent."""

    def settle(self, instance_id: str, task_id: str, attempt: int) -> None:
        """Remove every file of an attempt, after its end is committed. Idempotent; never raises."""

    def look(self, instance_id: str, *, include_claims: bool = False) -> list[Finding]:
        """Scan one queue, bounded in count and size. The truth; a hint says when to.

        Results and errors always, claims when asked for or when the last look at them is a second old. What was
        reported is not reported again for five seconds, unless it was settled. When a bound cut the list short, a
        further hint follows.
        """

    def subscribe(self, hint: Callable[[str], None]) -> None:
        """Have `hint(instance_id)` called on the event loop when a look may find something."""

    def release(self, instance_id: str) -> None:
        """Close a queue and remove its folder. Idempotent."""

    def close(self) -> None:
        """Stop watching; folders stay. Idempotent."""
