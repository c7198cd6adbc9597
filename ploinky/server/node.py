"""One primary: the parts put together, and the order in which they start and stop."""

import asyncio
import logging
import os
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ploinky import __version__
from ploinky.adapters.file_courier import FileCourier
from ploinky.adapters.file_logs import FileLogStore
from ploinky.adapters.system_clock import SystemClock, TimeOrderedIds
from ploinky.api.app import create_app
from ploinky.api.services import Services
from ploinky.control.commander import Commander
from ploinky.control.environments import Environments
from ploinky.control.executor import Executor
from ploinky.control.fold_watch import FoldWatch
from ploinky.control.instance_effects import InstanceEffects
from ploinky.control.orders import Orders
from ploinky.control.pools import Pools
from ploinky.control.reactor import Reactor
from ploinky.control.runtime_observer import RuntimeObserver
from ploinky.control.signs_of_life import SignsOfLife
from ploinky.control.source_effects import SourceEffects
from ploinky.control.task_traffic import TaskTraffic
from ploinky.control.waiters import TaskWaiters
from ploinky.control.world import Site, World
from ploinky.domain.commands import RemoveInstance, StopInstance
from ploinky.domain.deciders import DECIDERS
from ploinky.domain.errors import PloinkyError
from ploinky.domain.instance import LIVE, Instance, Status
from ploinky.domain.release import ReleaseDefaults
from ploinky.gateway.gateway import Gateway
from ploinky.journal import snapshot
from ploinky.journal.codec import Codec, Recorded, to_microseconds
from ploinky.journal.dispatcher import Context, Dispatcher
from ploinky.journal.writer import JournalWriter
from ploinky.server.agentcore_copy import install_agentcore
from ploinky.server.asgi import Application
from ploinky.server.config import Configuration, choose_queue_directory
from ploinky.server.log_output import EventLog
from ploinky.server.progress import ProgressBoard
from ploinky.server.storage import SNAPSHOT_FILE, Storage, restore_views
from ploinky.server.world import make_folders, make_runtimes, make_sources
from ploinky.usecases.deployments import Deployments
from ploinky.usecases.event_feed import EventFeed
from ploinky.usecases.keys import Keys
from ploinky.usecases.task_accounts import TaskAccounts
from ploinky.usecases.tasks import Tasks
from ploinky.views.fold_digest import fold_digest
from ploinky.views.intents import IntentKind

log = logging.getLogger(__name__)

DRAIN_LIMIT_SECONDS = 10.0
"""How long running tasks may still finish when the server is asked to stop."""
STOPPING_LIMIT_SECONDS = 25.0
"""How long stopping all agents may take."""
SHUTDOWN_GRACE_SECONDS = 5.0
SNAPSHOT_EVERY_EVENTS = 10_000


class Node:
    """A primary over opened storage. Everything runs on the event loop that `start` is called on."""

    def __init__(self, configuration: Configuration, storage: Storage, public_url: str) -> None:
        """Restore the views and put the parts together; nothing runs yet."""
        self.configuration = configuration
        self.storage = storage
        loop = asyncio.get_running_loop()
        codec, clock, ids = Codec(), SystemClock(), TimeOrderedIds()
        restored = restore_views(storage, codec)
        self.views = views = restored.views
        self._fold_digest = fold_digest()
        self._snapshot_position = views.position
        self._last_at = restored.last_at
        self.pools = Pools()
        self._writer = JournalWriter(storage.store, loop.call_soon_threadsafe)
        self.dispatcher = Dispatcher(
            store=storage.store,
            writer=self._writer,
            codec=codec,
            deciders=DECIDERS,
            clock=clock,
            head=storage.head,
            last_at=restored.last_at,
            indexes=views.indexes,
            schedule=loop.call_soon,
        )
        self.commander = Commander(self.dispatcher)
        self.waiters = TaskWaiters()
        orders = Orders(views, storage.store, storage.blobs, storage.signer, ids, self.pools)
        courier = FileCourier(str(choose_queue_directory(configuration)), loop, log.warning)
        self._courier = courier
        self.traffic = TaskTraffic(views, self.commander, courier, orders, SignsOfLife(clock))
        self.progress = ProgressBoard()
        self.world = self._make_world(orders, courier)
        effects = InstanceEffects(views, self.world, self.traffic)
        defaults = ReleaseDefaults(configuration.task_timeout, configuration.agent_start_timeout_ms / 1000)
        sources = SourceEffects(views, self.world, defaults, self.progress.note)
        self.executor = Executor(
            views,
            self.commander,
            {
                IntentKind.FETCH_SOURCE: sources.fetch_source,
                IntentKind.READY_IMAGE: sources.ready_image,
                IntentKind.START_INSTANCE: effects.start,
                IntentKind.STOP_INSTANCE: effects.stop,
                IntentKind.REMOVE_INSTANCE: effects.remove,
                IntentKind.DISCARD_DEPLOYMENT: effects.discard,
            },
        )
        self.reactor = Reactor(views, self.commander, clock)
        self.observer = RuntimeObserver(views, self.commander, self.world, effects, self.traffic)
        self.feed = EventFeed(storage.store, self.pools)
        accounts = TaskAccounts(views, storage.store, codec, orders, self.pools, storage.signer)
        tasks = Tasks(self.commander, self.waiters, orders, ids, accounts)
        self.keys = Keys(views, self.commander, storage.signer, clock)
        self.deployments = Deployments(views, self.commander, ids, configuration.max_containers)
        self.is_ready = False
        self.watch = FoldWatch()
        self.gateway = Gateway(views, tasks, accounts, ids, configuration.sync_wait_seconds)
        services = Services(
            views=views,
            commander=self.commander,
            deployments=self.deployments,
            tasks=tasks,
            accounts=accounts,
            keys=self.keys,
            feed=self.feed,
            runtimes=self.world.runtimes,
            logs=self.world.logs,
            pools=self.pools,
            journal_id=storage.store.journal_id,
            head=lambda: self.dispatcher.head,
            is_ready=lambda: self.is_ready,
            progress=self.progress.newest,
            public_url=public_url,
            default_settings=_default_settings(configuration),
            version=__version__,
        )
        self.application = Application(self.gateway, create_app(services), views, accounts, ids)
        self._background: list[asyncio.Task[None]] = []
        self.failed: asyncio.Future[PloinkyError] = loop.create_future()
        """Set when the journal cannot be written any more: the process has to end."""
        self.dispatcher.on_fatal = self._fail
        self.dispatcher.followers += [
            views.fold,
            self.waiters.follow,
            self.traffic.follow,
            self.executor.follow,
            self.reactor.follow,
            self.feed.follow,
            EventLog().follow,
            self._note_progress,
            self.watch.follow,
        ]

    def _make_world(self, orders: Orders, courier: FileCourier) -> World:
        configuration, directory = self.configuration, self.storage.directory
        site = Site(
            journal_id=self.storage.store.journal_id,
            epoch=self.storage.head.epoch,
            agentcore_directory=str(install_agentcore(directory)),
            is_root=os.geteuid() == 0,
            own_user_id=os.geteuid(),
        )
        return World(
            runtimes=make_runtimes(configuration, directory),
            courier=courier,
            sources=make_sources(directory),
            folders=make_folders(directory),
            environments=Environments(self.views, orders),
            logs=FileLogStore(str(directory / "logs")),
            pools=self.pools,
            site=site,
        )

    async def start(self) -> None:
        """Find everything again, then react. Requests are answered from the restored views meanwhile."""
        self._spawn(self.traffic.run())
        self._spawn(self.reactor.run_timers())
        await self.observer.resync()
        self.executor.wake()
        self.reactor.wake()
        self._spawn(self.observer.run())
        self.is_ready = True

    async def stop(self) -> None:
        """Refuse new work, let running tasks finish, stop the agents if so configured, and record it all."""
        self.gateway.is_draining = True
        self.feed.close()
        await self.watch.until(lambda: not self.views.tasks.running, DRAIN_LIMIT_SECONDS)
        self.reactor.sleep()
        if self.configuration.stop_agents_on_exit:
            await self._stop_agents()

    async def close(self) -> None:
        """End everything that runs and close what is open; instances go on if they were not stopped."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.executor.close()
        self.observer.close()
        self.world.runtimes.close()
        self._courier.close()
        self._writer.close()
        if not self.failed.done():
            await asyncio.sleep(0)
            self._save_snapshot()
        self.pools.close()

    async def _stop_agents(self) -> None:
        """Stop and remove every instance; the next start makes new generations at once."""
        context = Context("server", "shutdown")
        for instance_id, state in self._reachable():
            if state.status in LIVE:
                stop = StopInstance(subject_id=instance_id, reason="shutdown", grace_seconds=SHUTDOWN_GRACE_SECONDS)
                self.commander.give(stop, context)
        if not await self.watch.until(lambda: not self._has_live(), STOPPING_LIMIT_SECONDS):
            log.warning("some instances did not stop in time and go on running")
        for instance_id, state in self._reachable():
            if state.status is Status.STOPPED:
                self.commander.give(RemoveInstance(subject_id=instance_id), context)
        await self.watch.until(lambda: not self._has_stopped(), STOPPING_LIMIT_SECONDS)

    def _reachable(self) -> list[tuple[str, Instance]]:
        return [(key, row.state) for key, row in self.views.instances.items() if not row.state.is_unobservable]

    def _has_live(self) -> bool:
        return any(state.status in LIVE for _, state in self._reachable())

    def _has_stopped(self) -> bool:
        return any(state.status is Status.STOPPED for _, state in self._reachable())

    def _note_progress(self, batch: Sequence[Recorded]) -> None:
        self._last_at = to_microseconds(batch[-1].at)
        if self.views.position - self._snapshot_position >= SNAPSHOT_EVERY_EVENTS:
            self._save_snapshot()

    def _save_snapshot(self) -> None:
        head = self.dispatcher.head
        if head.position == 0 or head.position != self.views.position:
            return
        self._snapshot_position = head.position
        kept = snapshot.Snapshot(
            journal_id=self.storage.store.journal_id,
            position=head.position,
            hash=head.hash,
            last_at=self._last_at,
            folds=self._fold_digest,
            views=msgspec.Raw(msgspec.json.encode(self.views.dump(), order="sorted")),
        )
        try:
            snapshot.save(Path(self.storage.directory) / SNAPSHOT_FILE, kept)
        except OSError as error:
            log.warning("the snapshot of the views could not be saved: %s", error)

    def _fail(self, error: PloinkyError) -> None:
        if not self.failed.done():
            self.failed.set_result(error)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        task.add_done_callback(_report_end)
        self._background.append(task)


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a part of the server ended unexpectedly", exc_info=task.exception())


def _default_settings(configuration: Configuration) -> dict[str, int | float]:
    return {
        "taskTimeout": configuration.task_timeout,
        "syncWaitSeconds": configuration.sync_wait_seconds,
        "maxContainers": configuration.max_containers,
        "lastLogsLines": configuration.last_logs_lines,
    }
