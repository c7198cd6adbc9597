"""Find out whether instances work: before they serve, and as long as they do."""

import asyncio
from collections.abc import Callable, Sequence

from ploinky.control.commander import Commander
from ploinky.control.probing import Probing
from ploinky.domain import events as e
from ploinky.domain.commands import RecordReady, StopInstance
from ploinky.domain.instance import Instance, Status
from ploinky.domain.specs import Probe
from ploinky.journal.codec import Recorded
from ploinky.journal.dispatcher import Context
from ploinky.ports.probes import ProbeAnswer
from ploinky.views.views import Views

STOP_GRACE_SECONDS = 5.0
CHANGES = e.InstanceStarted | e.InstanceReady | e.InstancePaused | e.InstanceResumed
"""After these another probe counts, or none."""
ENDS = e.InstanceStopRequested | e.InstanceStopped | e.InstanceRemoved


class HealthWatch:
    """One loop for each instance that has a probe to be asked now. How long it may take at all, policies say."""

    def __init__(self, views: Views, commander: Commander, probing: Probing, has_runner: Callable[[str], bool]) -> None:
        """Take how to look; `has_runner` tells whether something takes tasks from an instance's queue."""
        self._views = views
        self._commander = commander
        self._probing = probing
        self._has_runner = has_runner
        self._findings: dict[str, str] = {}
        self._loops: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Look at all that run already."""
        for instance_id in self._views.instances.rows:
            self._consider(instance_id)

    def follow(self, batch: Sequence[Recorded]) -> None:
        """Look at what has changed, and no more at what ends."""
        for recorded in batch:
            instance_id = recorded.subject_id
            if isinstance(recorded.event, CHANGES):
                self._consider(instance_id)
            elif isinstance(recorded.event, ENDS) and (loop := self._loops.pop(instance_id, None)) is not None:
                loop.cancel()
            if isinstance(recorded.event, e.InstanceReady | e.InstanceRemoved):
                self._findings.pop(instance_id, None)

    def finding(self, instance_id: str) -> str:
        """Return why an instance does not work, as last seen; empty when nothing speaks against it."""
        return self._findings.get(instance_id, "")

    async def close(self) -> None:
        """Stop looking."""
        loops = list(self._loops.values())
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

    def _consider(self, instance_id: str) -> None:
        earlier = self._loops.pop(instance_id, None)
        if earlier is not None:
            earlier.cancel()
        instance = self._views.instances.get(instance_id)
        probe = _probe_of(instance) if instance else None
        if instance is None or probe is None:
            return
        watch = self._watch_life(instance_id, probe) if instance.is_ready else self._await_ready(instance_id, probe)
        loop = asyncio.get_running_loop().create_task(watch)
        self._loops[instance_id] = loop
        loop.add_done_callback(lambda done: self._forget(instance_id, done))

    def _forget(self, instance_id: str, loop: "asyncio.Task[None]") -> None:
        if self._loops.get(instance_id) is loop:
            del self._loops[instance_id]

    async def _await_ready(self, instance_id: str, probe: Probe) -> None:
        passed = 0
        while passed < probe.success_threshold:
            answer = await self._look(instance_id, probe)
            passed = passed + 1 if answer.is_passed else 0
            if passed < probe.success_threshold:
                await asyncio.sleep(probe.interval_seconds)
        context = Context(f"instance:{instance_id}", "readiness")
        self._commander.give(RecordReady(subject_id=instance_id), context)

    async def _watch_life(self, instance_id: str, probe: Probe) -> None:
        failed = 0
        while failed < probe.failure_threshold:
            await asyncio.sleep(probe.interval_seconds)
            answer = await self._look(instance_id, probe)
            failed = 0 if answer.is_passed else failed + 1
        # Its loop ends with the stop; what it found stays, as the evidence of the end.
        stop = StopInstance(subject_id=instance_id, reason="unhealthy", grace_seconds=STOP_GRACE_SECONDS)
        self._commander.give(stop, Context(f"instance:{instance_id}", "liveness"))

    async def _look(self, instance_id: str, probe: Probe) -> ProbeAnswer:
        instance = self._views.instances.get(instance_id)
        if instance is None or instance.release is None:
            return ProbeAnswer(is_passed=False, finding="it is gone")
        if not instance.is_ready and instance.release.takes_tasks and not self._has_runner(instance_id):
            answer = ProbeAnswer(is_passed=False, finding="agentcore does not take tasks yet")
        else:
            answer = await self._probing.ask(instance_id, instance, probe)
        if answer.is_passed:
            self._findings.pop(instance_id, None)
        else:
            self._findings[instance_id] = answer.finding
        return answer


def _probe_of(instance: Instance) -> Probe | None:
    """Return the probe that counts for an instance now."""
    if instance.status is not Status.RUNNING or instance.is_stop_requested or instance.release is None:
        return None
    return instance.release.liveness if instance.is_ready else instance.release.readiness_probe
