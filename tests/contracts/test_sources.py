"""What every `Sources` has to do, held against memory and against git repositories."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from ploinky.adapters.dulwich_sources import DulwichSources
from ploinky.adapters.memory.sources import MemorySources
from ploinky.domain.errors import SourceInvalid, SourceUnavailable
from ploinky.ports.sources import Checkout, Credentials, Source, Sources
from tests.adapters.sources.git_repositories import GitRepository, GitServer, git, git_server


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

    def tag(self, name: str, commit: str) -> None:
        """Name a commit."""

    def lock(self) -> Credentials:
        """Make the repository private, and return what opens it."""


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

    def tag(self, name: str, commit: str) -> None:
        self.memory.tag(self.url, name, commit)

    def lock(self) -> Credentials:
        self.memory.needed[self.url] = Credentials("user", "a secret word")
        return self.memory.needed[self.url]


class DulwichBench:
    def __init__(self, directory: Path, url: str, server: GitServer | None = None) -> None:
        self.server = server
        self.repository = GitRepository(directory)
        self.sources: Sources = DulwichSources(directory.parent.parent / "repos", timeout_seconds=60)
        self.url = url

    def go_away(self) -> None:
        assert self.server is not None
        self.server.status = 503

    def tag(self, name: str, commit: str) -> None:
        git(self.repository.directory, "tag", "-a", name, commit, "-m", "x")

    def lock(self) -> Credentials:
        assert self.server is not None
        self.server.password = "a secret word"
        return Credentials("user", self.server.password)

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
        yield DulwichBench(directory, f"file://{directory}")
    else:
        with git_server(directory.parent) as server:
            yield DulwichBench(directory, server.url("agents/.git"), server)


# A local path has no server that could go away.
WITH_A_SERVER = pytest.mark.parametrize("bench", ["memory", "http"], indirect=True)


def silent(line: str) -> None:
    """Look at no progress."""


def test_fetches_the_default_branch(bench: Bench) -> None:
    """Without a branch, the newest commit of the default branch is checked out, folders included."""
    commit = bench.commit({"hello/agent.py": "one"})
    found = bench.sources.fetch(Source(bench.url), silent)
    assert (found.commit, found.is_from_cache) == (commit, False)
    assert bench.read(found, "hello/agent.py") == "one"


def test_fetches_a_named_branch(bench: Bench) -> None:
    """A branch has its own newest commit."""
    main = bench.commit({"a": "main"})
    other = bench.commit({"a": "dev"}, "dev")
    assert bench.sources.fetch(Source(bench.url, "dev"), silent).commit == other
    assert bench.sources.fetch(Source(bench.url, "main"), silent).commit == main


def test_follows_the_branch(bench: Bench) -> None:
    """A second fetch brings what was committed since, and leaves the first folder as it was."""
    bench.commit({"a": "one"})
    first = bench.sources.fetch(Source(bench.url), silent)
    bench.commit({"a": "two"})
    second = bench.sources.fetch(Source(bench.url), silent)
    assert (bench.read(first, "a"), bench.read(second, "a")) == ("one", "two")
    assert first.directory != second.directory


def test_is_idempotent_per_commit(bench: Bench) -> None:
    """Fetching twice without a new commit gives the same answer."""
    bench.commit({"a": "one"})
    assert bench.sources.fetch(Source(bench.url), silent) == bench.sources.fetch(Source(bench.url), silent)


def test_reports_progress(bench: Bench) -> None:
    """The caller hears that something is going on, in lines fit for a terminal."""
    bench.commit({"a": "one"})
    lines: list[str] = []
    bench.sources.fetch(Source(bench.url), lines.append)
    assert lines
    assert all(line.isprintable() for line in lines)


def test_refuses_an_unknown_branch(bench: Bench) -> None:
    """A branch that is not there is named in the refusal, with a hint."""
    bench.commit({"a": "one"})
    with pytest.raises(SourceInvalid, match="nowhere") as caught:
        bench.sources.fetch(Source(bench.url, "nowhere"), silent)
    assert caught.value.advice


def test_refuses_a_repository_without_commits(bench: Bench) -> None:
    """An empty repository has nothing to check out."""
    with pytest.raises(SourceInvalid):
        bench.sources.fetch(Source(bench.url), silent)


@WITH_A_SERVER
def test_serves_from_the_cache_when_nobody_answers(bench: Bench) -> None:
    """With the server away, the commit fetched last serves, and says so."""
    commit = bench.commit({"a": "one"})
    bench.sources.fetch(Source(bench.url), silent)
    bench.go_away()
    found = bench.sources.fetch(Source(bench.url), silent)
    assert (found.commit, found.is_from_cache) == (commit, True)
    assert bench.read(found, "a") == "one"


@WITH_A_SERVER
def test_refuses_a_branch_never_fetched_when_nobody_answers(bench: Bench) -> None:
    """Only a branch that was fetched before can be served without the server."""
    bench.commit({"a": "one"})
    bench.commit({"a": "dev"}, "dev")
    bench.sources.fetch(Source(bench.url, "main"), silent)
    bench.go_away()
    with pytest.raises(SourceUnavailable) as caught:
        bench.sources.fetch(Source(bench.url, "dev"), silent)
    assert caught.value.is_retryable


def test_checks_out_an_earlier_commit_without_the_server(bench: Bench) -> None:
    """A commit fetched before is had again while nobody answers."""
    commit = bench.commit({"a": "one"})
    bench.sources.fetch(Source(bench.url), silent)
    bench.commit({"a": "two"})
    bench.sources.fetch(Source(bench.url), silent)
    assert bench.read(bench.sources.checkout(bench.url, commit), "a") == "one"


def test_makes_a_lost_folder_again(bench: Bench) -> None:
    """A checkout whose folder is gone is written again from the cache."""
    commit = bench.commit({"a": "one"})
    bench.lose(bench.sources.fetch(Source(bench.url), silent))
    assert bench.read(bench.sources.checkout(bench.url, commit), "a") == "one"


def test_refuses_to_check_out_an_unknown_commit(bench: Bench) -> None:
    """A commit that was never fetched is refused with a hint."""
    bench.commit({"a": "one"})
    bench.sources.fetch(Source(bench.url), silent)
    with pytest.raises(SourceInvalid) as caught:
        bench.sources.checkout(bench.url, "0" * 40)
    assert caught.value.advice


@pytest.mark.parametrize("commit", ["main", "../../etc", "A" * 40, ""])
def test_refuses_what_is_no_commit(bench: Bench, commit: str) -> None:
    """Anything but 40 hex digits is refused before it becomes a path."""
    bench.commit({"a": "one"})
    with pytest.raises(SourceInvalid):
        bench.sources.checkout(bench.url, commit)


def test_stays_at_a_tag(bench: Bench) -> None:
    """A tag names its commit, whatever came after it."""
    tagged = bench.commit({"a": "one"})
    bench.tag("v1", tagged)
    bench.commit({"a": "two"})
    assert bench.sources.fetch(Source(bench.url, revision="v1"), silent).commit == tagged


@pytest.mark.parametrize("digits", [40, 10, 7])
def test_stays_at_a_commit_that_is_no_branch_s_newest(bench: Bench, digits: int) -> None:
    """A full or a shortened id finds a commit further back, also after the newest one was fetched alone."""
    wanted = bench.commit({"a": "one"})
    bench.commit({"a": "two"})
    bench.commit({"a": "three"})
    bench.sources.fetch(Source(bench.url), silent)
    found = bench.sources.fetch(Source(bench.url, revision=wanted[:digits]), silent)
    assert (found.commit, bench.read(found, "a")) == (wanted, "one")


def test_a_revision_wins_over_a_branch(bench: Bench) -> None:
    """A name can be both; asked for as a revision it is the tag."""
    tagged = bench.commit({"a": "one"})
    bench.commit({"a": "two"}, "both")
    bench.tag("both", tagged)
    assert bench.sources.fetch(Source(bench.url, "main", "both"), silent).commit == tagged


@pytest.mark.parametrize("revision", ["v9", "abcdef1", "abc", "f" * 40])
def test_refuses_an_unknown_revision(bench: Bench, revision: str) -> None:
    """What is neither a tag nor a commit is named in the refusal, with a hint."""
    bench.commit({"a": "one"})
    with pytest.raises(SourceInvalid, match=revision) as caught:
        bench.sources.fetch(Source(bench.url, revision=revision), silent)
    assert caught.value.advice


@WITH_A_SERVER
def test_says_how_old_the_cached_commit_is_and_why_it_serves(bench: Bench) -> None:
    """Whoever is served from the cache can tell."""
    bench.commit({"a": "one"})
    fresh = bench.sources.fetch(Source(bench.url), silent)
    assert (fresh.age_seconds, fresh.reason) == (None, "")
    bench.go_away()
    found = bench.sources.fetch(Source(bench.url), silent, is_fresh=True)
    assert found.age_seconds is not None
    assert 0 <= found.age_seconds < 60
    assert "server" in found.reason


@WITH_A_SERVER
def test_a_private_repository_takes_credentials(bench: Bench) -> None:
    """Without them, and with wrong ones, it is refused; the refusal does not show them."""
    commit = bench.commit({"a": "one"})
    credentials = bench.lock()
    for wrong in (None, Credentials("user", "another word")):
        with pytest.raises(SourceInvalid, match="credentials") as caught:
            bench.sources.fetch(Source(bench.url, credentials=wrong), silent)
        assert "word" not in f"{caught.value.message} {caught.value.advice}"
    assert bench.sources.fetch(Source(bench.url, credentials=credentials), silent).commit == commit
    assert bench.sources.heads(Source(bench.url, credentials=credentials))["main"] == commit


def test_lists_heads_without_fetching(bench: Bench) -> None:
    """Each branch has its newest commit, the default one also as HEAD; nothing is cached by it."""
    main = bench.commit({"a": "one"})
    other = bench.commit({"a": "two"}, "dev")
    assert bench.sources.heads(Source(bench.url)) == {"main": main, "dev": other, "HEAD": main}
    with pytest.raises(SourceInvalid):
        bench.sources.checkout(bench.url, main)


@WITH_A_SERVER
def test_lists_no_heads_when_nobody_answers(bench: Bench) -> None:
    """What a branch is now, only the server knows."""
    bench.commit({"a": "one"})
    bench.sources.fetch(Source(bench.url), silent)
    bench.go_away()
    with pytest.raises(SourceUnavailable):
        bench.sources.heads(Source(bench.url))


def test_compares_two_commits(bench: Bench) -> None:
    """Each path that differs is told with how."""
    bench.commit({"same": "x", "sub/changed": "one", "zone": "x"})
    before = bench.sources.fetch(Source(bench.url), silent)
    bench.commit({"sub/changed": "two", "new": "x"})
    after = bench.sources.fetch(Source(bench.url), silent)
    changes = bench.sources.changes(bench.url, before.commit, after.commit)
    assert {"~ sub/changed", "+ new"} <= {*changes}
    assert "~ same" not in changes
    assert bench.sources.changes(bench.url, after.commit, after.commit) == ()


def test_compares_only_what_was_fetched(bench: Bench) -> None:
    """A commit nobody has is refused."""
    commit = bench.commit({"a": "one"})
    bench.sources.fetch(Source(bench.url), silent)
    with pytest.raises(SourceInvalid):
        bench.sources.changes(bench.url, commit, "0" * 40)


def test_keeps_a_record(bench: Bench) -> None:
    """After a fetch it is known which commits there are, and since when; before, nothing is."""
    assert bench.sources.record(bench.url) is None
    main = bench.commit({"a": "one"})
    other = bench.commit({"a": "two"}, "dev")
    bench.sources.fetch(Source(bench.url), silent)
    bench.sources.fetch(Source(bench.url, "dev"), silent)
    record = bench.sources.record(bench.url)
    assert record is not None
    assert record.heads == {"HEAD": main, "dev": other}
    assert record.last_fetch_at is not None
    assert record.last_error == ""


@WITH_A_SERVER
def test_records_why_a_fetch_failed(bench: Bench) -> None:
    """The newest error stays until a fetch works again."""
    bench.commit({"a": "one"})
    bench.sources.fetch(Source(bench.url), silent)
    with pytest.raises(SourceInvalid):
        bench.sources.fetch(Source(bench.url, "nowhere"), silent)
    record = bench.sources.record(bench.url)
    assert record is not None
    assert "nowhere" in record.last_error
    bench.sources.fetch(Source(bench.url), silent)
    assert (record := bench.sources.record(bench.url)) is not None
    assert record.last_error == ""


@pytest.mark.parametrize("url", ["https://user:secret@example.org/a", "ext::id", "--upload-pack=id"])
def test_refuses_an_address_that_is_none(bench: Bench, url: str) -> None:
    """Credentials in a URL and other programs' tricks are refused by every operation."""
    for ask in (
        lambda: bench.sources.fetch(Source(url), silent),
        lambda: bench.sources.heads(Source(url)),
        lambda: bench.sources.checkout(url, "0" * 40),
        lambda: bench.sources.record(url),
    ):
        with pytest.raises(SourceInvalid) as caught:
            ask()
        assert "secret" not in caught.value.message
