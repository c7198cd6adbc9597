"""A snapshot saves reading, and is never trusted more than the journal."""

import os
from pathlib import Path

import msgspec
import pytest

from ploinky.adapters.memory.journal import JournalContents
from ploinky.domain import commands as c
from ploinky.journal import snapshot as snapshots
from ploinky.journal.codec import Codec
from ploinky.journal.follower import Follower
from ploinky.journal.snapshot import Snapshot
from ploinky.ports.journal_store import Head
from ploinky.views.fold_digest import fold_digest
from ploinky.views.views import Views
from tests.journal import sample_commands as sample
from tests.journal.stepping import Stepping, contents_of, dumped, rebuilt

FOLDS = fold_digest()


def lived() -> Stepping:
    """Return a journal in which something of everything is open."""
    steps = Stepping()
    steps.run(*sample.serve("d1", concurrency=1), *sample.serve("d2"), sample.deploy("d3"))
    steps.run(*(sample.submit(f"t{number}", key=f"k{number}") for number in range(5)), sample.succeed("t0"))
    steps.run(c.CancelTask(subject_id="t4"), c.Undeploy(subject_id="d2"), sample.stop_instance("d2.1.0"))
    steps.run(sample.issue_key("k1", "init"), c.AddRepository(subject_id="agents", url="file:///agents"))
    steps.run(c.ChangeSetting(subject_id="main", name="taskTimeout", value=5.0))
    return steps


def taken(steps: Stepping) -> Snapshot:
    last = steps.store.contents.records[-1]
    return Snapshot(
        journal_id=steps.store.journal_id,
        position=last.position,
        hash=last.hash,
        last_at=last.at,
        folds=FOLDS,
        views=msgspec.Raw(msgspec.json.encode(steps.views.dump())),
    )


def loaded(path: Path, steps: Stepping, folds: str = FOLDS, head: Head | None = None) -> Snapshot | None:
    return snapshots.load(path, steps.store, head or steps.store.head(), folds)


def started_from(snapshot: Snapshot, steps: Stepping) -> Views:
    views = Views()
    views.load(snapshot.views, snapshot.position)
    Follower(steps.store, Codec(), snapshot.position).catch_up(views.fold)
    return views


def test_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    """What was saved is loaded, for the journal it was taken of."""
    steps, path = lived(), tmp_path / "views.snapshot"
    snapshots.save(path, taken(steps))
    assert loaded(path, steps) == taken(steps)


@pytest.mark.parametrize("is_more_to_come", [False, True])
def test_snapshot_and_tail_are_the_whole(tmp_path: Path, is_more_to_come: bool) -> None:
    """Views from a snapshot and the journal's tail are, byte by byte, those from the first event."""
    steps, path = lived(), tmp_path / "views.snapshot"
    snapshots.save(path, taken(steps))
    if is_more_to_come:
        steps.run(sample.succeed("t1"), sample.submit("t9", key="k9"), c.RevokeKey(subject_id="k1"))
        steps.run(
            c.RecordStopped(subject_id="d2.1.0", reason="requested"),
            c.RecordStarted(subject_id="d1.1.0", engine_id="engine-d1.1.0", queue_identity="q"),
        )
    snapshot = loaded(path, steps)
    assert snapshot is not None
    views, whole = started_from(snapshot, steps), rebuilt(steps.store)
    assert dumped(views) == dumped(whole) == dumped(steps.views)
    assert contents_of(views.indexes()) == contents_of(whole.indexes())
    assert views.position == whole.position == steps.store.head().position


def test_a_missing_snapshot_is_no_error(tmp_path: Path) -> None:
    """The first start has none."""
    assert loaded(tmp_path / "views.snapshot", lived()) is None


def test_a_folder_in_its_place_is_no_error(tmp_path: Path) -> None:
    """Whatever lies there instead is ignored."""
    assert loaded(tmp_path, lived()) is None


def test_any_damaged_byte_is_noticed(tmp_path: Path) -> None:
    """A snapshot with any one byte changed, also within a number of a view, is ignored."""
    steps, path = lived(), tmp_path / "views.snapshot"
    snapshots.save(path, taken(steps))
    content = path.read_bytes()
    for index in range(0, len(content), 61):
        damaged = bytearray(content)
        damaged[index] ^= 1
        path.write_bytes(damaged)
        assert loaded(path, steps) is None, index


@pytest.mark.parametrize("kept_bytes", [0, 1, 64, 65, 500])
def test_a_cut_snapshot_is_noticed(tmp_path: Path, kept_bytes: int) -> None:
    """A snapshot that was written in part is ignored."""
    steps, path = lived(), tmp_path / "views.snapshot"
    snapshots.save(path, taken(steps))
    path.write_bytes(path.read_bytes()[:kept_bytes])
    assert loaded(path, steps) is None


def test_a_snapshot_of_another_journal_is_ignored(tmp_path: Path) -> None:
    """A snapshot is bound to its journal's name."""
    steps, path = lived(), tmp_path / "views.snapshot"
    snapshots.save(path, taken(steps))
    other = Stepping(JournalContents("memory000002"))
    other.run(*(sample.issue_key(f"k{number}") for number in range(60)))
    assert loaded(path, other) is None


def test_a_snapshot_of_another_history_is_ignored(tmp_path: Path) -> None:
    """A snapshot is bound to the record it was taken at: a journal restored from a copy has another one there."""
    steps, path = lived(), tmp_path / "views.snapshot"
    snapshots.save(path, taken(steps))
    restored = Stepping(JournalContents(steps.store.journal_id))
    restored.run(*(sample.issue_key(f"k{number}") for number in range(steps.store.head().position + 1)))
    assert loaded(path, restored) is None


def test_a_snapshot_ahead_of_the_journal_is_ignored(tmp_path: Path) -> None:
    """A journal that lost its end is older than the snapshot, and the journal is right."""
    steps, path = lived(), tmp_path / "views.snapshot"
    snapshots.save(path, taken(steps))
    head = steps.store.head()
    assert loaded(path, steps, head=head._replace(position=head.position - 1)) is None


@pytest.mark.parametrize(
    "change", [{"folds": "others"}, {"position": 0}, {"position": -1}, {"format": 2}, {"hash": bytes(32)}]
)
def test_a_snapshot_that_does_not_fit_is_ignored(tmp_path: Path, change: dict[str, object]) -> None:
    """Other folds, another format, a place that cannot be: the views are built anew."""
    steps, path = lived(), tmp_path / "views.snapshot"
    snapshots.save(path, msgspec.structs.replace(taken(steps), **change))
    assert loaded(path, steps) is None


def test_replaces_the_one_before_at_once(tmp_path: Path) -> None:
    """The new one takes the old one's place by a rename; nothing else is left, and nobody else may read it."""
    steps, path = lived(), tmp_path / "views.snapshot"
    snapshots.save(path, taken(steps))
    inode = path.stat().st_ino
    steps.ask(sample.issue_key("k2"))
    snapshots.save(path, taken(steps))
    assert path.stat().st_ino != inode
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o077 == 0
    assert loaded(path, steps) == taken(steps)


def test_a_failed_save_leaves_the_one_before(tmp_path: Path) -> None:
    """Whoever cannot write the new one still has the old one."""
    steps, path = lived(), tmp_path / "views.snapshot"
    snapshots.save(path, taken(steps))
    before = taken(steps)
    steps.ask(sample.issue_key("k2"))
    (tmp_path / "views.tmp").mkdir()
    with pytest.raises(OSError, match="views"):
        snapshots.save(path, taken(steps))
    assert loaded(path, steps) == before


def test_a_leftover_of_a_killed_save_is_no_obstacle(tmp_path: Path) -> None:
    """A temporary file of a process that was killed is written over, however long it is."""
    steps, path = lived(), tmp_path / "views.snapshot"
    (tmp_path / "views.tmp").write_bytes(os.urandom(100_000))
    snapshots.save(path, taken(steps))
    assert loaded(path, steps) == taken(steps)
