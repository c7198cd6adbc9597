"""One repository is one cache: cloned once, asked as seldom as allowed, described in `cache.json`."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from dulwich.objects import Commit
from dulwich.refs import Ref
from dulwich.repo import Repo

from ploinky.adapters.dulwich_sources import DulwichSources
from ploinky.adapters.dulwich_sources_record import HEADS, Record, read_record, write_record
from ploinky.domain.errors import SourceInvalid
from ploinky.ports.sources import Checkout, Credentials, Source
from tests.adapters.sources.git_repositories import GitRepository, GitServer, git, git_server
from tests.adapters.sources.hostile_trees import FILE, hostile_repository

SECRET = "s3cret-word"


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "served" / "agents")


@pytest.fixture
def server(tmp_path: Path, repository: GitRepository) -> Iterator[GitServer]:
    with git_server(tmp_path / "served") as served:
        yield served


def cache_of(tmp_path: Path) -> Path:
    (cache,) = (tmp_path / "repos").iterdir()
    return cache


def fetched_at_once(sources: DulwichSources, source: Source, times: int) -> list[Checkout]:
    found: list[Checkout] = []
    threads = [threading.Thread(target=lambda: found.append(sources.fetch(source, print))) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_deployments_at_the_same_moment_clone_once(
    repository: GitRepository, server: GitServer, tmp_path: Path
) -> None:
    """Whoever waits for the lock takes what the others' questions, asked since, were answered."""
    commit = repository.commit({"a": "one"})
    found = fetched_at_once(DulwichSources(tmp_path / "repos"), Source(server.url("agents/.git")), 6)
    assert [(checkout.commit, checkout.is_from_cache) for checkout in found] == [(commit, False)] * 6
    assert server.packs == 1
    assert server.requests < 6 * 2
    assert len(list((cache_of(tmp_path) / "bare.git" / "objects" / "pack").glob("*.pack"))) == 1


def test_branches_share_their_objects(repository: GitRepository, server: GitServer, tmp_path: Path) -> None:
    """A second branch of the same repository brings only what the first one did not."""
    repository.commit({"large": "".join(str(number**7) for number in range(20_000))})
    git(repository.directory, "checkout", "-q", "-b", "dev")
    repository.commit({"small": "x"})
    sources, url = DulwichSources(tmp_path / "repos"), server.url("agents/.git")
    sources.fetch(Source(url, "main"), print)
    whole = sum(pack.stat().st_size for pack in cache_of(tmp_path).glob("bare.git/objects/pack/*.pack"))
    sources.fetch(Source(url, "dev"), print)
    both = sum(pack.stat().st_size for pack in cache_of(tmp_path).glob("bare.git/objects/pack/*.pack"))
    assert both < whole * 1.5


def test_a_young_answer_is_good_for_a_while(repository: GitRepository, server: GitServer, tmp_path: Path) -> None:
    """Within the time to live no server is asked, and the answer says so; an update always asks."""
    commit = repository.commit({"a": "one"})
    sources, source = DulwichSources(tmp_path / "repos", ttl_seconds=600), Source(server.url("agents/.git"))
    sources.fetch(source, print)
    newer, asked = repository.commit({"a": "two"}), server.requests
    found = sources.fetch(source, print)
    assert (found.commit, found.is_from_cache, server.requests) == (commit, True, asked)
    assert "cacheTime" in found.reason
    assert sources.fetch(source, print, is_fresh=True).commit == newer


def test_an_old_answer_is_asked_for_again(repository: GitRepository, server: GitServer, tmp_path: Path) -> None:
    """Without a time to live, or after it, the server is asked."""
    repository.commit({"a": "one"})
    source = Source(server.url("agents/.git"))
    DulwichSources(tmp_path / "repos", ttl_seconds=600).fetch(source, print)
    newer = repository.commit({"a": "two"})
    assert DulwichSources(tmp_path / "repos").fetch(source, print).commit == newer
    newest = repository.commit({"a": "three"})
    file = cache_of(tmp_path) / "cache.json"
    record = read_record(str(file.parent))
    record.heads["HEAD"].fetched_at -= 601
    write_record(str(file.parent), record)
    assert DulwichSources(tmp_path / "repos", ttl_seconds=600).fetch(source, print).commit == newest


def test_a_local_repository_is_always_read(repository: GitRepository, tmp_path: Path) -> None:
    """It costs nothing to look at one's own disk."""
    repository.commit({"a": "one"})
    sources = DulwichSources(tmp_path / "repos", ttl_seconds=600)
    sources.fetch(Source(str(repository.directory)), print)
    newer = repository.commit({"a": "two"})
    assert sources.fetch(Source(str(repository.directory)), print).commit == newer


def test_the_record_says_what_is_there(repository: GitRepository, server: GitServer, tmp_path: Path) -> None:
    """URL without credentials, newest commits, times, size and the newest error, as JSON for people."""
    server.password = SECRET
    commit = repository.commit({"a": "one"})
    sources, url = DulwichSources(tmp_path / "repos", ttl_seconds=5), server.url("agents/.git")
    sources.fetch(Source(url, credentials=Credentials("user", SECRET)), print)
    with pytest.raises(SourceInvalid):
        sources.fetch(Source(url, "nowhere", credentials=Credentials("user", SECRET)), print)
    text = (cache_of(tmp_path) / "cache.json").read_text()
    document = json.loads(text)
    assert document["url"] == url
    assert document["heads"]["HEAD"]["commit"] == commit
    assert document["ttlSeconds"] == 5
    assert document["sizeBytes"] > 0
    assert "nowhere" in document["lastError"]
    assert SECRET not in text


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b'{"heads": 7}', b"\xff\xfe", b'{"url": "x", "heads": {"HEAD": {}}}']
)
def test_a_damaged_record_is_made_anew(
    repository: GitRepository, server: GitServer, tmp_path: Path, content: bytes
) -> None:
    """Nothing in it is needed to fetch."""
    repository.commit({"a": "one"})
    sources, source = DulwichSources(tmp_path / "repos", ttl_seconds=600), Source(server.url("agents/.git"))
    sources.fetch(source, print)
    (cache_of(tmp_path) / "cache.json").write_bytes(content)
    newer = repository.commit({"a": "two"})
    assert sources.fetch(source, print).commit == newer
    assert json.loads((cache_of(tmp_path) / "cache.json").read_text())["heads"]["HEAD"]["commit"] == newer


def test_a_lost_record_does_not_keep_the_cache_from_serving(
    repository: GitRepository, server: GitServer, tmp_path: Path
) -> None:
    """How old the commit is nobody knows then, and that is what is said."""
    commit = repository.commit({"a": "one"})
    sources, source = DulwichSources(tmp_path / "repos"), Source(server.url("agents/.git"))
    sources.fetch(source, print)
    (cache_of(tmp_path) / "cache.json").unlink()
    server.status = 503
    found = sources.fetch(source, print)
    assert (found.commit, found.is_from_cache, found.age_seconds) == (commit, True, None)
    assert "503" in found.reason


def test_a_short_commit_that_stands_for_several_is_refused(tmp_path: Path) -> None:
    """The refusal names them, so that more digits can be given."""
    url = hostile_repository(tmp_path / "agents.git", [(b"a", FILE, b"one")])
    by_prefix: dict[bytes, list[bytes]] = {}
    with Repo(url) as repo:
        commit = repo[repo.head()]
        assert isinstance(commit, Commit)
        while not (twice := [prefix for prefix, ids in by_prefix.items() if len(ids) > 1]):
            commit.parents = [commit.id]
            repo.object_store.add_object(commit)
            by_prefix.setdefault(commit.id[:4], []).append(commit.id)
        repo.refs[Ref(b"refs/heads/master")] = commit.id
    with pytest.raises(SourceInvalid, match="2 commits") as caught:
        DulwichSources(tmp_path / "repos").fetch(Source(url, revision=twice[0].decode()), print)
    assert all(commit_id[:12].decode() in caught.value.advice for commit_id in by_prefix[twice[0]])


def test_the_record_is_bounded() -> None:
    """Whoever asks for ever new branches does not fill it."""
    record = Record(url="/a")
    for number in range(HEADS + 10):
        record.note_head(f"branch{number}", "0" * 40, 1.0)
    assert len(record.heads) == HEADS
    assert f"branch{HEADS + 9}" in record.heads
