"""What callers of an agent with a web server notice of rollouts and stops: nothing, or an honest end."""

import asyncio
import json
import signal
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import WSMsgType

from tests.adapters.sources.git_repositories import GitRepository
from tests.gateway.web_agents import web_repository
from tests.server.running import RunningServer
from tests.waiting import wait_until

CALLERS, ROLLOUTS = 8, 4
LIMIT_SECONDS = 60.0
BODY = b"x" * 20_000


def instance_statuses(server: RunningServer, deployment_id: str) -> dict[int, str]:
    found = server.deployment(deployment_id)
    return {one["generation"]: one["status"] for one in found["instances"]}


def roll_out(server: RunningServer, deployment_id: str) -> None:
    """Make a new generation serve."""
    assert server.api("POST", f"/deployments/{deployment_id}/restart").status == 202
    assert server.await_rollout(deployment_id)["lastRollout"]["outcome"] == "succeeded"


class Caller:
    """Calls on one kept connection until it is told to end: reads and uploads in turn."""

    def __init__(self, server: RunningServer, path: str, is_over: threading.Event) -> None:
        address = urlsplit(server.url)
        self._connection = HTTPConnection(address.hostname or "", address.port, timeout=LIMIT_SECONDS)
        self._path = path
        self._is_over = is_over
        self.seen: Counter[str] = Counter()

    def call_on(self) -> "Counter[str]":
        number = 0
        while not self._is_over.is_set():
            number += 1
            is_upload = number % 2 == 0
            try:
                self._connection.request("POST" if is_upload else "GET", self._path, BODY if is_upload else None)
                response = self._connection.getresponse()
                content = response.read()
            except (OSError, HTTPException) as error:
                self.seen[repr(error)] += 1
                self._connection.close()
                continue
            is_whole = (b'"size": 20000' if is_upload else b'"size": 0') in content
            self.seen["whole" if response.status == 200 and is_whole else f"{response.status} {content!r:.200}"] += 1
        self._connection.close()
        return self.seen


@pytest.mark.slow
def test_no_request_fails_during_rollouts(server: RunningServer, tmp_path: Path) -> None:
    """While an agent is deployed again and again under load, each request is answered whole, also uploads."""
    repository = web_repository(tmp_path / "steady", "web_agent")
    deployment_id = server.serve("/steady", "steady", repository.directory)
    is_over, seen = threading.Event(), Counter[str]()
    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [pool.submit(Caller(server, "/steady/x", is_over).call_on) for _ in range(CALLERS)]
        try:
            for _ in range(ROLLOUTS):
                roll_out(server, deployment_id)
            _fail_to_roll_out(server, deployment_id, repository)
        finally:
            is_over.set()
        for caller in callers:
            seen += caller.result()
    assert set(seen) == {"whole"}, seen
    assert seen["whole"] > CALLERS * ROLLOUTS
    assert server.deployment(deployment_id)["generation"] == ROLLOUTS + 1


def _fail_to_roll_out(server: RunningServer, deployment_id: str, repository: GitRepository) -> None:
    """Deploy a version that ends at once: what served goes on serving."""
    repository.commit({"server.py": "raise SystemExit(3)\n"})
    assert server.api("POST", f"/deployments/{deployment_id}/update").status == 202
    ended = server.await_rollout(deployment_id)["lastRollout"]
    assert (ended["outcome"], ended["exitCode"]) == ("reverted", 3)


def test_a_long_request_outlives_the_switch(server: RunningServer, tmp_path: Path) -> None:
    """A request that is with the old generation at the switch is answered by it, and only then is it stopped."""
    repository = web_repository(tmp_path / "patient", "web_agent")
    deployment_id = server.serve("/patient", "patient", repository.directory)
    address = urlsplit(server.url)
    with closing(HTTPConnection(address.hostname or "", address.port, timeout=LIMIT_SECONDS)) as connection:
        connection.putrequest("POST", "/patient/x")
        connection.putheader("Content-Length", "10")
        connection.endheaders(b"first")
        wait_until(lambda: server.ask("GET", "/patient/seen").document["reading"] == 1, what="the request with it")
        roll_out(server, deployment_id)
        # New requests go to the second generation, which knows nothing of the first one's.
        assert server.ask("GET", "/patient/seen").document["reading"] == 0
        assert instance_statuses(server, deployment_id) == {1: "running", 2: "running"}
        connection.send(b"half.")
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["size"]) == (200, 10)
    wait_until(lambda: instance_statuses(server, deployment_id) == {2: "running"}, what="the end of the first")


async def _end_of_websocket(server: RunningServer, path: str, meanwhile: Callable[[], object]) -> tuple[object, object]:
    """Open a WebSocket, do something, and return with which message it ended."""
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        aiohttp.ClientSession() as session,
        session.ws_connect(server.url + path) as opened,
    ):
        await opened.send_str("here")
        assert await opened.receive_str() == "here"
        await asyncio.to_thread(meanwhile)
        message = await opened.receive()
        return message.type, message.data


@pytest.mark.slow
def test_a_stop_says_good_bye_to_websockets(server: RunningServer, tmp_path: Path) -> None:
    """WebSockets that do not end by themselves are closed with 1001 before the agent is stopped."""
    repository = web_repository(tmp_path / "talking", "web_agent")
    deployment_id = server.serve("/talking", "talking", repository.directory)
    end = _end_of_websocket(server, "/talking/socket", lambda: server.api("POST", f"/deployments/{deployment_id}/stop"))
    assert asyncio.run(end) == (WSMsgType.CLOSE, 1001)
    wait_until(lambda: not instance_statuses(server, deployment_id), what="the end of the instance")


@pytest.mark.slow
def test_the_servers_end_says_good_bye_too(tmp_path: Path) -> None:
    """A server that is stopped lets requests finish, takes no new ones, and closes WebSockets with 1001."""
    server = RunningServer(tmp_path)
    try:
        server.initialise()
        server.serve("/web", "web", web_repository(tmp_path / "web", "web_agent").directory)
        end = _end_of_websocket(server, "/web/socket", lambda: server.signal(signal.SIGTERM))
        assert asyncio.run(end) == (WSMsgType.CLOSE, 1001)
        assert server.wait() == 0
        assert not server.agent_processes()
        assert "Traceback" not in server.errors
    finally:
        server.kill()


def test_a_crash_leaves_nothing_behind(tmp_path: Path) -> None:
    """After kill -9 of the server the agent goes on, and the next server leads requests to it at once."""
    server = RunningServer(tmp_path)
    again: RunningServer | None = None
    try:
        key = server.initialise()
        deployment_id = server.serve("/web", "web", web_repository(tmp_path / "web", "web_agent").directory)
        before = server.ask("GET", "/web/seen").document["started"]
        server.kill()
        again = RunningServer(tmp_path)
        again.key = key
        assert again.ask("GET", "/web/seen").document["started"] == before
        assert again.deployment(deployment_id)["generation"] == 1
        assert again.stop() == 0
    finally:
        server.kill()
        if again is not None:
            again.kill()
