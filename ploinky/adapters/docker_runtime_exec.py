"""Commands inside a container: started through the engine, killed from inside when their time is over.

**Source**: Engine API 1.41, `POST /containers/{id}/exec` and the framing of `POST /containers/{id}/attach`. The engine
cannot kill what it executes, and its process numbers mean nothing to us when it runs in a virtual machine. So each
command carries a mark in its environment, which everything that it starts inherits, and a second command kills what
carries it.
"""

import contextlib
import secrets
import socket
import struct
import threading
import time
from typing import Any

import msgspec

from ploinky.adapters.docker_runtime_errors import translated
from ploinky.adapters.exec_output import ExecOutput
from ploinky.domain.errors import RuntimeRefused, RuntimeUnavailable
from ploinky.ports.runtime import Executed

MARK = "PLOINKY_EXEC"
NOT_RUNNABLE = frozenset({126, 127})
KILLED_EXIT_CODE = 137

KILL_PASSES = 10
"""Each kills all that is there; more than one only for what starts others meanwhile."""
KILL_TIMEOUT_SECONDS = 5.0
END_WAIT_SECONDS = 5.0
END_POLL_SECONDS = 0.02
READ_BYTES = 64 * 1024
_FRAME = struct.Struct(">BxxxL")
_STDERR = 2

_KILL_BY_SHELL = """
left=0
for process in /proc/[0-9]*; do
    if tr '\\0' '\\n' < "$process/environ" | grep -qxF "$1"; then kill -9 "${process#/proc/}"; left=1; fi
done 2>/dev/null
exit $left
"""
_KILL_BY_PYTHON = """
import glob, os, sys
left = 0
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        with open(path, "rb") as file:
            if sys.argv[1].encode() in file.read().split(bytes(1)):
                os.kill(int(path.split("/")[2]), 9)
                left = 1
    except OSError:
        pass
sys.exit(left)
"""
_KILLERS = (("sh", "-c", _KILL_BY_SHELL, "sh"), ("python3", "-c", _KILL_BY_PYTHON))
"""Images need not have either; the agent's own Python is in most."""


class _Exec(msgspec.Struct, rename="pascal"):
    running: bool
    exit_code: int | None = None


def execute(
    client: Any,
    engine_id: str,
    command: tuple[str, ...],
    stdin: bytes,
    timeout_seconds: float,
    output_limit_bytes: int,
) -> Executed:
    """Run a command in a running container to its end. **Raises** as the port says."""
    mark = f"{MARK}={secrets.token_hex(16)}"
    output = ExecOutput(output_limit_bytes)
    deadline = time.monotonic() + timeout_seconds
    exec_id, is_over = _run(client, engine_id, command, mark, stdin, output, deadline)
    if is_over and (exit_code := _exit_code(client, exec_id, max(deadline, time.monotonic() + END_WAIT_SECONDS))) >= 0:
        return output.ended(exit_code)
    _kill(client, engine_id, mark)
    return output.ended(KILLED_EXIT_CODE, is_timed_out=True)


def _run(
    client: Any,
    engine_id: str,
    command: tuple[str, ...],
    mark: str,
    stdin: bytes,
    output: ExecOutput,
    deadline: float,
) -> tuple[str, bool]:
    """Start a command and collect what it writes; False when the time was over before its streams were."""
    with translated(f"execute {command[0]}"):
        created = client.exec_create(engine_id, list(command), stdin=bool(stdin), environment=[mark] if mark else None)
        exec_id = str(created["Id"])
        stream = client.exec_start(exec_id, socket=True)
    # The library hands out the bare socket, but has read ahead of it: the beginning may be in this buffer already.
    reader = stream._response.raw._fp.fp  # noqa: SLF001 - see above
    connection: socket.socket = stream._sock  # noqa: SLF001 - nothing public sets its time-out
    feeder = threading.Thread(target=_feed, args=(connection, stdin), daemon=True)
    try:
        connection.settimeout(_remaining(deadline))
        if stdin:
            feeder.start()
        return exec_id, _collect(reader, connection, output, deadline)
    finally:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)  # wakes the feeder
        if feeder.ident is not None:
            feeder.join()
        stream._response.close()  # noqa: SLF001 - the library gives no other way to it


def _collect(reader: Any, connection: socket.socket, output: ExecOutput, deadline: float) -> bool:
    """Read frames until the stream ends; False when the time is over."""
    try:
        while header := _read(reader, connection, _FRAME.size, deadline):
            if len(header) < _FRAME.size:
                break
            kind, length = _FRAME.unpack(header)
            while length:
                piece = _read(reader, connection, min(length, READ_BYTES), deadline)
                if not piece:
                    return True
                output.add(piece, is_error=kind == _STDERR)
                length -= len(piece)
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True  # Podman hangs up so on input that nobody read; how it ended is asked for anyway
    except OSError as error:
        raise RuntimeUnavailable("the container engine broke off the output of a command") from error
    return True


def _read(reader: Any, connection: socket.socket, wanted_bytes: int, deadline: float) -> bytes:
    connection.settimeout(_remaining(deadline))
    return bytes(reader.read(wanted_bytes))


def _remaining(deadline: float) -> float:
    """Return for how long to wait; never 0, which would mean not to wait at all. **Raises** `TimeoutError`."""
    remaining_seconds = deadline - time.monotonic()
    if remaining_seconds <= 0:
        raise TimeoutError
    return remaining_seconds


def _feed(connection: socket.socket, stdin: bytes) -> None:
    with contextlib.suppress(OSError):  # it ended without reading everything
        connection.sendall(stdin)
        connection.shutdown(socket.SHUT_WR)


def _exit_code(client: Any, exec_id: str, deadline: float) -> int:
    """Return how it ended; -1 when it goes on although its streams are closed. An engine notes an end a little late."""
    while True:
        with translated("look at a command"):
            look = msgspec.convert(client.exec_inspect(exec_id), _Exec)
        if not look.running and look.exit_code is not None:
            return look.exit_code
        if time.monotonic() > deadline:
            return -1
        time.sleep(END_POLL_SECONDS)


def _kill(client: Any, engine_id: str, mark: str) -> None:
    """Kill everything that carries a mark. **Raises** `RuntimeRefused` when that cannot be done from inside."""
    for killer in _KILLERS:
        for _ in range(KILL_PASSES):
            deadline = time.monotonic() + KILL_TIMEOUT_SECONDS
            exec_id, is_over = _run(client, engine_id, (*killer, mark), "", b"", ExecOutput(0), deadline)
            exit_code = _exit_code(client, exec_id, deadline) if is_over else -1
            if exit_code == 0:
                return
            if exit_code in NOT_RUNNABLE:
                break
    raise RuntimeRefused(
        "a command took too long and could not be killed", hint="Restart the deployment to be rid of it."
    )
