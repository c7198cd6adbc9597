"""Notice when agents with a web server of their own are ready."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from ploinky.control.addresses import Addresses
from ploinky.control.commander import Commander
from ploinky.domain import events as e
from ploinky.domain.commands import RecordReady
from ploinky.domain.errors import PloinkyError
from ploinky.domain.instance import Instance, Status
from ploinky.domain.specs import Release
from ploinky.journal.codec import Recorded
from ploinky.journal.dispatcher import Context
from ploinky.ports.probes import ProbeAnswer, Probes
from ploinky.views.views import Views

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.05
"""Between two looks at an agent that is not ready yet."""
LOOK_LIMIT_SECONDS = 5.0
"""How long one look may take."""


class WebReadiness:
    """Look at each such instance from its start on, until it is ready or gone. The start limit is the policies'."""

    def __init__(
        self,
        views: Views,
        commander: Commander,
        addresses: Addresses,
        probes: Probes,
        has_runner: Callable[[str], bool],
    ) -> None:
        """Take how to look; `has_runner` tells whether something takes tasks from an instance's queue."""
        self._views = views
        self._commander = commander
        self._addresses = addresses
        self._probes = probes
        self._has_runner = has_runner
        self._findings: dict[str, str] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Look at all that run already."""
        for instance_id in self._views.instances.rows:
            self._consider(instance_id)

    def follow(self, batch: Sequence[Recorded]) -> None:
        """Look at what has started, and forget what has ended."""
        for recorded in batch:
            if isinstance(recorded.event, e.InstanceStarted | e.InstanceResumed):
                self._consider(recorded.subject_id)
            elif isinstance(recorded.event, e.InstanceReady | e.InstanceStopped):
                self._findings.pop(recorded.subject_id, None)

    def finding(self, instance_id: str) -> str:
        """Return why an instance is not ready, as last seen; empty when that is not known."""
        return self._findings.get(instance_id, "")

    async def close(self) -> None:
        """Stop looking."""
        looking = list(self._looking.values())
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    def _consider(self, instance_id: str) -> None:
        release = _awaited_release(self._views.instances.get(instance_id))
        if release is not None and instance_id not in self._looking:
            task = asyncio.get_running_loop().create_task(self._watch(instance_id, release))
            self._looking[instance_id] = task
            task.add_done_callback(lambda _: self._looking.pop(instance_id, None))

    async def _watch(self, instance_id: str, release: Release) -> None:
        while _awaited_release(self._views.instances.get(instance_id)) is not None:
            answer = await self._look(instance_id, release)
            if answer.is_passed:
                self._commander.give(
                    RecordReady(subject_id=instance_id), Context(f"instance:{instance_id}", "readiness")
                )
            else:
                self._findings[instance_id] = answer.finding
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, instance_id: str, release: Release) -> ProbeAnswer:
        if release.takes_tasks and not self._has_runner(instance_id):
            return ProbeAnswer(is_passed=False, finding="agentcore does not take tasks yet")
        try:
            address = await self._addresses.of(instance_id)
        except PloinkyError as error:
            return ProbeAnswer(is_passed=False, finding=error.message)
        if release.http_health_path is None:
            return await self._probes.tcp(address, LOOK_LIMIT_SECONDS)
        return await self._probes.http(address, release.http_health_path, LOOK_LIMIT_SECONDS)


def _awaited_release(instance: Instance | None) -> Release | None:
    """Return the release of an instance that somebody has to look at."""
    if instance is None or instance.status is not Status.RUNNING or instance.is_ready or instance.is_stop_requested:
        return None
    return instance.release if instance.release is not None and instance.release.http_port else None
