"""One running server for a whole file of tests, and the agent `sample` that it serves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.running import RunningServer
from tests.server.sample_agent import sample_repository


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with its first key."""
    running = RunningServer(tmp_path_factory.mktemp("server"))
    try:
        running.initialise()
        yield running
        running.stop()
    finally:
        running.kill()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the agent `sample`."""
    return sample_repository(tmp_path_factory.mktemp("agents") / "sample").directory


@pytest.fixture(scope="module")
def deployment_id(server: RunningServer, repository: Path) -> str:
    """The agent `sample`, public at /sample."""
    return server.serve("/sample", "sample", repository)
