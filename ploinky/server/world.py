"""Which adapters make the outer ports real on this machine."""

from ipaddress import IPv4Network
from pathlib import Path

from ploinky.adapters.agent_folders import FileAgentFolders
from ploinky.adapters.dependency_folders import FileDependencyFolders
from ploinky.adapters.docker_runtime import DockerRuntime, PodmanRuntime
from ploinky.adapters.dulwich_sources import DulwichSources
from ploinky.adapters.file_leftovers import FileLeftovers
from ploinky.adapters.process_runtime import ProcessRuntime
from ploinky.adapters.trusted_sources import TrustedSources
from ploinky.control.runtimes import Runtimes
from ploinky.domain.allowances import Allowed
from ploinky.ports.dependencies import DependencyFolders
from ploinky.ports.leftovers import Leftovers
from ploinky.ports.runtime import Runtime
from ploinky.ports.sources import AgentFolders, Sources
from ploinky.server.config import Configuration
from ploinky.server.installation import DEMO_REPOSITORY


def make_runtimes(configuration: Configuration, directory: Path, queues: Path, place: Path) -> Runtimes:
    """Make the runtimes in the order of preference; a configured one is the only one.

    `place` is where agents with users of their own can reach what is theirs.
    """
    known: dict[str, Runtime] = {
        engine.kind: engine(
            default_image=configuration.agent_image,
            network_pool=IPv4Network(configuration.network_pool) if configuration.network_pool else None,
            trial_folder=queues / f"trial-{engine.kind}",
            findings_file=directory / "engines" / f"{engine.kind}.json",
        )
        for engine in (DockerRuntime, PodmanRuntime)
    }
    known["process"] = ProcessRuntime(directory / "processes", temporary_directory=place / "temporary")
    chosen = configuration.container_runtime
    trusts = TrustedSources([*configuration.trusted_sources, str(directory / DEMO_REPOSITORY)], directory)
    return Runtimes(known if chosen == "auto" else {chosen: known[chosen]}, trusts)


def make_sources(configuration: Configuration, directory: Path) -> Sources:
    """Make what fetches repositories."""
    return DulwichSources(
        directory / "repos",
        ttl_seconds=configuration.cache_time,
        known_hosts_file=configuration.ssh_known_hosts_file,
        submodule_hosts=configuration.submodule_hosts,
        keeps_spare=True,
    )


def make_leftovers(directory: Path, place: Path) -> Leftovers:
    """Make what finds folders that nobody may need."""
    return FileLeftovers(releases_directory=place / "releases", repos_directory=directory / "repos")


def make_dependencies(place: Path) -> DependencyFolders:
    """Make what keeps installed dependencies."""
    return FileDependencyFolders(place / "dependencies")


def allowed_by(configuration: Configuration) -> Allowed:
    """Return what the operator allows agents to have beyond their container."""
    return Allowed(
        mounts=configuration.allowed_mounts,
        devices=configuration.allowed_devices,
        networks=configuration.allowed_networks,
        privileged=configuration.allowed_privileged,
    )


def make_folders(place: Path, directory: Path) -> AgentFolders:
    """Make what prepares agents' folders."""
    return FileAgentFolders(place / "releases", directory / "data")
