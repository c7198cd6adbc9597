"""Run a command as a program: params as its arguments, the task JSON on stdin, its stdout as the result.

No shell ever sees a word of the caller's.
"""

import errno
import json
import os
import signal
import subprocess
import sys
from typing import Any, Dict, List

from agentcore.failures import RESULT_TOO_LARGE, TASK_EXECUTION_ERROR, TaskFailure
from agentcore.hiding import tail_of
from agentcore.limits import MAX_OUTPUT_DETAIL_BYTES, MAX_RESULT_BYTES
from agentcore.parentage import die_with_parent
from agentcore.program_pipes import Output, converse
from agentcore.task import Task


class ExternalCommand:
    """A program to run in the agent's folder for every attempt."""

    def __init__(self, command_line: List[str], agent_directory: str) -> None:
        self._command_line = command_line
        self._agent_directory = agent_directory

    def run(self, task: Task) -> Any:
        """Run the program and give its result: the JSON it printed, else what it printed as a text.

        Raises: TaskFailure when it ends with another status than 0 or prints too much; OSError and ValueError when it
        cannot be started.
        """
        # Told to stop, the program gets its time to end; the worker then ends as well, without an outcome.
        stopper = _Stopper()
        previous = signal.signal(signal.SIGTERM, stopper.note)
        try:
            program = self._start([argument_of(param) for param in task.params], task.command)
            stopper.program = program
            output = converse(program, task.raw)
        finally:
            stopper.leave_if_told()
            signal.signal(signal.SIGTERM, previous)
        return result_of(output)

    def _start(self, arguments: List[str], command: str) -> "subprocess.Popen[bytes]":
        try:
            return self._popen(self._command_line + arguments, command)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            return self._popen(["/bin/sh", *self._command_line, *arguments], command)  # a script without #!

    def _popen(self, command_line: List[str], command: str) -> "subprocess.Popen[bytes]":
        environment: Dict[str, str] = dict(os.environ, TASK_COMMAND=command)
        return subprocess.Popen(
            command_line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self._agent_directory,
            env=environment,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl, safe whatever threads a handler left
        )


class _Stopper:
    """Remember that the parent asked to stop while a program runs."""

    def __init__(self) -> None:
        self.program: Any = None
        self._is_told = False

    def note(self, _number: int, _frame: Any) -> None:
        self._is_told = True

    def leave_if_told(self) -> None:
        if self._is_told:
            if self.program is not None:
                self.program.wait()  # the parent kills us both when this takes too long
            os._exit(128 + signal.SIGTERM)


def argument_of(param: Any) -> str:
    """Give a param as a program's argument: a text as it is, anything else as JSON."""
    return param if isinstance(param, str) else json.dumps(param)


def result_of(output: Output) -> Any:
    """Judge what a program left behind. Raises: TaskFailure."""
    if output.is_too_large:
        message = f"the command printed more than {MAX_RESULT_BYTES} bytes"
        raise TaskFailure(RESULT_TOO_LARGE, message, {"limit_bytes": MAX_RESULT_BYTES})
    stdout = output.stdout.decode("utf-8", "replace")
    stderr = output.stderr.decode("utf-8", "replace")
    if output.status != 0:
        ending = f"status {output.status}" if output.status > 0 else f"signal {-output.status}"
        details: Dict[str, Any] = {"code": output.status}
        details["stdout"], details["stdout_is_cut"] = tail_of(stdout, MAX_OUTPUT_DETAIL_BYTES)
        details["stderr"], details["stderr_is_cut"] = tail_of(stderr, MAX_OUTPUT_DETAIL_BYTES)
        raise TaskFailure(TASK_EXECUTION_ERROR, f"the command ended with {ending}", details)
    if stderr:
        sys.stderr.write(stderr if stderr.endswith("\n") else stderr + "\n")
        sys.stderr.flush()
    try:
        return json.loads(stdout, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return stdout[:-1] if stdout.endswith("\n") else stdout


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
