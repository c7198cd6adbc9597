"""Talk to a program through its pipes, keeping no more of what it prints than is allowed."""

import os
import selectors
import subprocess
from typing import IO, NamedTuple, Optional

from agentcore.limits import MAX_OUTPUT_DETAIL_BYTES, MAX_RESULT_BYTES

_CHUNK_BYTES = 64 * 1024
_WRITE_BYTES = 4096  # PIPE_BUF: a pipe that is ready takes this much without blocking
_ENDED_CHECK_SECONDS = 0.2
_MAX_STDERR_BYTES = 4 * MAX_OUTPUT_DETAIL_BYTES


class Output(NamedTuple):
    """What a program left: its exit status (negative: the signal), stdout and the end of stderr."""

    status: int
    stdout: bytes
    stderr: bytes
    is_too_large: bool


def converse(program: "subprocess.Popen[bytes]", text: bytes) -> Output:
    """Write the text to the program's stdin, read what it prints until it ends, and kill it when that is too much.

    A program that ends while another process still holds its pipes is done with: nobody waits for a daemon.
    """
    stdout, stderr = bytearray(), bytearray()
    stdin: IO[bytes] = _opened(program.stdin)
    with program, selectors.DefaultSelector() as selector:
        selector.register(_opened(program.stdout), selectors.EVENT_READ, stdout)
        selector.register(_opened(program.stderr), selectors.EVENT_READ, stderr)
        unwritten = _feed(selector, stdin, memoryview(text), None)
        while len(selector.get_map()) > (unwritten is not None):
            ready = selector.select(_ENDED_CHECK_SECONDS)
            if not ready and program.poll() is not None:
                break
            for key, _ in ready:
                if key.fileobj is stdin and unwritten is not None:
                    unwritten = _feed(selector, stdin, unwritten, key)
                elif key.data is not None:
                    _drain(selector, key)
            if len(stdout) > MAX_RESULT_BYTES:
                program.kill()
                break
            del stderr[:-_MAX_STDERR_BYTES]
        if unwritten is not None:
            _close_quietly(stdin)
    return Output(program.returncode, bytes(stdout), bytes(stderr), len(stdout) > MAX_RESULT_BYTES)


def _opened(pipe: Optional[IO[bytes]]) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the program was started without pipes")
    return pipe


def _feed(
    selector: selectors.BaseSelector, stdin: IO[bytes], unwritten: memoryview, key: Optional[selectors.SelectorKey]
) -> Optional[memoryview]:
    """Write a part; give what is left, or None when stdin is closed."""
    try:
        unwritten = unwritten[os.write(stdin.fileno(), unwritten[:_WRITE_BYTES]) :]
    except BrokenPipeError:  # it does not read its stdin, as most commands do not
        unwritten = unwritten[:0]
    if len(unwritten):
        if key is None:
            selector.register(stdin, selectors.EVENT_WRITE)
        return unwritten
    if key is not None:
        selector.unregister(stdin)
    _close_quietly(stdin)
    return None


def _drain(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    chunk = os.read(key.fd, _CHUNK_BYTES)
    if chunk:
        key.data.extend(chunk)
    else:
        selector.unregister(key.fileobj)


def _close_quietly(stdin: IO[bytes]) -> None:
    try:
        stdin.close()
    except OSError:
        return
