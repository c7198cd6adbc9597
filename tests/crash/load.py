"""Callers that never give up: what was accepted is written down, what was cut is asked again with the same key."""

import random
import threading
import time
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.crash.watching import Watch, open_state
from tests.server.running import Answer, request

PACE_SECONDS = 0.03
RETRY_SECONDS = 0.05
KEEPING_SECONDS = 0.2
CANCELLING_SECONDS = 0.7
"""A cancelled handler that resists is killed after two seconds: some are always on their way out."""
HOLDERS = 5
REPEATED_KEYS = 100
FAILING_KEPT_TASKS = 4
WAITING_KEPT_TASKS = 12
COMMANDS = ("quick", "quick", "quick", "slow", "fails", "dies")
TASKS = "/management/api/tasks"


class Load:
    """Threads that submit, and what they were told."""

    def __init__(self, url: str, key: str, installation: Path, deployments: Mapping[str, str], seed: int) -> None:
        """`deployments`: path -> id. The one at `/a` is kept in every open state, the one at `/c` may go away."""
        self.url = url
        self._key = key
        self._installation = installation
        self._deployments = deployments
        self._seed = seed
        self._stopping = threading.Event()
        self._giving_up = threading.Event()
        self._cancel_at = 0.0
        self._lock = threading.Lock()
        self.accepted: set[str] = set()
        self.cancelled: set[str] = set()
        self.by_key: dict[str, set[str]] = {}
        self._asked: dict[str, tuple[str, str, str]] = {}
        self.complaints: list[str] = []
        work = [lambda: self._call(0), lambda: self._call(1), lambda: self._call(2), lambda: self._call(3)]
        self._threads = [threading.Thread(target=target) for target in [*work, self._keep]]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, *, is_hopeless: bool = False) -> None:
        """Let everybody finish what was begun; `is_hopeless`: not even that, the server does not come back."""
        if is_hopeless:
            self._giving_up.set()
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def repeat(self) -> None:
        """Ask once more for what was accepted under a key, in earlier lives too: it has to be the same task."""
        with self._lock:
            asked = list(self._asked.items())[-REPEATED_KEYS:]
        for key, (path, said, command) in asked:
            self._insist(path, said, command, {"Idempotency-Key": key, "Prefer": "respond-async"})

    def wait(self, seconds: float) -> None:
        """Let the load go on for a while."""
        self._stopping.wait(seconds)

    def ask(self, method: str, path: str) -> None:
        """Ask for something that a kill may cut off."""
        self._try(path, None, {}, method)

    def _call(self, number: int) -> None:
        choose = random.Random(f"{self._seed}-{number}")
        count = 0
        while not self._stopping.wait(PACE_SECONDS):
            count += 1
            path, command = choose.choice(("/a", "/b", "/b", "/c")), choose.choice(COMMANDS)
            # Even callers wait for the result and may have to give a cut call up; odd ones have a key for it.
            key = f"{self._seed}-{number}-{count}" if number % 2 else ""
            headers = {"Idempotency-Key": key, "Prefer": "respond-async"} if key else {}
            said = f"{path}-{number}-{count}"
            if key and path != "/c":
                with self._lock:
                    self._asked[key] = (path, said, command)
            self._insist(path, said, command, headers)

    def _insist(self, path: str, said: str, command: str, headers: dict[str, str]) -> None:
        """Submit until it was answered; what has no key is submitted at most once."""
        while True:
            answer = self._try(path, {"command": command, "params": [said]}, headers)
            if answer is not None and self._take(answer, path, said, headers):
                return
            if "Idempotency-Key" not in headers or (path == "/c" and self._stopping.is_set()):
                return
            if self._giving_up.wait(RETRY_SECONDS):
                return

    def _take(self, answer: Answer, path: str, said: str, headers: Mapping[str, str]) -> bool:
        """Note what an answer says; False when it says to come again."""
        task_id = answer.headers.get("x-ploinky-task", "")
        is_of_c = path == "/c"
        with self._lock:
            if answer.status in {200, 202} and task_id:
                self.accepted.add(task_id)
                self.by_key.setdefault(headers.get("Idempotency-Key", task_id), set()).add(task_id)
                if answer.status == 200 and answer.document != {"said": said}:
                    self.complaints.append(f"{task_id} was answered with {answer.body!r} instead of {said}")
                return True
            if answer.status == 503 or (answer.status == 500 and answer.code == "OUTCOME_UNKNOWN"):
                return False
            if not is_of_c:
                self.complaints.append(f"{path}: {answer.status} {answer.body!r}")
            return True

    def _try(self, path: str, body: Any, headers: Mapping[str, str], method: str = "POST") -> Answer | None:
        try:
            return request(self.url, method, path, body, {**headers, "X-API-Key": self._key})
        except (OSError, HTTPException):
            return None

    def _keep(self) -> None:
        """Keep tasks of `/a` in every open state: some that hold and resist being cancelled, some in line."""
        watch = Watch(self._installation)
        while not self._stopping.wait(KEEPING_SECONDS):
            tasks = watch.now().tasks.open.items()
            states = {key: row.state for key, row in tasks if row.state.deployment_id == self._deployments["/a"]}
            holders = {key: state for key, state in states.items() if state.command == "holds"}
            running = [key for key, state in holders.items() if state.is_claimed and not state.is_cancel_requested]
            if len(running) > HOLDERS // 2 and self._is_time_to_cancel():
                self._cancel(running[0])
            for _ in range(len(holders), HOLDERS):
                self._submit("holds")
            if sum(state.command == "fails" for state in states.values()) < FAILING_KEPT_TASKS:
                self._submit("fails")
            waiting = sum(open_state(state) == "waiting" for state in states.values())
            for _ in range(waiting, WAITING_KEPT_TASKS):
                self._submit("slow")
        watch.close()

    def _is_time_to_cancel(self) -> bool:
        now = time.monotonic()
        is_due = now >= self._cancel_at
        if is_due:
            self._cancel_at = now + CANCELLING_SECONDS
        return is_due

    def _submit(self, command: str) -> str:
        body = {"deployment": self._deployments["/a"], "command": command, "params": [command]}
        answer = self._try(TASKS, body, {})
        if answer is None or answer.status != 202:
            return ""
        with self._lock:
            self.accepted.add(answer.document["id"])
        return str(answer.document["id"])

    def _cancel(self, task_id: str) -> None:
        if not task_id:
            return
        # Noted before: whether a request that was cut has been recorded is not known.
        self.cancelled.add(task_id)
        self._try(f"{TASKS}/{task_id}", None, {}, "DELETE")
