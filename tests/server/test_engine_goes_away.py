"""Docker is stopped for ten seconds under load and comes back: agents go on, and every deploy ends in one way."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.callers import Callers
from tests.server.private_engine import DAEMON, PrivateEngine
from tests.server.running import RunningServer
from tests.server.sample_agent import sample_repository
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.skipif(DAEMON is None or os.geteuid() != 0, reason="only root can run an engine of its own"),
]

AWAY_SECONDS = 10.0
NOTICE_LIMIT_SECONDS = 45.0
"""Beyond the 30 seconds between two lists."""
BRIDGE = Path("/sys/class/net/docker0")
MANIFEST = '{"name": "sample", "access": "public", "concurrency": 4, "network": {"mode": "none"}}'
VERSION = "def handle(params, context):\n    return {version}\n"


@pytest.fixture
def engine() -> Iterator[PrivateEngine]:
    """An engine of the test's own, with the agent base image."""
    had_bridge = BRIDGE.exists()
    engine = PrivateEngine()
    try:
        assert BRIDGE.exists() == had_bridge, "the usual engine's bridge must stay as it is"
        engine.load_base_image()
        yield engine
    finally:
        engine.close()


@pytest.fixture
def server(engine: PrivateEngine, tmp_path: Path) -> Iterator[RunningServer]:
    """A server over that engine."""
    changes = {
        "PLOINKY_CONTAINER_RUNTIME": "docker",
        "DOCKER_HOST": engine.url,
        "PLOINKY_REVERT_WINDOW_SECONDS": "1",
        "PLOINKY_LOG_LEVEL": "warning",
    }
    running = RunningServer(tmp_path, changes=changes)
    try:
        running.initialise()
        yield running
        running.stop()
    finally:
        running.kill()


def test_agents_go_on_and_deploys_end(server: RunningServer, engine: PrivateEngine, tmp_path: Path) -> None:
    """No call fails, state says what is not known, deploys begun before and meanwhile end, and the next succeeds."""
    repository = sample_repository(tmp_path / "sample", MANIFEST)
    repository.commit({"handlers/version.py": VERSION.format(version=1)})
    steady = server.serve("/steady", "sample", repository.directory)
    other = server.serve("/other", "sample", repository.directory)
    callers = Callers(server.url, "/steady/version")

    def come_and_go() -> None:
        repository.commit({"handlers/version.py": VERSION.format(version=2)})
        assert server.api("POST", f"/deployments/{other}/update").status == 202
        engine.stop()
        back_at = time.monotonic() + AWAY_SECONDS
        late = server.deploy("/late", "sample", repository.directory)
        wait_until(lambda: _is_unobservable(server, steady), timeout_seconds=NOTICE_LIMIT_SECONDS, what="the silence")
        wait_until(lambda: time.monotonic() > back_at, timeout_seconds=AWAY_SECONDS + 1, what="the ten seconds")
        engine.start()
        wait_until(
            lambda: not _is_unobservable(server, steady), timeout_seconds=NOTICE_LIMIT_SECONDS, what="the engine again"
        )
        for deployment_id in (other, late):
            ended = server.await_rollout(deployment_id)["lastRollout"]
            assert ended["outcome"] in {"succeeded", "reverted", "failed"}
            assert ended["outcome"] == "succeeded" or ended["code"] == "RUNTIME_UNAVAILABLE", ended
        assert server.api("POST", f"/deployments/{steady}/update").status == 202
        assert server.await_rollout(steady)["lastRollout"]["outcome"] == "succeeded"
        wait_until(lambda: callers.answers["2"], what="an answer of the new version")

    callers.run_while(come_and_go)
    assert not callers.failures
    assert set(callers.answers) == {"1", "2"}
    assert server.stop() == 0
    assert engine.containers() == 0
    assert "Traceback" not in server.errors


def _is_unobservable(server: RunningServer, deployment_id: str) -> bool:
    return any(one["isUnobservable"] for one in server.deployment(deployment_id)["instances"])
