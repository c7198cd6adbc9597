"""What a `Lease` has to do: one holder, ended by release or by the end of the process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ploinky.adapters.fcntl_lease import FcntlLease
from ploinky.domain.errors import DirectoryBusy
from ploinky.ports.lease import Lease

HOLDER = """
import sys, subprocess
from ploinky.adapters.fcntl_lease import FcntlLease
FcntlLease(sys.argv[1]).acquire()
child = subprocess.Popen(["sleep", "60"]) if sys.argv[2:] else None
print(child.pid if child else "held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(folder: Path, *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Let another process hold the lease; give the process and the line that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "directory"


def lease_of(folder: Path) -> Lease:
    return FcntlLease(str(folder))


def test_is_taken_and_given_up(folder: Path) -> None:
    """After a release the next one gets it; releasing twice, or without holding, does nothing."""
    first, second = lease_of(folder), lease_of(folder)
    first.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()
    first.acquire()
    first.release()


def test_taking_it_again_changes_nothing(folder: Path) -> None:
    """The holder may ask again."""
    lease = lease_of(folder)
    lease.acquire()
    lease.acquire()
    lease.release()


def test_refuses_a_second_holder_in_the_same_process(folder: Path) -> None:
    """Two servers in one process are two servers."""
    first = lease_of(folder)
    first.acquire()
    with pytest.raises(DirectoryBusy) as caught:
        lease_of(folder).acquire()
    assert caught.value.details == {"pid": os.getpid()}
    first.release()


def test_refuses_while_another_process_holds_it(folder: Path) -> None:
    """The error names the process that holds the lease, also after a failed attempt."""
    with holder(folder) as (process, line):
        assert line == "held"
        for _ in range(2):
            with pytest.raises(DirectoryBusy, match=f"process {process.pid}") as caught:
                lease_of(folder).acquire()
            assert caught.value.details == {"pid": process.pid}


def test_ends_with_a_killed_process(folder: Path) -> None:
    """After kill -9 the lease is free at once, with nothing to clean up."""
    with holder(folder) as (process, _):
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        lease = lease_of(folder)
        lease.acquire()
        lease.release()


def test_is_not_held_by_programs_that_were_started(folder: Path) -> None:
    """A program started by the holder outlives it without keeping the lease."""
    with holder(folder, "with-child") as (process, child_pid):
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        try:
            lease = lease_of(folder)
            lease.acquire()
            lease.release()
        finally:
            os.kill(int(child_pid), signal.SIGKILL)
