"""The workers of one parent: forked when first needed, kept warm, replaced when they die."""

import os
import selectors
import socket
import sys
import time
from typing import Callable, Dict, List, NoReturn, Optional, Tuple

from agentcore.failures import TaskFailure
from agentcore.limits import EXIT_GRACE_SECONDS
from agentcore.worker_process import RunningAttempt, WorkerProcess, fork_worker

_EXIT_POLL_SECONDS = 0.01


class WorkerPool:
    """At most `size` workers, each with at most one attempt. `serve` is what a forked worker runs."""

    def __init__(self, size: int, selector: selectors.BaseSelector, serve: Callable[[socket.socket], NoReturn]) -> None:
        self._size = size
        self._selector = selector
        self._serve = serve
        self._workers: Dict[int, WorkerProcess] = {}
        self._idle: List[WorkerProcess] = []
        self.running: Dict[str, WorkerProcess] = {}

    @property
    def has_room(self) -> bool:
        """Tell whether one more attempt could be started."""
        return bool(self._idle) or len(self._workers) < self._size

    def take(self) -> Optional[WorkerProcess]:
        """Give a worker for one attempt, forking one when all others are busy; None when none can be had."""
        if self._idle:
            return self._idle.pop()  # the one used last has the warmest caches
        if len(self._workers) >= self._size:
            return None
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # else the child would print it a second time
        try:
            worker = fork_worker(self._serve_apart)
        except OSError as error:
            print(f"agentcore: cannot start a worker: {error.strerror}", file=sys.stderr)
            return None
        self._workers[worker.pid] = worker
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)
        return worker

    def give_back(self, worker: WorkerProcess) -> None:
        """Return a worker that has nothing to do."""
        worker.running = None
        self._idle.append(worker)

    def start(self, worker: WorkerProcess, attempt: RunningAttempt) -> None:
        """Run a claimed attempt. When the worker is gone, `reap` gives the attempt back as unread."""
        self.running[attempt.name] = worker
        if not worker.start(attempt):
            attempt.is_unread = True
            worker.kill()

    def hear(self, worker: WorkerProcess) -> None:
        """Take a worker's news: its attempt is finished, or it hung up."""
        if worker.channel.fileno() < 0:
            return  # buried since the selector told of it: its number may belong to another process
        message = worker.receive()
        attempt = worker.running
        if attempt is not None and message == attempt.name.encode("ascii"):
            self.running.pop(attempt.name, None)
            worker.running = None
            if worker.stopped_for is None:
                self._idle.append(worker)
        elif not message:
            self._hang_up(worker)
            worker.kill()

    def reap(self) -> List[Tuple[RunningAttempt, TaskFailure]]:
        """Bury the workers that died, and what they started; give the attempts that ended with them.

        As the first process of a container this one also inherits orphans: they are buried as well.
        """
        bereaved = []
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if found is None:
                break
            worker, attempt = self._workers.pop(found.si_pid, None), None
            if worker is not None:
                worker.kill()  # its group, while the dead leader still holds the group's number
                attempt = self._bury(worker)
            _, wait_status = os.waitpid(found.si_pid, 0)
            if worker is not None and attempt is not None:
                bereaved.append((attempt, worker.death_failure(wait_status)))
        return bereaved

    def _bury(self, worker: WorkerProcess) -> Optional[RunningAttempt]:
        if worker.channel.fileno() >= 0 and worker.running is not None:
            self.hear(worker)  # it may have finished right before it died
        self._hang_up(worker)
        if worker.running is not None:
            self.running.pop(worker.running.name, None)
        return worker.running

    def _hang_up(self, worker: WorkerProcess) -> None:
        if worker.channel.fileno() >= 0:
            self._selector.unregister(worker.channel)
            worker.channel.close()
        if worker in self._idle:
            self._idle.remove(worker)

    def workers(self) -> List[WorkerProcess]:
        """Give the workers that are not known to be dead."""
        return list(self._workers.values())

    def close(self) -> None:
        """Hang up on the idle workers, let them end by themselves for a moment, kill the rest, bury all."""
        for worker in self.workers():
            self._hang_up(worker)  # what it reads next is the end
        give_up_at_monotonic = time.monotonic() + EXIT_GRACE_SECONDS
        while self._workers:
            self.reap()
            if self._workers and time.monotonic() > give_up_at_monotonic:
                for worker in self.workers():
                    worker.kill()
            time.sleep(_EXIT_POLL_SECONDS)

    def _serve_apart(self, channel: socket.socket) -> NoReturn:
        """Run in the child: let go of what belongs to the parent, above all the other workers' channels."""
        for other in self._workers.values():
            other.channel.close()
        self._selector.close()
        self._serve(channel)
