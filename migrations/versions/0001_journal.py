"""Make the journal: events, payloads, head."""

import secrets
import string

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JOURNAL_ID_CHARACTERS = string.ascii_lowercase + string.digits
JOURNAL_ID_LENGTH = 12
HASH_BYTES = 32


def upgrade() -> None:
    _create_events()
    op.create_table(
        "payloads",
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary()),
        sa.Column("blob", sa.Text()),
        sqlite_with_rowid=False,
    )
    head = op.create_table(
        "head",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("journal_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name="head_is_one_row"),
    )
    journal_id = "".join(secrets.choice(JOURNAL_ID_CHARACTERS) for _ in range(JOURNAL_ID_LENGTH))
    op.bulk_insert(head, [{"id": 1, "journal_id": journal_id, "position": 0, "hash": bytes(HASH_BYTES), "epoch": 0}])


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("schema", sa.Integer(), nullable=False),
        sa.Column("at", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("correlation", sa.Text(), nullable=False),
        sa.Column("causation", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.UniqueConstraint("stream", "version", name="events_stream_version"),
    )
    op.execute(
        """CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never changed'); END"""
    )
    op.execute(
        """CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END"""
    )
    op.execute(
        """CREATE TRIGGER events_refuse_version_gap BEFORE INSERT ON events
    WHEN NEW.version <> 1 AND NOT EXISTS
      (SELECT 1 FROM events WHERE stream = NEW.stream AND version = NEW.version - 1)
    BEGIN SELECT RAISE(ABORT, 'the version leaves a gap in its stream'); END"""
    )


def downgrade() -> None:
    message = "a journal is not migrated back; use the copy made before"
    raise RuntimeError(message)
