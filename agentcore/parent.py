"""The process that claims attempts and gives the sign of life; it never runs a line of the agent's code.

Single-threaded around one selector. What it hears by inotify only makes it fast: a full scan every second is the truth.
"""

import math
import os
import selectors
import sys
import time
from typing import Callable, Dict, Iterable, Optional

from agentcore.backlog import Backlog, RecentNames
from agentcore.failures import CANCELLED, TASK_TIMEOUT, WORKER_DIED, TaskFailure
from agentcore.inotify import FolderWatch
from agentcore.limits import (
    HEARTBEAT_INTERVAL_SECONDS,
    MAX_REMEMBERED_ATTEMPTS,
    MAX_UNPUBLISHED_OUTCOMES,
    POLL_INTERVAL_SECONDS,
    READY_INTERVAL_SECONDS,
    SCAN_INTERVAL_SECONDS,
)
from agentcore.outcome import failure_payload
from agentcore.queue_directory import QueueDirectory
from agentcore.stop_signals import StopSignals
from agentcore.task import parse_attempt_name, read_task
from agentcore.worker_pool import WorkerPool
from agentcore.worker_process import RunningAttempt, WorkerProcess


class Parent:
    """One agent's loop, from ready to drained."""

    def __init__(
        self,
        queue: QueueDirectory,
        pool: WorkerPool,
        selector: selectors.BaseSelector,
        signals: StopSignals,
        watch: Optional[FolderWatch],
        drain_seconds: float,
    ) -> None:
        self._queue, self._pool, self._selector, self._signals, self._watch = queue, pool, selector, signals, watch
        self._drain_seconds = drain_seconds
        self._backlog = Backlog()
        self._cancellations = RecentNames(MAX_REMEMBERED_ATTEMPTS)
        self._strangers = RecentNames(MAX_REMEMBERED_ATTEMPTS)
        self._unpublished: Dict[str, bytes] = {}
        self._wake_at = self._scan_at = self._heartbeat_at = self._ready_at = 0.0  # all monotonic
        self._drained_at = math.inf

    def run(self, tell_ready: Callable[[], None]) -> None:
        """Work until told to stop and drained; `tell_ready` is called once, when the watches stand."""
        self._run_timers(time.monotonic())
        tell_ready()
        while not (self._signals.is_told and not self._pool.running):
            now = time.monotonic()
            if now >= self._wake_at:
                self._run_timers(now)
            if not self._signals.is_told:
                self._claim_pending()
            for key, _ in self._selector.select(max(0.0, self._wake_at - time.monotonic())):
                if isinstance(key.data, WorkerProcess):
                    self._pool.hear(key.data)
                elif key.data is self._signals:
                    self._hear_signals()
                elif self._watch is not None:
                    self._hear_news(self._watch)
        self._publish_leftovers()

    def _hear_signals(self) -> None:
        self._signals.read()
        self._bury_the_dead()
        if self._signals.is_told and self._drained_at == math.inf:
            self._drained_at = time.monotonic() + self._drain_seconds
            self._wake_at = 0.0
            print(f"agentcore draining: {len(self._pool.running)} attempts running", flush=True)

    def _hear_news(self, watch: FolderWatch) -> None:
        news = watch.read()
        # Cancellations first: a task that came together with its cancellation is not started.
        self._cancel(name for folder, name in news.arrivals if folder == self._queue.cancel)
        self._backlog.offer(self._attempts(name for folder, name in news.arrivals if folder == self._queue.tasks))
        if news.needs_scan:
            self._scan_at = self._wake_at = 0.0

    def _run_timers(self, now: float) -> None:
        if now >= self._scan_at:
            is_watching = self._is_watching()  # before the scan: what comes between the two is heard
            self._scan()
            self._scan_at = now + (SCAN_INTERVAL_SECONDS if is_watching else POLL_INTERVAL_SECONDS)
        if now >= self._heartbeat_at:
            for name in self._pool.running:
                self._queue.give_sign_of_life(name)
            self._heartbeat_at = now + HEARTBEAT_INTERVAL_SECONDS
        if now >= self._ready_at:
            self._announce_ready()
            self._ready_at = now + READY_INTERVAL_SECONDS
        self._wake_at = min(self._scan_at, self._heartbeat_at, self._ready_at, self._drained_at)
        if now >= self._drained_at:
            for worker in self._pool.running.values():
                worker.stop(TaskFailure(WORKER_DIED, "the agent was stopped before the attempt was finished"))
                worker.kill()
            self._wake_at = now + POLL_INTERVAL_SECONDS
        for worker in self._pool.workers():
            self._look_after(worker, now)

    def _look_after(self, worker: WorkerProcess, now: float) -> None:
        """Enforce the deadline of its attempt, and the end of its grace when it was stopped."""
        if worker.kill_at_monotonic is not None:
            if now >= worker.kill_at_monotonic:
                worker.kill()
            else:
                self._wake_at = min(self._wake_at, worker.kill_at_monotonic)
        attempt = worker.running
        if attempt is None or attempt.next_look_at_monotonic is None or worker.stopped_for is not None:
            return
        if now >= attempt.next_look_at_monotonic:
            if attempt.is_deadline_known:
                worker.stop(TaskFailure(TASK_TIMEOUT, "the attempt ran past its deadline"))
                self._wake_at = 0.0
                return
            attempt.next_look_at_monotonic = self._deadline_monotonic(attempt.name)
            attempt.is_deadline_known = True
        if attempt.next_look_at_monotonic is not None:
            self._wake_at = min(self._wake_at, attempt.next_look_at_monotonic)

    def _deadline_monotonic(self, name: str) -> Optional[float]:
        parsed = parse_attempt_name(name)
        try:
            task = read_task(f"{self._queue.tasks}/{name}", parsed) if parsed is not None else None
        except TaskFailure:
            return None  # the worker says so
        if task is None or task.deadline is None:
            return None
        return time.monotonic() + max(0.0, task.deadline.timestamp() - time.time())

    def _scan(self) -> None:
        """Read the folders: whatever a watch missed, folders made anew, attempts that did not fit before."""
        self._publish_leftovers()
        self._bury_the_dead()
        try:
            self._cancel(self._queue.list_cancellations())
            self._backlog.is_cut = False
            self._backlog.offer(self._attempts(self._queue.list_tasks()))
        except OSError as error:
            self._say_once(f"cannot read the queue: {error}")

    def _is_watching(self) -> bool:
        """Make sure that the watches stand; they fall when a folder is removed and made anew."""
        if self._watch is None:
            return False
        try:
            self._watch.watch(self._queue.tasks)
            self._watch.watch(self._queue.cancel, is_renamed_into=False)  # what it holds does not matter
        except OSError as error:
            self._say_once(f"scanning instead of watching: {error}")
            return False
        return True

    def _announce_ready(self) -> None:
        try:
            self._queue.announce_ready()
        except OSError as error:
            self._say_once(f"cannot show that this agent is ready: {error}")

    def _attempts(self, names: Iterable[str]) -> Iterable[str]:
        for name in names:
            if parse_attempt_name(name) is not None:
                yield name
            elif not name.startswith("."):
                self._say_once(f"{name!r} in tasks is no attempt and is left alone")

    def _claim_pending(self) -> None:
        while self._pool.has_room:
            name = self._backlog.next()
            if name is None:
                if self._backlog.is_cut:
                    self._scan_at = self._wake_at = 0.0
                return
            if name in self._cancellations:
                self._cancel_unclaimed(name)
                continue
            worker = self._pool.take()
            if worker is None:
                self._backlog.offer_again_later(name)
                return
            if not self._claim(name):
                self._pool.give_back(worker)
                continue
            attempt = RunningAttempt(name)
            self._pool.start(worker, attempt)
            if attempt.next_look_at_monotonic is not None:
                self._wake_at = min(self._wake_at, attempt.next_look_at_monotonic)

    def _claim(self, name: str) -> bool:
        try:
            return self._queue.has_task(name) and self._queue.claim(name)
        except OSError as error:
            self._backlog.offer_again_later(name)
            self._say_once(f"cannot claim {name}: {error.strerror}")
            return False

    def _cancel(self, names: Iterable[str]) -> None:
        for name in names:
            worker = self._pool.running.get(name)
            if worker is not None:
                worker.stop(TaskFailure(CANCELLED, "the attempt was cancelled while it ran"))
                self._wake_at = 0.0
            elif name not in self._cancellations and parse_attempt_name(name) is not None:
                self._cancellations.add(name)
                if not self._signals.is_told:
                    self._cancel_unclaimed(name)

    def _cancel_unclaimed(self, name: str) -> None:
        if self._claim(name):
            self._end(name, TaskFailure(CANCELLED, "the attempt was cancelled before it was started"), time.time())

    def _bury_the_dead(self) -> None:
        for attempt, failure in self._pool.reap():
            if attempt.is_unread and failure.code == WORKER_DIED and not self._signals.is_told:
                worker = self._pool.take()
                if worker is not None:
                    attempt.is_unread = False
                    self._pool.start(worker, attempt)  # it was never begun, so this is no repetition
                    continue
            self._end(attempt.name, failure, attempt.claimed_at_epoch)

    def _end(self, name: str, failure: TaskFailure, claimed_at_epoch: float) -> None:
        """Write the error of an attempt nobody else can answer for any more."""
        self._queue.discard_temporary(name)
        if self._queue.has_outcome(name) or not self._queue.is_claimed(name):
            return  # finished right before, or fetched already
        parsed = parse_attempt_name(name)
        if parsed is not None:
            self._publish(name, failure_payload(parsed, failure, claimed_at_epoch))

    def _publish(self, name: str, payload: bytes) -> None:
        try:
            self._queue.publish_error(name, payload)
        except OSError as error:
            self._say_once(f"cannot write the error of {name}: {error.strerror}")
            if len(self._unpublished) < MAX_UNPUBLISHED_OUTCOMES:
                self._unpublished[name] = payload

    def _publish_leftovers(self) -> None:
        leftovers, self._unpublished = self._unpublished, {}
        for name, payload in leftovers.items():
            self._publish(name, payload)

    def _say_once(self, text: str) -> None:
        if text not in self._strangers:
            self._strangers.add(text)
            print(f"agentcore[{os.getpid()}]: {text}", file=sys.stderr)
