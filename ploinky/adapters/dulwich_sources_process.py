"""Run the child that speaks git, with bounds on its time and on what it says."""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

import ploinky
from ploinky.adapters.dulwich_sources_spare import SPARE_ARGUMENT, SPARE_LIMIT_SECONDS
from ploinky.domain.errors import SourceInvalid, SourceUnavailable
from ploinky.ports.sources import Progress

CHILD_MODULE = "ploinky.adapters.dulwich_sources_spare"
LINE_BYTES = 65_536
OUTPUT_BYTES = 8 * 1_048_576
STDERR_BYTES = 8_192
CHUNK_BYTES = 65_536

_KEPT_VARIABLES = frozenset(
    {"PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    | {name for proxy in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (proxy, proxy.upper())}
)


class SpareChild:
    """A child that was started before there is a request for it, so that the request does not wait for imports.

    Each request still has a process of its own, from its start to its end.
    """

    def __init__(self) -> None:
        """Start none yet."""
        self._lock = threading.Lock()
        self._waiting: tuple[subprocess.Popen[bytes], float] | None = None
        self._is_closed = False

    def take(self) -> "subprocess.Popen[bytes]":
        """Return the one that waits, or a new one."""
        with self._lock:
            waiting, self._waiting = self._waiting, None
        if waiting is None:
            return _start()
        child, started_at = waiting
        # It ends by itself at some time; well before that it is not trusted to be there for the whole of a request.
        if child.poll() is None and time.monotonic() - started_at < SPARE_LIMIT_SECONDS / 2:
            return child
        _end(child)
        return _start()

    def renew(self) -> None:
        """Have one wait from here on."""
        with self._lock:
            if self._waiting is None and not self._is_closed:
                with contextlib.suppress(OSError):  # without one the next request starts its own, or says why not
                    self._waiting = _start(SPARE_ARGUMENT), time.monotonic()

    def close(self) -> None:
        """End the one that waits, and start none any more."""
        with self._lock:
            waiting, self._waiting, self._is_closed = self._waiting, None, True
        if waiting is not None:
            _end(waiting[0])


def run_child(
    request: bytes, timeout_seconds: float, progress: Progress, spare: SpareChild | None = None
) -> dict[str, object]:
    """Send one JSON request, pass progress lines on, and return the child's one answer.

    The child is in its own process group, which is gone when this returns or raises. `spare` gives it, and has another
    one wait afterwards. Raises `SourceUnavailable` when it takes too long or dies, `SourceInvalid` when it says too
    much.
    """
    child = spare.take() if spare else _start()
    try:
        return _converse(child, request, time.monotonic() + timeout_seconds, progress)
    finally:
        _end(child)
        if spare:
            spare.renew()


def _start(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", CHILD_MODULE, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
        cwd="/",
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    """Leave out everything that could make git ask somebody or run something, and every secret of ours."""
    # Coverage of child processes is switched on by variables of its own.
    kept = {
        name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES or name.startswith("COVERAGE_")
    }
    package = str(Path(ploinky.__file__).resolve().parent.parent)
    isolation = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
    return {**kept, **isolation, "PYTHONPATH": package, "PYTHONSAFEPATH": "1"}


def _converse(
    child: "subprocess.Popen[bytes]", request: bytes, deadline: float, progress: Progress
) -> dict[str, object]:
    assert child.stdin is not None  # noqa: S101 - asked for as a pipe
    try:
        child.stdin.write(request)
        child.stdin.close()
    except BrokenPipeError:
        pass  # it died early; its standard error says why
    stderr = bytearray()
    answer: dict[str, object] | None = None
    for line in _lines(child, stderr, deadline):
        message = _decode(line)
        if "progress" in message:
            progress(str(message["progress"]))
        else:
            answer = message
    if answer is None:
        said = stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise SourceUnavailable(f"The git process ended without an answer ({said or 'no message'})", hint="Try again.")
    return answer


def _decode(line: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(line, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise SourceUnavailable("The git process answered garbage", hint="Try again.") from error


def _lines(child: "subprocess.Popen[bytes]", stderr: bytearray, deadline: float) -> Iterator[bytes]:
    """Yield standard output by line until both streams end; the end of standard error collects in `stderr`."""
    buffer = bytearray()
    total_bytes = 0
    for stream, chunk in _chunks(child, deadline):
        if stream is child.stderr:
            stderr += chunk
            del stderr[:-STDERR_BYTES]
            continue
        total_bytes += len(chunk)
        buffer += chunk
        *complete, rest = bytes(buffer).split(b"\n")
        buffer = bytearray(rest)
        if total_bytes > OUTPUT_BYTES or len(rest) > LINE_BYTES:
            raise SourceInvalid("The repository produces too many messages")
        yield from complete


def _chunks(child: "subprocess.Popen[bytes]", deadline: float) -> Iterator[tuple[IO[bytes], bytes]]:
    assert child.stdout is not None  # noqa: S101 - asked for as pipes
    assert child.stderr is not None  # noqa: S101
    with selectors.DefaultSelector() as selector:
        for stream in (child.stdout, child.stderr):
            selector.register(stream, selectors.EVENT_READ, stream)
        while selector.get_map():
            left_seconds = deadline - time.monotonic()
            if left_seconds <= 0:
                raise SourceUnavailable("Fetching took too long", hint="Is the repository large, or its server slow?")
            for key, _ in selector.select(left_seconds):
                chunk = os.read(key.fd, CHUNK_BYTES)
                if chunk:
                    yield key.data, chunk
                else:
                    selector.unregister(key.data)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Kill the whole group, whether the child still runs or has left somebody behind, and reap it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None:
            stream.close()
