"""Commands beside an agent that runs as a plain process: as the same user, with what the kernel shows of the agent."""

import contextlib
import json
import os
import resource
import secrets
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from ploinky.adapters import process_runtime_exec_child
from ploinky.adapters.exec_output import ExecOutput
from ploinky.adapters.process_runtime_confinement import AgentPython, with_agent_python
from ploinky.adapters.process_runtime_identity import end_marked
from ploinky.adapters.process_runtime_inside import find_agent
from ploinky.domain.errors import RuntimeRefused, RuntimeUnavailable
from ploinky.ports.runtime import Executed

EXEC_VARIABLE = "PLOINKY_EXEC"
"""Unlike in each command's environment; everything that it starts inherits it."""
KILLED_EXIT_CODE = 137
READ_BYTES = 64 * 1024
"""What a pipe holds: one read empties it."""
_LIMITS = {
    "Max core file size": "RLIMIT_CORE",
    "Max open files": "RLIMIT_NOFILE",
    "Max data size": "RLIMIT_DATA",
    "Max address space": "RLIMIT_AS",
    "Max processes": "RLIMIT_NPROC",
    "Max file size": "RLIMIT_FSIZE",
}
_NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")


class Entrance(NamedTuple):
    """What leads to an agent."""

    shim_pid: int
    groups: tuple[str, ...]
    """Its control groups."""
    python: AgentPython | None


def execute(
    entrance: Entrance, command: tuple[str, ...], stdin: bytes, timeout_seconds: float, output_limit_bytes: int
) -> Executed:
    """Run a command to its end. **Raises** `RuntimeRefused` when the agent has ended or cannot be looked into."""
    agent = find_agent(entrance.shim_pid)
    if agent is None:
        raise RuntimeRefused("the instance has just ended")
    mark = secrets.token_hex(16)
    try:
        order = _order(agent, entrance, command, mark)
    except OSError as error:
        raise RuntimeRefused(f"the agent cannot be looked into: {error.strerror}") from error
    child = _spawn(order, mark)
    output = ExecOutput(output_limit_bytes)
    deadline = time.monotonic() + timeout_seconds
    try:
        _exchange(child, stdin, output, deadline)
        return output.ended(_as_shells_count(child.wait(max(0.0, deadline - time.monotonic()))))
    except (TimeoutError, subprocess.TimeoutExpired):
        child.kill()
        child.wait()
        if not end_marked(EXEC_VARIABLE, mark):
            raise RuntimeRefused("a command took too long and could not be killed") from None
        return output.ended(KILLED_EXIT_CODE, is_timed_out=True)
    finally:
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # what could not be written any more
                    stream.close()


def _order(agent: int, entrance: Entrance, command: tuple[str, ...], mark: str) -> dict[str, Any]:
    """Describe the command as a sibling of the agent. Raises `OSError` when the agent has ended."""
    process = Path(f"/proc/{agent}")
    pairs = (entry.partition(b"=") for entry in (process / "environ").read_bytes().split(b"\0") if entry)
    environment = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    status = dict(line.split(":", 1) for line in (process / "status").read_text("utf-8").splitlines() if ":" in line)
    user, group = (int(status[key].split()[1]) for key in ("Uid", "Gid"))
    is_same_user = user == os.geteuid()
    return {
        "agent": agent,
        "namespaces": [name for name in _NAMESPACES if _namespace(agent, name) != _namespace(None, name)],
        "control_groups": entrance.groups,
        "command": with_agent_python(command, entrance.python),
        "environment": {**environment, EXEC_VARIABLE: mark},
        "directory": environment.get("AGENT_DIR", "/"),
        "limits": _limits((process / "limits").read_text("ascii")),
        "user": None if is_same_user else user,
        "group": None if is_same_user else group,
        "groups": None if is_same_user else [int(word) for word in status["Groups"].split()],
    }


def _limits(content: str) -> dict[str, list[int]]:
    """Read soft and hard limits from `/proc/{pid}/limits`: prlimit(2) needs a right that root may not have."""
    found: dict[str, list[int]] = {}
    for line in content.splitlines():
        name = next((name for name in _LIMITS if line.startswith(name)), None)
        if name is not None:
            bounds = line.removeprefix(name).split()[:2]
            found[_LIMITS[name]] = [resource.RLIM_INFINITY if word == "unlimited" else int(word) for word in bounds]
    return found


def _namespace(pid: int | None, name: str) -> str:
    return os.readlink(f"/proc/{'self' if pid is None else pid}/ns/{name}")


def _spawn(order: dict[str, Any], mark: str) -> "subprocess.Popen[bytes]":
    reading, writing = os.pipe()
    script = process_runtime_exec_child.__file__
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", script, str(reading)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(reading,),
            start_new_session=True,
            env={"PATH": os.defpath, "LANG": "C.UTF-8", EXEC_VARIABLE: mark},
        )
    except OSError as error:
        os.close(writing)
        raise RuntimeUnavailable(f"no process can be started: {error.strerror}") from error
    finally:
        os.close(reading)
    with os.fdopen(writing, "wb") as pipe, contextlib.suppress(BrokenPipeError):
        pipe.write(json.dumps(order).encode())
    return child


def _exchange(child: "subprocess.Popen[bytes]", stdin: bytes, output: ExecOutput, deadline: float) -> None:
    """Feed the command and collect what it writes, until it has ended or closed both streams.

    What it left behind may hold its streams open; nobody waits for that. **Raises** `TimeoutError`.
    """
    feeder = _Feeder(child.stdin, stdin)
    reads = [partial(_read, _unblocked(stream), output, is_error=bool(number)) for number, stream in _outputs(child)]
    with selectors.DefaultSelector() as selector, contextlib.closing(_EndOf(child.pid)) as end:
        selector.register(end, selectors.EVENT_READ)
        for read in reads:
            selector.register(read.args[0], selectors.EVENT_READ, read)
        selector.register(_unblocked(child.stdin), selectors.EVENT_WRITE, feeder.write)
        is_ended = False
        while not is_ended and len(selector.get_map()) > 1:
            ready = [key for key, _ in selector.select(_remaining(deadline))]
            for key in ready:
                if key.data is not None and not key.data():
                    selector.unregister(key.fd)
            is_ended = any(key.data is None for key in ready)
    for read in reads:
        read()  # what it wrote right before its end


def _outputs(child: "subprocess.Popen[bytes]") -> Iterator[tuple[int, IO[bytes] | None]]:
    return enumerate((child.stdout, child.stderr))


def _remaining(deadline: float) -> float:
    remaining_seconds = deadline - time.monotonic()
    if remaining_seconds <= 0:
        raise TimeoutError
    return remaining_seconds


class _Feeder:
    """Writes a command's input piece by piece, then closes it."""

    def __init__(self, stream: IO[bytes] | None, content: bytes) -> None:
        self._stream = stream
        self._waiting = memoryview(content)

    def write(self) -> bool:
        """Write what fits; False once there is nothing more to write."""
        if self._stream is None:
            return False
        try:
            if self._waiting:
                self._waiting = self._waiting[os.write(self._stream.fileno(), self._waiting) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            self._waiting = self._waiting[:0]  # it does not want the rest
        if not self._waiting:
            self._stream.close()
        return bool(self._waiting)


class _EndOf:
    """Becomes readable when a process ends."""

    def __init__(self, pid: int) -> None:
        self._descriptor = os.pidfd_open(pid)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)


def _unblocked(stream: IO[bytes] | None) -> int:
    if stream is None:
        raise RuntimeUnavailable("a command has no streams")
    os.set_blocking(stream.fileno(), False)
    return stream.fileno()


def _read(descriptor: int, output: ExecOutput, *, is_error: bool) -> bool:
    """Take in what is there; False at the end, or when nothing is there."""
    try:
        chunk = os.read(descriptor, READ_BYTES)
    except BlockingIOError:
        return False
    output.add(chunk, is_error=is_error)
    return bool(chunk)


def _as_shells_count(code: int) -> int:
    return code if code >= 0 else 128 - code
