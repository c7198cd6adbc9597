"""What a `DulwichSources` does beyond the contract: kinds of names, errors in words, credentials, folders."""

import base64
import contextlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ploinky.adapters.dulwich_sources import BRANCH_CHARACTERS, PROGRESS_CHARACTERS, DulwichSources
from ploinky.domain.errors import SourceInvalid, SourceUnavailable
from ploinky.ports.sources import Credentials, Source
from tests.adapters.sources.git_repositories import GitRepository, GitServer, git, git_server

PASSWORD = "s3cret/pass@word"
CREDENTIALS = Credentials("user", PASSWORD)


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "served" / "agents")


@pytest.fixture
def sources(tmp_path: Path) -> DulwichSources:
    return DulwichSources(tmp_path / "repos", timeout_seconds=60)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with git_server(tmp_path / "served") as served:
        yield served


@pytest.fixture
def private_server(tmp_path: Path) -> Iterator[GitServer]:
    with git_server(tmp_path / "served", PASSWORD) as served:
        yield served


def url_of(repository: GitRepository) -> str:
    return str(repository.directory)


@pytest.mark.parametrize("is_http", [False, True])
def test_takes_tags_and_commit_ids_for_a_branch(
    sources: DulwichSources, repository: GitRepository, server: GitServer, is_http: bool
) -> None:
    """A plain tag, an annotated one, a full ref name and a commit id all name a commit."""
    url = server.url("agents/.git") if is_http else url_of(repository)
    wanted = repository.commit({"a": "one"})
    git(repository.directory, "tag", "plain")
    git(repository.directory, "tag", "-a", "annotated", "-m", "x")
    repository.commit({"a": "two"})
    for name in ("plain", "annotated", "refs/tags/plain", wanted):
        assert sources.fetch(Source(url, name), print).commit == wanted


def test_finds_a_commit_that_the_server_does_not_give_by_id(
    sources: DulwichSources, repository: GitRepository, server: GitServer
) -> None:
    """When the id is refused, the branches are searched for it."""
    git(repository.directory, "config", "uploadpack.allowAnySHA1InWant", "false")
    wanted = repository.commit({"a": "one"})
    repository.commit({"a": "two"})
    found = sources.fetch(Source(server.url("agents/.git"), wanted), print)
    assert (Path(found.directory) / "a").read_text() == "one"


def test_asks_no_server_for_a_commit_it_has(
    sources: DulwichSources, repository: GitRepository, server: GitServer
) -> None:
    """A commit never changes, so a cached one needs no look at the server."""
    wanted = repository.commit({"a": "one"})
    sources.fetch(Source(server.url("agents/.git")), print)
    asked = server.requests
    assert not sources.fetch(Source(server.url("agents/.git"), wanted), print).is_from_cache
    assert server.requests == asked


@pytest.mark.parametrize("is_http", [False, True])
def test_refuses_a_commit_that_does_not_exist(
    sources: DulwichSources, repository: GitRepository, server: GitServer, is_http: bool
) -> None:
    """An id that nothing has is refused, with a hint."""
    repository.commit({"a": "one"})
    url = server.url("agents/.git") if is_http else url_of(repository)
    with pytest.raises(SourceInvalid, match="0" * 40) as caught:
        sources.fetch(Source(url, "0" * 40), print)
    assert caught.value.advice


@pytest.mark.parametrize("branch", ["", "x" * (BRANCH_CHARACTERS + 1), "a..b", "-x\n", "a b", "x.lock", "../x"])
def test_refuses_an_impossible_branch(sources: DulwichSources, repository: GitRepository, branch: str) -> None:
    """What git would not take for a name is refused as such."""
    repository.commit({"a": "one"})
    with pytest.raises(SourceInvalid, match="branch"):
        sources.fetch(Source(url_of(repository), branch), print)


def test_names_the_branches_there_are(sources: DulwichSources, repository: GitRepository) -> None:
    """Whoever mistypes a branch is shown the others."""
    repository.commit({"a": "one"})
    git(repository.directory, "branch", "develop")
    with pytest.raises(SourceInvalid) as caught:
        sources.fetch(Source(url_of(repository), "devlop"), print)
    assert "develop, main" in caught.value.advice


def test_follows_a_branch_that_becomes_a_folder_of_branches(sources: DulwichSources, repository: GitRepository) -> None:
    """`topic` and later `topic/one` are both remembered, though no two files could have these names."""
    repository.commit({"a": "one"})
    git(repository.directory, "branch", "topic")
    sources.fetch(Source(url_of(repository), "topic"), print)
    git(repository.directory, "branch", "-D", "topic")
    git(repository.directory, "branch", "topic/one")
    assert sources.fetch(Source(url_of(repository), "topic/one"), print).commit


def test_follows_a_branch_that_was_forced(sources: DulwichSources, repository: GitRepository) -> None:
    """A rewritten history is as good as another."""
    repository.commit({"a": "one"})
    sources.fetch(Source(url_of(repository)), print)
    git(repository.directory, "checkout", "-q", "--orphan", "fresh")
    forced = repository.commit({"a": "two"})
    git(repository.directory, "branch", "-f", "main", "fresh")
    assert sources.fetch(Source(url_of(repository), "main"), print).commit == forced


def test_uses_the_usual_branch_when_head_leads_nowhere(sources: DulwichSources, repository: GitRepository) -> None:
    """A HEAD that names a branch without commits gives way to main."""
    wanted = repository.commit({"a": "one"})
    git(repository.directory, "symbolic-ref", "HEAD", "refs/heads/unborn")
    assert sources.fetch(Source(url_of(repository)), print).commit == wanted


def test_reads_a_shallow_repository(sources: DulwichSources, repository: GitRepository, tmp_path: Path) -> None:
    """A clone without its history can be deployed from."""
    repository.commit({"a": "one"})
    wanted = repository.commit({"a": "two"})
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository.directory}", "shallow")
    assert sources.fetch(Source(str(tmp_path / "shallow")), print).commit == wanted


def test_refuses_a_folder_that_is_no_repository(sources: DulwichSources, tmp_path: Path) -> None:
    """The hint says how to make it one."""
    (tmp_path / "plain").mkdir()
    with pytest.raises(SourceInvalid, match="plain") as caught:
        sources.fetch(Source(str(tmp_path / "plain")), print)
    assert "git init" in caught.value.advice
    assert "ploinky new agent" in caught.value.advice


def test_refuses_a_folder_inside_a_repository(sources: DulwichSources, repository: GitRepository) -> None:
    """The hint names the repository that was probably meant."""
    repository.commit({"hello/agent.py": ""})
    with pytest.raises(SourceInvalid) as caught:
        sources.fetch(Source(str(repository.directory / "hello")), print)
    assert f"{repository.directory};" in caught.value.advice


def test_refuses_a_path_that_is_not_there(sources: DulwichSources, tmp_path: Path) -> None:
    """A missing directory is named."""
    with pytest.raises(SourceInvalid, match="nowhere"):
        sources.fetch(Source(f"file://{tmp_path}/nowhere"), print)


def test_logs_in_with_credentials(
    sources: DulwichSources, repository: GitRepository, private_server: GitServer, tmp_path: Path
) -> None:
    """They reach the server, and neither a file nor a line of progress."""
    commit = repository.commit({"a": "one"})
    lines: list[str] = []
    assert (
        sources.fetch(Source(private_server.url("agents/.git"), credentials=CREDENTIALS), lines.append).commit == commit
    )
    texts = [*lines, *(path.read_text(errors="replace") for path in (tmp_path / "repos").rglob("*") if path.is_file())]
    assert not any(secret in text for text in texts for secret in ("s3cret", "user:"))


@pytest.mark.parametrize("credentials", [None, Credentials("user", "wrong-pass")])
def test_asks_for_credentials(
    sources: DulwichSources, repository: GitRepository, private_server: GitServer, credentials: Credentials | None
) -> None:
    """A private repository is refused with a hint, and the wrong password is not in it."""
    repository.commit({"a": "one"})
    with pytest.raises(SourceInvalid, match="credentials") as caught:
        sources.fetch(Source(private_server.url("agents/.git"), credentials=credentials), print)
    assert "wrong-pass" not in caught.value.message + caught.value.advice


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, SourceInvalid),
        (403, SourceInvalid),
        (410, SourceInvalid),
        (429, SourceUnavailable),
        (500, SourceUnavailable),
    ],
)
def test_tells_wrong_addresses_from_servers_in_trouble(
    sources: DulwichSources, repository: GitRepository, server: GitServer, status: int, error: type[Exception]
) -> None:
    """Only what may heal by itself is retryable, and nothing shows the credentials."""
    server.status = status
    with pytest.raises(error) as caught:
        sources.fetch(Source(server.url("agents/.git"), credentials=CREDENTIALS), print)
    assert isinstance(caught.value, (SourceInvalid, SourceUnavailable))
    assert caught.value.advice
    assert "s3cret" not in repr(caught.value) + caught.value.advice


def test_a_closed_port_is_unavailable(sources: DulwichSources, repository: GitRepository, server: GitServer) -> None:
    """With nobody listening, the error is retryable and shows no credentials."""
    server.stop()
    with pytest.raises(SourceUnavailable) as caught:
        sources.fetch(Source(server.url("agents/.git"), credentials=CREDENTIALS), print)
    assert "s3cret" not in str(caught.value)


def test_a_page_that_is_no_repository_is_refused(sources: DulwichSources, server: GitServer) -> None:
    """A web server that knows nothing of git is told from one that is down."""
    with pytest.raises(SourceInvalid):
        sources.fetch(Source(server.url("nothing/here")), print)


def test_credentials_do_not_make_another_cache(
    sources: DulwichSources, repository: GitRepository, private_server: GitServer, tmp_path: Path
) -> None:
    """A new password for the same repository goes on with what is there."""
    repository.commit({"a": "one"})
    url = private_server.url("agents/.git")
    sources.fetch(Source(url, credentials=CREDENTIALS), print)
    private_server.password = "changed"
    sources.fetch(Source(url, credentials=Credentials("user", "changed")), print)
    assert len(list((tmp_path / "repos").iterdir())) == 1


def test_a_server_that_repeats_the_credentials_does_not_spread_them(
    sources: DulwichSources, repository: GitRepository, private_server: GitServer, tmp_path: Path
) -> None:
    """Whatever it says about them, neither the error nor a file shows them."""
    repository.commit({"a": "one"})
    private_server.is_telltale = True
    lines: list[str] = []
    with pytest.raises((SourceInvalid, SourceUnavailable), match="you sent") as caught:
        sources.fetch(Source(private_server.url("agents/.git"), credentials=CREDENTIALS), lines.append)
    kept = [path.read_text(errors="replace") for path in (tmp_path / "repos").rglob("*") if path.is_file()]
    encoded = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    for text in (caught.value.message, caught.value.advice, repr(caught.value), *lines, *kept):
        assert PASSWORD not in text
        assert encoded not in text


@pytest.mark.parametrize("is_same_host", [True, False])
def test_a_redirect_takes_no_credentials_to_another_place(
    sources: DulwichSources, repository: GitRepository, private_server: GitServer, tmp_path: Path, is_same_host: bool
) -> None:
    """Whoever sends us elsewhere does not learn what opens the repository: another port is another place."""
    repository.commit({"a": "one"})
    with git_server(tmp_path / "served") as elsewhere:
        host = "127.0.0.1" if is_same_host else "localhost"
        private_server.redirect = elsewhere.url("").rstrip("/").replace("127.0.0.1", host)
        with contextlib.suppress(SourceInvalid):
            sources.fetch(Source(private_server.url("agents/.git"), credentials=CREDENTIALS), print)
        assert elsewhere.requests > 0
        assert elsewhere.authorizations == []


def test_a_checkout_is_readable_for_a_container_s_user(sources: DulwichSources, repository: GitRepository) -> None:
    """Folders and files have git's two modes whatever the umask, and executables stay so."""
    (repository.directory / "run").write_text("")
    (repository.directory / "run").chmod(0o755)
    repository.commit({"sub/file": "x"})
    previous = os.umask(0o077)
    try:
        directory = Path(sources.fetch(Source(url_of(repository)), print).directory)
    finally:
        os.umask(previous)
    modes = [stat.S_IMODE((directory / name).stat().st_mode) for name in ("", "run", "sub", "sub/file")]
    assert modes == [0o755, 0o755, 0o755, 0o644]


def test_runs_nothing_of_the_repository(sources: DulwichSources, repository: GitRepository, tmp_path: Path) -> None:
    """Neither hooks nor filters nor drivers of a hostile work tree are started."""
    mark = tmp_path / "ran"
    script = repository.directory / ".git" / "hooks" / "post-checkout"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"#!/bin/sh\ntouch {mark}\n")
    script.chmod(0o755)
    repository.commit({"a": "one", ".gitattributes": "* filter=evil diff=evil merge=evil"})
    for option in ("filter.evil.smudge", "filter.evil.process", "core.fsmonitor", "uploadpack.packObjectsHook"):
        git(repository.directory, "config", option, str(script))
    sources.fetch(Source(url_of(repository)), print)
    assert not mark.exists()


def test_progress_is_fit_for_a_terminal(
    sources: DulwichSources, repository: GitRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    """A branch with escape sequences in its name cannot paint the operator's terminal."""
    repository.commit({"a": "one"})
    lines: list[str] = []
    with pytest.raises(SourceInvalid):
        sources.fetch(Source(url_of(repository), "\x1b[31m" + "x" * 200), lines.append)
    assert all(line.isprintable() and len(line) <= PROGRESS_CHARACTERS for line in lines)
    assert capsys.readouterr().out == ""


def test_an_error_of_the_listener_ends_the_fetch(sources: DulwichSources, repository: GitRepository) -> None:
    """Whoever listens can call it off, and the next fetch is not disturbed."""
    repository.commit({"a": "one"})

    def call_off(line: str) -> None:
        raise InterruptedError(line)

    with pytest.raises(InterruptedError):
        sources.fetch(Source(url_of(repository)), call_off)
    assert sources.fetch(Source(url_of(repository)), print).commit


def test_fetches_of_one_repository_take_turns(sources: DulwichSources, repository: GitRepository) -> None:
    """Four at once all get the commit, and nothing temporary is left."""
    commit = repository.commit({f"file{number}": str(number) for number in range(50)})
    commits: list[str] = []

    def fetch() -> None:
        commits.append(sources.fetch(Source(url_of(repository)), print).commit)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert commits == [commit] * 4
    cache = Path(sources.fetch(Source(url_of(repository)), print).directory).parent.parent
    assert sorted(path.name for path in cache.iterdir()) == ["bare.git", "cache.json", "checkouts", "lock"]
    assert [path.name for path in (cache / "checkouts").iterdir()] == [commit]
