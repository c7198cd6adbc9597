"""What every `DependencyFolders` has to do, held against memory and the file system."""

from pathlib import Path
from typing import Protocol

import pytest

from ploinky.adapters.dependency_folders import FileDependencyFolders
from ploinky.adapters.memory.dependency_folders import MemoryDependencyFolders
from ploinky.domain.errors import InstallFailed
from ploinky.ports.dependencies import DependencyFolders, Workplace

DIGEST, OTHER = "ab" * 16, "cd" * 16


class Bench(Protocol):
    folders: DependencyFolders

    def put(self, digest: str, owner: str, workplace: Workplace, name: str, content: bytes) -> None:
        """Do what an installer does."""

    def read(self, digest: str, name: str) -> bytes | None:
        """Return what a finished folder holds."""


class MemoryBench:
    def __init__(self) -> None:
        self.memory = MemoryDependencyFolders()
        self.folders: DependencyFolders = self.memory

    def put(self, digest: str, owner: str, workplace: Workplace, name: str, content: bytes) -> None:
        self.memory.workplaces[digest, owner][name] = content

    def read(self, digest: str, name: str) -> bytes | None:
        return self.memory.filled.get(digest, {}).get(name)


class FileBench:
    def __init__(self, directory: Path) -> None:
        self.folders: DependencyFolders = FileDependencyFolders(directory / "dependencies")

    def put(self, digest: str, owner: str, workplace: Workplace, name: str, content: bytes) -> None:
        Path(workplace.directory, name).write_bytes(content)

    def read(self, digest: str, name: str) -> bytes | None:
        found = self.folders.find(digest)
        path = Path(found, name) if found else None
        return path.read_bytes() if path and path.is_file() else None


@pytest.fixture(params=["memory", "files"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return MemoryBench() if request.param == "memory" else FileBench(tmp_path)


def fill(bench: Bench, digest: str = DIGEST, owner: str = "d1-1", content: bytes = b"module") -> str:
    workplace = bench.folders.begin(digest, owner, {"package.json": b"{}"}, None)
    bench.put(digest, owner, workplace, "found.py", content)
    return bench.folders.finish(digest, owner)


def test_there_is_nothing_before(bench: Bench) -> None:
    """What nobody installed is not there."""
    assert bench.folders.find(DIGEST) is None
    assert bench.folders.digests() == []


def test_is_found_once_finished(bench: Bench) -> None:
    """A folder appears whole, with the files given and what was installed, and not before."""
    workplace = bench.folders.begin(DIGEST, "d1-1", {"package.json": b"{}"}, None)
    bench.put(DIGEST, "d1-1", workplace, "found.py", b"module")
    assert bench.folders.find(DIGEST) is None
    directory = bench.folders.finish(DIGEST, "d1-1")
    assert bench.folders.find(DIGEST) == directory
    assert (bench.read(DIGEST, "package.json"), bench.read(DIGEST, "found.py")) == (b"{}", b"module")
    assert bench.folders.digests() == [DIGEST]


def test_is_measured_while_it_grows(bench: Bench) -> None:
    """How much a workplace holds can be asked before it is finished."""
    workplace = bench.folders.begin(DIGEST, "d1-1", {}, None)
    bench.put(DIGEST, "d1-1", workplace, "big", bytes(1_000))
    assert bench.folders.measure(DIGEST, "d1-1") == 1_000


def test_begins_anew_after_a_crash(bench: Bench) -> None:
    """What an attempt left that was cut short is not in the next one."""
    workplace = bench.folders.begin(DIGEST, "d1-1", {}, None)
    bench.put(DIGEST, "d1-1", workplace, "half", b"x")
    fill(bench)
    assert bench.read(DIGEST, "half") is None


def test_two_may_fill_the_same(bench: Bench) -> None:
    """Of two deployments that install the same at once, the first one's folder stays and serves both."""
    workplace = bench.folders.begin(DIGEST, "d2-1", {}, None)
    bench.put(DIGEST, "d2-1", workplace, "found.py", b"later")
    first = fill(bench, owner="d1-1", content=b"first")
    assert bench.folders.finish(DIGEST, "d2-1") == first
    assert bench.read(DIGEST, "found.py") == b"first"


def test_an_abandoned_workplace_leaves_nothing(bench: Bench) -> None:
    """Giving up is repeatable, and nothing is found afterwards."""
    bench.folders.begin(DIGEST, "d1-1", {}, None)
    bench.folders.abandon(DIGEST, "d1-1")
    bench.folders.abandon(DIGEST, "d1-1")
    assert bench.folders.find(DIGEST) is None
    assert bench.folders.measure(DIGEST, "d1-1") == 0


def test_removes_one_and_says_how_much_it_held(bench: Bench) -> None:
    """A removal counts bytes, takes only its own, and is repeatable."""
    fill(bench, content=bytes(500))
    fill(bench, OTHER)
    assert bench.folders.remove(DIGEST) == 502
    assert bench.folders.remove(DIGEST) == 0
    assert bench.folders.digests() == [OTHER]


@pytest.mark.parametrize("digest", ["", "..", "../" + "a" * 32, "A" * 32, "a" * 7])
def test_refuses_what_is_no_digest(bench: Bench, digest: str) -> None:
    """A name that could lead elsewhere is refused."""
    with pytest.raises(InstallFailed):
        bench.folders.find(digest)
