"""Callers who come while nothing serves: an idle deployment is woken for them, and a short gap is waited out."""

from ploinky.control.commander import Commander
from ploinky.control.fold_watch import FoldWatch
from ploinky.domain.commands import WakeDeployment
from ploinky.domain.deployment import Deployment, Desired
from ploinky.domain.errors import DeploymentNotReady, Overloaded
from ploinky.domain.instance import Instance
from ploinky.journal.dispatcher import Context
from ploinky.views.views import Views

ARRIVAL_LIMIT_SECONDS = 30.0
"""How long somebody waits for a deployment that is about to serve."""
ARRIVALS_LIMIT = 1_024
"""Callers who wait at the same time, over all deployments."""
SHORT_RESTARTS = 2
"""A restart after so many failures in a row comes within two seconds; a later one is not waited for."""


class Arrivals:
    """Find who serves, waiting for it where that is soon."""

    def __init__(self, views: Views, commander: Commander, watch: FoldWatch) -> None:
        """Take the views, and how to notice that they changed."""
        self._views = views
        self._commander = commander
        self._watch = watch
        self._waiting = 0

    async def serving(self, deployment_id: str) -> list[tuple[str, Instance]]:
        """Return the instances that serve. Raises `DeploymentNotReady` when there are none, now or soon."""
        serving = self._views.serving_instances(deployment_id)
        if serving:
            return serving
        if self._waiting >= ARRIVALS_LIMIT:
            raise Overloaded(f"{ARRIVALS_LIMIT} requests are waiting for deployments to start already")
        self._waiting += 1
        try:
            state = self._views.deployments.get(deployment_id)
            if state is not None and state.is_idle and state.desired is Desired.RUNNING:
                wake = WakeDeployment(subject_id=deployment_id)
                await self._commander.execute(wake, Context("gateway", f"arrival-{deployment_id}"))
            await self._watch.until(lambda: self._is_settled(deployment_id), ARRIVAL_LIMIT_SECONDS)
        finally:
            self._waiting -= 1
        serving = self._views.serving_instances(deployment_id)
        if not serving:
            raise DeploymentNotReady(deployment=deployment_id)
        return serving

    def _is_settled(self, deployment_id: str) -> bool:
        """Tell whether waiting on is of no use: something serves, or nothing will soon."""
        state = self._views.deployments.get(deployment_id)
        return bool(self._views.serving_instances(deployment_id)) or not _is_coming(state)


def _is_coming(state: Deployment | None) -> bool:
    if state is None or state.desired is not Desired.RUNNING:
        return False
    if state.rollout is not None or state.is_idle:
        return True
    # What has just ended gets its restart in the next commit.
    return state.active_generation > 0 and (state.restart_due_at is None or state.failures <= SHORT_RESTARTS)
