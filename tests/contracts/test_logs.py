"""What every `LogStore` has to do, held against memory and against files."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ploinky.adapters.file_logs import LOG_LIMIT_BYTES, TAIL_LIMIT_BYTES, FileLogStore
from ploinky.adapters.memory.logs import MemoryLogStore
from ploinky.domain.errors import DirectoryUnusable, Invalid, StorageFull
from ploinky.domain.ids import instance_id
from ploinky.ports.logs import LogStore

DEPLOYMENT = "c9v0000000000000000g"
INSTANCE = instance_id(DEPLOYMENT, 3, 0)
NO_INSTANCES = [
    "",
    DEPLOYMENT,
    f"{DEPLOYMENT}.1",
    f"{DEPLOYMENT}.1.0.0",
    f"{DEPLOYMENT}.01.0",
    f"{DEPLOYMENT}.-1.0",
    f"{DEPLOYMENT}.1.0\n",
    f"{DEPLOYMENT}.\u0661.0",
    "../etc.1.0",
    "...1.0",
    "a/b.1.0",
    "a\0.1.0",
    f"{'a' * 65}.1.0",
    f"{DEPLOYMENT}.{'9' * 10}.0",
]


@pytest.fixture(params=["memory", "files"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> LogStore:
    return MemoryLogStore() if request.param == "memory" else FileLogStore(tmp_path / "logs")


@pytest.fixture
def files(tmp_path: Path) -> FileLogStore:
    return FileLogStore(tmp_path / "logs")


@pytest.fixture
def log(files: FileLogStore) -> Path:
    return Path(files.path(INSTANCE))


def test_gives_back_the_newest_lines(store: LogStore) -> None:
    """As many lines as asked for, from the end, byte for byte."""
    store.save(INSTANCE, b"one\ntwo\r\nthree \xff\n")
    assert store.tail(INSTANCE, 2) == b"two\r\nthree \xff\n"
    assert store.tail(INSTANCE, 3) == store.tail(INSTANCE, 10_000) == b"one\ntwo\r\nthree \xff\n"


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        (b"a\nb", 1, b"b"),
        (b"a\nb", 2, b"a\nb"),
        (b"a\n\n\n", 2, b"\n\n"),
        (b"\n", 1, b"\n"),
        (b"a", 0, b""),
        (b"a", -1, b""),
        (b"a\rb\x0bc\n", 1, b"a\rb\x0bc\n"),
    ],
)
def test_counts_lines_by_their_ends(store: LogStore, content: bytes, lines: int, expected: bytes) -> None:
    """A last line without an end counts, an empty one too, and only a line feed ends a line."""
    store.save(INSTANCE, content)
    assert store.tail(INSTANCE, lines) == expected


def test_an_unknown_log_is_empty(store: LogStore) -> None:
    """An instance that never wrote has an empty log."""
    assert store.tail(INSTANCE, 10) == b""


def test_saving_again_replaces(store: LogStore) -> None:
    """A repeated save leaves one log, the newer one."""
    for content in (b"first\n", b"first\nsecond\n", b"first\nsecond\n"):
        store.save(INSTANCE, content)
    assert store.tail(INSTANCE, 10) == b"first\nsecond\n"


def test_nothing_replaces_nothing(store: LogStore) -> None:
    """An engine that has forgotten the instance takes nothing away of what was kept."""
    store.save(INSTANCE, b"last words\n")
    store.save(INSTANCE, b"")
    assert store.tail(INSTANCE, 10) == b"last words\n"


def test_instances_have_logs_of_their_own(store: LogStore) -> None:
    """Neither generation nor number nor deployment are mixed up, also when the digits run together alike."""
    ids = [instance_id(DEPLOYMENT, 1, 11), instance_id(DEPLOYMENT, 11, 1), instance_id("other", 1, 11)]
    for name in ids:
        store.save(name, name.encode())
    assert [store.tail(name, 1).decode() for name in ids] == ids
    assert len({store.path(name) for name in ids}) == 3


def test_discards_a_whole_deployment(store: LogStore) -> None:
    """All logs of a deployment go, doing it again is fine, and others stay."""
    other = instance_id(f"{DEPLOYMENT[:-1]}h", 3, 0)
    for name in (INSTANCE, instance_id(DEPLOYMENT, 4, 1), other):
        store.save(name, b"x")
    store.discard(DEPLOYMENT)
    store.discard(DEPLOYMENT)
    assert (store.tail(INSTANCE, 1), store.tail(other, 1)) == (b"", b"x")


def test_bounds_what_is_read(store: LogStore) -> None:
    """However long the lines are, at most 1 MiB comes back, and it is the end."""
    store.save(INSTANCE, b"x" * (2 * TAIL_LIMIT_BYTES) + b"\nend\n")
    tail = store.tail(INSTANCE, 10_000)
    assert len(tail) == TAIL_LIMIT_BYTES
    assert tail.endswith(b"x\nend\n")


@pytest.mark.parametrize("name", NO_INSTANCES)
def test_refuses_what_is_no_instance(store: LogStore, name: str) -> None:
    """An id that could lead elsewhere is refused by every method, before anything is touched."""
    for use in (store.path, lambda value: store.tail(value, 1), lambda value: store.save(value, b"x")):
        with pytest.raises(Invalid):
            use(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0", "x\n", "a" * 65, "\u00e9"])
def test_refuses_to_discard_what_is_no_deployment(store: LogStore, name: str) -> None:
    """Nothing but a deployment's id is ever removed."""
    with pytest.raises(Invalid):
        store.discard(name)


def test_memory_injects_a_full_disk() -> None:
    """The shipped store fails on request as the real one does."""
    memory = MemoryLogStore()
    memory.is_full = True
    with pytest.raises(StorageFull):
        memory.save(INSTANCE, b"x")


def test_reads_what_a_runtime_wrote(files: FileLogStore, log: Path) -> None:
    """A runtime may open the path at once: its folder is there."""
    log.write_bytes(b"a\nb\n")
    assert files.tail(INSTANCE, 1) == b"b\n"
    assert log.relative_to(log.parent.parent) == Path(DEPLOYMENT, "3-0.log")


def test_nobody_else_may_read(files: FileLogStore, log: Path) -> None:
    """Logs may hold what agents should not have printed."""
    files.save(INSTANCE, b"x")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (log, log.parent, log.parent.parent)]
    assert modes == [0o600, 0o700, 0o700]


def test_keeps_the_newest_part_of_a_huge_log(files: FileLogStore, log: Path) -> None:
    """One log takes at most 10 MiB of the disk."""
    files.save(INSTANCE, b"old" + b"x" * LOG_LIMIT_BYTES + b"new")
    assert log.stat().st_size == LOG_LIMIT_BYTES
    assert log.read_bytes().endswith(b"xnew")


def test_survives_a_restart(files: FileLogStore, log: Path) -> None:
    """Another store over the same folder reads what the first one kept."""
    files.save(INSTANCE, b"kept")
    assert FileLogStore(log.parent.parent).tail(INSTANCE, 1) == b"kept"


def test_tidies_what_a_crash_left(files: FileLogStore, log: Path) -> None:
    """A half-written file is nobody's log and goes with the next save."""
    log.with_name("3-0.log.tmp").write_bytes(b"half")
    files.save(INSTANCE, b"whole")
    assert [path.name for path in log.parent.iterdir()] == ["3-0.log"]


def make_a_link(log: Path, target: Path) -> None:
    log.symlink_to(target)


def make_a_link_of_the_folder(log: Path, target: Path) -> None:
    log.parent.rmdir()
    (target.parent / log.name).write_bytes(b"secret")
    log.parent.symlink_to(target.parent)


def make_a_folder(log: Path, target: Path) -> None:
    log.mkdir()


def make_a_pipe(log: Path, target: Path) -> None:
    os.mkfifo(log)


def make_a_file_of_the_folder(log: Path, target: Path) -> None:
    log.parent.rmdir()
    log.parent.write_bytes(b"x")


OBSTACLES = [make_a_link, make_a_link_of_the_folder, make_a_folder, make_a_pipe, make_a_file_of_the_folder]


@pytest.mark.parametrize("make", OBSTACLES)
def test_what_is_no_file_is_no_log(
    files: FileLogStore, log: Path, tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    """Links are not followed, pipes not waited for: all of that reads as empty."""
    target = tmp_path / "elsewhere" / "secret"
    target.parent.mkdir()
    target.write_bytes(b"secret")
    make(log, target)
    assert files.tail(INSTANCE, 10) == b""


def test_a_link_is_replaced_not_written_through(files: FileLogStore, log: Path, tmp_path: Path) -> None:
    """Saving over a link leaves alone what it leads to, at the final name and at the temporary one."""
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    for path in (log, log.with_name("3-0.log.tmp")):
        path.symlink_to(target)
    files.save(INSTANCE, b"x")
    assert (target.read_bytes(), files.tail(INSTANCE, 1)) == (b"precious", b"x")
    assert not log.is_symlink()


def test_does_not_write_through_a_linked_folder(files: FileLogStore, log: Path, tmp_path: Path) -> None:
    """A deployment's folder that is a link is refused, and removed as the link that it is."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("")
    log.parent.rmdir()
    log.parent.symlink_to(elsewhere)
    with pytest.raises(DirectoryUnusable):
        files.save(INSTANCE, b"x")
    files.discard(DEPLOYMENT)
    assert [path.name for path in elsewhere.iterdir()] == ["precious"]
    assert not log.parent.is_symlink()


def test_says_when_the_folder_cannot_be_used(tmp_path: Path) -> None:
    """A file in the folder's place is an error for the operator."""
    (tmp_path / "logs").write_text("")
    with pytest.raises(DirectoryUnusable, match="logs"):
        FileLogStore(tmp_path / "logs")


def test_an_unreadable_log_is_no_empty_one(files: FileLogStore, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing disk is said, since an empty log would mean that the instance was silent."""
    log.write_bytes(b"x")

    def fail(*_: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(DirectoryUnusable, match="Input/output error"):
        files.tail(INSTANCE, 1)


def test_a_full_disk_is_storage_full(files: FileLogStore, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space left is told as such, leaves nothing half-written, and keeps what was there."""
    files.save(INSTANCE, b"before")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(StorageFull):
        files.save(INSTANCE, b"after")
    assert [path.name for path in log.parent.iterdir()] == ["3-0.log"]
    assert files.tail(INSTANCE, 1) == b"before"


def test_leaks_no_descriptor(files: FileLogStore) -> None:
    """However often it is used, well or badly, nothing stays open."""
    Path(files.path(instance_id(DEPLOYMENT, 9, 9))).mkdir()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        files.save(INSTANCE, b"x")
        files.tail(INSTANCE, 1)
        files.tail(instance_id("unknown", 1, 0), 1)
        files.tail(instance_id(DEPLOYMENT, 9, 9), 1)
    assert len(os.listdir("/proc/self/fd")) == before


def test_prunes_earlier_generations(store: LogStore) -> None:
    """What generations before the first one to be kept printed is removed, and nothing else."""
    for generation, number in ((1, 0), (2, 0), (2, 1), (9, 0), (10, 0)):
        store.save(instance_id(DEPLOYMENT, generation, number), b"x\n")
    store.save(instance_id("other", 1, 0), b"x\n")
    for _ in range(2):
        store.prune(DEPLOYMENT, 9)
    store.prune("absent", 9)
    store.prune(DEPLOYMENT, -3)
    kept = [number for number in (1, 2, 9, 10) if store.tail(instance_id(DEPLOYMENT, number, 0), 1)]
    assert kept == [9, 10]
    assert store.tail(instance_id(DEPLOYMENT, 2, 1), 1) == b""
    assert store.tail(instance_id("other", 1, 0), 1) == b"x\n"


def test_prunes_every_file_of_a_log(files: FileLogStore, log: Path) -> None:
    """A log that is spread over files goes with all of them; what is no log stays."""
    for name in (log.name, f"{log.name}.1", f"{log.name}.9", "notes.txt"):
        (log.parent / name).write_bytes(b"x")
    files.prune(DEPLOYMENT, 4)
    assert [path.name for path in log.parent.iterdir()] == ["notes.txt"]


def test_reads_a_log_over_its_files(files: FileLogStore, log: Path) -> None:
    """The newest lines may begin in an older file; the bound on a tail holds for all together."""
    log.write_bytes(b"four\n")
    Path(f"{log}.1").write_bytes(b"two\nthree\n")
    Path(f"{log}.2").write_bytes(b"one\n")
    assert files.tail(INSTANCE, 2) == b"three\nfour\n"
    assert files.tail(INSTANCE, 9) == b"one\ntwo\nthree\nfour\n"
    Path(f"{log}.1").write_bytes(b"x" * TAIL_LIMIT_BYTES)
    assert len(files.tail(INSTANCE, 9)) == TAIL_LIMIT_BYTES
