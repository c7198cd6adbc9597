"""Bring a journal's tables to the newest revision.

Importing Alembic takes a third of a second, so this module is imported only when there is something to do.
"""

from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import Connection

from ploinky.domain.errors import JournalNewer


def migrations_directory() -> Path:
    """Return the folder of the migrations: inside the installed package, or at the top of a checkout."""
    package = Path(str(files("ploinky")))
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration, which needs no file."""
    config = Config()
    config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def newest_revision() -> str | None:
    """Return the revision that the migrations lead to."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def refuse_unknown(revision: str) -> None:
    """Raise `JournalNewer` for a revision that these migrations do not know."""
    try:
        ScriptDirectory.from_config(alembic_config()).get_revision(revision)
    except (CommandError, ResolutionError) as error:
        raise JournalNewer(f"The journal has revision {revision!r}, which this version does not know") from error


def upgrade(connection: Connection) -> None:
    """Migrate to the newest revision in one transaction: a crash leaves the old schema or the new one."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        command.upgrade(alembic_config(connection), "head")
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")
