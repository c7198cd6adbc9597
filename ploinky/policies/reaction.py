"""Which policies look at what, after which events."""

from collections.abc import Iterable
from datetime import datetime

from ploinky.domain.commands import Command
from ploinky.domain.events import TaskClaimed, TaskSubmitted
from ploinky.journal.codec import Recorded
from ploinky.policies.rollout import advance_deployment
from ploinky.policies.serving import advance_orphan
from ploinky.policies.tasks import advance_task, advance_waiting, expire_lost
from ploinky.views.due_times import Subject
from ploinky.views.views import Views

DEPLOYMENT, INSTANCE, TASK, QUEUE = "deployment", "instance", "task", "queue"


def subjects_of(batch: Iterable[Recorded], views: Views) -> dict[Subject, Recorded]:
    """Return what to look at after a batch, each with the newest event that is the cause."""
    subjects: dict[Subject, Recorded] = {}
    for recorded in batch:
        match recorded.kind:
            case "task":
                _task_subjects(recorded, views, subjects)
            case "instance":
                deployment_id = recorded.subject_id.partition(".")[0]
                subjects[INSTANCE, recorded.subject_id] = recorded
                subjects[DEPLOYMENT, deployment_id] = recorded
                subjects[QUEUE, deployment_id] = recorded
            case "deployment":
                subjects[DEPLOYMENT, recorded.subject_id] = recorded
                subjects[QUEUE, recorded.subject_id] = recorded
    return subjects


def _task_subjects(recorded: Recorded, views: Views, subjects: dict[Subject, Recorded]) -> None:
    if isinstance(recorded.event, TaskClaimed):
        return
    row = views.tasks.get(recorded.subject_id)
    if row is None:
        return
    state = row.state
    if state.deployment_id in views.tasks.waiting:
        subjects[QUEUE, state.deployment_id] = recorded
    if isinstance(recorded.event, TaskSubmitted) or not state.instance_id:
        return
    deployment = views.deployments.get(state.deployment_id)
    instance = views.instances.get(state.instance_id)
    is_draining = deployment and instance and instance.generation != deployment.active_generation
    if is_draining or (deployment and deployment.is_warm):
        # An instance that drains, or is kept warm, may be done with this.
        subjects[DEPLOYMENT, state.deployment_id] = recorded


def all_subjects(views: Views) -> list[Subject]:
    """Return everything alive: looked at once after a start, so that nothing a crash cut off is missed."""
    return [
        *((INSTANCE, key) for key in {**views.instances.rows, **views.tasks.running}),
        *((DEPLOYMENT, key) for key in views.deployments.rows),
        *((QUEUE, key) for key in views.tasks.waiting),
    ]


def look(subject: Subject, views: Views, now: datetime) -> list[Command]:
    """Return what follows from the present state of one subject."""
    kind, subject_id = subject
    match kind:
        case "task":
            return advance_task(subject_id, views, now)
        case "queue":
            return advance_waiting(subject_id, views, now)
        case "instance":
            commands = [*expire_lost(subject_id, views), *advance_orphan(subject_id, views, now)]
            deployment_id = subject_id.partition(".")[0]
            return [*commands, *advance_deployment(deployment_id, views, now)]
        case _:
            return advance_deployment(subject_id, views, now)
