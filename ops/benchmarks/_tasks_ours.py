"""Ploinky's side of the task benchmark: a real server with a no-op agent as processes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ops.benchmarks._server import await_serving, started_server
from ploinky.adapters.dulwich_new_repository import make_repository
from ploinky.client import PloinkyClient

WORKERS = 4
HANDLER = "def handle(params, context):\n    return params[0]\n"


class Server(NamedTuple):
    """A running server with its agent."""

    url: str
    """Of the agent."""
    process_id: int


@contextmanager
def running_server(folder: Path, wrapper: tuple[str, ...] = ()) -> Iterator[Server]:
    """Start a server in a folder of its own, deploy the agent, and stop the server at the end."""
    with started_server(folder, "process", wrapper) as server:
        with PloinkyClient(server.url, server.key) as client:
            _deploy(client, folder)
        yield Server(f"{server.url}/bench", server.process_id)


def _deploy(client: PloinkyClient, folder: Path) -> None:
    agent = folder / "agent"
    (agent / "handlers").mkdir(parents=True)
    manifest = {"name": "bench", "access": "public", "concurrency": WORKERS}
    (agent / "manifest.json").write_text(json.dumps(manifest))
    (agent / "handlers" / "noop.py").write_text(HANDLER)
    make_repository(str(agent))
    client.deploy("127.0.0.1", "/bench", "bench", str(agent), runtime="process")
    await_serving(client, "/bench")
