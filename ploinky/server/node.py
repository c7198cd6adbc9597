"""One primary: the order in which its parts start and stop."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from ploinky import __version__
from ploinky.api.app import create_app
from ploinky.api.services import Services
from ploinky.control.arrivals import Arrivals
from ploinky.control.network_names import keep_networks
from ploinky.domain.commands import FailRollout, RemoveInstance, StopInstance
from ploinky.domain.deployment import SHUTDOWN_CODE, Step
from ploinky.domain.instance import LIVE, Instance, Status
from ploinky.gateway.gateway import Gateway
from ploinky.gateway.proxy import Proxy
from ploinky.journal.dispatcher import Context
from ploinky.server.asgi import Application
from ploinky.server.config import Configuration
from ploinky.server.core import Core
from ploinky.server.hands import Hands
from ploinky.server.log_output import EventLog
from ploinky.server.storage import Storage
from ploinky.usecases.deployments import Deployments
from ploinky.usecases.keys import Keys
from ploinky.usecases.log_feed import LogFeed
from ploinky.usecases.operations import Operations
from ploinky.usecases.registries import Registries
from ploinky.usecases.release_history import ReleaseHistory
from ploinky.usecases.repositories import Repositories
from ploinky.usecases.task_accounts import TaskAccounts
from ploinky.usecases.tasks import Tasks
from ploinky.usecases.vault import Vault
from ploinky.usecases.webhooks import Webhooks
from ploinky.usecases.wishes import Wishes

log = logging.getLogger(__name__)

DRAIN_LIMIT_SECONDS = 10.0
"""How long running tasks and requests may still finish when the server is asked to stop."""
STOPPING_LIMIT_SECONDS = 25.0
"""How long stopping all agents may take, and then removing them."""
SHUTDOWN_GRACE_SECONDS = 5.0
SHUTDOWN = Context("server", "shutdown")


class Node:
    """A primary over opened storage. Everything runs on the event loop that it is made on."""

    def __init__(self, configuration: Configuration, storage: Storage, public_url: str) -> None:
        """Restore the views and put the parts together; nothing runs yet."""
        self.configuration = configuration
        self.core = core = Core(storage)
        self.hands = hands = Hands(core, configuration)
        self.keys = Keys(core.views, core.commander, storage.signer, core.clock)
        vault = Vault(storage.secrets, core.pools)
        self.deployments = Deployments(
            core.views,
            core.commander,
            core.ids,
            vault,
            configuration.max_containers,
            allow_local=configuration.allow_local_repositories,
        )
        environments = hands.world.environments
        self.wishes = Wishes(self.deployments, core.views, core.commander, environments, core.ids, vault)
        self.repositories = Repositories(
            core.views,
            core.commander,
            storage.secrets,
            hands.world.sources,
            hands.world.folders,
            core.pools,
            allow_local=configuration.allow_local_repositories,
        )
        accounts = TaskAccounts(core.views, storage.store, core.codec, core.orders, core.pools, storage.signer)
        tasks = Tasks(core.commander, core.waiters, core.orders, core.ids, accounts)
        arrivals = Arrivals(core.views, core.commander, core.watch)
        self.proxy = Proxy(arrivals, hands.addresses, hands.exchanges)
        self.gateway = Gateway(core.views, tasks, accounts, core.ids, self.proxy, configuration.sync_wait_seconds)
        self.log_feed = LogFeed(core.views, hands.world.runtimes, hands.world.logs, core.pools)
        self.is_ready = False
        services = self._services(tasks, accounts, public_url)
        self.application = Application(self.gateway, create_app(services), core.views, accounts, core.ids)
        self._background: list[asyncio.Task[None]] = []
        # The order matters: views first, then those who answer callers, then those who act.
        core.dispatcher.followers += [
            core.views.fold,
            core.waiters.follow,
            hands.traffic.follow,
            hands.addresses.follow,
            hands.health.follow,
            hands.idle.follow,
            hands.executor.follow,
            hands.cleaner.follow,
            hands.reactor.follow,
            EventLog().follow,
            core.note,
        ]

    def _services(self, tasks: Tasks, accounts: TaskAccounts, public_url: str) -> Services:
        core, world, configuration = self.core, self.hands.world, self.configuration
        return Services(
            views=core.views,
            commander=core.commander,
            deployments=self.deployments,
            wishes=self.wishes,
            history=ReleaseHistory(core.views, core.storage.store, core.pools),
            repositories=self.repositories,
            webhooks=Webhooks(core.views, self.hands.pushes, core.storage.secrets, core.pools),
            registries=Registries(core.views, core.commander, core.storage.secrets, core.pools),
            tasks=tasks,
            accounts=accounts,
            keys=self.keys,
            operations=Operations(core.views, core.commander, world.runtimes, core.pools, core.clock),
            feed=core.feed,
            log_feed=self.log_feed,
            cleaner=self.hands.cleaner,
            runtimes=world.runtimes,
            pools=core.pools,
            journal_id=core.storage.store.journal_id,
            head=lambda: core.dispatcher.head,
            is_ready=lambda: self.is_ready,
            progress=self.hands.progress.newest,
            public_url=public_url,
            default_settings={
                "taskTimeout": configuration.task_timeout,
                "syncWaitSeconds": configuration.sync_wait_seconds,
                "maxContainers": configuration.max_containers,
                "lastLogsLines": configuration.last_logs_lines,
            },
            version=__version__,
        )

    async def start(self) -> None:
        """Find everything again, then react. Requests are answered from the restored views meanwhile."""
        self._spawn(self.hands.traffic.run())
        self._spawn(self.hands.reactor.run_timers())
        await self.hands.observer.resync()
        self.hands.executor.wake()
        self.hands.reactor.wake()
        self.hands.health.wake()
        self._spawn(self.hands.idle.run())
        self._spawn(self.hands.observer.run())
        self._spawn(self.hands.polls.run())
        self._spawn(self.hands.cleaner.run())
        self.is_ready = True

    async def stop(self) -> None:
        """Refuse new work, let what is under way finish, stop the agents if so configured, and record it all."""
        self.gateway.is_draining = True
        self.hands.polls.stop()
        self.core.feed.close()
        self.log_feed.close()
        await asyncio.gather(
            self.core.watch.until(lambda: not self.core.views.tasks.running, DRAIN_LIMIT_SECONDS),
            self.hands.exchanges.drain_all(DRAIN_LIMIT_SECONDS),
        )
        self.hands.reactor.sleep()
        if self.configuration.stop_agents_on_exit:
            await self._stop_agents()

    async def close(self) -> None:
        """End everything that runs and close what is open; instances go on if they were not stopped."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.proxy.close()
        await self.hands.close()
        await self.core.close()

    async def _stop_agents(self) -> None:
        """Stop and remove every instance, also one that is just starting; the next start makes new generations."""
        for deployment_id, row in self.core.views.deployments.items():
            rollout = row.state.rollout
            if rollout is not None and rollout.step is Step.START:
                cut = FailRollout(
                    subject_id=deployment_id,
                    generation=rollout.generation,
                    step="start",
                    code=SHUTDOWN_CODE,
                    message="The server was stopped before the agent was ready",
                )
                self.core.commander.give(cut, SHUTDOWN)
        for instance_id, state in self._reachable():
            if state.status in LIVE:
                stop = StopInstance(subject_id=instance_id, reason="shutdown", grace_seconds=SHUTDOWN_GRACE_SECONDS)
                self.core.commander.give(stop, SHUTDOWN)
            elif state.status is Status.CREATED:
                self.core.commander.give(RemoveInstance(subject_id=instance_id), SHUTDOWN)
        if not await self._until_none(lambda state: state.status in LIVE):
            log.warning("some instances did not stop in time and go on running")
        for instance_id, state in self._reachable():
            if state.status is Status.STOPPED:
                self.core.commander.give(RemoveInstance(subject_id=instance_id), SHUTDOWN)
        # By what they are, too: that their removal is asked for shows only after the next commit.
        await self._until_none(
            lambda state: state.is_remove_requested or state.status in {Status.CREATED, Status.STOPPED}
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOPPING_LIMIT_SECONDS):
                await keep_networks(self.hands.world, ())  # the next start makes them again

    async def _until_none(self, matches: Callable[[Instance], bool]) -> bool:
        return await self.core.watch.until(
            lambda: not any(matches(state) for _, state in self._reachable()), STOPPING_LIMIT_SECONDS
        )

    def _reachable(self) -> list[tuple[str, Instance]]:
        rows = self.core.views.instances.items()
        return [(key, row.state) for key, row in rows if not row.state.is_unobservable]

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        task.add_done_callback(_report_end)
        self._background.append(task)


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a part of the server ended unexpectedly", exc_info=task.exception())
