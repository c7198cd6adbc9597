"""The parts that touch the world, put together over the core. Names the courier's and the logs' adapters."""

import asyncio
import logging
import os
from pathlib import Path

from ploinky.adapters.aiohttp_probes import AiohttpProbes
from ploinky.adapters.file_courier import FileCourier
from ploinky.adapters.file_logs import FileLogStore
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
from ploinky.control.pushes import Pushes
from ploinky.control.reactor import Reactor
from ploinky.control.repository_polls import RepositoryPolls
from ploinky.control.runtime_observer import RuntimeObserver
from ploinky.control.signs_of_life import SignsOfLife
from ploinky.control.source_effects import SourceEffects
from ploinky.control.task_traffic import TaskTraffic
from ploinky.control.world import Site, World
from ploinky.domain.release import ReleaseDefaults
from ploinky.ports.courier import Courier
from ploinky.ports.logs import LogBounds
from ploinky.server.agentcore_copy import install_agentcore
from ploinky.server.agents_place import agents_place
from ploinky.server.config import Configuration, choose_queue_directory
from ploinky.server.core import Core
from ploinky.server.progress import ProgressBoard
from ploinky.server.world import (
    allowed_by,
    make_dependencies,
    make_folders,
    make_leftovers,
    make_runtimes,
    make_sources,
)
from ploinky.views.intents import IntentKind

log = logging.getLogger(__name__)


class Hands:
    """Executor, traffic, observer and reactor of one primary."""

    def __init__(self, core: Core, configuration: Configuration) -> None:
        """Make them; nothing runs yet."""
        self.progress = ProgressBoard()
        directory = core.storage.directory
        place = agents_place(directory, has_processes=configuration.container_runtime in {"auto", "process"})
        queues = str(choose_queue_directory(configuration, place))
        self._courier = FileCourier(queues, asyncio.get_running_loop(), log.warning)
        self.traffic = TaskTraffic(core.views, core.commander, self._courier, core.orders, SignsOfLife(core.clock))
        self.world = _make_world(core, configuration, self._courier, Path(queues), place)
        self.exchanges = Exchanges()
        self.addresses = Addresses(core.views, self.world)
        probing = Probing(self.world, self.addresses, AiohttpProbes())
        self.health = HealthWatch(core.views, core.commander, probing, self.traffic.has_runner)
        self.idle = IdleWatch(core.views, core.commander, self.exchanges, core.clock)
        effects = InstanceEffects(core.views, self.world, self.traffic, self.exchanges, self.health.finding)
        # A whole number would be recorded as one and read back as a float: views have to be the same either way.
        defaults = ReleaseDefaults(
            time_limit_seconds=float(configuration.task_timeout),
            start_limit_seconds=configuration.agent_start_timeout_ms / 1000,
            revert_window_seconds=float(configuration.revert_window_seconds),
            allowed=allowed_by(configuration),
        )
        sources = SourceEffects(core.views, self.world, defaults, self.progress.note)
        self.cleaner = Cleaner(core.views, self.world, configuration.disk_warning_bytes)
        images = ImageEffects(core.views, self.world, self.progress.note)
        installs = InstallEffects(core.views, self.world, configuration.install_timeout, self.progress.note)
        self.executor = Executor(
            core.views,
            core.commander,
            {
                IntentKind.FETCH_SOURCE: sources.fetch_source,
                IntentKind.READY_IMAGE: images.ready_image,
                IntentKind.INSTALL_DEPENDENCIES: installs.install,
                IntentKind.START_INSTANCE: effects.start,
                IntentKind.PAUSE_INSTANCE: effects.pause,
                IntentKind.RESUME_INSTANCE: effects.resume,
                IntentKind.STOP_INSTANCE: effects.stop,
                IntentKind.REMOVE_INSTANCE: effects.remove,
                IntentKind.DISCARD_DEPLOYMENT: effects.discard,
            },
        )
        self.pushes = Pushes(core.views, core.commander)
        self.polls = RepositoryPolls(core.views, self.pushes, self.world, core.clock)
        self.reactor = Reactor(core.views, core.commander, core.clock)
        self.observer = RuntimeObserver(core.views, core.commander, self.world, effects, self.traffic)

    async def close(self) -> None:
        """Stop touching the world; instances go on, open intents stay open."""
        await self.health.close()
        await self.executor.close()
        self.observer.close()
        self.world.runtimes.close()
        self.world.sources.close()
        self._courier.close()


def _make_world(core: Core, configuration: Configuration, courier: Courier, queues: Path, place: Path) -> World:
    directory = core.storage.directory
    site = Site(
        journal_id=core.storage.store.journal_id,
        epoch=core.storage.head.epoch,
        agentcore_directory=str(install_agentcore(place)),
        is_root=os.geteuid() == 0,
        own_user_id=os.geteuid(),
        log_bounds=LogBounds(configuration.log_file_bytes, configuration.log_files, configuration.log_generations),
    )
    return World(
        runtimes=make_runtimes(configuration, directory, queues, place),
        courier=courier,
        sources=make_sources(configuration, directory),
        folders=make_folders(place, directory),
        dependencies=make_dependencies(place),
        leftovers=make_leftovers(directory, place),
        environments=Environments(core.views, core.orders),
        secrets=core.storage.secrets,
        logs=FileLogStore(str(directory / "logs")),
        pools=core.pools,
        site=site,
    )
