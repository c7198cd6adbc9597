"""Stop what nobody has needed for long. `arrivals` and the policy of waiting tasks start it again."""

import asyncio
from collections.abc import Sequence

from ploinky.control.commander import Commander
from ploinky.control.exchanges import Exchanges
from ploinky.domain.commands import IdleDeployment
from ploinky.domain.deployment import Deployment, Desired
from ploinky.journal.codec import Recorded
from ploinky.journal.dispatcher import Context
from ploinky.ports.clock import Clock
from ploinky.views.views import Views

LOOK_SECONDS = 1.0
IDLE = Context("timer", "idle")


class IdleWatch:
    """Notice what is not needed. When it last was is kept in memory: after a restart the time begins anew."""

    def __init__(self, views: Views, commander: Commander, exchanges: Exchanges, clock: Clock) -> None:
        """Take where needs show: open tasks, and requests on their way to agents' own web servers."""
        self._views = views
        self._commander = commander
        self._exchanges = exchanges
        self._clock = clock
        self._last_turns: dict[str, int] = {}
        self._needed_at: dict[str, float] = {}

    def follow(self, batch: Sequence[Recorded]) -> None:
        """Take note of tasks, also those too short to be seen by a look."""
        if not self._needed_at:
            return
        for recorded in batch:
            row = self._views.tasks.get(recorded.subject_id) if recorded.kind == "task" else None
            if row is not None and row.state.deployment_id in self._needed_at:
                self._needed_at[row.state.deployment_id] = self._clock.monotonic()

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            self._look()
            await asyncio.sleep(LOOK_SECONDS)

    def _look(self) -> None:
        now = self._clock.monotonic()
        watched: dict[str, float] = {}
        for deployment_id, row in self._views.deployments.items():
            release = row.state.active_release
            if release is None or not release.idle_timeout_seconds or not _may_idle(row.state):
                continue
            is_needed = self._is_needed(deployment_id)
            needed_at = now if is_needed else self._needed_at.get(deployment_id, now)
            watched[deployment_id] = needed_at
            if now - needed_at >= release.idle_timeout_seconds:
                self._commander.give(IdleDeployment(subject_id=deployment_id), IDLE)
        self._needed_at = watched

    def _is_needed(self, deployment_id: str) -> bool:
        tasks = self._views.tasks
        keys = [key for key, _ in self._views.instances_of(deployment_id)]
        last_turn = max((self._exchanges.last_turn(key) for key in keys), default=0)
        # Requests that came and went since the last look show in the number of the newest.
        is_visited = last_turn != self._last_turns.get(deployment_id, last_turn)
        self._last_turns[deployment_id] = last_turn
        is_busy = any(key in tasks.running or self._exchanges.count(key) for key in keys)
        return is_visited or is_busy or bool(tasks.waiting.get(deployment_id))


def _may_idle(state: Deployment) -> bool:
    return state.desired is Desired.RUNNING and state.rollout is None and not state.is_idle
