"""Callers that never pause: 32 kept connections, each with one call of a version at a time."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from tests.waiting import wait_until

CALLERS = 32
REQUEST_LIMIT_SECONDS = 60.0


class Callers:
    """Threads that call on kept connections until they are told to end, and count what they are answered."""

    def __init__(self, url: str, path: str) -> None:
        self._address = urlsplit(url)
        self._path = path
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self.answers: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def run_while(self, work: Callable[[], None]) -> None:
        """Call as long as the work goes on."""
        with ThreadPoolExecutor(CALLERS) as pool:
            calling = [pool.submit(self._call_on) for _ in range(CALLERS)]
            try:
                wait_until(lambda: self.answers.total() > CALLERS, timeout_seconds=60, what="the load")
                work()
            finally:
                self._is_over.set()
            for one in calling:
                one.result()

    def _call_on(self) -> None:
        host, port = self._address.hostname or "", self._address.port
        with closing(HTTPConnection(host, port, timeout=REQUEST_LIMIT_SECONDS)) as connection:
            while not self._is_over.is_set():
                try:
                    connection.request("GET", self._path)
                    response = connection.getresponse()
                    answer = response.read().decode()
                    self._count(response.status == 200 and answer.isdigit(), f"{response.status} {answer:.200}", answer)
                except (OSError, HTTPException) as error:
                    self._count(False, repr(error), "")
                    connection.close()

    def _count(self, is_good: bool, failure: str, answer: str) -> None:
        with self._lock:
            if is_good:
                self.answers[answer] += 1
            else:
                self.failures[failure] += 1
