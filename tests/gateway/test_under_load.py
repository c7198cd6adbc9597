"""Many callers at once: everybody gets the own answer, whatever is changed meanwhile."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.server.running import Answer, RunningServer
from tests.server.sample_agent import sample_repository

CALLERS, ROUNDS = 100, 10
STEADY_CALLERS = 8


@pytest.mark.slow
def test_a_hundred_callers_ten_times(server: RunningServer, deployment_id: str) -> None:
    """Of a hundred calls at once, ten times over, each is answered with its own params: not one less."""

    def call(number: int) -> Answer:
        return server.ask("POST", "/sample/echo", {"params": [number]})

    with ThreadPoolExecutor(CALLERS) as pool:
        for turn in range(ROUNDS):
            numbers = range(turn * CALLERS, (turn + 1) * CALLERS)
            answers = list(pool.map(call, numbers))
            assert [(answer.status, answer.body) for answer in answers] == [(200, b"[%d]" % one) for one in numbers]
    listed = server.api("GET", f"/tasks?deployment={deployment_id}&state=succeeded&perPage=1").document
    assert listed["pagination"]["total"] == CALLERS * ROUNDS
    assert server.deployment(deployment_id)["tasks"] == {"waiting": 0, "running": 0}


def test_no_call_fails_during_a_rollout(server: RunningServer, tmp_path: Path) -> None:
    """While the same agent is deployed again and restarted, every call is answered well; the generation moves on."""
    repository = sample_repository(tmp_path / "agent")
    deployment_id = server.serve("/steady", "sample", repository.directory)
    is_over = threading.Event()
    seen: Counter[tuple[int, bytes]] = Counter()

    def call_on() -> "Counter[tuple[int, bytes]]":
        own: Counter[tuple[int, bytes]] = Counter()
        while not is_over.is_set():
            answer = server.ask("POST", "/steady/echo", b"x")
            own[answer.status, answer.body] += 1
        return own

    with ThreadPoolExecutor(STEADY_CALLERS) as pool:
        callers = [pool.submit(call_on) for _ in range(STEADY_CALLERS)]
        try:
            repository.commit({"handlers/new.py": "def handle(params):\n    return 'new'\n"})
            server.serve("/steady", "sample", repository.directory)
            for change in ("restart", "update"):
                assert server.api("POST", f"/deployments/{deployment_id}/{change}").status == 202
                assert server.await_rollout(deployment_id)["lastRollout"]["outcome"] == "succeeded"
        finally:
            is_over.set()
        for caller in callers:
            seen += caller.result()
    assert set(seen) == {(200, b'["x"]')}, seen
    assert seen.total() > STEADY_CALLERS
    assert server.deployment(deployment_id)["generation"] == 4
