"""Bring a deployment from what is to what is wanted, one step at a time."""

from datetime import datetime

from ploinky.domain import commands as c
from ploinky.domain.deployment import Deployment, Desired, Rollout, Step
from ploinky.domain.exit_codes import explain_end
from ploinky.domain.ids import instance_id
from ploinky.domain.instance import LIVE, OVER, Instance, Status
from ploinky.domain.specs import Evidence
from ploinky.views.due_times import DRAIN_LIMIT, ORPHAN_GRACE, start_limit
from ploinky.views.views import Views

STOP_GRACE_SECONDS = 10.0
SHUTDOWN = "shutdown"
"""Why an instance was stopped when the server was: it says nothing about the agent."""


def advance_deployment(deployment_id: str, views: Views, now: datetime) -> list[c.Command]:
    """Return what has to happen next for a deployment."""
    row = views.deployments.rows.get(deployment_id)
    if row is None:
        return []
    state, instances = row.state, views.instances_of(deployment_id)
    commands: list[c.Command] = []
    if state.desired is Desired.REMOVED and not instances and not state.is_discarding:
        commands.append(c.RequestDiscard(subject_id=deployment_id))
    if state.rollout is not None and state.rollout.step is Step.START:
        commands += _start_rollout(deployment_id, state.rollout, views, now)
    if state.restart_due_at is not None and state.restart_due_at <= now:
        commands.append(c.RestartNow(subject_id=deployment_id))
    if state.desired is Desired.RUNNING and state.rollout is None and state.restart_due_at is None:
        commands += _keep_running(deployment_id, state, instances)
    for key, instance in instances:
        commands += _retire(key, instance, state, views, now)
    return commands


def _start_rollout(deployment_id: str, rollout: Rollout, views: Views, now: datetime) -> list[c.Command]:
    key = instance_id(deployment_id, rollout.generation, 0)
    row = views.instances.rows.get(key)
    if row is None:
        return [_create(deployment_id, key, rollout)] if rollout.release else []
    instance = row.state
    if instance.is_ready and instance.status is Status.RUNNING:
        return [c.Switch(subject_id=deployment_id, generation=rollout.generation)]
    failure = _start_failure(instance)
    if failure is None and now >= row.created_at + start_limit(instance) and instance.status is not Status.PAUSED:
        limit = start_limit(instance).total_seconds()
        failure = ("readiness", "READINESS_TIMEOUT", f"The agent was not ready within {limit:g} s", "")
    if failure is None:
        return []
    step, code, message, hint = failure
    if instance.status in LIVE and not instance.is_stop_requested:
        # Stop it first: its last lines and its exit code are the evidence of the failed rollout.
        return [c.StopInstance(subject_id=key, reason="not_ready", grace_seconds=STOP_GRACE_SECONDS)]
    if instance.status in LIVE:
        return []
    return [
        c.FailRollout(
            subject_id=deployment_id,
            generation=rollout.generation,
            step=step,
            code=code,
            message=message,
            hint=hint,
            evidence=instance.evidence,
        )
    ]


def _start_failure(instance: Instance) -> tuple[str, str, str, str] | None:
    if instance.failure:
        return "start", instance.failure, instance.failure_message, instance.failure_hint
    if instance.status is not Status.STOPPED:
        return None
    if instance.stop_reason == "not_ready":
        found = f": {instance.evidence.probe}" if instance.evidence.probe else ""
        return "readiness", "READINESS_TIMEOUT", f"The agent was not ready in time{found}", _hint(instance.evidence)
    return "start", "AGENT_EXITED", _explain_exit(instance.evidence), _hint(instance.evidence)


def _explain_exit(evidence: Evidence) -> str:
    code = "" if evidence.exit_code is None else f" with code {evidence.exit_code}"
    words = explain_end(evidence.exit_code, is_out_of_memory=evidence.is_out_of_memory)
    return f"The agent exited{code} before it was ready{f': {words}' if words else ''}"


def _hint(evidence: Evidence) -> str:
    return "Its last lines are attached." if evidence.log_tail else ""


def _create(deployment_id: str, key: str, rollout: Rollout) -> c.Command:
    if rollout.release is None:
        raise ValueError("a rollout is started from a release")
    return c.CreateInstance(
        subject_id=key,
        deployment_id=deployment_id,
        generation=rollout.generation,
        number=0,
        runtime=rollout.runtime,
        name=f"ploinky-{key.replace('.', '-')}",
        image=rollout.image,
        release=rollout.release,
        dependencies=rollout.dependencies,
    )


def _keep_running(deployment_id: str, state: Deployment, instances: list[tuple[str, Instance]]) -> list[c.Command]:
    """Ask for a restart when the serving generation has ended and nothing is on its way."""
    if not state.active_generation:
        return []
    serving = [instance for _, instance in instances if instance.generation == state.active_generation]
    if any(instance.status not in OVER for instance in serving):
        return []
    # None left at all: they were stopped and removed with the server.
    is_immediate = all(instance.stop_reason == SHUTDOWN for instance in serving)
    has_just_failed = state.last_end is not None and not state.last_end.is_success
    return [
        c.ScheduleRestart(
            subject_id=deployment_id,
            generation=state.active_generation,
            is_immediate=is_immediate and not has_just_failed,
        )
    ]


def _retire(key: str, instance: Instance, state: Deployment, views: Views, now: datetime) -> list[c.Command]:
    """Stop and remove an instance that nothing needs any more."""
    is_serving = instance.generation == state.active_generation and state.desired is Desired.RUNNING
    is_coming = state.rollout is not None and instance.generation == state.rollout.generation
    if is_serving or is_coming:
        # A serving one that ended is kept until its successor is asked for: its end is why.
        return []
    if instance.status in {Status.CREATED, Status.STOPPED}:
        return [] if instance.is_remove_requested else [c.RemoveInstance(subject_id=key)]
    if instance.is_stop_requested:
        return []
    is_busy = key in views.tasks.running and state.desired is Desired.RUNNING
    drained_at = (state.switched_at or now) + DRAIN_LIMIT
    if is_busy and now < drained_at and instance.status is Status.RUNNING:
        return []
    reason = "replaced" if state.desired is Desired.RUNNING else str(state.desired)
    return [c.StopInstance(subject_id=key, reason=reason, grace_seconds=STOP_GRACE_SECONDS)]


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
