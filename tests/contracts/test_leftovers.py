"""What every `Leftovers` has to do, held against memory and the file system."""

from pathlib import Path

import pytest

from ploinky.adapters.file_leftovers import FileLeftovers
from ploinky.adapters.memory.leftovers import MemoryLeftovers
from ploinky.domain.errors import DirectoryUnusable
from ploinky.ports.leftovers import Leftover, LeftoverKind, Leftovers

RELEASE = Leftover(LeftoverKind.RELEASE, "d1/3")
CHECKOUT = Leftover(LeftoverKind.CHECKOUT, f"agents-1234/{'a' * 40}")


def files(directory: Path) -> FileLeftovers:
    return FileLeftovers(releases_directory=directory / "releases", repos_directory=directory / "repos")


@pytest.fixture(params=["memory", "files"])
def leftovers(request: pytest.FixtureRequest, tmp_path: Path) -> Leftovers:
    """One release and one checkout, of 100 bytes each."""
    if request.param == "memory":
        memory = MemoryLeftovers()
        memory.sizes = {RELEASE: 100, CHECKOUT: 100}
        return memory
    for path in ("releases/d1/3", f"repos/agents-1234/checkouts/{'a' * 40}"):
        (tmp_path / path / "inner").mkdir(parents=True)
        (tmp_path / path / "inner" / "file").write_bytes(bytes(100))
    return files(tmp_path)


def test_lists_all_there_are(leftovers: Leftovers) -> None:
    """Each with its kind and its name."""
    assert set(leftovers.found()) == {RELEASE, CHECKOUT}


@pytest.mark.parametrize("leftover", [RELEASE, CHECKOUT])
def test_removes_one_and_counts_it(leftovers: Leftovers, leftover: Leftover) -> None:
    """Only that one goes; a second time there is nothing to count."""
    assert leftovers.remove(leftover) == 100
    assert leftovers.remove(leftover) == 0
    assert set(leftovers.found()) == {RELEASE, CHECKOUT} - {leftover}


def test_measures_its_disk(leftovers: Leftovers) -> None:
    """More than nothing is there, and no more is free than there is."""
    space = leftovers.space()
    assert 0 <= space.free_bytes <= space.total_bytes
    assert space.total_bytes > 0


def test_there_may_be_nothing(tmp_path: Path) -> None:
    """A new server has no folders yet."""
    assert files(tmp_path).found() == []


def test_looks_at_nothing_else(tmp_path: Path) -> None:
    """Links, half copies and the caches themselves are none of its business."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "releases" / "d1" / ".tmp-3-x").mkdir(parents=True)
    (tmp_path / "releases" / "d1" / "4").symlink_to(tmp_path / "outside")
    (tmp_path / "repos" / "agents-1234" / "bare.git").mkdir(parents=True)
    (tmp_path / "repos" / "agents-1234" / "checkouts" / "other").mkdir(parents=True)
    assert files(tmp_path).found() == []


@pytest.mark.parametrize("name", ["../x", "d1/../../x", "d1", "", "../" + "a" * 40])
def test_refuses_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    """Only what could have been found is removed."""
    for kind in LeftoverKind:
        with pytest.raises(DirectoryUnusable):
            files(tmp_path).remove(Leftover(kind, name))
