"""The courier without folders: for tests, simulations and dry runs, held to the same contract as the real one."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

import msgspec

from ploinky.domain.errors import QueueUnavailable
from ploinky.ports.courier import Claimed, Failed, Finding, Quarantined, Succeeded, TaskOrder

CLAIM_SCAN_INTERVAL_SECONDS = 1.0
REPORT_AGAIN_SECONDS = 5.0

Handler = Callable[[TaskOrder], object]
"""An agent inside this process: returns what JSON can express, or raises `AgentError`."""

_NULL = msgspec.Raw(b"null")


class AgentError(Exception):
    """What a handler raises to answer with an error of its own."""

    def __init__(self, code: str, message: str, details: object = None) -> None:
        self.code = code
        self.message = message
        self.details = details
        super().__init__(message)


class _Queue:
    """One instance's queue; every key is an attempt as (task_id, attempt)."""

    def __init__(self, inode: int) -> None:
        self.inode = inode
        self.is_attached = False
        self.is_ready = False
        self.is_broken = False
        self.orders: dict[tuple[str, int], TaskOrder] = {}
        self.cancelled: set[tuple[str, int]] = set()
        self.claims: dict[tuple[str, int], int] = {}
        self.outcomes: dict[tuple[str, int], Finding] = {}
        self.reported: dict[tuple[str, int], float] = {}
        self.claims_looked_at: float | None = None


class MemoryCourier:
    """Queues as dictionaries. With a `handler`, every attempt sent is answered by it at once.

    **Faults** for tests: `is_silent` (the handler takes nothing), `is_losing_results` (it works for nothing),
    `break_queue` (everything there raises `QueueUnavailable`).
    """

    def __init__(self, handler: Handler | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.is_silent = False
        self.is_losing_results = False
        self._handler = handler
        self._monotonic = monotonic
        self._queues: dict[str, _Queue] = {}
        self._made_count = 0
        self._hint: Callable[[str], None] | None = None

    def provision(self, instance_id: str, owner_user_id: int | None) -> str:
        if instance_id not in self._queues:
            self._made_count += 1
            self._queues[instance_id] = _Queue(self._made_count)
        return f"/memory/{instance_id}"

    def attach(self, instance_id: str) -> str:
        queue = self._queues.get(instance_id)
        if queue is None or queue.is_broken:
            raise QueueUnavailable(f"The queue of {instance_id} is gone")
        queue.is_attached = True
        if self._handler is not None:
            queue.is_ready = True
        return f"memory:0:{queue.inode}"

    def is_ready(self, instance_id: str) -> bool:
        queue = self._queues.get(instance_id)
        return queue is not None and queue.is_attached and queue.is_ready

    async def send(self, instance_id: str, order: TaskOrder) -> None:
        queue = self._attached(instance_id)
        key = (order.id, order.attempt)
        is_new = key not in queue.orders
        queue.orders[key] = order
        if is_new and self._handler is not None and not self.is_silent:
            self._answer(instance_id, order, self._handler)

    async def cancel(self, instance_id: str, task_id: str, attempt: int) -> None:
        self._attached(instance_id).cancelled.add((task_id, attempt))

    def settle(self, instance_id: str, task_id: str, attempt: int) -> None:
        queue = self._queues.get(instance_id)
        if queue is None or not queue.is_attached:
            return
        key = (task_id, attempt)
        for kept in (queue.orders, queue.claims, queue.outcomes, queue.reported):
            kept.pop(key, None)
        queue.cancelled.discard(key)

    def look(self, instance_id: str, *, include_claims: bool = False) -> list[Finding]:
        queue = self._attached(instance_id)
        now_seconds = self._monotonic()
        findings: list[Finding] = []
        looked_at = queue.claims_looked_at
        if include_claims or looked_at is None or now_seconds - looked_at >= CLAIM_SCAN_INTERVAL_SECONDS:
            queue.claims_looked_at = now_seconds
            findings.extend(
                Claimed(instance_id=instance_id, task_id=task_id, attempt=attempt, sign_of_life=sign)
                for (task_id, attempt), sign in queue.claims.items()
            )
        for key, outcome in list(queue.outcomes.items()):
            if now_seconds - queue.reported.get(key, float("-inf")) < REPORT_AGAIN_SECONDS:
                continue
            findings.append(outcome)
            queue.reported[key] = now_seconds
            if isinstance(outcome, Quarantined):
                del queue.outcomes[key], queue.reported[key]
        return findings

    def subscribe(self, hint: Callable[[str], None]) -> None:
        self._hint = hint

    def release(self, instance_id: str) -> None:
        self._queues.pop(instance_id, None)

    def close(self) -> None:
        self._hint = None
        for queue in self._queues.values():
            queue.is_attached = False

    # The agent's side, for tests that play the agent themselves.

    def orders(self, instance_id: str) -> list[TaskOrder]:
        return list(self._queues[instance_id].orders.values())

    def cancellations(self, instance_id: str) -> set[tuple[str, int]]:
        return set(self._queues[instance_id].cancelled)

    def break_queue(self, instance_id: str) -> None:
        """Make everything about this queue fail from now on."""
        self._queues[instance_id].is_broken = True

    def make_ready(self, instance_id: str) -> None:
        self._queues[instance_id].is_ready = True

    def claim(self, instance_id: str, task_id: str, attempt: int) -> None:
        """Claim, or give another sign of life."""
        claims = self._queues[instance_id].claims
        claims[task_id, attempt] = claims.get((task_id, attempt), 0) + 1

    def succeed(
        self, instance_id: str, task_id: str, attempt: int, data: object, claimed_at: datetime | None = None
    ) -> None:
        encoded = msgspec.Raw(msgspec.json.encode(data))
        self._put(
            Succeeded(instance_id=instance_id, task_id=task_id, attempt=attempt, data=encoded, claimed_at=claimed_at)
        )

    def fail(self, instance_id: str, task_id: str, attempt: int, error: AgentError) -> None:
        details = _NULL if error.details is None else msgspec.Raw(msgspec.json.encode(error.details))
        self._put(
            Failed(
                instance_id=instance_id,
                task_id=task_id,
                attempt=attempt,
                code=error.code,
                message=error.message,
                details=details,
                claimed_at=None,
            )
        )

    def spoil(self, instance_id: str, task_id: str, attempt: int, reason: str) -> None:
        """Answer with something that cannot be a result."""
        self._put(Quarantined(instance_id=instance_id, task_id=task_id, attempt=attempt, reason=reason))

    def _answer(self, instance_id: str, order: TaskOrder, handler: Handler) -> None:
        self.claim(instance_id, order.id, order.attempt)
        try:
            answer = handler(order)
        except AgentError as error:
            if not self.is_losing_results:
                self.fail(instance_id, order.id, order.attempt, error)
            return
        if not self.is_losing_results:
            self.succeed(instance_id, order.id, order.attempt, answer)

    def _put(self, outcome: Finding) -> None:
        queue = self._queues[outcome.instance_id]
        key = (outcome.task_id, outcome.attempt)
        queue.outcomes[key] = outcome
        if self._hint is None or not queue.is_attached:
            return
        try:
            asyncio.get_running_loop().call_soon(self._deliver, outcome.instance_id)
        except RuntimeError:
            self._deliver(outcome.instance_id)  # a simulation without a loop

    def _deliver(self, instance_id: str) -> None:
        if self._hint is not None and instance_id in self._queues:
            self._hint(instance_id)

    def _attached(self, instance_id: str) -> _Queue:
        queue = self._queues.get(instance_id)
        if queue is None or not queue.is_attached or queue.is_broken:
            raise QueueUnavailable(f"The queue of {instance_id} is not attached", instance=instance_id)
        return queue
