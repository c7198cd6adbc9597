"""Watch the engines: their events say when to look, a full list says what is."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Mapping
from threading import Event, Thread

from ploinky.control.commander import Commander
from ploinky.control.install_effects import throwaways_wanted
from ploinky.control.instance_effects import InstanceEffects
from ploinky.control.network_names import tidy_networks
from ploinky.control.reconcile import Action, ActionKind, reconcile
from ploinky.control.task_traffic import TaskTraffic
from ploinky.control.world import World
from ploinky.domain import commands as c
from ploinky.domain.errors import PloinkyError, TransitionInvalid
from ploinky.journal.dispatcher import Context
from ploinky.ports.failpoints import reach
from ploinky.ports.runtime import Observation, Runtime
from ploinky.views.views import Views

log = logging.getLogger(__name__)

RESYNC_SECONDS = 30.0
"""Between two full lists, whatever the engines' events said."""
SECOND_LOOK_SECONDS = 0.5
"""After a look that an event asked for: Docker tells of an end a moment before its list shows it."""
LOOKS_PER_TIDYING = 100
"""Undeploying removes a network; what was left behind then is looked for at the start and so often."""
RECONNECT_SECONDS = 2.0
STOP_GRACE_SECONDS = 5.0
CONTEXT = Context("observer", "runtime")


class RuntimeObserver:
    """Keep the journal's account of instances true."""

    def __init__(
        self, views: Views, commander: Commander, world: World, effects: InstanceEffects, traffic: TaskTraffic
    ) -> None:
        """Watch all runtimes of this world."""
        self._views = views
        self._commander = commander
        self._world = world
        self._effects = effects
        self._traffic = traffic
        self._wanted = asyncio.Event()
        self._closing = Event()

    async def run(self) -> None:
        """Watch and resync, for ever."""
        loop = asyncio.get_running_loop()
        for runtime in self._world.runtimes.by_kind.values():
            thread = Thread(target=self._listen, args=(runtime, loop), name=f"events-{runtime.kind}", daemon=True)
            thread.start()
        wait_seconds = RESYNC_SECONDS
        for looks in itertools.count():
            if looks % LOOKS_PER_TIDYING == 0:
                await tidy_networks(self._views, self._world)
            was_hinted = await self._is_hinted(wait_seconds)
            await self.resync()
            wait_seconds = SECOND_LOOK_SECONDS if was_hinted else RESYNC_SECONDS

    async def _is_hinted(self, wait_seconds: float) -> bool:
        # Not `wait_for`: up to Python 3.11 it swallows a cancellation that comes together with the news.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                await self._wanted.wait()
        was_hinted = self._wanted.is_set()
        self._wanted.clear()
        return was_hinted

    def close(self) -> None:
        """End the listening threads with their runtimes' `close`."""
        self._closing.set()

    async def resync(self) -> None:
        """List every runtime that matters and act on each difference. Never raises for an engine's sake."""
        versions = {key: row.version for key, row in self._views.instances.items()}
        expected = throwaways_wanted(self._views)
        observed: dict[str, Mapping[str, Observation]] = {}
        silent: set[str] = set()
        for kind, runtime in self._world.runtimes.by_kind.items():
            try:
                found = await self._world.pools.engine(lambda runtime=runtime: self._list(runtime))  # type: ignore[misc]
                observed[kind] = {seen.name: seen for seen in found}
            except PloinkyError as error:
                silent.add(kind)
                log.debug("%s cannot be asked: %s", kind, error.message)
        reach("observer.listed")
        expected |= throwaways_wanted(self._views)
        observed = {
            kind: {name: seen for name, seen in found.items() if name not in expected}
            for kind, found in observed.items()
        }
        instances = {key: row.state for key, row in self._views.instances.items()}
        for action in reconcile(instances, observed, silent):
            row = self._views.instances.rows.get(action.instance_id)
            # What changed since the look began is newer than the look; what was removed since then is no stranger.
            is_stranger = action.kind is ActionKind.ORPHAN and action.instance_id not in versions
            if is_stranger or (row and row.version == versions.get(action.instance_id)):
                await self._act(action)

    def _list(self, runtime: Runtime) -> list[Observation]:
        return runtime.list(self._world.site.journal_id)

    async def _act(self, action: Action) -> None:
        try:
            match action.kind:
                case ActionKind.ADOPT:
                    self._adopt(action.instance_id)
                case ActionKind.ENDED:
                    await self._ended(action)
                case _:
                    await self._commander.execute(_command(action), CONTEXT, is_urgent=True)
        except TransitionInvalid as error:
            log.debug("%s of %s is old news: %s", action.kind, action.instance_id, error.message)
        except PloinkyError as error:
            log.warning("%s of %s could not be recorded: %s", action.kind, action.instance_id, error.message)

    def _adopt(self, instance_id: str) -> None:
        instance = self._views.instances.get(instance_id)
        if instance is None or self._traffic.is_attached(instance_id) or not instance.deployment_id:
            return
        if self._traffic.adopt(instance_id, instance.queue_identity):
            log.info("adopted %s", instance.name)
            reach("observer.adopted")
            return
        log.warning("the queue of %s is not the one it was started with", instance.name)
        stop = c.StopInstance(subject_id=instance_id, reason="queue_lost", grace_seconds=STOP_GRACE_SECONDS)
        self._commander.give(stop, CONTEXT)

    async def _ended(self, action: Action) -> None:
        instance = self._views.instances.get(action.instance_id)
        if instance is None or instance.is_stop_requested:
            return  # The open stop intent will record it.
        self._traffic.adopt(action.instance_id, instance.queue_identity)
        await self._traffic.ingest(action.instance_id)
        reason = "exited" if action.seen else "vanished"
        record = await self._effects.stopped(action.instance_id, instance, action.seen, reason)
        reach("observer.end_found")
        await self._commander.execute(record, CONTEXT, is_urgent=True)
        reach("observer.end_recorded")

    def _listen(self, runtime: Runtime, loop: asyncio.AbstractEventLoop) -> None:
        """Turn an engine's events into requests for a look; one thread per runtime."""
        while not self._closing.is_set():
            try:
                for _ in runtime.events(self._world.site.journal_id):
                    self._call(loop)
            except PloinkyError as error:
                log.debug("events of %s ended: %s", runtime.kind, error.message)
            if not self._closing.is_set():
                self._call(loop)
                self._closing.wait(RECONNECT_SECONDS)

    def _call(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # The loop has ended.
            loop.call_soon_threadsafe(self._wanted.set)


def _command(action: Action) -> c.Command:
    match action.kind:
        case ActionKind.PAUSED:
            return c.RecordPaused(subject_id=action.instance_id)
        case ActionKind.RESUMED:
            return c.RecordResumed(subject_id=action.instance_id)
        case ActionKind.UNOBSERVABLE:
            return c.RecordUnobservable(subject_id=action.instance_id, reason="The engine does not answer")
        case ActionKind.OBSERVED_AGAIN:
            return c.RecordObservedAgain(subject_id=action.instance_id)
        case _:
            name = action.seen.name if action.seen else ""
            return c.ReportOrphan(subject_id=action.instance_id, runtime=action.runtime, name=name)
