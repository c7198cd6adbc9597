"""A server and a real engine, from the first deploy to an orderly stop."""

from pathlib import Path
from typing import Any

import pytest

from ploinky.adapters.docker_runtime import DockerRuntime, PodmanRuntime
from ploinky.ports.runtime import LABEL_JOURNAL
from tests.contracts.runtime_harness import ENGINES
from tests.server.running import RunningServer
from tests.server.sample_agent import sample_repository

RUNTIMES = {"docker": DockerRuntime, "podman": PodmanRuntime}


@pytest.mark.parametrize("kind", ENGINES)
def test_leaves_nothing_in_the_engine(kind: str, tmp_path: Path) -> None:
    """The configured engine runs the agent in a network of its own; a stop takes both away."""
    runtime = RUNTIMES[kind]()
    client: Any = runtime._connections.client()
    server = RunningServer(tmp_path, changes={"PLOINKY_CONTAINER_RUNTIME": kind})
    try:
        server.initialise()
        deployment_id = server.serve("/sample", "sample", sample_repository(tmp_path / "agent").directory)
        (network,) = client.networks(names=[f"ploinky-{deployment_id}"])
        journal_id = network["Labels"][LABEL_JOURNAL]
        assert [found.labels["ploinky.deployment"] for found in runtime.list(journal_id)] == [deployment_id]
        assert server.stop() == 0
        assert runtime.list(journal_id) == []
        assert client.networks(names=[f"ploinky-{deployment_id}"]) == []
    finally:
        server.kill()
        runtime.close()
