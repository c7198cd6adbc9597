"""Where agents' folders lie that agents have to walk to."""

import os
import stat
from pathlib import Path

import pytest

from ploinky.adapters.process_runtime_confinement import Confinement, find_confinement
from ploinky.server import agents_place as module
from ploinky.server.agents_place import agents_place

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives agents users of their own")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "var"
    folder.mkdir(mode=0o755)
    return folder


def without_sandbox() -> Confinement:
    return find_confinement(uses_sandbox=False)


@as_root
def test_is_outside_for_root_without_a_sandbox(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody may pass through it and nobody may list it; it is the same again after a restart."""
    monkeypatch.setattr(module, "find_confinement", without_sandbox)
    place = agents_place(tmp_path / "data", has_processes=True, roots=(root,))
    assert place.is_relative_to(root)
    for folder in (place, place.parent):
        assert (stat.S_IMODE(folder.stat().st_mode), folder.stat().st_uid) == (0o711, 0)
    assert agents_place(tmp_path / "data", has_processes=True, roots=(root,)) == place
    assert agents_place(tmp_path / "other", has_processes=True, roots=(root,)) != place


@as_root
def test_is_the_next_where_one_cannot_be_had(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root that others can empty, or that is missing, is passed over; without any it is the data directory."""
    monkeypatch.setattr(module, "find_confinement", without_sandbox)
    unsafe = tmp_path / "unsafe"
    unsafe.mkdir()
    unsafe.chmod(0o777)
    roots = (tmp_path / "missing", unsafe)
    assert agents_place(tmp_path / "data", has_processes=True, roots=(*roots, root)).is_relative_to(root)
    assert agents_place(tmp_path / "data", has_processes=True, roots=roots) == tmp_path / "data"


def test_is_the_data_directory_without_processes(tmp_path: Path, root: Path) -> None:
    """Containers get their folders mounted."""
    assert agents_place(tmp_path / "data", has_processes=False, roots=(root,)) == tmp_path / "data"


@pytest.mark.bubblewrap
def test_is_the_data_directory_with_a_sandbox(tmp_path: Path, root: Path) -> None:
    """A sandbox gets its folders mounted too."""
    assert agents_place(tmp_path / "data", has_processes=True, roots=(root,)) == tmp_path / "data"
    assert list(root.iterdir()) == []
