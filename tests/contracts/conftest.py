"""Every runtime there is, for the suites that hold them to one contract."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from ploinky.adapters.docker_runtime import DockerRuntime, PodmanRuntime
from ploinky.adapters.memory.runtime import MemoryRuntime
from ploinky.ports.runtime import Runtime
from tests.contracts.runtime_harness import ENGINES, Bench, process_runtime, reachable_folder


def make_runtime(kind: str, folder: Path) -> Runtime:
    makers: dict[str, Callable[[], Runtime]] = {
        "memory": MemoryRuntime,
        "process": lambda: process_runtime(folder),
        "sandbox": lambda: process_runtime(folder, uses_sandbox=True),
        "docker": DockerRuntime,
        "podman": PodmanRuntime,
    }
    return makers[kind]()


@pytest.fixture(params=["memory", "process", pytest.param("sandbox", marks=pytest.mark.bubblewrap), *ENGINES])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Give each runtime in turn, with folders and names of the test's own."""
    yield from make_bench(request.param, tmp_path)


@pytest.fixture(params=["process", pytest.param("sandbox", marks=pytest.mark.bubblewrap), *ENGINES])
def real_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Give each runtime that really runs something."""
    yield from make_bench(request.param, tmp_path)


@pytest.fixture(params=ENGINES)
def container_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Give each runtime that keeps agents in containers."""
    yield from make_bench(request.param, tmp_path)


def make_bench(kind: str, private: Path) -> Iterator[Bench]:
    with reachable_folder() if kind == "process" else nullcontext(private) as folder:
        runtime = make_runtime(kind, folder)
        image = runtime.resolve_image("", lambda _line: None)
        bench = Bench(runtime, folder, secrets.token_hex(6), image.reference)
        yield bench
        bench.remove_all()
        runtime.close()
