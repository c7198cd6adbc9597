"""A server that is killed at a step, at its start too, and started again over the same directory."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

from tests.server.running import START_LIMIT_SECONDS, RunningServer
from tests.waiting import wait_until

KILL_LIMIT_SECONDS = 40.0


class CrashingServer(RunningServer):
    """One life of the server."""

    def __init__(
        self,
        directory: Path,
        runtime: str,
        *,
        step: str = "",
        hit: int = 1,
        is_armed: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Start it; `step` is where it ends at its `hit`-th coming by, from now on or once `arm` was called."""
        self._arming = directory / "armed"
        self._arming.unlink(missing_ok=True)
        changes = {"PLOINKY_CONTAINER_RUNTIME": runtime, "PLOINKY_LOG_LEVEL": "info", **(settings or {})}
        if step:
            changes["PLOINKY_FAILPOINTS"] = f"{step}=kill@{hit}"
        if step and not is_armed:
            changes["PLOINKY_FAILPOINTS_ARMED"] = str(self._arming)
        super().__init__(directory, changes=changes)

    def _await_greeting(self) -> str:
        def has_ended_or_greeted() -> bool:
            return self.process.poll() is not None or "Try:" in self.output

        try:
            wait_until(has_ended_or_greeted, timeout_seconds=START_LIMIT_SECONDS, what="the greeting")
        except AssertionError:
            self.kill()
            raise
        if self.process.poll() == -signal.SIGKILL:
            return ""
        assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.errors}"
        line = next(line for line in self.output.splitlines() if line.startswith("Ploinky is running at "))
        return line.removeprefix("Ploinky is running at ").split()[0]

    def arm(self) -> None:
        """Let the step count from here on."""
        self._arming.touch()

    def await_kill(self) -> None:
        """Wait until the step has ended the process."""
        wait_until(lambda: self.process.poll() is not None, timeout_seconds=KILL_LIMIT_SECONDS, what="the kill")
        assert self.process.returncode == -signal.SIGKILL, f"exit code {self.process.returncode}: {self.errors}"


def pids_with(marker: str) -> list[int]:
    """Return the processes that carry a text in their environment or their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(marker) in b"".join(
                (entry / name).read_bytes() for name in ("environ", "cmdline")
            ):
                found.append(int(entry.name))
        except OSError:
            continue  # ended, or not ours
    return [pid for pid in found if pid != os.getpid()]
