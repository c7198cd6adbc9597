"""Tests of where queues may lie in memory."""

import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ploinky.server import queue_place
from ploinky.server.queue_place import LEAST_MEMORY_BYTES, make_passable, memory_place, outlives_logout, private_place

SOMEBODY_ELSE = 54_321


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "memory"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.fixture
def memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(queue_place, "file_system_type", lambda _: "tmpfs")
    monkeypatch.setattr(queue_place, "LEAST_MEMORY_BYTES", 0)
    monkeypatch.setattr(queue_place, "outlives_logout", lambda _: True)
    return root


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_gives_each_data_directory_its_place(memory: Path, tmp_path: Path) -> None:
    """The same directory has the same place after every start, another one another, both below the user's."""
    first, second = memory_place(str(tmp_path / "a"), memory), memory_place(str(tmp_path / "b"), memory)
    assert first is not None
    assert first == memory_place(str(tmp_path / "x" / ".." / "a"), memory)
    assert first != second
    assert first.parent == memory / f"ploinky-{os.geteuid()}"
    assert first.is_dir()


def test_agents_may_pass_where_they_have_users_of_their_own(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root the folders may be passed and not listed; as anybody else they are the server's alone."""
    place = private_place(root, "a", "b")
    assert place is not None
    expected = 0o711 if os.geteuid() == 0 else 0o700
    assert [mode(place), mode(place.parent)] == [expected, expected]


def test_takes_back_rights_that_were_too_wide(root: Path) -> None:
    """Our own folder that lets others write is narrowed before it is used."""
    (root / "a").mkdir()
    (root / "a").chmod(0o777)
    assert private_place(root, "a") == root / "a"
    assert mode(root / "a") & 0o022 == 0


def test_refuses_folders_of_somebody_else(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that another user made first is not used, at either level."""
    (root / "a" / "b").mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY_ELSE)
    assert private_place(root, "a") is None
    assert private_place(root, "a", "b") is None


def link_to_a_folder(path: Path) -> None:
    (path.parent / "target").mkdir()
    path.symlink_to(path.parent / "target")


def make_a_file(path: Path) -> None:
    path.write_text("")


@pytest.mark.parametrize("plant", [link_to_a_folder, make_a_file, os.mkfifo])
@pytest.mark.parametrize("name", ["a", "a/b"])
def test_refuses_what_was_planted(root: Path, name: str, plant: Callable[[Path], None]) -> None:
    """Links, files and pipes in a folder's place are refused, and nothing is made behind them."""
    (root / name).parent.mkdir(exist_ok=True)
    plant(root / name)
    assert private_place(root, "a", "b", "c") is None
    assert not list(root.rglob("c"))


@pytest.mark.parametrize(("root_mode", "is_fine"), [(0o1777, True), (0o755, True), (0o777, False), (0o775, False)])
def test_refuses_a_root_that_others_can_empty(root: Path, root_mode: int, is_fine: bool) -> None:
    """Where others may rename what is ours, owning it means nothing."""
    root.chmod(root_mode)
    assert (private_place(root, "a") is not None) == is_fine


def test_refuses_a_root_that_is_not_there(root: Path) -> None:
    """A system without shared memory has no place there."""
    assert private_place(root / "none", "a") is None
    assert memory_place("/data", root / "none") is None


def test_leaves_no_descriptor_open(root: Path) -> None:
    """Neither success nor refusal leaks."""
    before = len(os.listdir("/proc/self/fd"))
    private_place(root, "a", "b")
    (root / "x").write_text("")
    private_place(root, "x", "y")
    assert len(os.listdir("/proc/self/fd")) == before


def test_wants_memory_of_some_size(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disks, small memories, and those emptied at logout are left alone."""
    assert memory_place("/data", memory) is not None
    with monkeypatch.context() as patch:
        patch.setattr(queue_place, "file_system_type", lambda _: "ext4")
        assert memory_place("/data", memory) is None
    with monkeypatch.context() as patch:
        patch.setattr(queue_place, "LEAST_MEMORY_BYTES", 2**62)
        assert memory_place("/data", memory) is None
    with monkeypatch.context() as patch:
        patch.setattr(queue_place, "outlives_logout", lambda _: False)
        assert memory_place("/data", memory) is None
    assert memory_place("/data", memory / "gone") is None
    assert LEAST_MEMORY_BYTES > 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("user_id", "is_booted", "lingers", "expected"),
    [
        (0, True, False, True),
        (999, True, False, True),
        (SOMEBODY_ELSE, False, False, True),
        (SOMEBODY_ELSE, True, False, False),
    ],
)
def test_knows_who_loses_memory_at_logout(
    tmp_path: Path, user_id: int, is_booted: bool, lingers: bool, expected: bool
) -> None:
    """Root and system users keep it, and everybody does where no systemd is; an unknown user does not."""
    booted = tmp_path if is_booted else tmp_path / "none"
    assert outlives_logout(user_id, booted, tmp_path) == expected


@pytest.mark.parametrize("lingers", [True, False])
def test_a_lingering_user_keeps_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lingers: bool) -> None:
    """Who was told to linger is never logged out."""

    class Entry:
        pw_name = "somebody"

    monkeypatch.setattr(pwd, "getpwuid", lambda _: Entry)
    if lingers:
        (tmp_path / "somebody").write_text("")
    assert outlives_logout(SOMEBODY_ELSE, tmp_path, tmp_path) == lingers


def test_makes_a_folder_that_can_be_passed(tmp_path: Path) -> None:
    """A new folder gets its mode whatever the umask, its parents too are made."""
    earlier = os.umask(0o077)
    try:
        make_passable(tmp_path / "a" / "b")
    finally:
        os.umask(earlier)
    assert mode(tmp_path / "a" / "b") == (0o711 if os.geteuid() == 0 else 0o700)


def test_leaves_an_operators_folder_alone(tmp_path: Path) -> None:
    """A folder that is there keeps its mode, also behind a link; a file is refused."""
    (tmp_path / "there").mkdir(0o750)
    (tmp_path / "link").symlink_to(tmp_path / "there")
    (tmp_path / "file").write_text("")
    make_passable(tmp_path / "there")
    make_passable(tmp_path / "link")
    assert mode(tmp_path / "there") == 0o750
    with pytest.raises(FileExistsError):
        make_passable(tmp_path / "file")
