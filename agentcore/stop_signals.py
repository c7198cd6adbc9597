"""Turn signals into something a selector can wait on."""

import os
import signal
from typing import Any, Callable

STOPPED_AT_ONCE_STATUS = 128 + signal.SIGTERM


class StopSignals:
    """SIGTERM or SIGINT once: drain. Twice: `leave_now` at once. SIGCHLD only wakes the loop."""

    def __init__(self, leave_now: Callable[[], None]) -> None:
        self.is_told = False
        self._leave_now = leave_now
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def install(self) -> None:
        """Take over the process's signals."""
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def fileno(self) -> int:
        """Give the descriptor to wait on."""
        return self._reader

    def read(self) -> None:
        """Empty the pipe; many signals make one wake-up."""
        try:
            os.read(self._reader, 4096)
        except BlockingIOError:
            return

    def forget(self) -> None:
        """Let go of it in a forked child."""
        os.close(self._reader)
        os.close(self._writer)

    def _note(self, _number: int, _frame: Any) -> None:
        if self.is_told:
            self._leave_now()
        self.is_told = True
