"""Real agents for tests: a folder, a queue directory and the runner as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
# The agent may run under another Python than the tests, 3.8 for one.
PYTHON = os.environ.get("AGENTCORE_PYTHON") or sys.executable


@dataclass
class Agent:
    """An agent under test; the test plays the server's part of the queue directory."""

    folder: Path
    queue: Path
    process: subprocess.Popen[bytes] | None = None
    makes_folders: bool = True

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def start(self, *, is_ready: bool = True, **environment: str) -> "Agent":
        for folder in ("tasks", "cancel", "results", "errors", "locks"):
            if self.makes_folders:
                (self.queue / folder).mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "AGENT_DIR": str(self.folder),
            "PLOINKY_QUEUE_DIR": str(self.queue),
            "PLOINKY_AGENT": "tested",
            **environment,
        }
        parent = self.folder.parent
        with (parent / "stdout").open("ab") as stdout, (parent / "stderr").open("ab") as stderr:
            command = [PYTHON, "-m", "agentcore"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stdout, stderr=stderr)
        if is_ready:
            wait_until((self.queue / "locks" / ".ready").exists, what="readiness")
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def stdout(self) -> str:
        return (self.folder.parent / "stdout").read_text()

    def stderr(self) -> str:
        return (self.folder.parent / "stderr").read_text()

    def put(self, folder: str, name: str, text: str) -> None:
        temporary = self.queue / folder / f".tmp-{name}"
        temporary.write_text(text)
        temporary.rename(self.queue / folder / name)

    def submit(self, command: str, *params: Any, name: str = "task-1.1", metadata: dict[str, Any] | None = None) -> str:
        task_id, _, attempt = name.rpartition(".")
        task = {"id": task_id, "attempt": int(attempt), "command": command, "params": list(params)}
        self.put("tasks", name, json.dumps({**task, "metadata": metadata or {}}))
        return name

    def cancel(self, name: str) -> None:
        self.put("cancel", name, "")

    def read_error(self, name: str) -> dict[str, Any]:
        found = json.loads((self.queue / "errors" / name).read_text())
        assert isinstance(found, dict)
        return found

    def outcome(self, name: str = "task-1.1") -> dict[str, Any] | None:
        for folder in ("results", "errors"):
            path = self.queue / folder / name
            if path.exists():
                found = json.loads(path.read_text())
                assert isinstance(found, dict)
                assert found["success"] is (folder == "results")
                return found
        return None

    def wait_outcome(self, name: str = "task-1.1") -> dict[str, Any]:
        wait_until(lambda: self.outcome(name), timeout_seconds=20, what=f"the outcome of {name}")
        found = self.outcome(name)
        assert found is not None
        return found

    def call(self, command: str, *params: Any, **options: Any) -> dict[str, Any]:
        return self.wait_outcome(self.submit(command, *params, **options))

    def data(self, command: str, *params: Any, **options: Any) -> Any:
        found = self.call(command, *params, **options)
        assert found["success"], found
        return found["data"]

    def wait_scan(self) -> None:
        """Return when an agent that only polls has scanned its folders once from beginning to end."""
        for name in ("scan-1.1", "scan-2.1"):
            self.put("tasks", name, "{}")
            self.wait_outcome(name)

    def is_claimed(self, name: str) -> bool:
        return (self.queue / "locks" / name / "owner").exists()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait_end(self) -> int:
        assert self.process is not None
        return self.process.wait(timeout=20)


def state_of(pid: int) -> str:
    """Give the letter of a process's state as proc(5) has it, Z for one that is gone as well."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def is_running(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    return state_of(pid) not in {"Z", "X"}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    folder = tmp_path / "agent"
    folder.mkdir()
    tested = Agent(folder, tmp_path / "queue")
    yield tested
    if tested.process is not None and tested.process.poll() is None:
        tested.signal(signal.SIGKILL)
        tested.process.wait()
