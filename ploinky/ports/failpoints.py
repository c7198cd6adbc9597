"""Named places where a crash test ends the process, or counts that it came by.

Off, and one truth test, unless the process was started with `PLOINKY_FAILPOINTS`, a comma-separated list of:

- `name=kill@3`: the third time `name` is reached, this process ends as by `kill -9`
- `name=count`: each time `name` is reached, a line with the name is appended to the file `PLOINKY_FAILPOINTS_LOG`
- `*=count`: the same for every name

With `PLOINKY_FAILPOINTS_ARMED`, what is reached before the file of that path exists does not count towards a kill.
"""

import os
import signal
import threading
from collections.abc import Mapping

from ploinky.domain.errors import ConfigurationInvalid

_VARIABLE = "PLOINKY_FAILPOINTS"
_LOG_VARIABLE = "PLOINKY_FAILPOINTS_LOG"
_ARMED_VARIABLE = "PLOINKY_FAILPOINTS_ARMED"
_EVERY_NAME = "*"


class Failpoints:
    """Decide what happens at each name. Usable from any thread."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read the three variables. Raises `ConfigurationInvalid` for what cannot be read."""
        self._kill_at: dict[str, int] = {}
        self._counted: set[str] = set()
        self._hits: dict[str, int] = {}
        self._lock = threading.Lock()
        self._log_path = environment.get(_LOG_VARIABLE, "")
        self._armed_path = environment.get(_ARMED_VARIABLE, "")
        for entry in filter(None, environment.get(_VARIABLE, "").split(",")):
            self._add(entry.strip())

    def _add(self, entry: str) -> None:
        name, _, action = entry.partition("=")
        verb, _, count = action.partition("@")
        if name and verb == "count" and not count and self._log_path:
            self._counted.add(name)
        elif name and verb == "kill" and count.isascii() and count.isdigit() and int(count) > 0:
            self._kill_at[name] = int(count)
        else:
            raise ConfigurationInvalid(
                f"{_VARIABLE} has an entry that cannot be read: {entry!r}",
                hint=f"Write `name=kill@3`, or `name=count` together with {_LOG_VARIABLE}.",
            )

    @property
    def are_set(self) -> bool:
        """Tell whether there is anything to do at all."""
        return bool(self._kill_at or self._counted)

    def reach(self, name: str) -> None:
        """Count the hit, and end the process when it is the one asked for."""
        is_armed = name in self._kill_at and (not self._armed_path or os.path.exists(self._armed_path))
        with self._lock:
            hits = self._hits[name] = self._hits.get(name, 0) + is_armed
            if name in self._counted or _EVERY_NAME in self._counted:
                self._write_down(name)
        if is_armed and self._kill_at[name] == hits:
            os.kill(os.getpid(), signal.SIGKILL)

    def _write_down(self, name: str) -> None:
        descriptor = os.open(self._log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{name}\n".encode())
        finally:
            os.close(descriptor)


_failpoints = Failpoints(os.environ)
_are_set = _failpoints.are_set


def reach(name: str) -> None:
    """Pass a named place. Costs one test of a global when nothing is set."""
    if _are_set:
        _failpoints.reach(name)
