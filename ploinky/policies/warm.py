"""Freeze instances that have no work, and let them go on when there is some."""

from datetime import datetime

from ploinky.domain import commands as c
from ploinky.domain.deployment import Deployment
from ploinky.domain.instance import Instance, Status
from ploinky.views.due_times import WARM_REST
from ploinky.views.views import Views


def resume_warm(deployment_id: str, views: Views) -> list[c.Command]:
    """Return which frozen instances go on: so that as many serve as should, and one for each task without a slot."""
    row = views.deployments.rows.get(deployment_id)
    if row is None or not row.state.is_warm or row.state.is_idle:
        return []
    resting = _frozen_instances(deployment_id, row.state, views)
    coming = sum(instance.is_resume_requested for _, instance in resting)
    # Which of those that wait are slow is not known before, so each gets an instance of its own.
    shortage = len(views.tasks.waiting.get(deployment_id, ())) - views.free_slots(deployment_id)
    missing = max(shortage, row.state.spec.replicas - len(views.serving_instances(deployment_id))) - coming
    frozen = [key for key, instance in resting if not instance.is_resume_requested and not instance.is_stop_requested]
    return [c.ResumeInstance(subject_id=key) for key in frozen[: max(missing, 0)]]


def advance_warm(deployment_id: str, state: Deployment, views: Views, now: datetime) -> list[c.Command]:
    """Return which of the serving generation's instances go on and which are frozen; nothing for most agents."""
    if not state.is_warm:
        return []
    if resuming := resume_warm(deployment_id, views):
        return resuming
    if views.tasks.waiting.get(deployment_id) and not state.is_idle:
        return []
    awake = [key for key, _ in views.serving_instances(deployment_id)]
    wanted = 0 if state.is_idle else state.spec.replicas
    tired = [key for key in reversed(awake) if _is_tired(key, views, now, is_idle=state.is_idle)]
    return [c.PauseInstance(subject_id=key) for key in tired[: max(len(awake) - wanted, 0)]]


def _frozen_instances(deployment_id: str, state: Deployment, views: Views) -> list[tuple[str, Instance]]:
    return [
        (key, instance)
        for key, instance in views.instances_of(deployment_id)
        if instance.generation == state.active_generation and instance.status is Status.PAUSED
    ]


def _is_tired(key: str, views: Views, now: datetime, *, is_idle: bool) -> bool:
    """Tell whether an instance has had no work for a while; at once where the whole deployment has none."""
    return key not in views.tasks.running and (is_idle or now >= views.instances.rows[key].changed_at + WARM_REST)
