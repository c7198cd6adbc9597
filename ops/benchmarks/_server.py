"""A real server as a child process, for benchmarks."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ploinky.client import PloinkyClient

MEMORY_DIRECTORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - a folder of our own is made there
START_LIMIT_SECONDS = 60.0
STOP_LIMIT_SECONDS = 40.0


class Started(NamedTuple):
    """A server that answers."""

    url: str
    key: str
    """An administrator's."""
    process_id: int


@contextmanager
def started_server(folder: Path, runtime: str, wrapper: tuple[str, ...] = ()) -> Iterator[Started]:
    """Start a server in a folder of its own, and stop it at the end.

    `wrapper` are the words of a program that runs it, such as a profiler.
    """
    memory = tempfile.TemporaryDirectory(prefix="ploinky-bench-", dir=MEMORY_DIRECTORY)
    command = [*wrapper, sys.executable, "-m", "ploinky.cli.main", "start"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PLOINKY_")},
        "HOME": str(folder),
        "PLOINKY_DATA_DIRECTORY": str(folder / "data"),
        "PLOINKY_QUEUE_DIRECTORY": memory.name,
        "PLOINKY_PORT": "0",
        "PLOINKY_MANAGEMENT_PORT": "0",
        "PLOINKY_CONTAINER_RUNTIME": runtime,
        "PLOINKY_LOG_LEVEL": "warning",
    }
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        url = _await_url(server, folder)
        with PloinkyClient(url) as stranger:
            key = str(stranger.initialise()["key"])
        yield Started(url.replace("localhost", "127.0.0.1"), key, server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        memory.cleanup()


def await_serving(client: PloinkyClient, path: str) -> str:
    """Wait until what is deployed at a path on 127.0.0.1 runs; return its id."""
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while time.monotonic() < deadline:
        found = client.find_deployment("127.0.0.1", path)
        if found.get("state") == "running" and found.get("rollout") is None:
            return str(found["id"])
        time.sleep(0.05)
    raise RuntimeError(f"the agent did not start: {found}")


def _await_url(server: subprocess.Popen[bytes], folder: Path) -> str:
    """Wait until it has written down where it listens."""
    address = folder / "data" / "address"
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while not address.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the server did not start")
        time.sleep(0.02)
    return address.read_text().strip()
