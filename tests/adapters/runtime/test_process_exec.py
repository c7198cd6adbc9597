"""Commands beside an agent of the process runtime leave nothing behind."""

import os
from pathlib import Path

import pytest

from ploinky.adapters.process_runtime_launch import MAX_FILE_BYTES
from ploinky.adapters.process_runtime_shim import read_stat
from tests.contracts.runtime_harness import Bench, Sleeps, eventually, process_runtime

STAYS = "import os, time; os.fork() or (os.setsid(), time.sleep(600)); print(os.getpid(), flush=True)"
LIMITS = (
    "import resource; print(resource.getrlimit(resource.RLIMIT_FSIZE)[0], resource.getrlimit(resource.RLIMIT_CORE))"
)


@pytest.fixture
def bench(folder: Path) -> Bench:
    return Bench(process_runtime(folder), folder, "exec")


def marked(bench: Bench) -> list[int]:
    """Find the processes whose folder is this test's."""
    found = []
    for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if f"AGENT_DIR={bench.folder}/code".encode() in environment and read_stat(pid):
            found.append(pid)
    return found


def test_what_a_command_started_ends_with_the_instance(bench: Bench) -> None:
    """What goes on after its command is ended with the agent at the latest."""
    name = bench.run_until_it_speaks("agent", Sleeps())
    assert bench.runtime.exec(name, ("python3", "-c", STAYS)).exit_code == 0
    assert len(marked(bench)) == 2
    bench.runtime.stop(name, 5)
    eventually(lambda: marked(bench) == [], "nothing is left")
    bench.remove_all()


def test_a_command_has_the_limits_of_the_agent(bench: Bench) -> None:
    """What bounds the agent bounds each command beside it."""
    name = bench.run_until_it_speaks("agent", Sleeps())
    done = bench.runtime.exec(name, ("python3", "-c", LIMITS))
    assert done.stdout == f"{MAX_FILE_BYTES} (0, 0)\n".encode()
    bench.remove_all()


def test_leaves_no_descriptor_open(bench: Bench) -> None:
    """However often something is run, the server keeps nothing of it."""
    name = bench.run_until_it_speaks("agent", Sleeps())
    bench.runtime.exec(name, ("python3", "-c", "pass"))
    before = len(os.listdir("/proc/self/fd"))
    for command in (("python3", "-c", "pass"), ("absent",), ("sleep", "9")):
        bench.runtime.exec(name, command, stdin=b"x" * 100_000, timeout_seconds=1)
    assert len(os.listdir("/proc/self/fd")) == before
    bench.remove_all()
