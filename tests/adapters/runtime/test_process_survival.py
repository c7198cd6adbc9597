"""Processes outlive the server that started them, however it ended, and are found again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ploinky.adapters.process_runtime_shim import read_stat
from ploinky.domain.errors import RuntimeRefused
from ploinky.ports.runtime import ObservedState
from tests.contracts.runtime_harness import Bench, Says, Sleeps, eventually, process_runtime

JOURNAL = "survival"
SERVER = """
import os, signal, sys
from pathlib import Path
from ploinky.adapters.process_runtime_launch import spawn_shim
from tests.contracts.runtime_harness import Bench, Says, process_runtime

folder, mode, source = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
bench = Bench(process_runtime(folder), folder, "survival")
name = bench.create("agent", Says(source))
if mode == "spawned":
    spawn_shim(folder / "state" / name)
elif mode == "started":
    bench.start(name)
os.kill(os.getpid(), signal.SIGKILL)
"""
ENDS_WHEN_TOLD = """
import os, time
print("up", flush=True)
while not os.path.exists("end"): time.sleep(0.02)
raise SystemExit(7)
"""


def run_killed_server(folder: Path, mode: str, source: str) -> None:
    """Let a server of its own create, and perhaps start, an instance, and kill it there."""
    done = subprocess.run(
        [sys.executable, "-c", SERVER, str(folder), mode, source], check=False, timeout=30, cwd=Path.cwd()
    )
    assert done.returncode == -signal.SIGKILL


def next_server(folder: Path) -> Bench:
    return Bench(process_runtime(folder), folder, JOURNAL)


def test_is_found_running_after_the_server_was_killed(folder: Path) -> None:
    """The next server lists the instance as running, and a start of it changes nothing."""
    run_killed_server(folder, "started", Sleeps.source)
    bench = next_server(folder)
    try:
        found = bench.runtime.list(JOURNAL)
        assert [look.state for look in found] == [ObservedState.RUNNING]
        bench.runtime.start(found[0].name)
        eventually(lambda: bench.runtime.logs(found[0].name, 10) == b"up\n", "it runs, once")
        last = bench.runtime.stop(found[0].name, 10)
        assert last is not None
        assert last.exit_code == 0
    finally:
        bench.remove_all()


def test_records_the_exit_code_while_no_server_runs(folder: Path) -> None:
    """How an instance ended is known even though nobody was there to see it."""
    run_killed_server(folder, "started", ENDS_WHEN_TOLD)
    (folder / "code" / "end").touch()
    exit_record = folder / "state" / f"ploinky-test-{JOURNAL}-agent" / "exit.json"
    eventually(exit_record.exists, "the end is recorded")
    bench = next_server(folder)
    try:
        (found,) = bench.runtime.list(JOURNAL)
        assert found.state is ObservedState.EXITED
        assert found.exit_code == 7
        with pytest.raises(RuntimeRefused):
            bench.runtime.start(found.name)
    finally:
        bench.remove_all()


def test_leaves_no_orphan_when_killed_right_after_spawning(folder: Path) -> None:
    """A process spawned by a server that died before it knew is found by the next one, and is the only one."""
    run_killed_server(folder, "spawned", Sleeps.source)
    bench = next_server(folder)
    try:
        name = bench.name("agent")
        bench.runtime.start(name)
        eventually(lambda: bench.runtime.logs(name, 10) != b"", "it runs")
        assert bench.state(name) is ObservedState.RUNNING
        assert bench.runtime.logs(name, 10) == b"up\n"
    finally:
        bench.remove_all()


def test_is_started_by_the_next_server_when_only_created(folder: Path) -> None:
    """What was created before the crash keeps its whole specification, secrets included."""
    run_killed_server(folder, "created", "import os; print(os.environ['GREETING'])")
    bench = next_server(folder)
    try:
        name = bench.name("agent")
        assert bench.state(name) is ObservedState.CREATED
        bench.runtime.start(name)
        bench.await_exit(name)
        assert bench.runtime.logs(name, 10) == b"hello\n"
    finally:
        bench.remove_all()


def test_is_killed_by_the_next_server(folder: Path) -> None:
    """Removing an adopted instance ends its process."""
    run_killed_server(folder, "started", "import os, signal; print(os.getpid(), flush=True); signal.pause()")
    bench = next_server(folder)
    name = bench.name("agent")
    eventually(lambda: bench.runtime.logs(name, 1).endswith(b"\n"), "it tells its number")
    pid = int(bench.runtime.logs(name, 1))
    bench.runtime.remove(name)
    assert read_stat(pid) is None
    assert bench.runtime.list(JOURNAL) == []


def test_wakes_the_listener_of_the_next_server(folder: Path) -> None:
    """The end of an adopted instance is hinted at, though it is no child of this server."""
    run_killed_server(folder, "started", ENDS_WHEN_TOLD)
    bench = next_server(folder)
    try:
        hints = bench.runtime.events(JOURNAL)
        assert next(hints) == bench.name("agent")
        (folder / "code" / "end").touch()
        assert next(hints) == bench.name("agent")
        assert bench.await_exit(bench.name("agent")).exit_code == 7
    finally:
        bench.runtime.close()
        bench.remove_all()


def test_leaves_no_zombies(folder: Path) -> None:
    """Ended instances are reaped: the server has no child left."""
    bench = next_server(folder)
    name = bench.run("agent", Says("print('bye')"))
    bench.await_exit(name)
    bench.runtime.remove(name)

    def has_no_zombie() -> bool:
        bench.runtime.list(JOURNAL)
        return not [pid for pid in children_of(os.getpid()) if (stat := read_stat(pid)) and stat.state == "Z"]

    eventually(has_no_zombie, "the shim is reaped")


def children_of(parent: int) -> list[int]:
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return [pid for pid in pids if (stat := read_stat(pid)) and stat.parent_pid == parent]
