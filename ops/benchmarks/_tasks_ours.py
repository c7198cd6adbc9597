"""Ploinky's side of the task benchmark: a real server as a child process, with a no-op agent as processes."""

import json
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

from ploinky.adapters.dulwich_new_repository import make_repository
from ploinky.client import PloinkyClient

WORKERS = 4
MEMORY_DIRECTORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - a folder of our own is made there
START_LIMIT_SECONDS = 60.0
STOP_LIMIT_SECONDS = 40.0
HANDLER = "def handle(params, context):\n    return params[0]\n"


class Server(NamedTuple):
    """A running server with its agent."""

    url: str
    """Of the agent."""
    process_id: int


@contextmanager
def running_server(folder: Path, wrapper: tuple[str, ...] = ()) -> Iterator[Server]:
    """Start a server in a folder of its own, deploy the agent, and stop the server at the end.

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
        "PLOINKY_CONTAINER_RUNTIME": "process",
        "PLOINKY_LOG_LEVEL": "warning",
    }
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        url = _await_url(server, folder)
        with PloinkyClient(url) as stranger:
            key = str(stranger.initialise()["key"])
        with PloinkyClient(url, key) as client:
            _deploy(client, folder)
        yield Server(f"{url.replace('localhost', '127.0.0.1')}/bench", server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        memory.cleanup()


def _await_url(server: subprocess.Popen[bytes], folder: Path) -> str:
    """Wait until it has written down where it listens."""
    address = folder / "data" / "address"
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while not address.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the server did not start")
        time.sleep(0.02)
    return address.read_text().strip()


def _deploy(client: PloinkyClient, folder: Path) -> None:
    agent = folder / "agent"
    (agent / "handlers").mkdir(parents=True)
    manifest = {"name": "bench", "access": "public", "concurrency": WORKERS}
    (agent / "manifest.json").write_text(json.dumps(manifest))
    (agent / "handlers" / "noop.py").write_text(HANDLER)
    make_repository(str(agent))
    client.deploy("127.0.0.1", "/bench", "bench", str(agent), runtime="process")
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while time.monotonic() < deadline:
        found = client.find_deployment("127.0.0.1", "/bench")
        if found.get("state") == "running":
            return
        time.sleep(0.05)
    raise RuntimeError(f"the agent did not start: {found}")
