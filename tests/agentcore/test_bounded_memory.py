"""The backlog, what is remembered, what is watched and what is hidden: all bounded."""

import os
from pathlib import Path

import pytest

from agentcore.backlog import Backlog, RecentNames
from agentcore.hiding import Hider, tail_of
from agentcore.inotify import FolderWatch
from agentcore.manifest import Manifest
from agentcore.queue_directory import QueueDirectory
from agentcore.resolution import Commands


def drained(backlog: Backlog) -> list[str]:
    return list(iter(backlog.next, None))


def test_an_attempt_is_offered_once() -> None:
    """An attempt heard of again is not taken again, also after it was handed out."""
    backlog = Backlog()
    backlog.offer(["a.1", "b.1", "a.1"])
    assert drained(backlog) == ["a.1", "b.1"]
    backlog.offer(["a.1", "a.2"])
    assert drained(backlog) == ["a.2"]


def test_what_does_not_fit_is_offered_by_a_later_scan() -> None:
    """More than fits is refused, not remembered as seen."""
    backlog = Backlog(limit_pending=2)
    backlog.offer(["a.1", "b.1", "c.1"])
    assert backlog.is_cut
    assert drained(backlog) == ["a.1", "b.1"]
    backlog.offer(["a.1", "b.1", "c.1"])
    assert drained(backlog) == ["c.1"]


def test_an_attempt_that_could_not_be_claimed_is_offered_again() -> None:
    """After a failed claim the next scan brings the attempt back."""
    backlog = Backlog()
    backlog.offer(["a.1"])
    assert backlog.next() == "a.1"
    backlog.offer_again_later("a.1")
    backlog.offer(["a.1"])
    assert len(backlog) == 1


def test_the_oldest_names_are_forgotten() -> None:
    """Memory does not grow with the number of attempts."""
    names = RecentNames(limit_names=2)
    for name in ("a", "b", "c"):
        names.add(name)
    assert [name in names for name in ("a", "b", "c")] == [False, True, True]


def test_commands_of_callers_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`runTask` answers to any name, and only so many names are kept."""
    monkeypatch.setattr("agentcore.resolution.MAX_CACHED_COMMANDS", 3)
    commands = Commands(str(tmp_path), Manifest(run_task=["true"]))
    answers = {commands.resolve(f"command-{number}") for number in range(9)}
    assert len(answers) == 9
    assert len(commands._found) == 3


def test_a_watch_tells_folder_and_name(tmp_path: Path) -> None:
    """Files renamed into the folders are told, and with which folder; new ones only where all are asked for."""
    watch = FolderWatch()
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    for _ in range(2):
        watch.watch(str(folders[0]), is_renamed_into=False)
        watch.watch(str(folders[1]))
    (folders[0] / "a").touch()
    (folders[1] / "made").touch()
    os.rename(folders[0] / "a", folders[1] / "b")
    news = watch.read()
    assert news.arrivals == [(str(folders[0]), "a"), (str(folders[1]), "b")]
    assert not news.needs_scan
    assert watch.read().arrivals == []
    watch.close()


def test_a_watch_asks_for_a_scan_when_its_folder_goes(tmp_path: Path) -> None:
    """A folder that was removed and made anew is watched again."""
    watch = FolderWatch()
    (tmp_path / "one").mkdir()
    watch.watch(str(tmp_path / "one"))
    (tmp_path / "one").rmdir()
    assert watch.read().needs_scan
    (tmp_path / "one").mkdir()
    watch.watch(str(tmp_path / "one"), is_renamed_into=False)
    (tmp_path / "one/a").touch()
    assert (str(tmp_path / "one"), "a") in watch.read().arrivals
    watch.close()


def test_a_watch_asks_for_a_scan_after_an_overflow(tmp_path: Path) -> None:
    """When the kernel's queue was full, nothing is silently missed."""
    watch = FolderWatch()
    watch.watch(str(tmp_path), is_renamed_into=False)
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(limit + 1):
        os.close(os.open(tmp_path / str(number), os.O_CREAT | os.O_WRONLY))
    while not (news := watch.read()).needs_scan:
        assert news.arrivals
    watch.close()


def test_refuses_to_watch_a_missing_folder(tmp_path: Path) -> None:
    """A folder that is not there is an error that names it."""
    watch = FolderWatch()
    with pytest.raises(OSError, match="missing"):
        watch.watch(str(tmp_path / "missing"))
    watch.close()


def test_a_claim_is_made_once(tmp_path: Path) -> None:
    """The second claim of an attempt fails, and both know the owner."""
    queue = QueueDirectory(str(tmp_path))
    queue.prepare()
    assert queue.claim("a.1")
    assert not queue.claim("a.1")
    assert (tmp_path / "locks/a.1/owner").read_text().startswith('{"pid"')


def test_a_claim_needs_no_hard_links(tmp_path: Path) -> None:
    """Where a link cannot be made the owner is written instead."""
    queue = QueueDirectory(str(tmp_path))
    queue.prepare()
    (tmp_path / "locks/.owner").unlink()
    assert queue.claim("a.1")
    assert (tmp_path / "locks/a.1/owner").read_text().startswith('{"pid"')


def test_discards_what_a_killed_worker_was_writing(tmp_path: Path) -> None:
    """A half-written result is removed; a finished one stays."""
    queue = QueueDirectory(str(tmp_path))
    queue.prepare()
    queue.publish_result("a.1", b"{}")
    (tmp_path / "results/.tmp-a.1").write_text("{")
    queue.discard_temporary("a.1")
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["a.1"]


def test_publishing_follows_no_link(tmp_path: Path) -> None:
    """A link in the place of a temporary file is not written through."""
    queue = QueueDirectory(str(tmp_path))
    queue.prepare()
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "results/.tmp-a.1").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic"):
        queue.publish_result("a.1", b"{}")
    assert (tmp_path / "precious").read_text() == "kept"
    queue.publish_result("a.1", b"{}")
    assert (tmp_path / "results/a.1").read_text() == "{}"


@pytest.mark.parametrize(
    ("name", "value", "is_hidden"),
    [
        ("DB_PASSWORD", "hunter2", True),
        ("github_token", "abcd", True),
        ("DATABASE", "postgres://ann:pw@host/db", True),
        ("DATABASE", "postgres://host/db", False),
        ("API_KEY", "abc", False),
        ("HOME", "/root", False),
    ],
)
def test_hides_what_is_secret(name: str, value: str, is_hidden: bool) -> None:
    """Secrets are known by the name of their variable or a password in an address; short values are none."""
    hidden = Hider({name: value}).hide(f"<{value}>")
    assert (hidden == f"<[hidden {name}]>") is is_hidden


def test_hides_the_longest_secret_first() -> None:
    """A secret that begins with another one leaves no rest of itself."""
    hider = Hider({"A_TOKEN": "abcd", "B_TOKEN": "abcdefgh"})
    assert hider.hide_in({"k": ["abcdefgh", 1, {"n": "abcd"}]}) == {
        "k": ["[hidden B_TOKEN]", 1, {"n": "[hidden A_TOKEN]"}]
    }


def test_keeps_the_end_of_a_text() -> None:
    """The cut is in bytes and never leaves half a character."""
    assert tail_of("short", 10) == ("short", False)
    assert tail_of("äöü", 3) == ("ü", True)
