"""Follow a server's journal from outside, alive or dead, and say which open states its tasks are in."""

from collections.abc import Callable
from pathlib import Path

from ploinky.adapters.sqlalchemy_journal_reader import SqlalchemyJournalReader
from ploinky.domain.task import Task, TaskState
from ploinky.journal.codec import Codec
from ploinky.journal.follower import Follower
from ploinky.views.views import Views
from tests.waiting import wait_until

OPEN_STATES = frozenset({"waiting", "running, claimed", "running, unclaimed", "cancel requested", "retry waiting"})


def open_state(task: Task) -> str:
    """Name the open state of a task."""
    if task.state is TaskState.SUBMITTED:
        return "retry waiting" if task.attempt else "waiting"
    if task.is_cancel_requested:
        return "cancel requested"
    return "running, claimed" if task.is_claimed else "running, unclaimed"


class Watch:
    """A follower in this process, over a connection that only reads."""

    def __init__(self, installation: Path) -> None:
        self.store = SqlalchemyJournalReader(str(installation / "journal.db"))
        self.views = Views()
        self._follower = Follower(self.store, Codec())  # type: ignore[arg-type]  # it only reads

    def now(self) -> Views:
        """Return the views as of what is committed."""
        self._follower.catch_up(self.views.fold)
        return self.views

    def open_states(self) -> frozenset[str]:
        return frozenset(open_state(row.state) for row in self.now().tasks.open.values())

    def until(self, condition: Callable[[Views], object], what: str, timeout_seconds: float = 40) -> None:
        """Wait until the views show something."""
        wait_until(lambda: condition(self.now()), timeout_seconds=timeout_seconds, what=what)

    def close(self) -> None:
        self.store.close()


def is_quiet(views: Views) -> bool:
    """Tell whether nothing is under way: no open task, no intent, no rollout, no restart that is due."""
    return not (views.tasks.open or views.intents.by_stream) and all(
        row.state.rollout is None and row.state.restart_due_at is None for _, row in views.deployments.items()
    )
