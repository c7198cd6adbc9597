"""A paused instance of the process runtime: what the next server finds, and what is left of it."""

import os
import signal
from pathlib import Path

import pytest

from ploinky.adapters import process_runtime_freeze
from ploinky.adapters.process_runtime_freeze import PAUSED_FILE
from ploinky.adapters.process_runtime_shim import read_stat
from ploinky.domain.errors import RuntimeRefused
from ploinky.ports.runtime import ObservedState
from tests.contracts.runtime_harness import Bench, Says, eventually, process_runtime

FAMILY = """
import os, signal, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("pids", os.getpid(), os.getppid(), flush=True)
    signal.pause()
signal.pause()
"""
"""An agent whose child and grandchild live in a session of their own."""


@pytest.fixture
def bench(folder: Path) -> Bench:
    return Bench(process_runtime(folder), folder, "freeze")


def family(bench: Bench) -> tuple[str, list[int]]:
    name = bench.run_until_it_speaks("agent", Says(FAMILY))
    return name, [int(word) for word in bench.runtime.logs(name, 1).split()[1:]]


def states(pids: list[int]) -> set[str]:
    return {stat.state for pid in pids if (stat := read_stat(pid))}


def test_reaches_what_left_the_session(bench: Bench) -> None:
    """Children in sessions of their own stand still too, and go on with the others."""
    name, pids = family(bench)
    try:
        bench.runtime.pause(name)
        assert states(pids) == {"T"}
        bench.runtime.resume(name)
        assert states(pids) <= {"R", "S"}
    finally:
        bench.remove_all()
    assert states(pids) == set()


def test_is_found_and_resumed_by_the_next_server(bench: Bench, folder: Path) -> None:
    """A pause outlives the server: the next one sees it and can end it."""
    name, pids = family(bench)
    try:
        bench.runtime.pause(name)
        successor = process_runtime(folder)
        assert [found.state for found in successor.list("freeze")] == [ObservedState.PAUSED]
        successor.resume(name)
        assert states(pids) <= {"R", "S"}
    finally:
        bench.remove_all()


def test_half_a_pause_is_none_and_can_be_finished(bench: Bench) -> None:
    """While one process runs the instance is not paused, whatever was begun; a repetition finishes it."""
    name, pids = family(bench)
    try:
        bench.runtime.pause(name)
        os.kill(pids[0], signal.SIGCONT)
        eventually(lambda: states(pids[:1]) == {"S"}, "one process goes on")
        assert bench.state(name) is ObservedState.RUNNING
        bench.runtime.pause(name)
        assert bench.state(name) is ObservedState.PAUSED
    finally:
        bench.remove_all()


def test_an_end_while_paused_is_seen(bench: Bench) -> None:
    """A paused agent that is killed from outside has ended."""
    name = bench.run_until_it_speaks("agent", Says("import os, signal; print(os.getpid(), flush=True); signal.pause()"))
    pid = int(bench.runtime.logs(name, 1))
    bench.runtime.pause(name)
    os.kill(pid, signal.SIGKILL)
    assert bench.await_exit(name).exit_code == 137
    bench.remove_all()


def test_gives_up_on_what_does_not_stop(bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a process does not stop in time everything goes on, and the refusal says so."""
    monkeypatch.setattr(process_runtime_freeze, "FREEZE_WAIT_SECONDS", -1.0)
    name, pids = family(bench)
    try:
        with pytest.raises(RuntimeRefused, match="does not stop"):
            bench.runtime.pause(name)
        assert bench.state(name) is ObservedState.RUNNING
        assert states(pids) <= {"R", "S"}
        assert not (folder / "state" / name / PAUSED_FILE).exists()
    finally:
        bench.remove_all()
