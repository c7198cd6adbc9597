"""Bring a rollout to its end: start the new generation, switch to it, watch it for a while."""

from datetime import datetime

from ploinky.domain import commands as c
from ploinky.domain.deployment import Deployment, Desired, Rollout, Step
from ploinky.domain.exit_codes import explain_end
from ploinky.domain.ids import instance_id
from ploinky.domain.instance import LIVE, NOT_ITS_FAULT, OVER, Instance, Status
from ploinky.domain.specs import Evidence, Release
from ploinky.policies.serving import STOP_GRACE_SECONDS, advance_serving, create, retire
from ploinky.views.due_times import start_limit
from ploinky.views.views import Views

Failure = tuple[str, str, str, str]
"""Step, code, message, hint."""


def advance_deployment(deployment_id: str, views: Views, now: datetime) -> list[c.Command]:
    """Return what has to happen next for a deployment."""
    row = views.deployments.rows.get(deployment_id)
    if row is None:
        return []
    state, instances = row.state, views.instances_of(deployment_id)
    commands: list[c.Command] = []
    if state.desired is Desired.REMOVED and not instances and not state.is_discarding:
        commands.append(c.RequestDiscard(subject_id=deployment_id))
    match state.rollout:
        case Rollout(step=Step.START, release=Release()) as rollout:
            commands += _start(deployment_id, state, rollout, views, now)
        case Rollout(step=Step.VERIFY) as rollout:
            commands += _verify(deployment_id, rollout, instances, now)
        case None if state.desired is Desired.RUNNING and (not state.is_idle or state.is_warm):
            commands += advance_serving(deployment_id, state, views, now)
    for key, instance in instances:
        commands += retire(key, instance, state, views, now)
    return commands


def _start(deployment_id: str, state: Deployment, rollout: Rollout, views: Views, now: datetime) -> list[c.Command]:
    """Create what is missing, and switch when all are ready; the first that fails fails them all."""
    commands: list[c.Command] = []
    are_ready = True
    for number in range(state.spec.replicas):
        key = instance_id(deployment_id, rollout.generation, number)
        row = views.instances.rows.get(key)
        if row is None:
            commands.append(create(deployment_id, rollout, number))
            are_ready = False
            continue
        is_late = now >= row.created_at + start_limit(row.state)
        failure = _failure(row.state, is_late=is_late)
        if failure is not None:
            return _fail(deployment_id, rollout, key, row.state, failure)
        are_ready &= row.state.is_ready and row.state.status is Status.RUNNING
    if are_ready:
        commands.append(c.Switch(subject_id=deployment_id, generation=rollout.generation))
    return commands


def _failure(instance: Instance, *, is_late: bool) -> Failure | None:
    """Say why an instance will not serve; None while it still may."""
    if instance.failure:
        return "start", instance.failure, instance.failure_message, instance.failure_hint
    if instance.status is Status.STOPPED and instance.stop_reason != "not_ready":
        return "start", "AGENT_EXITED", _explain_exit(instance.evidence), _hint(instance.evidence)
    if instance.status is Status.STOPPED or (
        is_late and not instance.is_ready and instance.status is not Status.PAUSED
    ):
        limit = start_limit(instance).total_seconds()
        probe = f": {instance.evidence.probe}" if instance.evidence.probe else ""
        message = f"The agent was not ready within {limit:g} s{probe}"
        return "readiness", "READINESS_TIMEOUT", message, _hint(instance.evidence)
    return None


def _fail(deployment_id: str, rollout: Rollout, key: str, instance: Instance, failure: Failure) -> list[c.Command]:
    if instance.status in LIVE:
        # Stop it first: its last lines and its exit code are the evidence of the failed rollout.
        stop = c.StopInstance(subject_id=key, reason="not_ready", grace_seconds=STOP_GRACE_SECONDS)
        return [] if instance.is_stop_requested else [stop]
    step, code, message, hint = failure
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


def _verify(
    deployment_id: str, rollout: Rollout, instances: list[tuple[str, Instance]], now: datetime
) -> list[c.Command]:
    """Go back when an instance of the new generation ends by its own fault, else confirm it after a while."""
    ended = [
        instance
        for _, instance in instances
        if instance.generation == rollout.generation
        and instance.status in OVER
        and instance.stop_reason not in NOT_ITS_FAULT
    ]
    if ended:
        evidence = ended[0].evidence
        return [
            c.FailRollout(
                subject_id=deployment_id,
                generation=rollout.generation,
                step="verify",
                code="AGENT_UNHEALTHY" if ended[0].stop_reason == "unhealthy" else "AGENT_EXITED",
                message=_explain_end(ended[0]),
                hint=_hint(evidence),
                evidence=evidence,
            )
        ]
    if rollout.verify_until is not None and now >= rollout.verify_until:
        return [c.ConfirmRollout(subject_id=deployment_id, generation=rollout.generation)]
    return []


def _explain_end(instance: Instance) -> str:
    if instance.stop_reason == "unhealthy":
        return f"The agent became unhealthy soon after the switch: {instance.evidence.probe or 'its probe failed'}"
    return _explain_exit(instance.evidence, "soon after the switch")


def _explain_exit(evidence: Evidence, when: str = "before it was ready") -> str:
    code = "" if evidence.exit_code is None else f" with code {evidence.exit_code}"
    words = explain_end(evidence.exit_code, is_out_of_memory=evidence.is_out_of_memory)
    return f"The agent exited{code} {when}{f': {words}' if words else ''}"


def _hint(evidence: Evidence) -> str:
    return "Its last lines are attached." if evidence.log_tail else ""
