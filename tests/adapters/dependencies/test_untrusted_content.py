"""Whoever fills a folder of dependencies is not trusted: what is taken over can harm nobody."""

import os
import stat
from pathlib import Path

import pytest

from ploinky.adapters import dependency_folders
from ploinky.adapters.dependency_folders import FileDependencyFolders
from ploinky.domain.errors import InstallFailed

DIGEST, OWNER, NOBODY = "ab" * 16, "d1-1", 65_534


@pytest.fixture
def folders(tmp_path: Path) -> FileDependencyFolders:
    return FileDependencyFolders(tmp_path / "dependencies")


def workplace(folders: FileDependencyFolders, user_id: int | None = None) -> Path:
    return Path(folders.begin(DIGEST, OWNER, {}, user_id).directory)


def test_drops_rights_that_files_carry(folders: FileDependencyFolders) -> None:
    """Programs stay programs; set-user-id, and writing for others, go."""
    place = workplace(folders)
    program, text, folder = place / "program", place / "text", place / "folder"
    program.write_text("#!/bin/sh")
    program.chmod(0o6777)
    text.write_text("x")
    text.chmod(0o600)
    folder.mkdir()
    folder.chmod(0o777)
    done = Path(folders.finish(DIGEST, OWNER))
    modes = {name: stat.S_IMODE((done / name).stat().st_mode) for name in ("program", "text", "folder")}
    assert modes == {"program": 0o755, "text": 0o644, "folder": 0o755}


def test_reads_what_the_installer_hid(folders: FileDependencyFolders) -> None:
    """A folder that nobody may read is opened, checked and kept."""
    hidden = workplace(folders) / "hidden"
    hidden.mkdir()
    (hidden / "inside").write_text("x")
    (hidden / "inside").chmod(0o000)
    hidden.chmod(0o000)
    done = Path(folders.finish(DIGEST, OWNER))
    assert (done / "hidden" / "inside").read_text() == "x"


def test_refuses_a_pipe(folders: FileDependencyFolders) -> None:
    """What is neither file, folder nor link is refused by name, and the folder never appears."""
    os.mkfifo(workplace(folders) / "pipe")
    with pytest.raises(InstallFailed, match="pipe"):
        folders.finish(DIGEST, OWNER)
    assert folders.find(DIGEST) is None


def test_refuses_another_name_of_a_file_outside(folders: FileDependencyFolders, tmp_path: Path) -> None:
    """A hard link would let the mode of a file outside be changed: refused, and nothing changed."""
    outside = tmp_path / "outside"
    outside.write_text("secret")
    outside.chmod(0o600)
    os.link(outside, workplace(folders) / "inside")
    with pytest.raises(InstallFailed, match="inside"):
        folders.finish(DIGEST, OWNER)
    assert stat.S_IMODE(outside.stat().st_mode) == 0o600


def test_a_link_to_outside_stays_a_link(folders: FileDependencyFolders, tmp_path: Path) -> None:
    """A link is neither followed nor changed, wherever it leads."""
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o700)
    (workplace(folders) / "link").symlink_to(outside)
    done = Path(folders.finish(DIGEST, OWNER))
    assert os.readlink(done / "link") == str(outside)
    assert stat.S_IMODE(outside.stat().st_mode) == 0o700


def test_refuses_too_many_files(folders: FileDependencyFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of files is bounded."""
    monkeypatch.setattr(dependency_folders, "ENTRIES", 3)
    place = workplace(folders)
    for number in range(4):
        (place / str(number)).touch()
    with pytest.raises(InstallFailed, match="3 files"):
        folders.finish(DIGEST, OWNER)


def test_refuses_too_many_bytes(folders: FileDependencyFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their size is bounded."""
    monkeypatch.setattr(dependency_folders, "CONTENT_BYTES", 1_000)
    (workplace(folders) / "big").write_bytes(bytes(2_000))
    with pytest.raises(InstallFailed, match="1000 bytes"):
        folders.finish(DIGEST, OWNER)


def test_removes_a_folder_that_resists(folders: FileDependencyFolders) -> None:
    """Read-only folders in it do not keep a workplace alive."""
    place = workplace(folders)
    inner = place / "inner"
    inner.mkdir()
    (inner / "file").touch()
    inner.chmod(0o500)
    folders.abandon(DIGEST, OWNER)
    assert not place.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user, which only root may")
def test_takes_what_the_installers_user_made(folders: FileDependencyFolders) -> None:
    """What another user filled belongs to the server afterwards; what a third one put there is refused."""
    place = workplace(folders, NOBODY)
    assert place.stat().st_uid == NOBODY
    (place / "made").touch()
    os.chown(place / "made", NOBODY, NOBODY)
    done = Path(folders.finish(DIGEST, OWNER))
    assert ((done / "made").stat().st_uid, done.stat().st_uid) == (0, 0)
    place = workplace(folders, NOBODY)
    (place / "foreign").touch()
    with pytest.raises(InstallFailed, match="belongs to somebody else"):
        folders.finish(DIGEST, OWNER)
