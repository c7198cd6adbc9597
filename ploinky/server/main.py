"""What the command line asks of the server's code: run it, replace a lost key, build the image, make a repository."""

import asyncio
import contextlib
import logging
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from socket import socket
from typing import Any

import uvloop

from ploinky.adapters.docker_runtime import DockerRuntime, PodmanRuntime
from ploinky.adapters.dulwich_new_repository import make_repository
from ploinky.adapters.hmac_signer import HmacSigner
from ploinky.control.runtimes import Runtimes
from ploinky.domain.errors import DirectoryBusy, DirectoryUnusable
from ploinky.domain.specs import RuntimeChoice
from ploinky.journal.dispatcher import Context
from ploinky.server.config import DEFAULT_ORIGIN, Configuration, load_configuration
from ploinky.server.first_run import FirstRun, local_url
from ploinky.server.installation import read_profile, write_profile
from ploinky.server.listening import HttpServer, http_server, listen
from ploinky.server.log_output import set_up_logging
from ploinky.server.node import Node
from ploinky.server.recovery_request import ask_running_server
from ploinky.server.storage import Storage, open_storage, take_lease
from ploinky.usecases.keys import RECOVERY

log = logging.getLogger(__name__)


def run(overrides: dict[str, object], default_data_directory: str | None, with_demo: bool) -> int:  # noqa: FBT001 - the command line calls it by position
    """Run a primary until it is told to stop; return its exit code. Raises `PloinkyError` when it cannot start."""
    configuration, origins = load_configuration(overrides, default_data_directory=default_data_directory)
    # Somebody is reading along: what happens is told by the greeting, the log says what goes wrong.
    is_quiet = with_demo and origins["logLevel"] == DEFAULT_ORIGIN
    set_up_logging("warning" if is_quiet else configuration.log_level)
    _raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(configuration, with_demo=with_demo))


async def _serve(configuration: Configuration, *, with_demo: bool) -> int:
    directory = Path(configuration.data_directory)
    with contextlib.ExitStack() as opened:
        lease = take_lease(directory)
        opened.callback(lease.release)
        listeners = [
            listen(configuration.host, configuration.port, "PLOINKY_PORT"),
            listen(configuration.host, configuration.management_port, "PLOINKY_MANAGEMENT_PORT"),
        ]
        for listener in listeners:
            opened.callback(listener.close)
        storage = open_storage(directory, lease)
        opened.callback(storage.close)
        url = local_url(listeners[0])
        node = Node(configuration, storage, url)
        node.application.management_port = listeners[1].getsockname()[1]
        server = http_server(node.application)
        first_run = FirstRun(node, url, with_demo=with_demo)
        return await _run_until_stopped(node, server, listeners, first_run)


async def _run_until_stopped(node: Node, server: HttpServer, listeners: list[socket], first_run: FirstRun) -> int:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, _stop_or_leave, stopping)
    serving = loop.create_task(server.serve(listeners))
    greeting: asyncio.Task[None] | None = None
    try:
        await node.start()
        greeting = loop.create_task(first_run.run())
        waiting: set[asyncio.Future[Any]] = {loop.create_task(stopping.wait()), node.core.failed, serving}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if node.core.failed.done():
            raise node.core.failed.result()
        log.info("stopping: no new work is taken")
        await node.stop()
        return 0
    finally:
        if greeting is not None:
            greeting.cancel()
        server.should_exit = True
        await asyncio.wait({serving})
        await node.close()


def _stop_or_leave(stopping: asyncio.Event) -> None:
    """Stop in order at the first signal; at the second, at once: nothing acknowledged is lost by that."""
    if stopping.is_set():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    stopping.set()


def _raise_file_limit() -> None:
    """Take all descriptors the system allows: each instance's queue holds a few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def recover_key(overrides: dict[str, object]) -> dict[str, str]:
    """Replace all admin keys of this machine's installation; return `{key, keyId}`.

    Whoever can read the data directory's key files may do this. Asks the server when it runs, else writes the journal
    itself. Raises `DirectoryUnusable` when there is no installation.
    """
    configuration = load_configuration(overrides).configuration
    directory = Path(configuration.data_directory)
    if not (directory / "keys").is_dir():
        raise DirectoryUnusable(
            f"There is no installation in {directory}", hint="Name its directory with --data-directory."
        )
    try:
        lease = take_lease(directory)
    except DirectoryBusy:
        issued_at = int(time.time())
        proof = HmacSigner.in_directory(directory).token(RECOVERY, str(issued_at))
        made = ask_running_server(directory, issued_at, proof)
    else:
        with contextlib.closing(open_storage(directory, lease)) as storage:
            made = asyncio.run(_replace_keys(configuration, storage))
    profile = read_profile(directory)
    if profile is not None:
        write_profile(directory, profile["url"], made["key"])
    return made


def build_base_image(progress: Callable[[str], None], kind: str) -> str:
    """Build the image that agents run in for `docker`, `podman` or, with `auto`, the first of them that answers.

    Raises `RuntimeUnavailable` or `ImageUnavailable`.
    """
    engines = {"docker": DockerRuntime(), "podman": PodmanRuntime()}
    try:
        runtime = Runtimes(engines).choose(RuntimeChoice(kind), repository="", needs_image=True)
        return engines[runtime.kind].build_base_image(progress).reference
    finally:
        for engine in engines.values():
            engine.close()


def init_repository(path: str) -> None:
    """Make a folder a git repository with everything in one commit."""
    make_repository(path)


async def _replace_keys(configuration: Configuration, storage: Storage) -> dict[str, str]:
    node = Node(configuration, storage, "")
    try:
        key = await node.keys.replace_all(Context("recovery", "recovery"))
    finally:
        await node.close()
    return {"key": key.text, "keyId": key.key_id}
