"""A worker as its parent sees it: give it an attempt, stop it, and know for certain that it is gone."""

import os
import signal
import socket
import time
from contextlib import suppress
from typing import Any, Callable, NoReturn, Optional, Set

from agentcore.failures import WORKER_DIED, TaskFailure
from agentcore.limits import DEADLINE_LOOKUP_SECONDS, KILL_GRACE_SECONDS
from agentcore.worker import MESSAGE_BYTES

_PARENT_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


class RunningAttempt:
    """An attempt in a worker. `next_look_at_monotonic` is when its deadline is to be read or has come."""

    __slots__ = ("claimed_at_epoch", "is_deadline_known", "is_unread", "name", "next_look_at_monotonic")

    def __init__(self, name: str) -> None:
        self.name = name
        self.claimed_at_epoch = time.time()
        self.next_look_at_monotonic: Optional[float] = time.monotonic() + DEADLINE_LOOKUP_SECONDS
        self.is_deadline_known = False
        self.is_unread = False  # True: its worker certainly died before it read of this attempt


class WorkerProcess:
    """One forked worker, leader of its own process group so that what it starts can be stopped with it."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.channel = channel
        self.running: Optional[RunningAttempt] = None
        self.stopped_for: Optional[TaskFailure] = None
        self.kill_at_monotonic: Optional[float] = None

    def start(self, attempt: RunningAttempt) -> bool:
        """Hand over a claimed attempt; False when the worker is gone."""
        self.running = attempt
        try:
            self.channel.send(b"%s %d" % (attempt.name.encode("ascii"), int(attempt.claimed_at_epoch * 1e6)))
        except OSError:
            return False
        return True

    def receive(self) -> bytes:
        """Give the name of the attempt it finished, or nothing when there is no news or it hung up."""
        try:
            return self.channel.recv(MESSAGE_BYTES)
        except ConnectionResetError:  # unix(7): the other side closed with something unread
            if self.running is not None:
                self.running.is_unread = True
            return b""
        except OSError:
            return b""

    def stop(self, failure: TaskFailure) -> None:
        """Ask the worker and what it started to end, for that reason; they are killed when they do not."""
        if self.stopped_for is None:
            self.stopped_for = failure
            self.kill_at_monotonic = time.monotonic() + KILL_GRACE_SECONDS
            self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the worker and what it started."""
        self.kill_at_monotonic = None
        self._signal_group(signal.SIGKILL)

    def death_failure(self, wait_status: int) -> TaskFailure:
        """Say why the attempt ended with its worker."""
        if self.stopped_for is not None:
            return self.stopped_for
        if os.WIFSIGNALED(wait_status):
            number = os.WTERMSIG(wait_status)
            return TaskFailure(WORKER_DIED, f"the worker was ended by signal {number}", {"signal": number})
        status = os.WEXITSTATUS(wait_status)
        return TaskFailure(WORKER_DIED, f"the worker ended with exit status {status}", {"exit_status": status})

    def _signal_group(self, number: int) -> None:
        # Both: a handler may have moved its worker out of the group. Never called once the worker is reaped, so the
        # number still belongs to it.
        for send in (os.killpg, os.kill):
            try:
                send(self.pid, number)
            except OSError:
                continue


def _become_worker(
    serve: Callable[[socket.socket], NoReturn], ours: socket.socket, theirs: socket.socket, outer_mask: Set[Any]
) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for number in _PARENT_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, outer_mask)
        os.setpgid(0, 0)
        ours.close()
        serve(theirs)
    finally:
        os._exit(1)  # whatever happens, the child never runs the parent's code


def fork_worker(serve: Callable[[socket.socket], NoReturn]) -> WorkerProcess:
    """Fork a worker that runs `serve` with its end of the channel. Raises: OSError when no process can be made."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # Blocked until the child has let go of the parent's handlers: they would act on the parent's other workers.
    outer_mask = signal.pthread_sigmask(signal.SIG_BLOCK, _PARENT_SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            _become_worker(serve, ours, theirs, outer_mask)
    except OSError:
        ours.close()
        theirs.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, outer_mask)
    theirs.close()
    ours.setblocking(False)
    with suppress(OSError):
        os.setpgid(pid, pid)  # both do it: whoever comes first, the group exists before it is needed
    return WorkerProcess(pid, ours)
