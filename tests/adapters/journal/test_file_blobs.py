"""Blob files: durable in order, private, and nothing left behind by a failure."""

import errno
import os
import stat
import time
from pathlib import Path

import pytest

from ploinky.adapters.file_blobs import FileBlobStore
from ploinky.adapters.memory.blobs import MemoryBlobStore
from ploinky.domain.errors import BlobNotFound, DirectoryUnusable, StorageFull


@pytest.fixture
def store(tmp_path: Path) -> FileBlobStore:
    return FileBlobStore(str(tmp_path / "blobs"))


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]


def test_files_are_private_and_sharded(store: FileBlobStore, tmp_path: Path) -> None:
    """A blob is a file of its owner in a folder named by the first two digits."""
    name = store.put(b"content")
    path = tmp_path / "blobs" / name[:2] / name
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_syncs_before_it_names(store: FileBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is synced, then renamed, then the folder is synced: a name that is known is durable."""
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_rename(source: str, target: str) -> None:
        steps.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    store.put(b"content")
    assert steps == ["folder", "file", "rename", "folder"]


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EIO, DirectoryUnusable)]
)
@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_failed_put_leaves_nothing(
    store: FileBlobStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    expected: type[Exception],
) -> None:
    """A full disk is said to be one, another error is one, and no file stays behind."""
    store.put(b"first")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("ploinky.adapters.file_blobs.secrets.token_hex", lambda _: "ab" * 16)
    (tmp_path / "blobs" / "ab").mkdir(exist_ok=True)
    with monkeypatch.context() as broken:
        broken.setattr(os, call, fail)
        with pytest.raises(expected):
            store.put(b"second")
    assert len(files(tmp_path)) == 1


def test_writes_all_of_it_in_pieces(store: FileBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that takes less than it was given is continued."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:3]))
    assert store.get(store.put(b"0123456789")) == b"0123456789"


def test_removes_what_a_crash_left(store: FileBlobStore, tmp_path: Path) -> None:
    """An unfinished file goes when it is old, not counted as a blob; foreign files stay."""
    name = store.put(b"content")
    shard = tmp_path / "blobs" / name[:2]
    for other in ("unfinished", "note"):
        (shard / f"{'0' * 32}.{other}").write_bytes(b"half")
    (tmp_path / "blobs" / "note.txt").write_text("by hand")
    assert store.collect(lambda _: True) == 0
    assert len(files(tmp_path)) == 4
    then = time.time() - 7200
    for path in files(tmp_path):
        os.utime(path, (then, then))
    assert store.collect(lambda _: True) == 0
    assert sorted(path.name for path in files(tmp_path)) == sorted([name, f"{'0' * 32}.note", "note.txt"])


def test_follows_no_link(store: FileBlobStore, tmp_path: Path) -> None:
    """A link in the place of a blob is an error, not the content of another file."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "blobs" / "00").mkdir()
    (tmp_path / "blobs" / "00" / ("0" * 32)).symlink_to(tmp_path / "secret")
    with pytest.raises(DirectoryUnusable):
        store.get("0" * 32)


def test_refuses_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    """The folder cannot be made where a file lies."""
    (tmp_path / "blobs").write_text("")
    with pytest.raises(DirectoryUnusable):
        FileBlobStore(str(tmp_path / "blobs"))


def test_memory_fills_up() -> None:
    """The store in memory plays a full disk where a test wants one, and has room again after collecting."""
    now = [0.0]
    store = MemoryBlobStore(monotonic=lambda: now[0], capacity_bytes=10)
    name = store.put(b"12345678")
    with pytest.raises(StorageFull):
        store.put(b"123")
    assert store.get(name) == b"12345678"
    now[0] = 3600.0
    assert store.collect(lambda _: False) == 1
    with pytest.raises(BlobNotFound):
        store.get(name)
    store.put(b"123")
