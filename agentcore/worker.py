"""The process that runs handlers: one attempt at a time, told by the parent, over a socket of its own.

The parent sends `{name} {claimed_at in microseconds}`; the answer is the name, sent when the outcome is in its folder.
Handlers own this process: whatever they print, raise or break, the claim and its sign of life are the parent's.
"""

import os
import socket
import sys
import time
import traceback
from types import TracebackType
from typing import NoReturn, Optional

from agentcore.failures import RESULT_NOT_WRITTEN, TASK_EXECUTION_ERROR, TASK_TIMEOUT, TaskFailure
from agentcore.hiding import Hider, tail_of
from agentcore.limits import MAX_MESSAGE_CHARACTERS, MAX_TRACEBACK_BYTES
from agentcore.manifest import Manifest
from agentcore.outcome import failure_payload, success_payload
from agentcore.parentage import die_with
from agentcore.queue_directory import QueueDirectory
from agentcore.resolution import Commands
from agentcore.task import AttemptName, Task, parse_attempt_name, read_task

MESSAGE_BYTES = 512


class Worker:
    """Execute attempts and publish their outcomes."""

    def __init__(self, queue: QueueDirectory, agent_directory: str, manifest: Manifest) -> None:
        self._queue = queue
        self._commands = Commands(agent_directory, manifest)
        self._hider: Optional[Hider] = None

    def execute(self, name: str, claimed_at_epoch: float) -> None:
        """Run the attempt and publish its outcome. Raises: OSError when not even an error can be written."""
        parsed = parse_attempt_name(name)
        if parsed is None:
            raise ValueError(f"the parent sent {name!r}, which names no attempt")
        try:
            data = self._run(f"{self._queue.tasks}/{name}", parsed)
            payload = success_payload(parsed, data, claimed_at_epoch)
        except TaskFailure as failure:
            self._queue.publish_error(name, failure_payload(parsed, failure, claimed_at_epoch))
            return
        try:
            self._queue.publish_result(name, payload)
        except OSError as error:
            unwritten = TaskFailure(RESULT_NOT_WRITTEN, f"the result could not be written: {error.strerror}")
            self._queue.publish_error(name, failure_payload(parsed, unwritten, claimed_at_epoch))

    def _run(self, path: str, name: AttemptName) -> object:
        task = read_task(path, name)
        if task.deadline is not None and task.deadline.timestamp() <= time.time():
            raise TaskFailure(TASK_TIMEOUT, "the deadline had passed before the task was started")
        try:
            return self._commands.resolve(task.command).run(task)
        except TaskFailure as failure:
            details = self._hiding().hide_in(failure.details, task.token)
            raise TaskFailure(failure.code, self._hiding().hide(failure.message, task.token), details) from failure
        except BaseException as error:  # SystemExit and the like as well: a handler must not end its worker by them
            raise self._execution_failure(error, task) from error

    def _execution_failure(self, error: BaseException, task: Task) -> TaskFailure:
        message = self._hiding().hide(f"{type(error).__name__}: {text_of(error)}", task.token)
        lines = traceback.format_exception(type(error), error, _without_own_frames(error))
        cut, is_cut = tail_of(self._hiding().hide("".join(lines), task.token), MAX_TRACEBACK_BYTES)
        details = {"traceback": cut, "traceback_is_cut": is_cut}
        return TaskFailure(TASK_EXECUTION_ERROR, message[:MAX_MESSAGE_CHARACTERS], details)

    def _hiding(self) -> Hider:
        if self._hider is None:
            self._hider = Hider(os.environ)
        return self._hider


def serve(worker: Worker, channel: socket.socket, agent_directory: str, parent_pid: int) -> NoReturn:
    """Become the worker process: execute what the parent sends until it hangs up. Never returns."""
    die_with(parent_pid)
    _settle(agent_directory)
    status = 0
    try:
        while True:
            message = channel.recv(MESSAGE_BYTES)
            if not message:
                break
            name, claimed_at_microseconds = message.decode("ascii").split(" ")
            worker.execute(name, int(claimed_at_microseconds) / 1e6)
            channel.send(name.encode("ascii"))
    except BaseException as error:  # noqa: BLE001 - the top of a process
        print(f"agentcore: worker {os.getpid()} ends: {type(error).__name__}: {text_of(error)}", file=sys.stderr)
        status = 1
    _leave(status)


def _settle(agent_directory: str) -> None:
    """Prepare a forked process for the agent's code."""
    nothing = os.open(os.devnull, os.O_RDONLY)  # a handler that reads stdin reads nothing instead of hanging
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.dont_write_bytecode = True  # a release's folder stays as it was deployed
    sys.path.insert(0, agent_directory)
    try:
        os.chdir(agent_directory)
    except OSError as error:
        print(f"agentcore: cannot work in {agent_directory}: {error.strerror}", file=sys.stderr)


def text_of(error: BaseException) -> str:
    """Give an exception's text, whatever its class does to prevent that."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - code of the agent runs in its __str__
        return "(an exception without a text)"


def _without_own_frames(error: BaseException) -> Optional[TracebackType]:
    """Give the traceback from the first frame of the agent's code on."""
    frame = error.__traceback__
    own = os.path.dirname(os.path.abspath(__file__)) + os.sep
    while frame is not None:
        source = frame.tb_frame.f_code.co_filename
        if not (os.path.abspath(source).startswith(own) or source.startswith("<frozen importlib")):
            break
        frame = frame.tb_next
    return frame


def _leave(status: int) -> NoReturn:
    """End without waiting for threads that handlers may have left."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(status)
