"""What every `Sources` has to do, held against memory and against git repositories."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from ploinky.adapters.dulwich_sources import DulwichSources
from ploinky.adapters.memory.sources import MemorySources
from ploinky.domain.errors import SourceInvalid, SourceUnavailable
from ploinky.ports.sources import Checkout, Sources
from tests.adapters.sources.git_repositories import GitRepository, git, git_server


class Bench(Protocol):
    """A repository with its server, and the sources under test."""

    sources: Sources
    url: str

    def commit(self, files: dict[str, str], branch: str = "main") -> str:
        """Make a commit on a branch and return its id."""

    def read(self, checkout: Checkout, path: str) -> str | None:
        """Return a file of a checkout, None when it is not there."""

    def lose(self, checkout: Checkout) -> None:
        """Lose a checkout's folder."""

    def go_away(self) -> None:
        """Stop the server."""


class MemoryBench:
    url = "https://example.org/agents.git"

    def __init__(self) -> None:
        self.memory = MemorySources()
        self.sources: Sources = self.memory

    def commit(self, files: dict[str, str], branch: str = "main") -> str:
        return self.memory.commit(self.url, {path: text.encode() for path, text in files.items()}, branch)

    def read(self, checkout: Checkout, path: str) -> str | None:
        content = self.memory.trees[checkout.directory].get(path)
        return None if content is None else content.decode()

    def lose(self, checkout: Checkout) -> None:
        del self.memory.trees[checkout.directory]

    def go_away(self) -> None:
        self.memory.is_away = True


class DulwichBench:
    def __init__(self, directory: Path, url: str, stop: Callable[[], None]) -> None:
        self.repository = GitRepository(directory)
        self.sources: Sources = DulwichSources(directory.parent.parent / "repos", timeout_seconds=60)
        self.url = url
        self.go_away = stop

    def commit(self, files: dict[str, str], branch: str = "main") -> str:
        here = self.repository.directory
        has_commits = (
            subprocess.run(["git", "rev-parse", "-q", "--verify", "HEAD"], cwd=here, check=False).returncode == 0
        )
        if has_commits:
            git(here, "checkout", "-q", "-B", branch)
        commit = self.repository.commit(files)
        if has_commits:
            git(here, "checkout", "-q", "main")
        return commit

    def read(self, checkout: Checkout, path: str) -> str | None:
        file = Path(checkout.directory) / path
        return file.read_text() if file.exists() else None

    def lose(self, checkout: Checkout) -> None:
        Path(checkout.directory).rename(Path(checkout.directory).parent / "gone")


@pytest.fixture(params=["memory", "file", "http"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    directory = tmp_path / "served" / "agents"
    if request.param == "memory":
        yield MemoryBench()
    elif request.param == "file":
        yield DulwichBench(directory, f"file://{directory}", lambda: None)
    else:
        with git_server(directory.parent) as server:
            yield DulwichBench(directory, server.url("agents/.git"), lambda: setattr(server, "status", 503))


# A local path has no server that could go away.
WITH_A_SERVER = pytest.mark.parametrize("bench", ["memory", "http"], indirect=True)


def silent(line: str) -> None:
    """Look at no progress."""


def test_fetches_the_default_branch(bench: Bench) -> None:
    """Without a branch, the newest commit of the default branch is checked out, folders included."""
    commit = bench.commit({"hello/agent.py": "one"})
    found = bench.sources.fetch(bench.url, None, silent)
    assert (found.commit, found.is_from_cache) == (commit, False)
    assert bench.read(found, "hello/agent.py") == "one"


def test_fetches_a_named_branch(bench: Bench) -> None:
    """A branch has its own newest commit."""
    main = bench.commit({"a": "main"})
    other = bench.commit({"a": "dev"}, "dev")
    assert bench.sources.fetch(bench.url, "dev", silent).commit == other
    assert bench.sources.fetch(bench.url, "main", silent).commit == main


def test_follows_the_branch(bench: Bench) -> None:
    """A second fetch brings what was committed since, and leaves the first folder as it was."""
    bench.commit({"a": "one"})
    first = bench.sources.fetch(bench.url, None, silent)
    bench.commit({"a": "two"})
    second = bench.sources.fetch(bench.url, None, silent)
    assert (bench.read(first, "a"), bench.read(second, "a")) == ("one", "two")
    assert first.directory != second.directory


def test_is_idempotent_per_commit(bench: Bench) -> None:
    """Fetching twice without a new commit gives the same answer."""
    bench.commit({"a": "one"})
    assert bench.sources.fetch(bench.url, None, silent) == bench.sources.fetch(bench.url, None, silent)


def test_reports_progress(bench: Bench) -> None:
    """The caller hears that something is going on, in lines fit for a terminal."""
    bench.commit({"a": "one"})
    lines: list[str] = []
    bench.sources.fetch(bench.url, None, lines.append)
    assert lines
    assert all(line.isprintable() for line in lines)


def test_refuses_an_unknown_branch(bench: Bench) -> None:
    """A branch that is not there is named in the refusal, with a hint."""
    bench.commit({"a": "one"})
    with pytest.raises(SourceInvalid, match="nowhere") as caught:
        bench.sources.fetch(bench.url, "nowhere", silent)
    assert caught.value.advice


def test_refuses_a_repository_without_commits(bench: Bench) -> None:
    """An empty repository has nothing to check out."""
    with pytest.raises(SourceInvalid):
        bench.sources.fetch(bench.url, None, silent)


@WITH_A_SERVER
def test_serves_from_the_cache_when_nobody_answers(bench: Bench) -> None:
    """With the server away, the commit fetched last serves, and says so."""
    commit = bench.commit({"a": "one"})
    bench.sources.fetch(bench.url, None, silent)
    bench.go_away()
    found = bench.sources.fetch(bench.url, None, silent)
    assert (found.commit, found.is_from_cache) == (commit, True)
    assert bench.read(found, "a") == "one"


@WITH_A_SERVER
def test_refuses_a_branch_never_fetched_when_nobody_answers(bench: Bench) -> None:
    """Only a branch that was fetched before can be served without the server."""
    bench.commit({"a": "one"})
    bench.commit({"a": "dev"}, "dev")
    bench.sources.fetch(bench.url, "main", silent)
    bench.go_away()
    with pytest.raises(SourceUnavailable) as caught:
        bench.sources.fetch(bench.url, "dev", silent)
    assert caught.value.is_retryable


def test_checks_out_an_earlier_commit_without_the_server(bench: Bench) -> None:
    """A commit fetched before is had again while nobody answers."""
    commit = bench.commit({"a": "one"})
    bench.sources.fetch(bench.url, None, silent)
    bench.commit({"a": "two"})
    bench.sources.fetch(bench.url, None, silent)
    assert bench.read(bench.sources.checkout(bench.url, commit), "a") == "one"


def test_makes_a_lost_folder_again(bench: Bench) -> None:
    """A checkout whose folder is gone is written again from the cache."""
    commit = bench.commit({"a": "one"})
    bench.lose(bench.sources.fetch(bench.url, None, silent))
    assert bench.read(bench.sources.checkout(bench.url, commit), "a") == "one"


def test_refuses_to_check_out_an_unknown_commit(bench: Bench) -> None:
    """A commit that was never fetched is refused with a hint."""
    bench.commit({"a": "one"})
    bench.sources.fetch(bench.url, None, silent)
    with pytest.raises(SourceInvalid) as caught:
        bench.sources.checkout(bench.url, "0" * 40)
    assert caught.value.advice


@pytest.mark.parametrize("commit", ["main", "../../etc", "A" * 40, ""])
def test_refuses_what_is_no_commit(bench: Bench, commit: str) -> None:
    """Anything but 40 hex digits is refused before it becomes a path."""
    bench.commit({"a": "one"})
    with pytest.raises(SourceInvalid):
        bench.sources.checkout(bench.url, commit)
