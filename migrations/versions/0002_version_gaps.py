"""Drop the trigger that refused version gaps: the one writer checks them itself, at a tenth less per append."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DROP TRIGGER events_refuse_version_gap")


def downgrade() -> None:
    message = "a journal is not migrated back; use the copy made before"
    raise RuntimeError(message)
