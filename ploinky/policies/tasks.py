"""Give waiting tasks to free slots, and end what can never be executed."""

from datetime import datetime
from itertools import islice

from ploinky.domain import commands as c
from ploinky.domain.deployment import Deployment, Desired
from ploinky.domain.instance import LIVE, Status
from ploinky.domain.task import TaskState
from ploinky.policies.warm import resume_warm
from ploinky.views.due_times import DEADLINE_GRACE, WAITING_LIMIT
from ploinky.views.views import Views

ABANDON_LIMIT_TASKS = 500
"""Tasks ended in one look; the ends of these cause the next look."""


def advance_waiting(deployment_id: str, views: Views, now: datetime) -> list[c.Command]:
    """Return attempts to start for a deployment's waiting tasks, or their ends when nothing will ever run them."""
    waiting = views.tasks.waiting.get(deployment_id)
    if not waiting:
        return []
    row = views.deployments.rows.get(deployment_id)
    reason = _hopeless(row.state if row else None)
    if reason:
        first = list(islice(waiting, ABANDON_LIMIT_TASKS))
        return [c.AbandonTask(subject_id=task_id, reason=reason) for task_id in first]
    if row is not None and row.state.is_idle:
        return [c.WakeDeployment(subject_id=deployment_id)]
    free = views.free_slots(deployment_id)
    commands: list[c.Command] = []
    for task_id in waiting:
        if len(commands) >= free:
            break
        retry_at = views.tasks.open[task_id].state.retry_at
        if retry_at is None or retry_at <= now:
            commands.append(c.StartAttempt(subject_id=task_id))
    return [*commands, *resume_warm(deployment_id, views)]


def _hopeless(state: Deployment | None) -> str:
    if state is None or state.desired is Desired.REMOVED:
        return "The deployment was removed before the task could run"
    if not state.active_generation and state.rollout is None:
        return "The deployment failed before the task could run"
    if state.active_release is not None and not state.active_release.takes_tasks:
        return "The deployment answers with a web server of its own now and takes no tasks"
    return ""


def advance_task(task_id: str, views: Views, now: datetime) -> list[c.Command]:
    """Return what is due for one task: a repetition, an overdue attempt, or the end of a wait that was too long."""
    row = views.tasks.open.get(task_id)
    if row is None:
        return []
    state = row.state
    if state.state is TaskState.SUBMITTED:
        if now >= (state.retry_at or row.submitted_at) + WAITING_LIMIT:
            return [c.AbandonTask(subject_id=task_id, reason="No slot became free within an hour")]
        return [c.StartAttempt(subject_id=task_id)]
    is_overdue = state.deadline_at is not None and now >= state.deadline_at + DEADLINE_GRACE
    if is_overdue and views.instances.get(state.instance_id) is not None:
        # The agent had to end it itself and did not: its instance does not work any more.
        return [c.StopInstance(subject_id=state.instance_id, reason="overdue", grace_seconds=1.0)]
    return []


def expire_lost(instance_id: str, views: Views) -> list[c.Command]:
    """Return the ends of the attempts that were with an instance which is proven to run no more."""
    instance = views.instances.get(instance_id)
    if instance is not None and (instance.status in LIVE or instance.status is Status.CREATED):
        return []
    reason = f"instance_{instance.stop_reason}" if instance and instance.stop_reason else "instance_gone"
    return [
        c.ExpireAttempt(subject_id=task_id, attempt=views.tasks.open[task_id].state.attempt, reason=reason)
        for task_id in views.tasks.running.get(instance_id, ())
    ]
