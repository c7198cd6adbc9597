"""An agent for tests: writes into a queue folder what a real one would, or what a hostile one might."""

import json
import os
from datetime import datetime
from pathlib import Path

import msgspec

from ploinky.ports.courier import TaskOrder

DEPLOYMENT_ID = "0123456789abcdefghij"
INSTANCE_ID = f"{DEPLOYMENT_ID}.1.1"
OTHER_INSTANCE_ID = f"{DEPLOYMENT_ID}.1.2"
TASK_ID = "vvvv0123456789abcdef"
TOKEN = "token-of-the-attempt"


def order(task_id: str = TASK_ID, attempt: int = 1, **metadata: object) -> TaskOrder:
    return TaskOrder(
        id=task_id,
        attempt=attempt,
        command="echo",
        params=msgspec.Raw(b'["one",2]'),
        metadata={"token": TOKEN, **metadata},
    )


def numbered_task_id(number: int) -> str:
    return f"{number:020d}"


def result(task_id: str = TASK_ID, attempt: int = 1, **changes: object) -> dict[str, object]:
    return {"id": task_id, "attempt": attempt, "success": True, "data": {"answer": 42}, **changes}


def error(task_id: str = TASK_ID, attempt: int = 1, **changes: object) -> dict[str, object]:
    document = {"id": task_id, "attempt": attempt, "success": False, "code": "NO_LUCK", "message": "no luck"}
    return {**document, "details": {"tried": 3}, **changes}


class FolderAgent:
    """The agent's side of one queue folder."""

    def __init__(self, root: str) -> None:
        self.root = Path(root)

    def orders(self) -> list[TaskOrder]:
        return [
            msgspec.json.decode(path.read_bytes(), type=TaskOrder)
            for path in sorted((self.root / "tasks").iterdir())
            if not path.name.startswith(".")
        ]

    def cancellations(self) -> list[str]:
        return sorted(path.name for path in (self.root / "cancel").iterdir())

    def make_ready(self) -> None:
        (self.root / "locks" / ".ready").touch()

    def claim(self, task_id: str = TASK_ID, attempt: int = 1) -> Path:
        lock = self.root / "locks" / f"{task_id}.{attempt}"
        lock.mkdir()
        (lock / "owner").write_text('{"pid": 1}')
        return lock

    def live(self, task_id: str = TASK_ID, attempt: int = 1) -> None:
        lock = self.root / "locks" / f"{task_id}.{attempt}"
        changed_at = lock.stat().st_mtime_ns + 2_000_000_000
        os.utime(lock, ns=(changed_at, changed_at))

    def write(self, folder: str, name: str, content: bytes | dict[str, object]) -> Path:
        """Put a file in place as agents do: under another name first, then renamed."""
        final = self.root / folder / name
        temporary = final.with_name(f".tmp-{name}"[:200])
        temporary.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return temporary.rename(final)

    def succeed(
        self, task_id: str = TASK_ID, attempt: int = 1, data: object = None, claimed_at: datetime | None = None
    ) -> None:
        document = result(task_id, attempt, data=data)
        if claimed_at is not None:
            document["claimed_at"] = claimed_at.isoformat().replace("+00:00", "Z")
        self.write("results", f"{task_id}.{attempt}", document)

    def fail(self, task_id: str = TASK_ID, attempt: int = 1) -> None:
        self.write("errors", f"{task_id}.{attempt}", error(task_id, attempt))

    def spoil(self, task_id: str = TASK_ID, attempt: int = 1) -> None:
        self.write("results", f"{task_id}.{attempt}", b'{"id": "vvv')

    def files(self) -> list[str]:
        """Name everything beneath the five folders, apart from what the agent keeps for itself in `locks`."""
        found = [path.relative_to(self.root).as_posix() for path in self.root.glob("*/**/*")]
        return sorted(name for name in found if not name.startswith("locks/."))
