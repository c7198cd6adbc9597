"""Name every way in which an attempt fails."""

from typing import Any, Dict, Optional

COMMAND_NOT_FOUND = "COMMAND_NOT_FOUND"
NO_HANDLER = "NO_HANDLER"
TASK_EXECUTION_ERROR = "TASK_EXECUTION_ERROR"
INVALID_TASK = "INVALID_TASK"
INVALID_MANIFEST = "INVALID_MANIFEST"
RESULT_NOT_SERIALISABLE = "RESULT_NOT_SERIALISABLE"
RESULT_TOO_LARGE = "RESULT_TOO_LARGE"
RESULT_NOT_WRITTEN = "RESULT_NOT_WRITTEN"
TASK_TIMEOUT = "TASK_TIMEOUT"
CANCELLED = "CANCELLED"
WORKER_DIED = "WORKER_DIED"


class TaskFailure(Exception):
    """End an attempt with an errors file: `code`, `message` and JSON `details`."""

    def __init__(self, code: str, message: str, details: Optional[Dict[str, Any]] = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}
