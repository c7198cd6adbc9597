"""A writer without a thread, so that a simulation decides when a batch is written."""

from collections import deque

from ploinky.domain.errors import Broken, PloinkyError, ShuttingDown
from ploinky.journal.writer import OnDone, append
from ploinky.ports.journal_store import AppendBatch, JournalStore


class InlineWriter:
    """Keep what it is handed until `step`; then append and answer at once, on the caller's stack."""

    def __init__(self, store: JournalStore) -> None:
        """Write to `store`."""
        self._store = store
        self._handed: deque[tuple[AppendBatch, OnDone]] = deque()
        self._failure: PloinkyError | None = None
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """Tell how many batches wait for a step."""
        return len(self._handed)

    def write(self, batch: AppendBatch, on_done: OnDone) -> None:
        """Hand a batch over. Raises `ShuttingDown` after `close`."""
        if self._is_closed:
            raise ShuttingDown
        self._handed.append((batch, on_done))

    def step(self) -> bool:
        """Append one batch and answer it. False when there was none."""
        if not self._handed:
            return False
        batch, on_done = self._handed.popleft()
        error = self._failure or append(self._store, batch)
        if isinstance(error, Broken):
            self._failure = error
        on_done(error)
        return True

    def close(self) -> None:
        """Finish what was handed over. Idempotent."""
        self._is_closed = True
        while self.step():
            pass
