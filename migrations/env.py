"""Run by Alembic: migrate over the connection that `ploinky.adapters.alembic_journal` hands in."""

from alembic import context

from ploinky.adapters.sqlalchemy_journal_schema import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    message = "migrations run when a journal is opened; for a new one see migrations/README.md"
    raise SystemExit(message)

# The caller's transaction is around everything, so none is begun here.
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
