"""A deployment is redeployed again and again under load, also with a version that never becomes ready: nobody notices.

How often is told by `PLOINKY_REDEPLOYS`; CI takes the default, a release is held to 20.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.adapters.sources.git_repositories import GitRepository
from tests.server.callers import Callers
from tests.server.running import API, RunningServer
from tests.waiting import wait_until

VARIABLE = "PLOINKY_REDEPLOYS"
DEFAULT_REDEPLOYS = 6
START_LIMIT_MS = 10_000
REVERT_WINDOW_SECONDS = 1
ROLLOUT_LIMIT_SECONDS = 90.0

HANDLER = "VERSION = {version}\n\ndef handle(params, context):\n    return VERSION\n"
WEB_SERVER = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        content = b"{version}"
        self.send_response({health_status} if self.path == "/health" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words):
        pass

ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


def redeploys() -> int:
    return int(os.environ.get(VARIABLE, DEFAULT_REDEPLOYS))


def tasks_version(version: int, *, is_sound: bool) -> dict[str, str]:
    """An agent that takes tasks; the unsound one lives and never says that it is ready."""
    changes = {} if is_sound else {"run": "sleep 600"}
    manifest = {"name": "agent", "access": "public", "concurrency": 4, **changes}
    return {"manifest.json": json.dumps(manifest), "handlers/version.py": HANDLER.format(version=version)}


def web_version(version: int, *, is_sound: bool) -> dict[str, str]:
    """An agent with a web server; the unsound one answers its health path with 500."""
    manifest = {
        "name": "agent",
        "access": "public",
        "run": "python3 server.py",
        "http": {"port": 8080, "health": "/health"},
    }
    source = WEB_SERVER.replace("{version}", str(version)).replace("{health_status}", "200" if is_sound else "500")
    return {"manifest.json": json.dumps(manifest), "server.py": source}


Version = Callable[..., dict[str, str]]


def update(server: RunningServer, deployment_id: str) -> dict[str, object]:
    """Deploy the newest commit and return how that ended."""
    assert server.api("POST", f"/deployments/{deployment_id}/update").status == 202
    wait_until(
        lambda: server.deployment(deployment_id)["rollout"] is None,
        timeout_seconds=ROLLOUT_LIMIT_SECONDS,
        what="the end of the rollout",
    )
    ended: dict[str, object] = server.deployment(deployment_id)["lastRollout"]
    return ended


@pytest.fixture(scope="module", params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server over each runtime that really runs something, which gives up early on what is never ready."""
    changes = {
        "PLOINKY_CONTAINER_RUNTIME": request.param,
        "PLOINKY_AGENT_START_TIMEOUT_MS": str(START_LIMIT_MS),
        "PLOINKY_REVERT_WINDOW_SECONDS": str(REVERT_WINDOW_SECONDS),
        "PLOINKY_LOG_LEVEL": "warning",
    }
    running = RunningServer(tmp_path_factory.mktemp("server"), changes=changes)
    try:
        running.initialise()
        yield running
        running.stop()
    finally:
        running.kill()


@pytest.mark.slow
@pytest.mark.parametrize(("version", "path"), [(tasks_version, "/tasks"), (web_version, "/web")], ids=["tasks", "web"])
def test_no_request_fails(server: RunningServer, tmp_path: Path, version: Version, path: str) -> None:
    """With 32 callers all the time, every sound version serves, the bad one never, and each request is answered."""
    repository = GitRepository(tmp_path / "agent")
    repository.commit(version(0, is_sound=True))
    deployment_id = server.serve(path, "agent", repository.directory)
    total = redeploys()
    bad = total // 2

    def redeploy_all() -> None:
        for number in range(1, total + 1):
            repository.commit(version(number, is_sound=number != bad))
            ended = update(server, deployment_id)
            wanted = ("reverted", "READINESS_TIMEOUT") if number == bad else ("succeeded", "")
            assert (ended["outcome"], ended["code"]) == wanted, ended

    callers = Callers(server.url, f"{path}/version")
    callers.run_while(redeploy_all)
    assert not callers.failures
    assert set(callers.answers) >= {str(number) for number in range(total) if number != bad}
    assert str(bad) not in callers.answers
    listed = server.ask("GET", f"{API}/tasks?deployment={deployment_id}&state=dead&perPage=1", X_API_Key=server.key)
    assert listed.document["pagination"]["total"] == 0
