"""Whoever deploys a work tree hears what of it is not committed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ploinky.adapters.dulwich_sources import DulwichSources
from ploinky.adapters.dulwich_sources_changes import uncommitted_changes
from ploinky.ports.sources import Source
from tests.adapters.sources.git_repositories import GitRepository, git


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "agents")


def edit(directory: Path) -> None:
    (directory / "a").write_text("another length")


def edit_to_the_same_size(directory: Path) -> None:
    (directory / "a").write_text("two")


def stage(directory: Path) -> None:
    edit(directory)
    git(directory, "add", "a")


def remove(directory: Path) -> None:
    (directory / "a").unlink()


def remove_from_the_index(directory: Path) -> None:
    git(directory, "rm", "-q", "--cached", "a")


@pytest.mark.parametrize("change", [edit, edit_to_the_same_size, stage, remove, remove_from_the_index])
def test_notices_a_change(repository: GitRepository, change: Callable[[Path], None]) -> None:
    """Changed, staged and removed files are named."""
    commit = repository.commit({"a": "one", "sub/b": "two"})
    change(repository.directory)
    assert uncommitted_changes(str(repository.directory), commit) == ["a"]


def touch(directory: Path) -> None:
    (directory / "a").touch()


def add_an_unknown_file(directory: Path) -> None:
    (directory / "new").write_text("")


def link(directory: Path) -> None:
    (directory / "link").symlink_to("a")
    git(directory, "add", "link")
    git(directory, "commit", "-q", "-m", "link")


@pytest.mark.parametrize("change", [touch, add_an_unknown_file, link])
def test_says_nothing_of_what_is_not_changed(repository: GitRepository, change: Callable[[Path], None]) -> None:
    """A new time, a file git does not know and a committed link are no changes."""
    repository.commit({"a": "one"})
    change(repository.directory)
    assert uncommitted_changes(str(repository.directory), git(repository.directory, "rev-parse", "HEAD")) == []


def test_says_nothing_of_another_commit(repository: GitRepository) -> None:
    """Changes on top of another commit than the one deployed are none of it."""
    first = repository.commit({"a": "one"})
    repository.commit({"a": "two"})
    edit(repository.directory)
    assert uncommitted_changes(str(repository.directory), first) == []


def test_says_nothing_where_nothing_can_be_read(repository: GitRepository, tmp_path: Path) -> None:
    """A missing folder, a bare repository and a damaged index are no reason to fail."""
    commit = repository.commit({"a": "one"})
    git(tmp_path, "clone", "-q", "--bare", str(repository.directory), "bare.git")
    (repository.directory / ".git" / "index").write_bytes(b"garbage")
    for name in ("nowhere", "bare.git", "agents"):
        assert uncommitted_changes(str(tmp_path / name), commit) == []


def test_the_deployer_is_told(repository: GitRepository, tmp_path: Path) -> None:
    """A line of progress names the first file and counts the others; what is checked out is the commit."""
    repository.commit({"a": "one", "b": "one"})
    edit(repository.directory)
    (repository.directory / "b").unlink()
    lines: list[str] = []
    found = DulwichSources(tmp_path / "repos").fetch(Source(str(repository.directory)), lines.append)
    assert lines[-1] == "not deployed, since not committed: a and 1 more"
    assert (Path(found.directory) / "a").read_text() == "one"
