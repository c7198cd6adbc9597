"""Which adapters make the outer ports real on this machine."""

from ipaddress import IPv4Network
from pathlib import Path

from ploinky.adapters.agent_folders import FileAgentFolders
from ploinky.adapters.dependency_folders import FileDependencyFolders
from ploinky.adapters.docker_runtime import DockerRuntime, PodmanRuntime
from ploinky.adapters.dulwich_sources import DulwichSources
from ploinky.adapters.process_runtime import ProcessRuntime
from ploinky.control.runtimes import Runtimes
from ploinky.ports.dependencies import DependencyFolders
from ploinky.ports.runtime import Runtime
from ploinky.ports.sources import AgentFolders, Sources
from ploinky.server.config import Configuration


def make_runtimes(configuration: Configuration, directory: Path, queues: Path) -> Runtimes:
    """Make the runtimes in the order of preference; a configured one is the only one."""
    known: dict[str, Runtime] = {
        engine.kind: engine(
            default_image=configuration.agent_image,
            network_pool=IPv4Network(configuration.network_pool) if configuration.network_pool else None,
            trial_folder=queues / f"trial-{engine.kind}",
            findings_file=directory / "engines" / f"{engine.kind}.json",
        )
        for engine in (DockerRuntime, PodmanRuntime)
    }
    known["process"] = ProcessRuntime(directory / "processes")
    chosen = configuration.container_runtime
    return Runtimes(known if chosen == "auto" else {chosen: known[chosen]})


def make_sources(configuration: Configuration, directory: Path) -> Sources:
    """Make what fetches repositories."""
    return DulwichSources(
        directory / "repos",
        ttl_seconds=configuration.cache_time,
        known_hosts_file=configuration.ssh_known_hosts_file,
        submodule_hosts=configuration.submodule_hosts,
    )


def make_dependencies(directory: Path) -> DependencyFolders:
    """Make what keeps installed dependencies."""
    return FileDependencyFolders(directory / "dependencies")


def make_folders(directory: Path) -> AgentFolders:
    """Make what prepares agents' folders."""
    return FileAgentFolders(directory / "releases")
