"""The journal thread: it appends what it is handed and says when that is durable."""

from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import NamedTuple, Protocol

from ploinky.domain.errors import Broken, JournalBroken, JournalFull, PloinkyError, ShuttingDown
from ploinky.ports.journal_store import AppendBatch, JournalStore

OnDone = Callable[[PloinkyError | None], None]
"""Told None once the batch is durable, else why it is not, or not surely."""

Deliver = Callable[[Callable[[], None]], object]
"""Run something soon where the callers live: an event loop's `call_soon_threadsafe`."""

IDLE_SECONDS = 0.25
"""Without a batch for so long, the time is good to fold the write-ahead log back."""

UNFOLDED_LIMIT_BYTES = 16 * 1024 * 1024
"""Above this the log is folded back between two batches, idle or not."""

BATCH_OVERHEAD_BYTES = 16 * 1024
"""What one commit adds to the log beside its content: whole pages of the tables, the index and the head."""

ROW_BYTES = 512
"""What one row adds, the content of a payload not counted; events are small."""


class Writer(Protocol):
    """What the dispatcher asks of a writer: one batch in flight, one answer each."""

    def write(self, batch: AppendBatch, on_done: OnDone) -> None:
        """Hand a batch over; `on_done` is called exactly once, later, from where the caller lives."""

    def close(self) -> None:
        """Finish what was handed over. Idempotent."""


class _Handover(NamedTuple):
    batch: AppendBatch
    on_done: OnDone


def append(store: JournalStore, batch: AppendBatch) -> PloinkyError | None:
    """Append and return the error, if any: one that nobody expected is `JournalBroken`."""
    try:
        store.append(batch)
    except PloinkyError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the waiting callers have to be told, whatever it was
        broken = JournalBroken(f"Writing the journal failed unexpectedly: {error!r}")
        broken.__cause__ = error
        return broken
    return None


class JournalWriter:
    """Append in a thread of its own. The store is closed by whoever opened it, after this."""

    def __init__(self, store: JournalStore, deliver: Deliver) -> None:
        """Start the thread, named `journal`."""
        self._store = store
        self._deliver = deliver
        self._handed: SimpleQueue[_Handover | None] = SimpleQueue()
        self._unfolded_bytes = 0
        self._failure: PloinkyError | None = None
        self._is_closed = False
        # A daemon, so that a process that leaves after an I/O error is not held by it.
        self._thread = Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def write(self, batch: AppendBatch, on_done: OnDone) -> None:
        """Hand a batch over. Raises `ShuttingDown` after `close`."""
        if self._is_closed:
            raise ShuttingDown
        self._handed.put(_Handover(batch, on_done))

    def close(self) -> None:
        """Finish what was handed over and wait for it. Idempotent."""
        if not self._is_closed:
            self._is_closed = True
            self._handed.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (handed := self._next()) is not None:
            error = self._failure or append(self._store, handed.batch)
            self._remember(error)
            try:
                self._deliver(partial(handed.on_done, error))
            except RuntimeError:
                # The event loop is closed: those who waited are gone with it.
                continue
            self._unfolded_bytes += log_bytes(handed.batch)
            if self._unfolded_bytes > UNFOLDED_LIMIT_BYTES:
                self._fold()

    def _next(self) -> _Handover | None:
        if self._unfolded_bytes:
            try:
                return self._handed.get(timeout=IDLE_SECONDS)
            except Empty:
                self._fold()
        return self._handed.get()

    def _fold(self) -> None:
        """Fold the log back. A full disk is no failure here: the log keeps everything until there is space."""
        self._unfolded_bytes = 0
        if self._failure:
            return
        try:
            self._store.checkpoint()
        except JournalFull:
            return
        except PloinkyError as error:
            self._remember(error)
        except Exception as error:  # noqa: BLE001 - kept for the next batch, there is nobody to tell now
            self._remember(JournalBroken(f"Folding the journal's log back failed: {error!r}"))

    def _remember(self, error: PloinkyError | None) -> None:
        """Keep what cannot heal: after it nothing more is written by this process."""
        if isinstance(error, Broken):
            self._failure = error


def log_bytes(batch: AppendBatch) -> int:
    """Estimate how much a batch adds to the write-ahead log."""
    rows = len(batch.records) + len(batch.payloads)
    return BATCH_OVERHEAD_BYTES + rows * ROW_BYTES + sum(len(row.content or b"") for row in batch.payloads)
