"""The watching thread: notice that an agent has put something into a results folder, and say so on the event loop.

A hint is only ever a reason to look. It can be lost (a full inotify queue, the instant in which the watcher hands over
its changes), it can be late, it can be wrong; the regular looks find what it missed.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping

from watchfiles._rust_notify import RustNotify

from ploinky.adapters.file_courier_pace import WatchPace

RETRY_INTERVAL_SECONDS = 30.0
"""After the system refused to watch (its inotify limits)."""
CLOSE_TIMEOUT_SECONDS = 5.0
_DELETED = 3
"""`watchfiles.Change.deleted`, as the low-level watcher gives it."""


class QueueWatch:
    """Exactly one thread, from `subscribe` to `close`. All but `_run` and what it calls is for the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, report: Callable[[str], None]) -> None:
        self.pace = WatchPace()
        self._loop = loop
        self._report = report
        self._hint: Callable[[str], None] | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        """Held while descriptors become watches and while they are closed: no number is reused in between."""
        self._watched: dict[str, tuple[int, ...]] = {}
        self._pending: set[str] = set()
        self._pending_lock = threading.Lock()
        self._is_trouble_reported = False

    def subscribe(self, hint: Callable[[str], None]) -> None:
        """Start the thread; a later call only replaces who is told."""
        self._hint = hint
        if self._thread is None and not self.pace.is_stopped:
            self._thread = threading.Thread(target=self._run, name="watchfiles", daemon=True)
            self._thread.start()

    def add(self, instance_id: str, descriptors: tuple[int, ...]) -> None:
        with self._lock:
            self._watched[instance_id] = descriptors
        self.pace.want_restart()

    def remove(self, instance_id: str, close_descriptors: Callable[[], None]) -> None:
        """Forget an instance. Its watches end with its folder, or with the next restart of the watcher."""
        with self._lock:
            self._watched.pop(instance_id, None)
            close_descriptors()

    def hint_soon(self, instance_id: str) -> None:
        """Hint on one of the loop's next turns."""
        self._announce((instance_id,))

    def close(self) -> None:
        """End the thread. Idempotent."""
        self.pace.stop()
        if self._thread is not None:
            self._thread.join(CLOSE_TIMEOUT_SECONDS)
            self._thread = None

    def _run(self) -> None:
        while not self.pace.is_stopped:
            notify = None
            try:
                notify, instances = self._start_watcher()
                self._announce(instances.values())
                self._follow(notify, instances)
            except (OSError, RuntimeError) as error:
                self._note_trouble(error)
                self.pace.wait(RETRY_INTERVAL_SECONDS)
            finally:
                if notify is not None:
                    notify.close()

    def _start_watcher(self) -> tuple[RustNotify, Mapping[str, str]]:
        """Watch through descriptors: a path could lead elsewhere by now."""
        with self._lock:
            self.pace.note_restart()
            instances = {
                f"/proc/self/fd/{descriptor}": instance_id
                for instance_id, descriptors in self._watched.items()
                for descriptor in descriptors
            }
            notify = RustNotify(
                list(instances),
                debug=False,
                force_polling=False,
                poll_delay_ms=0,
                recursive=False,
                ignore_permission_denied=False,
            )
        return notify, instances

    def _follow(self, notify: RustNotify, instances: Mapping[str, str]) -> None:
        while True:
            changes = notify.watch(debounce_ms=0, step_ms=0, timeout_ms=0, stop_event=self.pace)
            if isinstance(changes, str):
                return
            found = set()
            for kind, path in changes:
                folder, _, name = path.rpartition("/")
                if kind != _DELETED and not name.startswith(".") and folder in instances:
                    found.add(instances[folder])
            if found:
                self.pace.note_activity()
                self._announce(found)

    def _note_trouble(self, error: Exception) -> None:
        if not self._is_trouble_reported:
            self._is_trouble_reported = True
            self._call_on_loop(self._report, f"Queue folders cannot be watched, results are noticed later: {error}")

    def _announce(self, instance_ids: Iterable[str]) -> None:
        """Collect hints while the loop is busy: one delivery takes them all. From any thread."""
        with self._pending_lock:
            is_delivery_due = bool(self._pending)
            self._pending.update(instance_ids)
            is_anything_pending = bool(self._pending)
        if is_anything_pending and not is_delivery_due:
            self._call_on_loop(self._deliver)

    def _call_on_loop(self, function: Callable[..., None], *arguments: str) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            self.pace.stop()  # the loop is closed: nobody is left to be told

    def _deliver(self) -> None:
        with self._pending_lock:
            pending, self._pending = self._pending, set()
        for instance_id in pending:
            if self._hint is not None and not self.pace.is_stopped and instance_id in self._watched:
                self._hint(instance_id)
