"""A child waits for the next request: it serves one, is replaced, and is gone with whoever keeps it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ploinky.adapters import dulwich_sources_process, dulwich_sources_spare
from ploinky.adapters.dulwich_sources import DulwichSources
from ploinky.adapters.dulwich_sources_process import CHILD_MODULE, SpareChild
from ploinky.ports.sources import Source
from tests.adapters.sources.git_repositories import GitRepository
from tests.waiting import wait_until


@pytest.fixture
def spare() -> Iterator[SpareChild]:
    spare = SpareChild()
    yield spare
    spare.close()


def waiting(spare: SpareChild) -> "subprocess.Popen[bytes]":
    assert spare._waiting is not None
    return spare._waiting[0]


def taken_pid(spare: SpareChild) -> int:
    """Take a child, end it, and return which one it was."""
    child = spare.take()
    dulwich_sources_process._end(child)
    return child.pid


def test_gives_the_one_that_waits_to_one_request(spare: SpareChild) -> None:
    """A request gets the child that was started for it; the next one has a process of its own."""
    spare.renew()
    pid = waiting(spare).pid
    assert taken_pid(spare) == pid
    assert taken_pid(spare) != pid


def test_keeps_no_more_than_one(spare: SpareChild) -> None:
    """Requests at the same time do not leave a child each behind."""
    spare.renew()
    pid = waiting(spare).pid
    spare.renew()
    assert waiting(spare).pid == pid


def test_a_child_that_has_died_is_not_given(spare: SpareChild) -> None:
    """Whoever asks does not notice that the one that waited was killed."""
    spare.renew()
    child = waiting(spare)
    child.kill()
    wait_until(lambda: child.poll() is not None, what="its end")
    assert taken_pid(spare) != child.pid


def test_a_child_that_may_end_soon_is_not_given(spare: SpareChild, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has waited for half of its time is replaced, so that it cannot end while it is asked."""
    monkeypatch.setattr(dulwich_sources_process, "SPARE_LIMIT_SECONDS", 0.0)
    spare.renew()
    child = waiting(spare)
    assert taken_pid(spare) != child.pid
    assert child.returncode is not None


def test_none_waits_after_the_end(spare: SpareChild) -> None:
    """Closing ends the one that waits, and a request that is still under way leaves none behind."""
    spare.renew()
    child = waiting(spare)
    spare.close()
    assert child.returncode is not None
    spare.renew()
    assert spare._waiting is None


def test_ends_with_whoever_would_have_asked() -> None:
    """When the server is gone, its end of the pipe is: the child ends without a word, instead of waiting on."""
    command = [sys.executable, "-m", CHILD_MODULE, dulwich_sources_spare.SPARE_ARGUMENT]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_ends_when_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not hold its memory for ever."""
    monkeypatch.setattr(sys, "argv", ["child", dulwich_sources_spare.SPARE_ARGUMENT])
    monkeypatch.setattr(dulwich_sources_spare, "_is_asked", lambda _limit_seconds: False)
    monkeypatch.setattr(dulwich_sources_spare, "CHILD_MODULE", "json")  # has no `main` that could be called
    dulwich_sources_spare.main()


def test_fetches_with_it(tmp_path: Path) -> None:
    """What was committed after the child was started is fetched by it."""
    repository = GitRepository(tmp_path / "agents")
    sources = DulwichSources(tmp_path / "repos", keeps_spare=True)
    try:
        for number in range(3):
            commit = repository.commit({"manifest.json": f'{{"about": "{number}"}}'})
            assert sources.fetch(Source(str(repository.directory)), print).commit == commit
    finally:
        sources.close()
