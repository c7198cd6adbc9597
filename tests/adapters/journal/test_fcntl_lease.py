"""The directory that is leased: made, checked, and refused where locks cannot be trusted."""

import os
import stat
from pathlib import Path

import pytest

from ploinky.adapters import fcntl_lease
from ploinky.adapters.fcntl_lease import FcntlLease
from ploinky.adapters.mounted_file_systems import NETWORK_FILE_SYSTEMS, file_system_type, type_in
from ploinky.domain.errors import DirectoryBusy, DirectoryUnusable

MOUNTINFO = r"""
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
30 22 0:40 / /srv rw - nfs4 server:/export rw
31 30 0:41 / /srv/local rw - tmpfs tmpfs rw
32 22 0:42 / /with\040space rw master:3 - cifs //server/share rw
33 31 0:43 / /srv/local rw - xfs /dev/vdb rw
broken line - ext4
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "ext4"),
        ("/home/me", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/ploinky", "nfs4"),
        ("/srvother", "ext4"),
        ("/srv/local/x", "xfs"),
        ("/with space/x", "cifs"),
    ],
)
def test_finds_the_mount_of_a_path(path: str, expected: str) -> None:
    """The longest mount point that holds the path counts, and of two on the same place the later."""
    assert type_in(MOUNTINFO, path) == expected


def test_knows_the_file_system_of_this_machine(tmp_path: Path) -> None:
    """The real table is readable and has an answer, also through a link."""
    (tmp_path / "link").symlink_to("/proc")
    assert file_system_type("/proc") == "proc"
    assert file_system_type(str(tmp_path / "link")) == "proc"
    assert file_system_type(str(tmp_path)) not in NETWORK_FILE_SYSTEMS | {""}
    assert type_in("", "/") == ""


def test_makes_a_private_directory(tmp_path: Path) -> None:
    """A missing directory is made with its parents, for the owner alone, and the lock says who holds it."""
    folder = tmp_path / "a" / "b"
    lease = FcntlLease(str(folder))
    lease.acquire()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "lock").stat().st_mode) == 0o600
    assert (folder / "lock").read_text() == f"{os.getpid()}\n"
    lease.release()
    assert (folder / "lock").exists()


def test_refuses_a_directory_that_others_can_reach(tmp_path: Path) -> None:
    """A mode with rights for others is refused, with the command that corrects it."""
    tmp_path.chmod(0o750)
    with pytest.raises(DirectoryUnusable, match="0750") as caught:
        FcntlLease(str(tmp_path)).acquire()
    assert f"chmod 700 {tmp_path}" in caught.value.advice


def test_refuses_a_directory_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not own the directory does not use it."""
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(DirectoryUnusable, match=f"belongs to user {owner}"):
        FcntlLease(str(tmp_path)).acquire()


def test_refuses_a_file_in_the_place_of_the_directory(tmp_path: Path) -> None:
    """A file is no directory."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryUnusable):
        FcntlLease(str(tmp_path / "file")).acquire()


def test_refuses_a_directory_without_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that cannot be written, such as a read-only mount, is refused."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DirectoryUnusable, match="read and written"):
        FcntlLease(str(tmp_path)).acquire()


def test_refuses_a_network_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where locks are not reliable nothing is begun."""
    monkeypatch.setattr(fcntl_lease, "file_system_type", lambda _: "nfs4")
    with pytest.raises(DirectoryUnusable, match="network file system"):
        FcntlLease(str(tmp_path)).acquire()
    assert not (tmp_path / "lock").exists()


def test_refuses_a_link_as_lock(tmp_path: Path) -> None:
    """A lock file that is a link could be anybody's."""
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DirectoryUnusable, match="cannot be opened"):
        FcntlLease(str(tmp_path)).acquire()
    assert not (tmp_path / "elsewhere").exists()


def test_is_busy_without_a_readable_pid(tmp_path: Path) -> None:
    """Who holds the lease may have been unable to write who they are."""
    lease = FcntlLease(str(tmp_path))
    lease.acquire()
    (tmp_path / "lock").write_text("nobody")
    with pytest.raises(DirectoryBusy) as caught:
        FcntlLease(str(tmp_path)).acquire()
    assert caught.value.details == {}
    lease.release()
