"""The server's configuration: what can be set, and from where.

Later wins: defaults, `/etc/ploinky/config.json`, `~/.ploinky/config.json`, `./.ploinky/config.json`, the environment
(`PLOINKY_MAX_CONTAINERS` is `maxContainers`), the options of the command line.
"""

import os
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from ploinky.domain.errors import ConfigurationInvalid
from ploinky.domain.settings import SETTINGS
from ploinky.ports.logs import LOG_FILES_LIMIT
from ploinky.server.config_layers import (
    Given,
    Tree,
    allowed,
    environment_layer,
    file_layer,
    merged,
    option_layer,
    refused,
    settle,
    shown,
    variable_name,
)
from ploinky.server.queue_place import make_passable, memory_place

SYSTEM_FILE = Path("/etc/ploinky/config.json")
OPTION_ORIGIN = "option"
DEFAULT_ORIGIN = "default"
RUNTIME_VARIABLE = "CONTAINER_RUNTIME"
"""Read too, below `PLOINKY_CONTAINER_RUNTIME`."""

PATH_CHARACTERS = 1024
LEAST_POOL_PREFIX, MOST_POOL_PREFIX = 8, 24
TRUSTED_SOURCES = 100
SOURCE_PATTERN = r"^(https?://|file:///|/)[^\x00-\x20]*\Z"

_PATHS = (
    ("data_directory", "dataDirectory"),
    ("queue_directory", "queueDirectory"),
    ("ssh_known_hosts_file", "sshKnownHostsFile"),
)

OTHER_VARIABLES = frozenset(
    f"PLOINKY_{name}"
    for name in (
        # of the command line and of tests
        *("URL", "KEY", "PROFILE", "TRACEBACK", "FAILPOINTS", "FAILPOINTS_LOG", "FAILPOINTS_ARMED"),
        # inside an agent
        *("AGENT", "DOMAIN", "PATH", "QUEUE_DIR", "CONCURRENCY", "DRAIN_SECONDS", "WATCH", "PROCESS", "SECRET_NAMES"),
        "DEPENDENCIES_DIR",
    )
)
"""Start like configuration and are none."""


def _whole(least: int, most: int, unit: str = "") -> msgspec.Meta:
    return msgspec.Meta(ge=least, le=most, description=f"a whole number{unit} from {least} to {most}")


def _of_setting(name: str, unit: str) -> msgspec.Meta:
    """Hold the configuration to the bounds of the setting that overrides it."""
    bounds = SETTINGS[name]
    words = f"a {'whole ' if bounds.kind is int else ''}number{unit} from {bounds.least:g} to {bounds.most:g}"
    return msgspec.Meta(ge=bounds.kind(bounds.least), le=bounds.kind(bounds.most), description=words)


def _choice(*names: str) -> msgspec.Meta:
    return msgspec.Meta(description=f"one of {', '.join(names)}")


Port = Annotated[int, _whole(0, 65535)]
DirectoryText = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=PATH_CHARACTERS,
        pattern=r"^[^\x00-\x1f]*$",
        description=f"a folder's path of at most {PATH_CHARACTERS} characters",
    ),
]


HostText = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z.:-]{1,253}\Z", description="a host's name")]


NameList = Annotated[
    tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=PATH_CHARACTERS)], ...],
    msgspec.Meta(max_length=100, description="a list of at most 100 names"),
]


class Configuration(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an operator can set; in files in camel case."""

    host: Annotated[
        str, msgspec.Meta(pattern=r"^[0-9A-Za-z.:%_-]{1,253}\Z", description="an address or the name of this machine")
    ] = "127.0.0.1"
    port: Port = 8000
    """Where deployments answer; 0 = any free one."""
    management_port: Port = 8001
    """Where the management answers; 0 = any free one."""
    task_timeout: Annotated[float, _of_setting("taskTimeout", " of seconds")] = 300.0
    """Seconds of an attempt, where neither deployer nor manifest says."""
    sync_wait_seconds: Annotated[float, _of_setting("syncWaitSeconds", " of seconds")] = 30.0
    """How long a synchronous caller waits before 202."""
    max_containers: Annotated[int, _of_setting("maxContainers", "")] = 100
    """Deployments at the same time."""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _choice("debug", "info", "warning", "error")] = (
        "info"
    )
    agent_start_timeout_ms: Annotated[int, _whole(1_000, 3_600_000, " of milliseconds")] = 60_000
    """How long an instance may take until it says that it is ready."""
    revert_window_seconds: Annotated[int, _whole(0, 3_600, " of seconds")] = 5
    """How long what served before is kept after a change, to go back to it; 0 = it is let go at once."""
    install_timeout: Annotated[int, _whole(1, 86_400, " of seconds")] = 600
    """Seconds that installing an agent's dependencies may take."""
    log_file_bytes: Annotated[int, _whole(64 * 1024, 1024**3, " of bytes")] = 10 * 1024 * 1024
    """How large one file of an instance's output grows."""
    log_files: Annotated[int, _whole(2, LOG_FILES_LIMIT, " of files")] = 2
    """Of each instance, the one that is written included."""
    log_generations: Annotated[int, _whole(1, 1_000, " of generations")] = 20
    """Of each deployment, whose output is kept."""
    disk_warning_bytes: Annotated[int, _whole(0, 1 << 60, " of bytes")] = 1 << 30
    """Free space below which the server warns."""
    last_logs_lines: Annotated[int, _of_setting("lastLogsLines", " of lines")] = 200
    """Shown where a caller does not say how many."""
    container_runtime: Annotated[
        Literal["auto", "docker", "podman", "process"], _choice("auto", "docker", "podman", "process")
    ] = "auto"
    """Where deployments run that do not choose themselves."""
    cache_time: Annotated[float, msgspec.Meta(ge=0, le=86_400, description="a number of seconds from 0 to 86400")] = 0.0
    """How long a git server's answer is good; 0 = each deploy asks. An update always asks."""
    allow_local_repositories: bool = False
    """Whether others than administrators may name repositories on this machine's disk."""
    ssh_known_hosts_file: Annotated[
        DirectoryText | None,
        msgspec.Meta(description=f"a file's path of at most {PATH_CHARACTERS} characters, or null"),
    ] = None
    """Hosts that repositories are fetched from over ssh; None = the system's and the server user's own files."""
    submodule_hosts: Annotated[
        tuple[HostText, ...], msgspec.Meta(max_length=100, description="a list of at most 100 host names")
    ] = ()
    """Where submodules may come from besides their repository's own host."""
    network_pool: Annotated[
        str | None,
        msgspec.Meta(description="a private IPv4 network of at most 24 bits prefix, as 10.210.0.0/16, or null"),
    ] = "10.210.0.0/16"
    """Cut into the deployments' own networks; null = all share the engine's."""
    allowed_mounts: NameList = ()
    """Paths of this machine, with all below them, that manifests may mount; an engine's socket is one."""
    allowed_devices: NameList = ()
    allowed_networks: NameList = ()
    """Engines' networks that agents may join; `host` is the machine's own."""
    allowed_privileged: NameList = ()
    """Names of agents that may run privileged."""
    agent_image: Annotated[
        str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._:/@-]{0,511}\Z", description="an image's reference")
    ] = "python:3-slim"
    """Pulled when an agent names no image and the engine has no base image of ours."""
    data_directory: DirectoryText
    """Absolute once loaded."""
    queue_directory: Annotated[
        DirectoryText | None,
        msgspec.Meta(description=f"a folder's path of at most {PATH_CHARACTERS} characters, or null"),
    ] = None
    """Absolute once loaded; None = chosen, see `choose_queue_directory`."""
    stop_agents_on_exit: bool = True
    trusted_sources: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=SOURCE_PATTERN, max_length=PATH_CHARACTERS)], ...],
        msgspec.Meta(max_length=TRUSTED_SOURCES, description="a list of URLs and of absolute paths of folders"),
    ] = ()
    """Repositories that are these, or below them, may run where nothing keeps an agent apart from the server."""


class Loaded(NamedTuple):
    """A configuration, and for each key of a file where its value came from."""

    configuration: Configuration
    origins: Mapping[str, str]
    """A file's path, the name of an environment variable, `option` or `default`."""


def load_configuration(
    overrides: Mapping[str, object],
    *,
    default_data_directory: str | None = None,
    environ: Mapping[str, str] = os.environ,
    working_directory: Path | None = None,
    home: Path | None = None,
    system_file: Path = SYSTEM_FILE,
) -> Loaded:
    """Read all layers and validate what comes out.

    `overrides` are the options of the command line, in either spelling, None where not given. Raises
    `ConfigurationInvalid`, which names key, value, where it came from, and what is allowed.
    """
    home = home or _home(environ)
    working_directory = working_directory or _working_directory()
    tree = _defaults(default_data_directory, home)
    for path in _files(system_file, home, working_directory):
        tree = merged(tree, file_layer(path))
    if runtime := environ.get(RUNTIME_VARIABLE):
        tree = merged(tree, {"containerRuntime": Given(runtime, RUNTIME_VARIABLE, is_text=True)})
    tree = merged(tree, environment_layer(environ, OTHER_VARIABLES))
    tree = merged(tree, option_layer(overrides, OPTION_ORIGIN))
    if "dataDirectory" not in tree:
        hint = f"Choose one with {variable_name('dataDirectory')}."
        raise ConfigurationInvalid("There is no home directory to keep the data in", hint=hint)
    values, origins = settle(Configuration, tree)
    for name, key in _PATHS:
        if values.get(name) is not None:
            values[name] = _absolute(key, tree[key], home, working_directory)
    configuration = Configuration(**values)
    if configuration.network_pool is not None and not _is_pool(configuration.network_pool):
        raise refused("networkPool", tree["networkPool"], allowed_values()["networkPool"])
    _refuse_equal_ports(configuration, origins)
    keys = Configuration.__struct_encode_fields__
    return Loaded(configuration, {key: origins.get(key, DEFAULT_ORIGIN) for key in keys})


def allowed_values() -> Mapping[str, str]:
    """Say of each key in words what it may be."""
    fields = msgspec.structs.fields(Configuration)
    return {field.encode_name: allowed(field.type) for field in fields}


def choose_queue_directory(configuration: Configuration, agents_place: Path | None = None) -> Path:
    """Return where the agents' queues lie, made when it is not there yet.

    The configured folder, else one in memory where that outlives a logout, else `queues` where agents' folders lie
    (default: the data directory). Raises `ConfigurationInvalid` when none can be made.
    """
    place = None if configuration.queue_directory else memory_place(configuration.data_directory)
    if place is not None:
        return place
    beside = agents_place or Path(configuration.data_directory)
    place = Path(configuration.queue_directory) if configuration.queue_directory else beside / "queues"
    key = "queueDirectory" if configuration.queue_directory else "dataDirectory"
    try:
        if key == "dataDirectory":
            os.makedirs(configuration.data_directory, mode=0o700, exist_ok=True)
        make_passable(place)
    except OSError as error:
        message = f"The folder {place} for queues cannot be made: {error.strerror}"
        raise ConfigurationInvalid(message, hint=f"Choose another {key}.", key=key) from error
    return place


def _defaults(default_data_directory: str | None, home: Path | None) -> Tree:
    if default_data_directory is None and home is not None:
        default_data_directory = str(home / ".ploinky" / "data")
    return {} if default_data_directory is None else {"dataDirectory": Given(default_data_directory, DEFAULT_ORIGIN)}


def _files(system_file: Path, home: Path | None, working_directory: Path) -> list[Path]:
    own = [home / ".ploinky" / "config.json"] if home is not None else []
    return [system_file, *own, working_directory / ".ploinky" / "config.json"]


def _home(environ: Mapping[str, str]) -> Path | None:
    if os.path.isabs(environ.get("HOME", "")):
        return Path(environ["HOME"])
    try:
        return Path.home()
    except RuntimeError:
        return None


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise ConfigurationInvalid("The current folder was removed", hint="Change to another one.") from error


def _absolute(key: str, given: Given, home: Path | None, working_directory: Path) -> str:
    text = str(given.value)
    if text == "~" or text.startswith("~/"):
        if home is None:
            raise refused(key, given, "an absolute path where there is no home directory")
        text = str(home) + text[1:]
    elif text.startswith("~"):
        raise refused(key, given, "a path, absolute or starting with ~/; homes of others are not looked up")
    path = os.path.normpath(os.path.join(working_directory, text))
    if path.strip("/") == "":
        raise refused(key, given, "a folder of its own")
    return path


def _is_pool(text: str) -> bool:
    try:
        pool = IPv4Network(text)
    except ValueError:
        return False
    return pool.is_private and LEAST_POOL_PREFIX <= pool.prefixlen <= MOST_POOL_PREFIX


def _refuse_equal_ports(configuration: Configuration, origins: Mapping[str, str]) -> None:
    if configuration.port == 0 or configuration.port != configuration.management_port:
        return
    sources = ", ".join(f"{key} from {origins.get(key, DEFAULT_ORIGIN)}" for key in ("port", "managementPort"))
    message = f"port and managementPort cannot both be {shown(configuration.port)} ({sources})"
    raise ConfigurationInvalid(message, hint="Choose two different ports.", key="managementPort")
