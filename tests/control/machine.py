"""Core, executor, traffic, observer and reactor as the server wires them, over memory adapters that can fail."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ploinky.adapters.fcntl_lease import FcntlLease
from ploinky.adapters.hmac_signer import HmacSigner
from ploinky.adapters.memory.agent_folders import MemoryAgentFolders
from ploinky.adapters.memory.blobs import MemoryBlobStore
from ploinky.adapters.memory.clock import ManualClock
from ploinky.adapters.memory.courier import MemoryCourier
from ploinky.adapters.memory.dependency_folders import MemoryDependencyFolders
from ploinky.adapters.memory.journal import JournalContents, MemoryJournalStore
from ploinky.adapters.memory.leftovers import MemoryLeftovers
from ploinky.adapters.memory.logs import MemoryLogStore
from ploinky.adapters.memory.probes import MemoryProbes
from ploinky.adapters.memory.runtime import MemoryRuntime
from ploinky.adapters.memory.secrets import MemorySecrets
from ploinky.adapters.memory.sources import MemorySources
from ploinky.control import executor, idle_watch, reactor, runtime_observer, task_traffic
from ploinky.control.addresses import Addresses
from ploinky.control.cleanup import Cleaner
from ploinky.control.environments import Environments
from ploinky.control.exchanges import Exchanges
from ploinky.control.executor import Executor
from ploinky.control.health_watch import HealthWatch
from ploinky.control.idle_watch import IdleWatch
from ploinky.control.image_effects import ImageEffects
from ploinky.control.install_effects import InstallEffects
from ploinky.control.instance_effects import InstanceEffects
from ploinky.control.probing import Probing
from ploinky.control.reactor import Reactor
from ploinky.control.runtime_observer import RuntimeObserver
from ploinky.control.runtimes import Runtimes
from ploinky.control.signs_of_life import SignsOfLife
from ploinky.control.source_effects import SourceEffects
from ploinky.control.task_traffic import TaskTraffic
from ploinky.control.world import Site, World
from ploinky.domain import commands as c
from ploinky.domain.instance import Instance
from ploinky.domain.payload import inline_payload
from ploinky.domain.release import ReleaseDefaults
from ploinky.domain.specs import DeploymentSpec
from ploinky.domain.task import Task
from ploinky.journal.dispatcher import Context
from ploinky.ports.courier import TaskOrder
from ploinky.server.core import Core
from ploinky.server.storage import Storage
from ploinky.views.intents import IntentKind
from tests.waiting import eventually

URL, ANYBODY = "/srv/agents", Context("key:tester", "request-1")
SPEC = DeploymentSpec(agent="sample", repository=URL)
SITE = Site(journal_id="memory000001", epoch=1, agentcore_directory="/memory", is_root=False, own_user_id=1_000)


def echo(order: TaskOrder) -> object:
    return [order.command, order.attempt]


class Surroundings:
    """What outlives a server: the journal, the engine, the agents' queues, the repositories."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.contents = JournalContents()
        self.runtime = MemoryRuntime()
        self.courier = MemoryCourier(echo)
        self.probes = MemoryProbes()
        self.clock = ManualClock()
        self.revert_window_seconds = 0.0
        self.sources = MemorySources()
        self.sources.commit(URL, {"sample/manifest.json": b'{"access": "public"}'})
        self.dependencies = MemoryDependencyFolders()
        self.leftovers = MemoryLeftovers()
        self.blobs, self.logs, self.secrets = MemoryBlobStore(), MemoryLogStore(), MemorySecrets()

    def world(self, core: Core) -> World:
        return World(
            runtimes=Runtimes({"memory": self.runtime}),
            courier=self.courier,
            sources=self.sources,
            folders=MemoryAgentFolders(self.sources.trees),
            dependencies=self.dependencies,
            leftovers=self.leftovers,
            environments=Environments(core.views, core.orders),
            secrets=self.secrets,
            logs=self.logs,
            pools=core.pools,
            site=SITE,
        )


class Machine:
    """A running server without its fronts."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        store = MemoryJournalStore(around.contents)
        lease = FcntlLease(str(around.directory))
        lease.acquire()
        signer = HmacSigner.in_directory(around.directory)
        head = store.take_epoch()
        self.storage = Storage(
            directory=around.directory,
            lease=lease,
            store=store,
            blobs=around.blobs,
            signer=signer,
            secrets=around.secrets,
            head=head,
        )
        self.core = core = Core(self.storage)
        self.views = core.views
        self.traffic = TaskTraffic(core.views, core.commander, around.courier, core.orders, SignsOfLife(around.clock))
        self.world = around.world(core)
        self.exchanges = Exchanges()
        self.addresses = Addresses(core.views, self.world)
        probing = Probing(self.world, self.addresses, around.probes)
        self.health = HealthWatch(core.views, core.commander, probing, self.traffic.has_runner)
        self.idle = IdleWatch(core.views, core.commander, self.exchanges, around.clock)
        effects = InstanceEffects(core.views, self.world, self.traffic, self.exchanges, self.health.finding)
        sources = SourceEffects(
            core.views, self.world, ReleaseDefaults(300.0, 60.0, around.revert_window_seconds), lambda _id, _line: None
        )
        self.cleaner = Cleaner(core.views, self.world)
        self.installs = InstallEffects(core.views, self.world, 60.0, lambda _id, _line: None)
        kinds = IntentKind
        self.executor = Executor(
            core.views,
            core.commander,
            {
                kinds.FETCH_SOURCE: sources.fetch_source,
                kinds.READY_IMAGE: ImageEffects(core.views, self.world, lambda _id, _line: None).ready_image,
                kinds.INSTALL_DEPENDENCIES: self.installs.install,
                kinds.START_INSTANCE: effects.start,
                kinds.PAUSE_INSTANCE: effects.pause,
                kinds.RESUME_INSTANCE: effects.resume,
                kinds.STOP_INSTANCE: effects.stop,
                kinds.REMOVE_INSTANCE: effects.remove,
                kinds.DISCARD_DEPLOYMENT: effects.discard,
            },
        )
        self.reactor = Reactor(core.views, core.commander, core.clock)
        self.observer = RuntimeObserver(core.views, core.commander, self.world, effects, self.traffic)
        web = [self.addresses.follow, self.health.follow, self.idle.follow]
        follow = [self.traffic.follow, *web, self.executor.follow, self.reactor.follow, core.note]
        core.dispatcher.followers += [core.views.fold, core.waiters.follow, *follow]
        self._background: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        for coroutine in (self.traffic.run(), self.reactor.run_timers(), self.idle.run()):
            self._background.append(asyncio.get_running_loop().create_task(coroutine))
        await self.observer.resync()
        self.executor.wake()
        self.reactor.wake()
        self.health.wake()
        self._background.append(asyncio.get_running_loop().create_task(self.observer.run()))

    async def close(self) -> None:
        """End as a server that leaves its agents alone."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.health.close()
        await self.executor.close()
        self.observer.close()
        self.around.runtime.close()
        self.around.courier.close()
        await self.core.close()
        self.storage.close()

    async def give(self, command: c.Command) -> str:
        return (await self.core.commander.execute(command, ANYBODY)).subject_id

    async def deploy(self, deployment_id: str = "d1") -> str:
        """Deploy, and wait until it serves; return its newest instance."""
        await self.give(c.Deploy(subject_id=deployment_id, domain="*", path=f"/{deployment_id}", spec=SPEC))
        return await self.ready_instance(deployment_id)

    async def ready_instance(self, deployment_id: str = "d1", generation: int = 1) -> str:
        def is_serving() -> bool:
            row = self.views.deployments.rows.get(deployment_id)
            return row is not None and row.state.rollout is None and row.state.active_generation >= generation

        await eventually(is_serving, what=f"generation {generation} of {deployment_id}")
        return self.views.instances_of(deployment_id)[-1][0]

    async def submit(self, task_id: str, deployment_id: str = "d1") -> None:
        task = c.SubmitTask(
            subject_id=task_id,
            deployment_id=deployment_id,
            command="echo",
            params=inline_payload(b"[]", b"salt"),
            metadata=inline_payload(b"{}", b"salt"),
        )
        await self.give(task)

    def instance(self, instance_id: str) -> Instance | None:
        return self.views.instances.get(instance_id)

    def task(self, task_id: str) -> Task:
        row = self.views.tasks.get(task_id)
        assert row is not None
        return row.state

    def types(self, stream: str) -> list[str]:
        return [record.type for record in self.storage.store.read_stream(stream)]


@asynccontextmanager
async def running(around: Surroundings) -> AsyncIterator[Machine]:
    """Run a machine; what goes wrong in the journal fails the test."""
    machine = Machine(around)
    try:
        await machine.start()
        yield machine
        assert not machine.core.failed.done()
    finally:
        await machine.close()


Scenario = Callable[[Surroundings], Coroutine[Any, Any, None]]
Play = Callable[[Scenario], None]


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for seconds."""
    monkeypatch.setattr(executor, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(reactor, "LONGEST_SLEEP_SECONDS", 0.05)
    monkeypatch.setattr(runtime_observer, "RESYNC_SECONDS", 0.05)
    monkeypatch.setattr(runtime_observer, "RECONNECT_SECONDS", 0.05)
    monkeypatch.setattr(task_traffic, "SCAN_SECONDS", 0.05)
    monkeypatch.setattr(idle_watch, "LOOK_SECONDS", 0.02)
