"""The ports that effects use, in one place."""

from typing import NamedTuple

from ploinky.control.environments import Environments
from ploinky.control.pools import Pools
from ploinky.control.runtimes import Runtimes
from ploinky.ports.courier import Courier
from ploinky.ports.dependencies import DependencyFolders
from ploinky.ports.leftovers import Leftovers
from ploinky.ports.logs import LogBounds, LogStore
from ploinky.ports.secrets import SecretStore
from ploinky.ports.sources import AgentFolders, Sources


class Site(NamedTuple):
    """What instances are told of this installation."""

    journal_id: str
    epoch: int
    agentcore_directory: str
    is_root: bool
    own_user_id: int
    log_bounds: LogBounds = LogBounds()


class World(NamedTuple):
    """Everything outside that effects touch."""

    runtimes: Runtimes
    courier: Courier
    sources: Sources
    folders: AgentFolders
    dependencies: DependencyFolders
    leftovers: Leftovers
    environments: Environments
    secrets: SecretStore
    logs: LogStore
    pools: Pools
    site: Site
