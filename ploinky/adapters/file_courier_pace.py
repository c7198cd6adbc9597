"""How often the watching thread looks: often while a quick answer is due, hardly ever while none is."""

import threading
import time

FASTEST_PAUSE_SECONDS = 0.000_3
CROWDED_PAUSE_SECONDS = 0.001
"""With many attempts open, hints are worth collecting."""
SLOWEST_PAUSE_SECONDS = 0.005
PARKED_PAUSE_SECONDS = 0.1
"""While no attempt is open; also bounds what a hostile agent can pile up in the watcher unseen."""
CROWD_ATTEMPTS = 8
PAUSE_FRACTION = 0.02
"""Of the time since something last happened: a result may be noticed late by a fiftieth of what it took."""
RESTART_INTERVAL_SECONDS = 0.2
"""Between two restarts of the watcher, which costs a system call per watched folder."""


class WatchPace:
    """A stop event for `RustNotify.watch`, which asks it on every turn; the answer takes as long as the pause should.

    `watch` returns changes only on the turn after the one that saw them, so every second turn has no pause. Written by
    the event loop, read by the watching thread; each field is one word, and a stale one costs one pause.
    """

    def __init__(self) -> None:
        self.is_stopped = False
        self.is_restart_wanted = False
        self.open_attempts = 0
        self._restart_not_before = 0.0
        self._active_at = time.monotonic()
        self._wake = threading.Event()
        self._is_drowsy = False
        self._has_paused = False

    def note_activity(self) -> None:
        """Look often from now on: something was sent or found."""
        self._active_at = time.monotonic()
        if self._is_drowsy:
            self._wake.set()

    def stop(self) -> None:
        self.is_stopped = True
        self._wake.set()

    def want_restart(self) -> None:
        self.is_restart_wanted = True
        self._wake.set()

    def note_restart(self) -> None:
        """Start the interval before the next restart; to be called before the watched folders are read."""
        self.is_restart_wanted = False
        self._restart_not_before = time.monotonic() + RESTART_INTERVAL_SECONDS

    def is_set(self) -> bool:
        """Pause on every other call, then tell whether watching has to end."""
        self._has_paused = not self._has_paused
        if self._has_paused and not self._has_to_end():
            self._pause()
        return self._has_to_end()

    def _has_to_end(self) -> bool:
        return self.is_stopped or (self.is_restart_wanted and time.monotonic() >= self._restart_not_before)

    def _pause(self) -> None:
        pause_seconds = self._pause_seconds()
        if pause_seconds <= CROWDED_PAUSE_SECONDS:
            time.sleep(pause_seconds)
            return
        self._is_drowsy = True
        self.wait(self._pause_seconds())  # again: what happened before the flag stood has woken nobody
        self._is_drowsy = False

    def _pause_seconds(self) -> float:
        now = time.monotonic()
        pause_seconds = PARKED_PAUSE_SECONDS
        if self.open_attempts:
            shortest_seconds = CROWDED_PAUSE_SECONDS if self.open_attempts > CROWD_ATTEMPTS else FASTEST_PAUSE_SECONDS
            pause_seconds = min(max((now - self._active_at) * PAUSE_FRACTION, shortest_seconds), SLOWEST_PAUSE_SECONDS)
        if self.is_restart_wanted:
            pause_seconds = min(pause_seconds, max(self._restart_not_before - now, 0.0))
        return pause_seconds

    def wait(self, timeout_seconds: float) -> None:
        """Sleep until woken by the event loop, or until the time is over."""
        self._wake.wait(timeout_seconds)
        self._wake.clear()
