"""The rules across aggregates: small look-up tables that every decision reads and updates.

One instance lives beside the dispatcher and is ahead of the views by what is decided but not yet committed. When a
commit fails it is built anew from the views (`rebuild`), so it needs no undo of its own.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from ploinky.domain import events as e
from ploinky.domain.ids import parse_instance_id
from ploinky.domain.routing import Route
from ploinky.domain.specs import Release

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

IDEMPOTENCY_LIMIT_KEYS = 100_000
IDEMPOTENCY_RETENTION = timedelta(hours=24)


class IdempotencyEntry(NamedTuple):
    """What an Idempotency-Key stands for."""

    task_id: str
    request_digest: str
    submitted_at: datetime


class DeploymentEntry:
    """What decisions about tasks and instances need to know of a deployment."""

    __slots__ = (
        "active_generation",
        "is_idle",
        "is_wanted",
        "last_generation",
        "next_numbers",
        "previous",
        "ready",
        "release",
        "rollout",
        "waiting",
    )

    def __init__(self) -> None:
        """Start as wanted, with nothing running."""
        self.is_wanted = True
        self.is_idle = False
        """Stopped while nobody needs it; tasks are accepted and wait."""
        self.last_generation = 0
        self.active_generation = 0
        self.release: Release | None = None
        self.previous: tuple[int, Release | None] = (0, None)
        """What served before, to go back to."""
        self.next_numbers: dict[int, int] = {}
        """By generation in use, the number its next instance gets: none is used twice."""
        self.rollout = 0
        """The generation being rolled out; 0 when none is."""
        self.ready: dict[str, int] = {}
        """Ready instances, with their generation."""
        self.waiting = 0

    @property
    def is_accepting(self) -> bool:
        """Whether a task accepted now can be expected to run: something serves, or did and is being restarted."""
        return self.is_wanted and (self.active_generation > 0 or self.rollout > 0)


class Indexes:
    """Routes, slots, and idempotency keys, as of the newest decision."""

    def __init__(self) -> None:
        """Start empty."""
        self.now = EPOCH
        """The instant of the decision being made; set by the dispatcher, never before an earlier one."""
        self.routes: dict[Route, str] = {}
        self.deployments: dict[str, DeploymentEntry] = {}
        self.instances: dict[str, str] = {}
        """Instances not yet removed, with their deployment."""
        self.running: dict[str, int] = {}
        """Open attempts by instance; no entry means none."""
        self.attempt_instances: dict[str, str] = {}
        """The instance of each running task."""
        self.waiting_deployments: dict[str, str] = {}
        """The deployment of each waiting task."""
        self.idempotency: dict[str, IdempotencyEntry] = {}
        self.is_initialised = False

    def apply(self, subject_id: str, event: e.Event) -> None:
        """Take one event in."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, subject_id, event)

    def free_instance(self, deployment_id: str) -> str | None:
        """Find the least busy ready instance of the serving generation that has a slot; none while a stop is wanted."""
        entry = self.deployments[deployment_id]
        if entry.release is None or not entry.release.takes_tasks or not entry.is_wanted or entry.is_idle:
            return None
        best, least = None, entry.release.concurrency
        for instance_id, generation in entry.ready.items():
            busy = self.running.get(instance_id, 0)
            if generation == entry.active_generation and busy < least:
                best, least = instance_id, busy
        return best

    def has_ready(self, deployment_id: str, generation: int) -> bool:
        """Tell whether any instance of a generation is ready for requests."""
        entry = self.deployments.get(deployment_id)
        return entry is not None and generation in entry.ready.values()

    def is_busy(self, deployment_id: str) -> bool:
        """Tell whether any task of a deployment waits or runs."""
        entry = self.deployments.get(deployment_id)
        is_running = any(key.partition(".")[0] == deployment_id for key in self.running)
        return is_running or (entry is not None and entry.waiting > 0)

    def has_instances(self, deployment_id: str) -> bool:
        """Tell whether any instance of a deployment is not yet removed."""
        return deployment_id in self.instances.values()

    def find_idempotent(self, key: str) -> IdempotencyEntry | None:
        """Return what a key stands for, unless its retention has passed."""
        entry = self.idempotency.get(key)
        return entry if entry and self.now - entry.submitted_at < IDEMPOTENCY_RETENTION else None

    def remember_idempotent(self, key: str, entry: IdempotencyEntry) -> None:
        """Keep a key; the oldest ones go when there are too many or when they are too old."""
        self.idempotency.pop(key, None)
        self.idempotency[key] = entry
        while self.idempotency:
            oldest = next(iter(self.idempotency))
            is_old = entry.submitted_at - self.idempotency[oldest].submitted_at >= IDEMPOTENCY_RETENTION
            if not is_old and len(self.idempotency) <= IDEMPOTENCY_LIMIT_KEYS:
                break
            del self.idempotency[oldest]

    def place_waiting(self, task_id: str, deployment_id: str) -> None:
        """Note that a task waits for a slot."""
        self.waiting_deployments[task_id] = deployment_id
        if (entry := self.deployments.get(deployment_id)) is not None:
            entry.waiting += 1

    def leave_waiting(self, task_id: str) -> None:
        """Note that a task waits no more, if it did."""
        deployment_id = self.waiting_deployments.pop(task_id, None)
        if deployment_id is not None and (entry := self.deployments.get(deployment_id)) is not None:
            entry.waiting -= 1

    def occupy(self, task_id: str, instance_id: str) -> None:
        """Note that an attempt holds a slot."""
        self.attempt_instances[task_id] = instance_id
        self.running[instance_id] = self.running.get(instance_id, 0) + 1

    def vacate(self, task_id: str) -> str | None:
        """Free the slot a task holds, if it does; return its instance."""
        instance_id = self.attempt_instances.pop(task_id, None)
        if instance_id is None:
            return None
        left = self.running.get(instance_id, 1) - 1
        if left:
            self.running[instance_id] = left
        else:
            self.running.pop(instance_id, None)
        return instance_id


def _requested(indexes: Indexes, deployment_id: str, event: e.DeploymentRequested) -> None:
    indexes.routes[Route(event.domain, event.path)] = deployment_id
    indexes.deployments[deployment_id] = DeploymentEntry()


def _rollout(indexes: Indexes, deployment_id: str, event: e.RolloutRequested) -> None:
    entry = indexes.deployments[deployment_id]
    entry.rollout = entry.last_generation = event.generation
    entry.is_wanted, entry.is_idle = True, False


def _rollout_ended(indexes: Indexes, deployment_id: str, _event: e.Event) -> None:
    entry = indexes.deployments[deployment_id]
    entry.rollout, entry.previous = 0, (0, None)


def _switched(indexes: Indexes, deployment_id: str, event: e.DeploymentSwitched) -> None:
    entry = indexes.deployments[deployment_id]
    before = entry.active_generation
    if event.verify_until is not None:
        entry.previous = (before, entry.release)
    entry.active_generation, entry.release = event.generation, event.release
    entry.next_numbers = {
        generation: number
        for generation, number in entry.next_numbers.items()
        if generation in {before, event.generation}
    }


def _reverted(indexes: Indexes, deployment_id: str, _event: e.Event) -> None:
    entry = indexes.deployments[deployment_id]
    entry.active_generation, entry.release = entry.previous


def _idled(indexes: Indexes, deployment_id: str, _event: e.Event) -> None:
    indexes.deployments[deployment_id].is_idle = True


def _woken(indexes: Indexes, deployment_id: str, _event: e.Event) -> None:
    indexes.deployments[deployment_id].is_idle = False


def _unwanted(indexes: Indexes, deployment_id: str, event: e.Event) -> None:
    indexes.deployments[deployment_id].is_wanted = False
    if isinstance(event, e.RemovalRequested):
        indexes.routes = {route: owner for route, owner in indexes.routes.items() if owner != deployment_id}


def _deployment_removed(indexes: Indexes, deployment_id: str, _event: e.Event) -> None:
    indexes.deployments.pop(deployment_id, None)


def _instance_created(indexes: Indexes, instance_id: str, event: e.InstanceCreated) -> None:
    indexes.instances[instance_id] = event.deployment_id
    if (entry := indexes.deployments.get(event.deployment_id)) is not None:
        entry.next_numbers[event.generation] = event.number + 1


def _instance_ready(indexes: Indexes, instance_id: str, _event: e.Event) -> None:
    number = parse_instance_id(instance_id)
    if (entry := indexes.deployments.get(number.deployment_id)) is not None:
        entry.ready[instance_id] = number.generation


def _instance_unready(indexes: Indexes, instance_id: str, _event: e.Event) -> None:
    if (entry := indexes.deployments.get(instance_id.partition(".")[0])) is not None:
        entry.ready.pop(instance_id, None)


def _instance_removed(indexes: Indexes, instance_id: str, _event: e.Event) -> None:
    indexes.instances.pop(instance_id, None)


def _submitted(indexes: Indexes, task_id: str, event: e.TaskSubmitted) -> None:
    indexes.place_waiting(task_id, event.deployment_id)
    if event.idempotency is not None:
        entry = IdempotencyEntry(task_id, event.request_digest or "", indexes.now)
        indexes.remember_idempotent(event.idempotency, entry)


def _attempt_started(indexes: Indexes, task_id: str, event: e.AttemptStarted) -> None:
    indexes.leave_waiting(task_id)
    indexes.occupy(task_id, event.instance_id)


def _attempt_expired(indexes: Indexes, task_id: str, _event: e.Event) -> None:
    instance_id = indexes.vacate(task_id)
    if instance_id is not None:
        indexes.place_waiting(task_id, instance_id.partition(".")[0])


def _task_ended(indexes: Indexes, task_id: str, _event: e.Event) -> None:
    indexes.leave_waiting(task_id)
    indexes.vacate(task_id)


def _key_issued(indexes: Indexes, _key_id: str, _event: e.Event) -> None:
    indexes.is_initialised = True


_HANDLERS: dict[type[e.Event], Callable[[Indexes, str, Any], None]] = {
    e.DeploymentRequested: _requested,
    e.RolloutRequested: _rollout,
    e.RolloutSucceeded: _rollout_ended,
    e.RolloutFailed: _rollout_ended,
    e.DeploymentSwitched: _switched,
    e.DeploymentReverted: _reverted,
    e.DeploymentIdled: _idled,
    e.DeploymentWoken: _woken,
    e.DeploymentStopRequested: _unwanted,
    e.RemovalRequested: _unwanted,
    e.DeploymentRemoved: _deployment_removed,
    e.InstanceCreated: _instance_created,
    e.InstanceReady: _instance_ready,
    e.InstancePaused: _instance_unready,
    e.InstancePauseRequested: _instance_unready,
    e.InstanceStopRequested: _instance_unready,
    e.InstanceStopped: _instance_unready,
    e.InstanceRemoveRequested: _instance_unready,
    e.InstanceRemoved: _instance_removed,
    e.TaskSubmitted: _submitted,
    e.AttemptStarted: _attempt_started,
    e.AttemptExpired: _attempt_expired,
    e.TaskSucceeded: _task_ended,
    e.TaskFailed: _task_ended,
    e.TaskCancelled: _task_ended,
    e.TaskDead: _task_ended,
    e.KeyIssued: _key_issued,
}
