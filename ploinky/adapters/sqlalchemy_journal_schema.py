"""The tables of `journal.db`.

What is here is what `migrations/` leads to; a test compares the two.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_REVISION = "0002"
"""The newest revision in `migrations/versions`."""

metadata = MetaData()

events = Table(
    "events",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("stream", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("schema", Integer, nullable=False),
    Column("at", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("correlation", Text, nullable=False),
    Column("causation", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("stream", "version", name="events_stream_version"),
)

payloads = Table(
    "payloads",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("content", LargeBinary),
    Column("blob", Text),
    sqlite_with_rowid=False,
)

head = Table(
    "head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("journal_id", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("epoch", Integer, nullable=False),
    CheckConstraint("id = 1", name="head_is_one_row"),
)

TRIGGERS = (
    """CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never changed'); END""",
    """CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END""",
)
"""Made by the migrations; the metadata of SQLAlchemy knows no triggers."""
