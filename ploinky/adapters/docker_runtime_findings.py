"""Remember what trials found out: in memory, and in a file, so that a restart needs no new one."""

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ploinky.adapters.docker_runtime_trial import Findings

FAILURE_SECONDS = 30.0
"""How long a problem is believed before it is looked for again: an operator may have solved it."""
MAX_FILE_BYTES = 10_000


class FindingsRecord:
    """The newest findings about one runtime's engine. Threads wait for a trial that is going on."""

    def __init__(self, file: Path | None) -> None:
        """Take where to keep them; None keeps them in memory only."""
        self._file = file
        self._lock = threading.Lock()
        self._newest: Findings | None = None
        self._found_at = 0.0

    def get(self, engine: str, find_out: Callable[[], Findings | None]) -> Findings | None:
        """Return what is known of an engine, else what `find_out` returns; that may be nothing, and may raise."""
        with self._lock:
            if self._newest is None and self._file is not None:
                self._newest, self._found_at = _read(self._file), time.monotonic()
            known = self._newest
            is_old = time.monotonic() - self._found_at > FAILURE_SECONDS
            if known is not None and known.engine == engine and not (known.problem and is_old):
                return known
            found = find_out()
            if found is not None:
                self._newest, self._found_at = found, time.monotonic()
                if self._file is not None and not found.problem:
                    _write(self._file, found)
            return found


def _read(file: Path) -> Findings | None:
    """Read earlier findings; what cannot be read is found out again."""
    try:
        with file.open("rb") as content:
            return msgspec.json.decode(content.read(MAX_FILE_BYTES), type=Findings)
    except (OSError, msgspec.DecodeError):
        return None


def _write(file: Path, found: Findings) -> None:
    """Keep findings; without them the next start finds out again."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(descriptor, "wb") as content:
            content.write(msgspec.json.format(msgspec.json.encode(found)))
        os.replace(name, file)
