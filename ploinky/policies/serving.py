"""Keep as many instances serving as are wanted, and stop what nothing needs any more."""

from datetime import datetime

from ploinky.domain import commands as c
from ploinky.domain.deployment import Deployment, Desired, Rollout, Served
from ploinky.domain.ids import instance_id
from ploinky.domain.instance import OVER, Instance, Status
from ploinky.policies.warm import advance_warm
from ploinky.views.due_times import DRAIN_LIMIT, ORPHAN_GRACE, start_limit
from ploinky.views.views import Views

STOP_GRACE_SECONDS = 10.0
SHUTDOWN = "shutdown"
"""Why an instance was stopped when the server was: it says nothing about the agent."""
SCALED = "scaled"
"""Why an instance was stopped that was one too many."""


def create(deployment_id: str, source: Rollout | Served, number: int) -> c.Command:
    """Return the command that adds an instance to a generation. Raises `ValueError` before its release is known."""
    if source.release is None:
        raise ValueError("a generation is started from a release")
    key = instance_id(deployment_id, source.generation, number)
    return c.CreateInstance(
        subject_id=key,
        deployment_id=deployment_id,
        generation=source.generation,
        number=number,
        runtime=source.runtime,
        name=f"ploinky-{key.replace('.', '-')}",
        image=source.image,
        release=source.release,
        dependencies=source.dependencies,
    )


def advance_serving(deployment_id: str, state: Deployment, views: Views, now: datetime) -> list[c.Command]:
    """Return what keeps the wanted number of instances serving, while no rollout is under way."""
    active = state.active
    if active is None:
        return []
    serving = [
        (key, instance)
        for key, instance in views.instances_of(deployment_id)
        if instance.generation == active.generation
        and instance.stop_reason != SCALED
        and not instance.is_remove_requested
    ]
    ended = [(key, instance) for key, instance in serving if _has_ended(instance)]
    is_all = len(ended) == len(serving)
    if state.restart_due_at is not None:
        if state.restart_due_at > now:
            return []
        # Beside others that serve, what has ended makes room for its successor; alone it stays as the reason why.
        removals = [] if is_all else [c.RemoveInstance(subject_id=key) for key, _ in ended]
        return [c.RestartNow(subject_id=deployment_id), *removals]
    if is_all:
        return [_schedule(deployment_id, state, is_immediate=_is_faultless(state, ended))]
    commands = [_schedule(deployment_id, state, is_immediate=False)] if ended else []
    commands += _stop_late(serving, views, now)
    wanted = state.spec.replicas + active.release.warm_instances
    first = views.next_number(deployment_id, active.generation)
    # What has ended keeps its place until its restart is due, but nobody who lives goes in its stead.
    commands += [create(deployment_id, active, first + offset) for offset in range(max(wanted - len(serving), 0))]
    living = [key for key, instance in reversed(serving) if not _has_ended(instance)]
    surplus = living[: max(len(living) - wanted, 0)]
    grace_seconds = DRAIN_LIMIT.total_seconds()
    commands += [c.StopInstance(subject_id=key, reason=SCALED, grace_seconds=grace_seconds) for key in surplus]
    return [*commands, *advance_warm(deployment_id, state, views, now)]


def _has_ended(instance: Instance) -> bool:
    return instance.status in OVER or bool(instance.failure)


def _is_faultless(state: Deployment, ended: list[tuple[str, Instance]]) -> bool:
    """Tell whether nothing speaks against starting again at once: they were stopped with the server."""
    has_just_failed = state.last_end is not None and not state.last_end.is_success
    # None left at all: they were removed with it as well.
    return not has_just_failed and all(instance.stop_reason == SHUTDOWN for _, instance in ended)


def _schedule(deployment_id: str, state: Deployment, *, is_immediate: bool) -> c.Command:
    return c.ScheduleRestart(subject_id=deployment_id, generation=state.active_generation, is_immediate=is_immediate)


def _stop_late(serving: list[tuple[str, Instance]], views: Views, now: datetime) -> list[c.Command]:
    """Stop an instance beside others that did not become ready in time; it counts as ended then."""
    late = [
        key
        for key, instance in serving
        if instance.status is Status.RUNNING
        and not instance.is_ready
        and not instance.is_stop_requested
        and now >= views.instances.rows[key].created_at + start_limit(instance)
    ]
    return [c.StopInstance(subject_id=key, reason="not_ready", grace_seconds=STOP_GRACE_SECONDS) for key in late]


def retire(key: str, instance: Instance, state: Deployment, views: Views, now: datetime) -> list[c.Command]:
    """Stop and remove an instance that nothing needs any more."""
    is_wanted = state.desired is Desired.RUNNING and (not state.is_idle or state.is_warm)
    is_serving = instance.generation == state.active_generation and is_wanted and instance.stop_reason != SCALED
    is_coming = state.rollout is not None and instance.generation == state.rollout.generation
    is_kept = state.previous is not None and instance.generation == state.previous.generation
    if is_serving or is_coming or is_kept:
        # A serving one that ended is kept until its successor is asked for: its end is why.
        return []
    if instance.status in {Status.CREATED, Status.STOPPED}:
        return [] if instance.is_remove_requested else [c.RemoveInstance(subject_id=key)]
    if instance.is_stop_requested:
        return []
    is_busy = key in views.tasks.running and is_wanted
    drained_at = (state.switched_at or now) + DRAIN_LIMIT
    if is_busy and now < drained_at and instance.status is Status.RUNNING:
        return []
    return [c.StopInstance(subject_id=key, reason=_why(state), grace_seconds=STOP_GRACE_SECONDS)]


def _why(state: Deployment) -> str:
    if state.desired is not Desired.RUNNING:
        return str(state.desired)
    return "idle" if state.is_idle else "replaced"


def advance_orphan(key: str, views: Views, now: datetime) -> list[c.Command]:
    """Return what has to happen to an instance that belongs to no deployment."""
    row = views.instances.rows.get(key)
    if row is None or row.state.deployment_id in views.deployments.rows:
        return []
    instance = row.state
    if instance.status in {Status.CREATED, Status.STOPPED}:
        return [] if instance.is_remove_requested else [c.RemoveInstance(subject_id=key)]
    if instance.is_stop_requested or now < row.created_at + ORPHAN_GRACE:
        return []
    return [c.StopInstance(subject_id=key, reason="orphan", grace_seconds=STOP_GRACE_SECONDS)]
