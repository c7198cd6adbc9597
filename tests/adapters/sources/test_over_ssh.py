"""Repositories over ssh: with a key from a secret, to a known host, asking nobody."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ploinky.adapters.dulwich_sources import DulwichSources
from ploinky.adapters.dulwich_sources_remote import Remote
from ploinky.domain.errors import SourceInvalid, SourceUnavailable
from ploinky.domain.source_urls import parse_location
from ploinky.ports.sources import Credentials, Source
from tests.adapters.sources.git_repositories import GitRepository
from tests.adapters.sources.ssh_server import SshServer, ssh_server

pytestmark = pytest.mark.sshd


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "served" / "agents")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with ssh_server(tmp_path / "ssh") as served:
        yield served


@pytest.fixture
def sources(tmp_path: Path, server: SshServer) -> DulwichSources:
    return DulwichSources(tmp_path / "repos", timeout_seconds=60, known_hosts_file=str(server.known_hosts))


def source(server: SshServer, repository: GitRepository, key: str | None = None) -> Source:
    return Source(server.url(repository.directory), credentials=Credentials(ssh_key=server.key if key is None else key))


def test_fetches_and_follows(sources: DulwichSources, repository: GitRepository, server: SshServer) -> None:
    """A commit, then the next one, and the heads; a key without its last newline is as good."""
    first = repository.commit({"a": "one"})
    assert sources.fetch(source(server, repository), print).commit == first
    second = repository.commit({"a": "two"})
    assert sources.fetch(source(server, repository, server.key.rstrip("\n")), print).commit == second
    assert sources.heads(source(server, repository)) == {"main": second, "HEAD": second}


def test_leaves_the_key_nowhere(
    sources: DulwichSources, repository: GitRepository, server: SshServer, tmp_path: Path
) -> None:
    """Neither a file nor a line of progress holds it, and no process's words do."""
    repository.commit({"a": "one"})
    lines: list[str] = []
    sources.fetch(source(server, repository), lines.append)
    line = server.key.splitlines()[2]
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "ssh"]
    assert [path for path in kept if line.encode() in path.read_bytes()] == []
    assert not any(line in text for text in lines)


@pytest.mark.parametrize("kind", ["other", "garbage", "none"])
def test_a_key_that_does_not_fit_is_refused(
    sources: DulwichSources, repository: GitRepository, server: SshServer, kind: str
) -> None:
    """With a hint, at once, without a question to anybody."""
    repository.commit({"a": "one"})
    key = {"other": server.other_key, "garbage": "no key at all", "none": ""}[kind]
    with pytest.raises(SourceInvalid, match="let us in") as caught:
        sources.fetch(source(server, repository, key), print)
    assert "sshKnownHostsFile" in caught.value.advice


def test_an_unknown_host_is_refused(repository: GitRepository, server: SshServer, tmp_path: Path) -> None:
    """Nobody is asked whether to trust it, and nothing is written down."""
    repository.commit({"a": "one"})
    known = tmp_path / "known"
    known.write_text("")
    sources = DulwichSources(tmp_path / "repos", timeout_seconds=60, known_hosts_file=str(known))
    with pytest.raises(SourceInvalid, match="verification failed"):
        sources.fetch(source(server, repository), print)
    assert known.read_text() == ""


def test_the_cache_serves_when_the_host_is_away(
    sources: DulwichSources, repository: GitRepository, server: SshServer, tmp_path: Path
) -> None:
    """A closed port is a server that does not answer, as with http."""
    commit = repository.commit({"a": "one"})
    sources.fetch(source(server, repository), print)
    server.stop()
    found = sources.fetch(source(server, repository), print)
    assert (found.commit, found.is_from_cache) == (commit, True)
    with pytest.raises(SourceUnavailable):
        sources.heads(source(server, repository))


def test_a_repository_that_is_not_there_is_refused(sources: DulwichSources, server: SshServer, tmp_path: Path) -> None:
    """What git says on the other side is passed on."""
    with pytest.raises(SourceInvalid, match="nowhere"):
        sources.fetch(Source(server.url(tmp_path / "nowhere"), credentials=Credentials(ssh_key=server.key)), print)


def test_a_machine_without_ssh_says_so(
    sources: DulwichSources,
    repository: GitRepository,
    server: SshServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The hint names what to install."""
    repository.commit({"a": "one"})
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(SourceInvalid, match="no `ssh` program") as caught:
        sources.fetch(source(server, repository), print)
    assert "OpenSSH" in caught.value.advice


def test_no_descriptor_is_left_open(repository: GitRepository, server: SshServer) -> None:
    """A client gives back what it holds the key in, however it ends."""
    repository.commit({"a": "one"})
    remote = Remote(
        parse_location(server.url(repository.directory)), Credentials(ssh_key=server.key), str(server.known_hosts)
    )
    remote.heads()
    before = len(os.listdir("/proc/self/fd"))
    remote.heads()
    assert len(os.listdir("/proc/self/fd")) <= before
