"""Views' rows as the API shows them."""

from typing import Any

import msgspec

from ploinky.api.schemas import (
    DeploymentShape,
    EventShape,
    InstanceShape,
    LastRollout,
    RolloutShape,
    TaskCounts,
    TaskError,
    TaskShape,
)
from ploinky.api.services import Services
from ploinky.domain.deployment import Deployment, Rollout, RolloutEnd
from ploinky.domain.events import TaskSucceeded
from ploinky.domain.exit_codes import explain_end
from ploinky.domain.instance import Instance
from ploinky.journal.codec import from_microseconds
from ploinky.ports.journal_store import Record
from ploinky.usecases.deployments import summarise_state
from ploinky.usecases.task_accounts import TaskAccount, error_details, failure_of
from ploinky.views.rows import Row
from ploinky.views.tasks import TaskRow


def deployment_shape(services: Services, deployment_id: str, row: Row[Deployment]) -> DeploymentShape:
    """Show a deployment with its instances and open tasks."""
    state, instances = row.state, services.views.instances_of(deployment_id)
    source = state.active or state.rollout
    release = source.release if source else None
    is_serving = bool(services.views.serving_instances(deployment_id))
    return DeploymentShape(
        id=deployment_id,
        domain=state.domain,
        path=state.path,
        url=_url(services, state),
        agent=state.spec.agent,
        repository=state.spec.repository,
        branch=state.spec.branch,
        revision=state.spec.revision,
        subfolder=state.spec.subfolder,
        commit=release.commit if release else None,
        runtime=(source.runtime if source else "") or str(state.spec.runtime),
        image=source.image if source else "",
        kind=None if release is None else "http" if release.http_port else "task",
        access=release.access if release else state.spec.access,
        concurrency=release.concurrency if release else state.spec.concurrency,
        replicas=state.spec.replicas,
        warm_instances=release.warm_instances if release else 0,
        desired=str(state.desired),
        state=summarise_state(state, is_serving=is_serving),
        generation=state.active_generation,
        rollout=_rollout(state),
        last_rollout=last_rollout_shape(state.last_end),
        warnings=list(release.warnings) if release else [],
        progress=services.progress(deployment_id) if state.rollout else "",
        instances=[instance_shape(key, services.views.instances.rows[key]) for key, _ in instances],
        tasks=_task_counts(services, deployment_id, instances),
        version=row.version,
        created_at=row.created_at,
        updated_at=row.changed_at,
    )


def _url(services: Services, state: Deployment) -> str:
    scheme, _, address = services.public_url.partition("://")
    port = address.rpartition(":")[2]
    host = "localhost" if state.domain == "*" else state.domain
    return f"{scheme}://{host}:{port}{state.path}"


def _rollout(state: Deployment) -> RolloutShape | None:
    rollout = state.rollout
    if rollout is None:
        return None
    return RolloutShape(
        generation=rollout.generation,
        reason=rollout.reason,
        step=str(rollout.step),
        watch_seconds=_watch_seconds(state, rollout),
    )


def _watch_seconds(state: Deployment, rollout: Rollout) -> float | None:
    if rollout.verify_until is None or state.switched_at is None:
        return None
    return (rollout.verify_until - state.switched_at).total_seconds()


def last_rollout_shape(end: RolloutEnd | None) -> LastRollout | None:
    """Show how a rollout ended."""
    if end is None:
        return None
    return LastRollout(
        generation=end.generation,
        outcome=end.outcome.value,
        step=end.step,
        code=end.code,
        message=end.message,
        hint=end.hint,
        exit_code=end.evidence.exit_code,
        explanation=explain_end(end.evidence.exit_code, is_out_of_memory=end.evidence.is_out_of_memory),
        log_tail=end.evidence.log_tail,
        probe=end.evidence.probe,
    )


def _task_counts(services: Services, deployment_id: str, instances: list[tuple[str, Instance]]) -> TaskCounts:
    tasks = services.views.tasks
    return TaskCounts(
        waiting=len(tasks.waiting.get(deployment_id, ())),
        running=sum(len(tasks.running.get(key, ())) for key, _ in instances),
    )


def instance_shape(instance_id: str, row: Row[Instance]) -> InstanceShape:
    """Show an instance."""
    instance = row.state
    return InstanceShape(
        id=instance_id,
        deployment=instance.deployment_id,
        generation=instance.generation,
        status=str(instance.status),
        is_ready=instance.is_ready,
        is_unobservable=instance.is_unobservable,
        unknown_since=instance.unobservable_since,
        runtime=instance.runtime,
        name=instance.name,
        image=instance.image,
        created_at=row.created_at,
        exit_code=instance.evidence.exit_code,
        explanation=explain_end(instance.evidence.exit_code, is_out_of_memory=instance.evidence.is_out_of_memory)
        or instance.failure_message,
        reason=instance.failure or instance.stop_reason,
    )


def task_shape(task_id: str, row: TaskRow) -> TaskShape:
    """Show a task without its content."""
    return TaskShape(
        id=task_id,
        state=str(row.state.state),
        attempt=row.state.attempt,
        command=row.state.command,
        deployment=row.state.deployment_id,
        submitted_at=row.submitted_at,
        ended_at=row.ended_at,
    )


def account_shape(account: TaskAccount) -> TaskShape:
    """Show a task with its result or error."""
    shape = task_shape(account.task_id, account.row)
    outcome = account.outcome
    if outcome is None:
        return shape
    if isinstance(outcome.event, TaskSucceeded):
        # As the agent gave it: it was checked on arrival, and may be nested deeper than we decode.
        shape.result = msgspec.Raw(outcome.content) if outcome.content else None
    else:
        code, message = failure_of(outcome)
        shape.error = TaskError(code=code, message=message, details=error_details(outcome))
    return shape


def event_shape(record: Record) -> EventShape:
    """Show an event as it was written."""
    data: dict[str, Any] = msgspec.json.decode(record.data, type=dict[str, Any])
    return EventShape(
        position=record.position,
        stream=record.stream,
        version=record.version,
        type=record.type,
        at=from_microseconds(record.at),
        actor=record.actor,
        correlation=record.correlation,
        causation=record.causation,
        data=data,
    )
