"""A fetch that is killed, stuck or damaged costs a repetition and nothing else."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ploinky.adapters import dulwich_sources_cache
from ploinky.adapters.dulwich_sources import DulwichSources
from ploinky.adapters.dulwich_sources_cache import Cache
from ploinky.adapters.dulwich_sources_process import CHILD_MODULE
from ploinky.adapters.dulwich_sources_remote import Remote
from ploinky.adapters.dulwich_sources_wish import Wish
from ploinky.domain.errors import SourceUnavailable
from ploinky.domain.source_urls import parse_location
from ploinky.ports.sources import Credentials, Source
from tests.adapters.sources.git_repositories import GitRepository, GitServer, git_server
from tests.waiting import wait_until


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    made = GitRepository(tmp_path / "served" / "agents")
    made.commit({f"sub/file{number}": str(number) * 100 for number in range(20)})
    return made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with git_server(tmp_path / "served") as served:
        yield served


@pytest.fixture
def stuck_server(tmp_path: Path) -> Iterator[GitServer]:
    with git_server(tmp_path / "served") as served:
        served.holds_back = True
        yield served


def children_over(directory: Path) -> list[int]:
    """Find the git processes that hold a lock in a directory; other tests may have their own."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if CHILD_MODULE.encode() not in (process / "cmdline").read_bytes():
                continue
            held = [os.readlink(descriptor) for descriptor in (process / "fd").iterdir()]
        except OSError:
            continue  # no process, or gone in the meantime
        if any(path.startswith(f"{directory}/") for path in held):
            found.append(int(process.name))
    return found


def leftovers(repos: Path) -> list[str]:
    return [str(path) for path in repos.rglob("*") if path.name.startswith((".tmp-", "tmp_")) or path.suffix == ".lock"]


def check_a_fetch_works(repos: Path, url: str) -> None:
    found = DulwichSources(repos, timeout_seconds=60).fetch(Source(url), print)
    assert (Path(found.directory) / "sub" / "file7").read_text() == "7" * 100
    assert not leftovers(repos)


def test_a_killed_first_fetch_leaves_nothing_in_the_way(
    repository: GitRepository, stuck_server: GitServer, tmp_path: Path
) -> None:
    """Killed in the middle of a pack, the fetch fails as retryable, and the next one works."""
    sources, errors = DulwichSources(tmp_path / "repos", timeout_seconds=60), []

    def fetch() -> None:
        with pytest.raises(SourceUnavailable) as caught:
            sources.fetch(Source(stuck_server.url("agents/.git")), print)
        errors.append(caught.value)

    thread = threading.Thread(target=fetch)
    thread.start()
    assert stuck_server.is_stuck.wait(30)
    (child,) = children_over(tmp_path / "repos")
    os.kill(child, signal.SIGKILL)
    thread.join()
    assert errors[0].advice
    stuck_server.holds_back = False
    check_a_fetch_works(tmp_path / "repos", stuck_server.url("agents/.git"))


def test_a_killed_later_fetch_leaves_the_cache_usable(
    repository: GitRepository, server: GitServer, tmp_path: Path
) -> None:
    """Killed while bringing a newer commit, the earlier one still serves, and the newer one can be had."""
    url, repos = server.url("agents/.git"), tmp_path / "repos"
    first = DulwichSources(repos).fetch(Source(url), print).commit
    newer = repository.commit({"new": "x" * 1_000})
    server.holds_back = True
    with pytest.raises(SourceUnavailable, match="too long"):
        DulwichSources(repos, timeout_seconds=2).fetch(Source(url), print)
    assert server.is_stuck.is_set()
    server.holds_back = False
    assert DulwichSources(repos).checkout(url, first).commit == first
    assert DulwichSources(repos).fetch(Source(url), print).commit == newer
    check_a_fetch_works(repos, url)


def test_a_fetch_that_takes_too_long_is_killed(
    repository: GitRepository, stuck_server: GitServer, tmp_path: Path
) -> None:
    """After the time-out no process is left, and the error is retryable."""
    with pytest.raises(SourceUnavailable, match="too long") as caught:
        DulwichSources(tmp_path / "repos", timeout_seconds=2).fetch(Source(stuck_server.url("agents/.git")), print)
    assert caught.value.is_retryable
    assert children_over(tmp_path / "repos") == []


def test_a_fetch_dies_with_its_server(repository: GitRepository, stuck_server: GitServer, tmp_path: Path) -> None:
    """No git process survives the process that asked for it, however that ends."""
    script = """
import sys
from ploinky.adapters.dulwich_sources import DulwichSources
from ploinky.ports.sources import Source
DulwichSources(sys.argv[1]).fetch(Source(sys.argv[2]), print)
"""
    root = Path(__file__).resolve().parents[3]
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "repos"), stuck_server.url("agents/.git")],
        cwd=root,
        stdout=subprocess.DEVNULL,
    )
    assert stuck_server.is_stuck.wait(30)
    assert len(children_over(tmp_path / "repos")) == 1
    parent.kill()
    parent.wait()
    wait_until(lambda: children_over(tmp_path / "repos") == [], what="the end of the git process")


def bare(repos: Path) -> Path:
    (found,) = repos.glob("*/bare.git")
    return found


def lose_packs(repos: Path) -> None:
    for pack in bare(repos).glob("objects/pack/*.pack"):
        pack.unlink()


def lose_indexes(repos: Path) -> None:
    for index in bare(repos).glob("objects/pack/*.idx"):
        index.unlink()


def cut_packs(repos: Path) -> None:
    for pack in bare(repos).glob("objects/pack/*.pack"):
        pack.chmod(0o600)
        os.truncate(pack, pack.stat().st_size // 2)


def fill_packs_with_zeros(repos: Path) -> None:
    for pack in bare(repos).glob("objects/pack/*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(pack.read_bytes()[:12] + bytes(pack.stat().st_size - 12))


def lose_the_objects(repos: Path) -> None:
    (bare(repos) / "objects").rename(repos / "elsewhere")


def write_garbage_refs(repos: Path) -> None:
    for ref in bare(repos).glob("refs/heads/*"):
        ref.write_bytes(b"\0garbage")


def empty_refs(repos: Path) -> None:
    for ref in bare(repos).glob("refs/heads/*"):
        ref.write_bytes(b"")


def write_a_garbage_configuration(repos: Path) -> None:
    (bare(repos) / "config").write_text("[[[")


def leave_locks(repos: Path) -> None:
    for ref in bare(repos).glob("refs/heads/*"):
        ref.with_suffix(".lock").write_bytes(b"")
    (bare(repos) / "shallow.lock").write_bytes(b"")


def lose_everything(repos: Path) -> None:
    bare(repos).rename(repos / "elsewhere")


DAMAGES = [
    lose_packs,
    lose_indexes,
    cut_packs,
    fill_packs_with_zeros,
    lose_the_objects,
    write_garbage_refs,
    empty_refs,
    write_a_garbage_configuration,
    leave_locks,
    lose_everything,
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    ("is_http", "is_newer"), [(False, False), (False, True), (True, True)], ids=["same", "newer", "newer over http"]
)
def test_a_damaged_cache_is_made_anew(
    repository: GitRepository,
    server: GitServer,
    tmp_path: Path,
    damage: Callable[[Path], None],
    is_newer: bool,
    is_http: bool,
) -> None:
    """Whatever the disk did to the cache, the next fetch gives the right files."""
    url = server.url("agents/.git") if is_http else str(repository.directory)
    repos = tmp_path / "repos"
    first = Path(DulwichSources(repos).fetch(Source(url), print).directory)
    first.rename(repos / "lost")
    damage(repos)
    if is_newer:
        repository.commit({"new": "x"})
    check_a_fetch_works(repos, url)
    check_a_fetch_works(repos, url)


def test_many_packs_are_made_one(repository: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache does not grow with the number of fetches, and no commit in it is lost."""
    monkeypatch.setattr(dulwich_sources_cache, "PACKS", 3)
    remote = Remote(parse_location(str(repository.directory)), Credentials())
    directory, commits = tmp_path / "cache", []
    for number in range(8):
        commits.append(repository.commit({"a": str(number)}))
        assert Cache(str(directory), remote.address, print).fetched(remote, Wish()).commit.decode() == commits[-1]
        assert len(list((directory / "bare.git" / "objects" / "pack").glob("*.pack"))) <= 3
    shutil.rmtree(directory / "checkouts")
    for commit in commits:
        assert Cache(str(directory), remote.address, print).checked_out(commit, {})
