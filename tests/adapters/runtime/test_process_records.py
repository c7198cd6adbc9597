"""What the process runtime keeps on disk, and what it does with records that are broken or left over."""

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ploinky.adapters import process_runtime as adapter
from ploinky.adapters import process_runtime_logs
from ploinky.adapters.process_runtime_files import InstanceFolders
from ploinky.adapters.process_runtime_shim import read_stat
from ploinky.domain.errors import RuntimeRefused, RuntimeUnavailable, StorageFull
from ploinky.ports.runtime import ObservedState
from tests.contracts.runtime_harness import Bench, Exits, Sleeps, eventually, process_runtime


@pytest.fixture
def bench(folder: Path) -> Iterator[Bench]:
    runtime = process_runtime(folder)
    bench = Bench(runtime, folder, "records")
    yield bench
    bench.remove_all()
    runtime.close()


def folder_of(bench: Bench, name: str) -> Path:
    return bench.folder / "state" / name


def test_are_private(bench: Bench) -> None:
    """Folders and files are for the server's user alone."""
    folder = folder_of(bench, bench.create("made", Sleeps()))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_hold_the_secrets_only_until_the_start(bench: Bench) -> None:
    """The environment is on disk between creation and start, and nowhere afterwards."""
    name = bench.create("secretive", Sleeps(), environment={"TOKEN": "s3cret-value"})
    folder = folder_of(bench, name)
    assert any(b"s3cret-value" in path.read_bytes() for path in folder.iterdir())
    bench.start(name)
    assert not any(b"s3cret-value" in path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", ".hidden", "a" * 129, "a\0b", "a\n"])
def test_refuse_names_that_are_no_folder_names(bench: Bench, name: str) -> None:
    """A name can never lead out of the state directory."""
    spec = bench.spec("any", Sleeps())
    with pytest.raises(RuntimeRefused):
        bench.runtime.create(type(spec)(**{**{f: getattr(spec, f) for f in spec.__struct_fields__}, "name": name}))
    assert bench.runtime.inspect(name) is None
    assert bench.runtime.stop(name, 0) is None
    bench.runtime.remove(name)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}'])
def test_are_unknown_when_broken(bench: Bench, content: str) -> None:
    """A damaged process record makes the state unknown, never a guess, and does not hinder removal."""
    name = bench.create("damaged", Sleeps())
    (folder_of(bench, name) / "process.json").write_text(content)
    assert bench.state(name) is ObservedState.UNKNOWN
    assert [look.state for look in bench.runtime.list("records")] == [ObservedState.UNKNOWN]
    bench.runtime.remove(name)
    assert bench.runtime.inspect(name) is None


def test_kill_also_what_a_broken_record_hides(bench: Bench) -> None:
    """A running agent whose record was damaged is found by its marker and killed on removal, and its shim ends."""
    name = bench.run_until_it_speaks("hidden", Sleeps())
    record = folder_of(bench, name) / "process.json"
    pid = json.loads(record.read_bytes())["pid"]
    record.write_text("{")
    bench.runtime.remove(name)
    eventually(lambda: bench.runtime.list("records") == [] and read_stat(pid) is None, "the shim ends")


def test_leave_out_what_belongs_to_nobody(bench: Bench) -> None:
    """A folder whose owner cannot be read is not listed, and an inspect says why."""
    name = bench.create("torn", Sleeps())
    (folder_of(bench, name) / "instance.json").write_text("{")
    assert bench.runtime.list("records") == []
    with pytest.raises(RuntimeRefused, match="not readable"):
        bench.runtime.inspect(name)
    bench.runtime.remove(name)
    assert bench.runtime.inspect(name) is None


def test_are_cleared_of_interrupted_work_at_the_start(bench: Bench) -> None:
    """What a killed server was just creating or removing is gone after the next start, its process too."""
    name = bench.run_until_it_speaks("leaving", Sleeps())
    pid = json.loads((folder_of(bench, name) / "process.json").read_bytes())["pid"]
    folders = InstanceFolders(bench.folder / "state")
    assert folders.set_aside(name) is not None
    (bench.folder / "state" / ".new-0123").mkdir()
    process_runtime(bench.folder)
    assert list((bench.folder / "state").iterdir()) == []
    eventually(lambda: bench.runtime.list("records") == [] and read_stat(pid) is None, "the process ends")


class TestLogs:
    def test_are_read_from_their_end(self, tmp_path: Path) -> None:
        """Of a large file only the newest mebibyte is read."""
        log = tmp_path / "x.log"
        log.write_bytes(b"old\n" * 500_000 + b"new\n")
        assert process_runtime_logs.newest_lines(log, 1) == b"new\n"
        assert len(process_runtime_logs.newest_lines(log, 10_000_000)) <= process_runtime_logs.MAX_TAIL_BYTES

    @pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
    def test_are_empty_when_something_else_is_in_their_place(self, bench: Bench, kind: str) -> None:
        """A link is not followed, a pipe is not waited for, and a relist goes on."""
        name = bench.create("odd", Exits(0))
        log = bench.folder / "odd.log"
        match kind:
            case "link":
                log.symlink_to("/etc/passwd")
            case "pipe":
                os.mkfifo(log)
            case _:
                log.mkdir()
        assert bench.runtime.logs(name, 10) == b""
        assert len(bench.runtime.list("records")) == 1
        with pytest.raises(RuntimeRefused, match="log"):
            bench.runtime.start(name)


class TestFailure:
    @pytest.mark.parametrize(("number", "expected"), [(errno.ENOSPC, StorageFull), (errno.EIO, RuntimeRefused)])
    def test_of_the_disk_leaves_no_half_instance(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception]
    ) -> None:
        """A creation that cannot be written is told as what it is and leaves nothing behind."""

        def fail(_descriptor: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(expected):
            bench.create("unwritten", Exits(0))
        assert list((bench.folder / "state").iterdir()) == []

    def test_to_kill_a_leftover_does_not_keep_the_server_down(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A folder whose processes resist is kept for the next start."""
        name = bench.create("resisting", Exits(0))
        record = {"pid": os.getpid(), "start_ticks": 0, "boot_id": "another-boot"}
        (folder_of(bench, name) / "process.json").write_text(json.dumps(record))
        aside = InstanceFolders(bench.folder / "state").set_aside(name)
        assert aside is not None
        with monkeypatch.context() as patch:
            patch.setattr(adapter, "end_survivors", lambda _marker, _groups: False)
            process_runtime(bench.folder)
        assert aside.exists()
        process_runtime(bench.folder)
        assert not aside.exists()

    def test_of_the_shim_is_no_outcome(self, bench: Bench) -> None:
        """A shim that ends without a word has started nothing; a later start may succeed."""
        name = bench.create("mute", Exits(0))
        launch = folder_of(bench, name) / "launch.json"
        whole = launch.read_bytes()
        launch.write_bytes(b"{")
        with pytest.raises(RuntimeUnavailable):
            bench.runtime.start(name)
        launch.write_bytes(whole)
        bench.runtime.start(name)
        assert bench.await_exit(name).exit_code == 0

    def test_to_spawn_is_told(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where no process can be made the runtime is not available for now."""

        def fail(*_arguments: object, **_options: object) -> int:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        monkeypatch.setattr(os, "posix_spawn", fail)
        with pytest.raises(RuntimeUnavailable, match="no process"):
            bench.runtime.start(bench.create("unspawned", Exits(0)))


class TestShim:
    """The shim as its own program, run from its module so that it is measured."""

    def run_shim(self, folder: Path) -> subprocess.CompletedProcess[str]:
        source = (
            "import sys; from ploinky.adapters import process_runtime_shim as shim, process_runtime_writer as writer;"
            "sys.exit(shim.main(sys.argv[1], writer.start))"
        )
        return subprocess.run(
            [sys.executable, "-c", source, str(folder)], check=False, capture_output=True, text=True, timeout=30
        )

    def test_records_who_runs_and_how_it_ended(self, bench: Bench) -> None:
        """After its work the folder tells the process and the exit code, and no longer what was run."""
        folder = folder_of(bench, bench.create("shimmed", Exits(6)))
        done = self.run_shim(folder)
        assert (done.returncode, done.stdout) == (0, "started")
        assert {path.name for path in folder.iterdir()} == {"instance.json", "process.json", "exit.json"}
        assert json.loads((folder / "exit.json").read_bytes())["exit_code"] == 6

    def test_stands_back_when_another_has_it(self, bench: Bench) -> None:
        """The second shim of an instance runs nothing."""
        folder = folder_of(bench, bench.create("contended", Exits(0)))
        launch = (folder / "launch.json").read_bytes()
        assert self.run_shim(folder).stdout == "started"
        (folder / "launch.json").write_bytes(launch)
        assert self.run_shim(folder).stdout == "taken"
        assert bench.runtime.logs(bench.name("contended"), 10) == b"bye\n"

    def test_runs_nothing_for_a_removed_instance(self, tmp_path: Path) -> None:
        """A folder that is gone is nobody's to run."""
        done = self.run_shim(tmp_path / "gone")
        assert (done.returncode, done.stdout) == (0, "taken")

    def test_reports_what_hindered_it(self, bench: Bench) -> None:
        """A command that cannot be run is reported, and recorded as an end."""
        folder = folder_of(bench, bench.create("hindered", Exits(0), command=("no-such-program",)))
        done = self.run_shim(folder)
        assert done.returncode == 1
        assert done.stdout.startswith("refused: no-such-program")
        assert json.loads((folder / "exit.json").read_bytes())["exit_code"] == 127
