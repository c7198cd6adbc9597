"""Opening a journal file: made, migrated, checked, or refused with a reason."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from ploinky.adapters import alembic_journal, journal_ballast, sqlalchemy_journal_opening
from ploinky.adapters.sqlalchemy_journal_connections import IDLE_READERS_LIMIT, ReadingConnections, connect
from ploinky.adapters.sqlalchemy_journal_opening import TAIL_CHECK_ROWS, open_journal
from ploinky.adapters.sqlalchemy_journal_reader import SqlalchemyJournalReader
from ploinky.adapters.sqlalchemy_journal_schema import SCHEMA_REVISION, TRIGGERS, metadata
from ploinky.domain.errors import DirectoryUnusable, JournalBroken, JournalConflict, JournalCorrupt, JournalNewer
from ploinky.journal.chain import verify
from tests.journal.records import Draft, batch_after, numbered


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "journal.db")


@pytest.fixture
def written(path: str) -> str:
    """A closed journal with three records."""
    store = open_journal(path, verify)
    store.append(numbered(store.take_epoch(), 3))
    store.close()
    return path


def change(path: str, *statements: str) -> None:
    """Change a closed journal as its owner could, triggers out of the way."""
    connection = sqlite3.connect(path)
    with connection:
        for name in ("update", "delete"):
            connection.execute(f"DROP TRIGGER IF EXISTS events_refuse_{name}")
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_schema_is_what_the_migrations_lead_to(written: str) -> None:
    """The tables, the triggers and the revision in the code are those of a migrated journal."""
    assert alembic_journal.newest_revision() == SCHEMA_REVISION
    connection = connect(written, "ro")
    assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    triggers = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
    ).scalars()
    assert sorted(triggers) == sorted(TRIGGERS)
    indexes = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'events'")
    assert len(indexes.all()) == 1
    connection.close()


def test_durability_is_set(written: str) -> None:
    """The writing connection syncs each commit to the write-ahead log and never folds it back by itself."""
    store = open_journal(written, verify)
    connection = store._open_connection()
    pragmas = ("journal_mode", "synchronous", "wal_autocheckpoint")
    assert [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas] == ["wal", 2, 0]
    store.close()


def test_file_is_for_its_owner_only(written: str) -> None:
    """The journal can be read by its owner alone."""
    assert stat.S_IMODE(os.stat(written).st_mode) == 0o600


def test_opening_again_needs_no_alembic(written: str) -> None:
    """A journal that is up to date is opened without paying for the import of Alembic."""
    program = """
import sys
from ploinky.adapters.sqlalchemy_journal_opening import open_journal
from ploinky.journal.chain import verify
open_journal(sys.argv[1], verify).close()
print("alembic" in sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", program, written],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert result.stdout.strip() == "False"


def test_installed_migrations_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an installed package the migrations lie inside it; in a checkout at its top."""
    package = tmp_path / "ploinky"
    package.mkdir()
    monkeypatch.setattr(alembic_journal, "files", lambda _: package)
    assert alembic_journal.migrations_directory() == tmp_path / "migrations"
    (package / "_migrations").mkdir()
    assert alembic_journal.migrations_directory() == package / "_migrations"


def test_refuses_a_newer_journal(written: str) -> None:
    """A revision that this version does not know is refused, and nothing is changed or copied."""
    change(written, "UPDATE alembic_version SET version_num = '9999'")
    before = Path(written).read_bytes()
    with pytest.raises(JournalNewer, match="9999"):
        open_journal(written, verify)
    assert Path(written).read_bytes() == before
    assert not list(Path(written).parent.glob("*.before-*"))


@pytest.fixture
def next_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The migrations as they could be one release later."""
    folder = tmp_path / "later"
    shutil.copytree(alembic_journal.migrations_directory(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0003_note.py").write_text(
        "from alembic import op\nimport sqlalchemy as sa\nrevision, down_revision = '0003', '0002'\n"
        "def upgrade():\n    op.create_table('note', sa.Column('id', sa.Integer(), primary_key=True))\n    finish()\n"
        "def finish():\n    pass\n"
    )
    monkeypatch.setattr(alembic_journal, "migrations_directory", lambda: folder)
    monkeypatch.setattr(sqlalchemy_journal_opening, "SCHEMA_REVISION", "0003")
    return folder


def tables(path: str) -> set[str]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    return names


def test_migrates_after_making_a_copy(written: str, next_revision: Path) -> None:
    """An older journal is copied whole, then migrated, and its records are as before."""
    records = read_all(written)
    Path(f"{written}.before-0003.unfinished").write_text("left by a crash")
    open_journal(written, verify).close()
    assert read_all(written) == records
    assert "note" in tables(written)
    assert read_all(f"{written}.before-0003") == records
    assert "note" not in tables(f"{written}.before-0003")
    assert not list(Path(written).parent.glob("*.unfinished"))


def test_a_failed_migration_leaves_the_old_journal(written: str, next_revision: Path) -> None:
    """When a migration fails half way the journal is as it was, and the next attempt succeeds."""
    script = next_revision / "versions" / "0003_note.py"
    text = script.read_text()
    script.write_text(text.replace("    pass", "    raise RuntimeError('half way')"))
    with pytest.raises(RuntimeError, match="half way"):
        open_journal(written, verify)
    assert "note" not in tables(written)
    script.write_text(text)
    shutil.rmtree(script.parent / "__pycache__", ignore_errors=True)
    open_journal(written, verify).close()
    assert "note" in tables(written)


def read_all(path: str) -> list[object]:
    reader = SqlalchemyJournalReader(path)
    records: list[object] = list(reader.read(0))
    reader.close()
    return records


DAMAGE = {
    "content changed": ("UPDATE events SET data = 'x' WHERE position = 2", "position 2"),
    "last record lost": ("DELETE FROM events WHERE position = 3", "position 3"),
    "record lost": ("DELETE FROM events WHERE position = 2", "position 2"),
    "head moved back": ("UPDATE head SET position = 2", "position 3: it is above the head at 2"),
    "head changed": ("UPDATE head SET hash = zeroblob(32)", "head has another hash"),
    "head set to the beginning": (
        "UPDATE head SET position = 0, hash = zeroblob(32)",
        "position 1: it is above the head at 0",
    ),
    "head lost": ("DELETE FROM head", "no head row"),
    "revision lost": ("DELETE FROM alembic_version", "no journal"),
    "tables lost": ("DROP TABLE alembic_version", "no journal"),
}


@pytest.mark.parametrize(("statement", "message"), DAMAGE.values(), ids=DAMAGE)
def test_refuses_a_damaged_end(written: str, statement: str, message: str) -> None:
    """Head and last records have to fit together, else the journal is not opened."""
    change(written, statement)
    with pytest.raises(JournalCorrupt, match=message):
        open_journal(written, verify)


def test_refuses_records_above_the_head(path: str) -> None:
    """A record that the head does not know of was not appended by a writer."""
    store = open_journal(path, verify)
    store.append(numbered(store.take_epoch(), TAIL_CHECK_ROWS + 2))
    earlier = store.read(TAIL_CHECK_ROWS, 1)[0]
    store.close()
    change(path, f"UPDATE head SET position = {earlier.position}, hash = x'{earlier.hash.hex()}'")
    with pytest.raises(JournalCorrupt, match=f"above its head at {earlier.position}"):
        open_journal(path, verify)


def test_checks_only_the_end_of_a_long_journal(path: str) -> None:
    """Opening reads a bounded number of records: early damage is left to a full check, late damage is found."""
    store = open_journal(path, verify)
    store.append(numbered(store.take_epoch(), TAIL_CHECK_ROWS + 10))
    store.close()
    change(path, "UPDATE events SET data = 'x' WHERE position = 5")
    open_journal(path, verify).close()
    change(path, f"UPDATE events SET data = 'x' WHERE position = {TAIL_CHECK_ROWS}")
    with pytest.raises(JournalCorrupt, match=f"position {TAIL_CHECK_ROWS}"):
        open_journal(path, verify)


def test_refuses_a_file_that_is_no_database(path: str) -> None:
    """Some other file under the journal's name is not touched."""
    Path(path).write_bytes(b"#!/bin/sh\n" * 500)
    with pytest.raises(JournalCorrupt):
        open_journal(path, verify)
    assert Path(path).read_bytes() == b"#!/bin/sh\n" * 500


def test_refuses_a_garbled_page(written: str) -> None:
    """A journal whose pages were overwritten is damaged, not empty."""
    content = bytearray(Path(written).read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    Path(written).write_bytes(content)
    with pytest.raises(JournalCorrupt):
        open_journal(written, verify)


def test_refuses_a_missing_directory(tmp_path: Path) -> None:
    """The directory has to be there: the lease makes it."""
    with pytest.raises(DirectoryUnusable):
        open_journal(str(tmp_path / "missing" / "journal.db"), verify)


def test_refuses_a_directory_in_the_place_of_the_file(path: str) -> None:
    """A folder under the journal's name is refused."""
    Path(path).mkdir()
    with pytest.raises(DirectoryUnusable):
        open_journal(path, verify)


def test_opens_a_path_with_any_characters(tmp_path: Path) -> None:
    """Signs that mean something in a URI are part of the name."""
    folder = tmp_path / "100% ?mode=memory#ü"
    folder.mkdir()
    store = open_journal(str(folder / "journal.db"), verify)
    store.append(numbered(store.take_epoch(), 1))
    store.close()
    assert (folder / "journal.db").stat().st_size > 0
    assert len(read_all(str(folder / "journal.db"))) == 1


@pytest.mark.parametrize("statement", ["UPDATE events SET actor = 'me'", "DELETE FROM events"])
def test_the_database_refuses_to_change_events(written: str, statement: str) -> None:
    """UPDATE and DELETE are refused by the file itself, whoever asks."""
    connection = sqlite3.connect(written)
    with pytest.raises(sqlite3.IntegrityError, match="never"):
        connection.execute(statement)
    connection.execute("DELETE FROM payloads")
    connection.close()


def test_a_reader_sees_a_living_journal(path: str) -> None:
    """A tool reads what is committed while the writer goes on, and cannot write."""
    store = open_journal(path, verify)
    reader = SqlalchemyJournalReader(path)
    store.append(numbered(store.take_epoch(), 2))
    assert reader.head() == store.head()
    assert reader.journal_id == store.journal_id
    assert len(reader.read(0)) == 2
    with pytest.raises(DirectoryUnusable, match="readonly"):
        reader._connections.query("DELETE FROM payloads")
    store.close()
    reader.close()


def test_keeps_few_idle_readers(written: str) -> None:
    """However many threads read at once, only a bounded number of connections stays open, and none after closing."""
    connections = ReadingConnections(written)
    readers = [connections._take() for _ in range(IDLE_READERS_LIMIT + 3)]
    for reader in readers:
        connections._put_back(reader)
    assert len(connections._idle) == IDLE_READERS_LIMIT
    late = connections._take()
    connections.close()
    connections._put_back(late)
    assert not connections._idle
    with pytest.raises(JournalBroken, match="closed"):
        connections.query("SELECT 1")


def test_ballast_takes_its_space_and_comes_back(path: str) -> None:
    """The ballast really takes space, is given back once, and made again on the next opening."""
    ballast = Path(f"{path}.ballast")
    store = open_journal(path, verify)
    assert ballast.stat().st_blocks * 512 >= journal_ballast.BALLAST_BYTES
    assert store.release_ballast()
    assert not ballast.exists()
    store.close()
    ballast.write_bytes(b"")
    os.truncate(ballast, journal_ballast.BALLAST_BYTES)
    open_journal(path, verify).close()
    assert ballast.stat().st_blocks * 512 >= journal_ballast.BALLAST_BYTES


def test_a_conflict_leaves_no_transaction_open(path: str) -> None:
    """After a refusal another connection can write at once."""
    store = open_journal(path, verify)
    with pytest.raises(JournalConflict):
        store.append(batch_after(store.take_epoch(), Draft(version=3)))
    other = sqlite3.connect(path, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    other.close()
    store.close()
