"""A disk that fails, fills up or is read-only: said clearly, and nothing acknowledged is lost."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ploinky.adapters.fcntl_lease import FcntlLease
from ploinky.adapters.file_blobs import FileBlobStore
from ploinky.adapters.sqlalchemy_journal_opening import open_journal
from ploinky.domain.errors import DirectoryUnusable, JournalFull, StorageFull
from ploinky.journal.chain import verify
from ploinky.ports.journal_store import Head, JournalStore
from tests.crash.journal.aftermath import acknowledged, check, run, tracer
from tests.crash.journal.appending import BATCH_RECORDS, batch_of
from tests.journal.records import head_after

pytestmark = pytest.mark.crash

BATCHES = 10
DISK_BYTES = 48 * 1024 * 1024
BATCHES_LIMIT = 20_000


@pytest.mark.strace
@pytest.mark.parametrize("at", [1, 12, 20])
def test_a_failed_sync_ends_the_writer(tmp_path: Path, at: int) -> None:
    """After an I/O error on a sync the writer stops, and the next start finds every acknowledged batch."""
    journal = tmp_path / "journal.db"
    result = run(journal, BATCHES, *tracer("fdatasync", tmp_path / "trace", f"error=EIO:when={at}"))
    assert result.returncode == 1
    assert "JournalBroken" in result.stderr
    assert "closed" not in result.stdout
    check(journal, result)


@pytest.mark.strace
@pytest.mark.parametrize(("at", "expected"), [(1, 0), (20, 1), (40, 1), (60, 1), (75, 1)])
def test_a_moment_without_space_is_only_full(tmp_path: Path, at: int, expected: int) -> None:
    """A write that finds no space changes nothing; the ballast helps when opening, a repetition later."""
    journal = tmp_path / "journal.db"
    assert run(journal, 1).returncode == 0
    result = run(journal, BATCHES, *tracer("pwrite64", tmp_path / "trace", f"error=ENOSPC:when={at}"))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("full\n") == expected
    assert result.stdout.endswith("closed\n")
    assert acknowledged(result) == BATCH_RECORDS * (1 + BATCHES)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, small enough to fill."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def append_until_full(store: JournalStore, head: Head) -> Head:
    """Append until the disk is full; return the head of what was acknowledged."""
    for _ in range(BATCHES_LIMIT):
        batch = batch_of(head)
        try:
            store.append(batch)
        except JournalFull:
            return head
        head = head_after(batch)
    raise AssertionError("the disk did not fill up")


def test_a_full_disk_loses_nothing(small_disk: Path) -> None:
    """Full, the journal can still be read; the ballast makes room again; after a restart everything is there."""
    path = small_disk / "journal.db"
    store = open_journal(str(path), verify)
    with (small_disk / "filler").open("wb") as filler:
        free_bytes = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        os.posix_fallocate(filler.fileno(), 0, free_bytes - 2 * 1024 * 1024)
    full_at = append_until_full(store, store.take_epoch())
    assert full_at.position > 0
    assert store.head() == full_at
    assert len(store.read(0)) > 0
    with pytest.raises(JournalFull):
        store.append(batch_of(full_at))
    with pytest.raises(StorageFull):
        FileBlobStore(str(small_disk / "blobs")).put(bytes(DISK_BYTES))

    assert store.release_ballast()
    batch = batch_of(full_at)
    store.append(batch)
    later = append_until_full(store, head_after(batch))
    store.close()

    (small_disk / "filler").unlink()
    store = open_journal(str(path), verify)
    assert store.head() == later
    records, page = [], store.read(0)
    while page:
        records += page
        page = store.read(len(records))
    verify(records, later)
    store.append(batch_of(store.take_epoch()))
    assert store.release_ballast()
    store.close()


def test_opens_on_a_full_disk(small_disk: Path) -> None:
    """Without any space left the ballast is given up for opening, and what was acknowledged is served."""
    path = str(small_disk / "journal.db")
    store = open_journal(path, verify)
    batch = batch_of(store.take_epoch())
    store.append(batch)
    store.close()
    with (small_disk / "filler").open("wb") as filler:
        disk = os.statvfs(small_disk)
        os.posix_fallocate(filler.fileno(), 0, disk.f_bavail * disk.f_frsize)
    store = open_journal(path, verify)
    assert store.head() == head_after(batch)
    store.append(batch_of(store.take_epoch()))
    assert not store.release_ballast()
    store.close()


def test_a_small_disk_gets_no_ballast(small_disk: Path) -> None:
    """Where the ballast itself would fill the disk there is none, and the journal works."""
    with (small_disk / "filler").open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, DISK_BYTES - 16 * 1024 * 1024)
    store = open_journal(str(small_disk / "journal.db"), verify)
    store.append(batch_of(store.take_epoch()))
    assert not store.release_ballast()
    store.close()


def test_a_read_only_disk_is_refused(small_disk: Path) -> None:
    """A journal that cannot be written is not opened, and the reason is said."""
    path = str(small_disk / "journal.db")
    open_journal(path, verify).close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True, capture_output=True)
    with pytest.raises(DirectoryUnusable, match="read and written"):
        open_journal(path, verify)
    with pytest.raises(DirectoryUnusable):
        FcntlLease(str(small_disk)).acquire()
