"""What a handler is told about its attempt."""

import sys
from datetime import datetime
from typing import Any, Dict, Optional

from agentcore.limits import MAX_LOG_LINE_CHARACTERS
from agentcore.task import Task


class Context:
    """The second argument of `handle(params, context)`; also passed to functions that take a `context`."""

    __slots__ = ("_task",)

    def __init__(self, task: Task) -> None:
        self._task = task

    @property
    def task_id(self) -> str:
        """Give the task's id, the same for all its attempts: what to deduplicate effects by."""
        return self._task.id

    @property
    def attempt(self) -> int:
        """Give the attempt's number."""
        return self._task.attempt

    @property
    def command(self) -> str:
        """Give the command that was called."""
        return self._task.command

    @property
    def metadata(self) -> Dict[str, Any]:
        """Give the request's `method, url, headers, timestamp, securityContext, deployment, deadline, token`."""
        return self._task.metadata

    @property
    def security_context(self) -> Dict[str, Any]:
        """Give who is asking: `userId, roles, permissions, isAuthenticated`; empty when nobody said."""
        found = self._task.metadata.get("securityContext")
        return found if isinstance(found, dict) else {}

    @property
    def deadline(self) -> Optional[datetime]:
        """Give the aware UTC instant at which this attempt is killed, or None."""
        return self._task.deadline

    def log(self, text: object) -> None:
        """Write one line to the agent's log, whatever the text holds."""
        line = str(text)[:MAX_LOG_LINE_CHARACTERS].replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        sys.stderr.write(f"[{self.task_id}.{self.attempt} {self.command}] {line}\n")
        sys.stderr.flush()
