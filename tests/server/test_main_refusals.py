"""A server that cannot start says so in one line, with what to do, and leaves with a code of its own."""

import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ploinky.adapters.sqlalchemy_journal_opening import open_journal
from ploinky.journal.chain import record_hash, verify
from ploinky.ports.journal_store import AppendBatch
from tests.journal.records import Draft, chained
from tests.server.running import RunningServer, run_to_end

CONFIGURATION_EXIT, GENERAL_EXIT = 5, 1


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server that ran and has stopped."""
    directory = tmp_path_factory.mktemp("used")
    server = RunningServer(directory)
    try:
        server.initialise()
        assert server.stop() == 0
    finally:
        server.kill()
    return directory


@pytest.fixture
def directory(used: Path, tmp_path: Path) -> Path:
    """A copy of it, to be broken."""
    shutil.copytree(used / "installation", tmp_path / "installation")
    return tmp_path


def refusal(directory: Path, exit_code: int, code: str, *arguments: str, **changes: str) -> str:
    """Start what cannot start; return what it said after checking that it said it shortly."""
    ended = run_to_end(directory, "start", *arguments, changes=changes)
    assert ended.returncode == exit_code, ended.stderr
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("error: ")
    assert f"({code})" in lines[0]
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    return ended.stderr


@pytest.fixture
def taken_port() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("option", ["--port", "--management-port"])
def test_a_port_in_use(tmp_path: Path, taken_port: int, option: str) -> None:
    """The port and the setting that chooses another are named, and the data directory is free again."""
    said = refusal(tmp_path, CONFIGURATION_EXIT, "PORT_IN_USE", option, str(taken_port))
    assert str(taken_port) in said
    assert ("PLOINKY_MANAGEMENT_PORT" if "management" in option else "PLOINKY_PORT") in said
    RunningServer(tmp_path).kill()


def test_a_second_server(tmp_path: Path) -> None:
    """A second server over one data directory is refused, and the first goes on."""
    server = RunningServer(tmp_path)
    try:
        said = refusal(tmp_path, CONFIGURATION_EXIT, "DIRECTORY_BUSY")
        assert "Stop it first" in said
        assert server.ask("GET", "/management/health/live").status == 200
    finally:
        server.kill()


def test_a_file_in_the_place_of_the_directory(tmp_path: Path) -> None:
    """A data directory that is a file is named."""
    (tmp_path / "installation").write_text("")
    assert "installation" in refusal(tmp_path, CONFIGURATION_EXIT, "DIRECTORY_UNUSABLE")


def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    """A host that cannot be listened on is a mistake in the configuration."""
    assert "192.0.2.1" in refusal(tmp_path, CONFIGURATION_EXIT, "CONFIGURATION_INVALID", "--host", "192.0.2.1")


@pytest.mark.parametrize(
    "content", ["{broken", "[]", '{"prot": 1}', '{"maxContainers": "many"}', '{"maxContainers": 0}']
)
def test_a_broken_configuration(tmp_path: Path, content: str) -> None:
    """A configuration that cannot be read names the file."""
    (tmp_path / ".ploinky").mkdir()
    (tmp_path / ".ploinky" / "config.json").write_text(content)
    said = refusal(tmp_path, CONFIGURATION_EXIT, "CONFIGURATION_INVALID")
    assert "config.json" in said


def test_a_broken_variable(tmp_path: Path) -> None:
    """A variable with a value that cannot be is named."""
    said = refusal(tmp_path, CONFIGURATION_EXIT, "CONFIGURATION_INVALID", PLOINKY_MAX_CONTAINERS="many")
    assert "PLOINKY_MAX_CONTAINERS" in said


def test_a_journal_that_is_none(tmp_path: Path) -> None:
    """Garbage in the place of the journal is refused and left as it is."""
    journal = tmp_path / "installation" / "journal.db"
    journal.parent.mkdir(mode=0o700)
    journal.write_bytes(b"garbage" * 1_000)
    refusal(tmp_path, GENERAL_EXIT, "JOURNAL_CORRUPT")
    assert journal.read_bytes() == b"garbage" * 1_000


def test_a_flipped_byte(directory: Path) -> None:
    """A byte changed in the last record is found by its hash."""
    with closing(sqlite3.connect(directory / "installation" / "journal.db")) as journal, journal:
        for (trigger,) in journal.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            journal.execute(f'DROP TRIGGER "{trigger}"')
        table, column = event_table(journal)
        changed = journal.execute(
            f"UPDATE {table} SET {column} = CAST(replace({column}, 'admin', 'bdmin') AS BLOB) "
            f"WHERE position = (SELECT max(position) FROM {table})"
        )
        assert changed.rowcount == 1
    (directory / "installation" / "views.snapshot").unlink(missing_ok=True)
    refusal(directory, GENERAL_EXIT, "JOURNAL_CORRUPT")


def event_table(journal: sqlite3.Connection) -> tuple[str, str]:
    """Find where the events are, by the columns of a record."""
    for (name,) in journal.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = {row[1] for row in journal.execute(f"PRAGMA table_info({name})")}
        if {"position", "type", "data", "hash"} <= columns:
            return name, "data"
    raise AssertionError("no table of events")


def test_a_newer_schema(directory: Path) -> None:
    """A journal of an unknown schema is a newer Ploinky's."""
    with closing(sqlite3.connect(directory / "installation" / "journal.db")) as journal, journal:
        journal.execute("UPDATE alembic_version SET version_num = '9999_future'")
    refusal(directory, GENERAL_EXIT, "JOURNAL_NEWER")


def test_an_event_of_the_future(directory: Path) -> None:
    """An event of an unknown type that may not be skipped is a newer Ploinky's."""
    with closing(open_journal(str(directory / "installation" / "journal.db"), verify)) as store:
        head = store.take_epoch()
        (record,) = chained(head, [Draft("task/one")])
        newest = store.read(head.position - 1)[0]
        unknown = record._replace(type="task.teleported", at=newest.at + 1)
        store.append(AppendBatch(head, [unknown._replace(hash=record_hash(head.hash, *unknown[:-1]))], []))
    said = refusal(directory, GENERAL_EXIT, "JOURNAL_NEWER")
    assert "task.teleported" in said


@pytest.mark.parametrize("name", ["keys"])
def test_a_directory_that_cannot_be_read(directory: Path, name: str) -> None:
    """A file in the place of a folder that is needed is named."""
    shutil.rmtree(directory / "installation" / name)
    (directory / "installation" / name).write_text("")
    assert name in refusal(directory, CONFIGURATION_EXIT, "DIRECTORY_UNUSABLE")


def test_options_that_are_none(tmp_path: Path) -> None:
    """A port that is no port is a mistake in the call."""
    ended = run_to_end(tmp_path, "start", "--port", "many")
    assert ended.returncode == 64
    assert "Traceback" not in ended.stderr
