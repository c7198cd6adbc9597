"""Sixty deployments asked for at once on Docker: all of them serve, and nothing of them is left afterwards.

The engine's own address pools end near thirty networks, and its threads are eight.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest

from ploinky.ports.runtime import LABEL_DEPLOYMENT
from tests.server.running import RunningServer
from tests.server.sample_agent import sample_repository
from tests.waiting import wait_until

DEPLOYMENTS = 60
CALLERS = 16
ALL_LIMIT_SECONDS = 400.0
MANIFEST = '{"name": "sample", "access": "public", "concurrency": 1}'

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server over Docker."""
    # So many at once share two cores: nobody is ready within the usual minute.
    changes = {"PLOINKY_CONTAINER_RUNTIME": "docker", "PLOINKY_AGENT_START_TIMEOUT_MS": "300000"}
    running = RunningServer(tmp_path, changes=changes)
    try:
        running.initialise()
        yield running
        running.stop()
    finally:
        running.kill()


def test_sixty_at_once(server: RunningServer, tmp_path: Path) -> None:
    """Each succeeds, each answers for itself, and each has one container."""
    repository = sample_repository(tmp_path / "sample", MANIFEST)
    began = time.monotonic()
    with ThreadPoolExecutor(CALLERS) as pool:
        ids = list(pool.map(lambda n: server.deploy(f"/n{n}", "sample", repository.directory), range(DEPLOYMENTS)))
        wait_until(lambda: _ended(server) == ids_ended(ids), timeout_seconds=ALL_LIMIT_SECONDS, what="all rollouts")
        print(f"{DEPLOYMENTS} deployments at once: {time.monotonic() - began:.0f} s")
        answers = list(
            pool.map(lambda n: server.ask("POST", f"/n{n}/echo", {"params": [n]}).document, range(DEPLOYMENTS))
        )
    assert answers == [[number] for number in range(DEPLOYMENTS)]
    assert _containers(ids) == DEPLOYMENTS
    assert server.stop() == 0
    assert _containers(ids) == 0
    assert "Traceback" not in server.errors


def ids_ended(ids: list[str]) -> dict[str, str]:
    return dict.fromkeys(ids, "succeeded")


def _ended(server: RunningServer) -> dict[str, str]:
    """Return how the newest rollout of each deployment ended; those still under way are left out."""
    listed = server.api("GET", f"/deployments?perPage={DEPLOYMENTS}").document["data"]
    ended = {one["id"]: one["lastRollout"]["outcome"] for one in listed if one["lastRollout"]}
    assert "failed" not in ended.values(), [one["lastRollout"] for one in listed]
    return ended


def _containers(ids: list[str]) -> int:
    client = docker.from_env()
    try:
        found = client.api.containers(all=True, filters={"label": LABEL_DEPLOYMENT})
    finally:
        client.close()
    return sum(one["Labels"][LABEL_DEPLOYMENT] in ids for one in found)
