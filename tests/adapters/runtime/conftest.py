"""Folders for agents that run as processes, and container engines for those that do not."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from ploinky.adapters.docker_runtime import DockerRuntime, PodmanRuntime
from tests.contracts.runtime_harness import ENGINES, Bench, reachable_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that an agent with a user of its own can pass through."""
    with reachable_folder() as path:
        yield path


@pytest.fixture(params=ENGINES)
def engine_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Give each container engine in turn, and take away what the test leaves in it."""
    runtime = {"docker": DockerRuntime, "podman": PodmanRuntime}[request.param]()
    bench = Bench(runtime, tmp_path, secrets.token_hex(6), runtime.resolve_image("", lambda _line: None).reference)
    yield bench
    bench.remove_all()
    runtime.keep_networks(bench.journal_id, ())
    runtime.close()
