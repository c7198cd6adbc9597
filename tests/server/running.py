"""A real server as a child process, and an HTTP client that shows what is on the wire."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.waiting import wait_until

START_LIMIT_SECONDS = 60.0
STOP_LIMIT_SECONDS = 60.0
REQUEST_LIMIT_SECONDS = 60.0
READY_LINE = "Ploinky is running at "
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "DOCKER_HOST", "CONTAINER_HOST")
API = "/management/api"


class Answer(NamedTuple):
    """One response, its headers by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error, after checking that the answer has the one error format."""
        document = self.document
        assert set(document) == {"error", "code", "message", "details", "timestamp", "requestId"}, document
        assert document["error"] is True
        assert isinstance(document["details"], dict)
        assert document["requestId"] == self.headers["x-request-id"]
        assert self.headers["content-type"] == "application/json"
        return str(document["code"])


def request(url: str, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Send one request on a connection of its own. `body`: bytes as they are, anything else as JSON."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=REQUEST_LIMIT_SECONDS)
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = dict(headers or {})
    if content is not None and not isinstance(body, bytes):
        sent.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, content, sent)
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): text for name, text in response.getheaders()}, response.read())
    finally:
        connection.close()


def environment(directory: Path, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give a server nothing of the developer's own configuration."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    measured = {name: text for name, text in os.environ.items() if name.startswith("COVERAGE")}
    own = {
        "HOME": str(directory),
        "PLOINKY_CONTAINER_RUNTIME": "process",
        "PLOINKY_QUEUE_DIRECTORY": str(directory / "queues"),
        "PLOINKY_DATA_DIRECTORY": str(directory / "installation"),
        "PLOINKY_PORT": "0",
        "PLOINKY_MANAGEMENT_PORT": "0",
    }
    return {**kept, **measured, **own, **(changes or {})}


def command_line(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ploinky.cli.main", *arguments]


def run_to_end(
    directory: Path, *arguments: str, changes: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command line that is expected to end by itself."""
    return subprocess.run(
        command_line(*arguments),
        cwd=directory,
        env=environment(directory, changes),
        check=False,
        capture_output=True,
        text=True,
        timeout=START_LIMIT_SECONDS,
    )


class RunningServer:
    """One `ploinky start` over `{directory}/installation`."""

    def __init__(self, directory: Path, *arguments: str, changes: Mapping[str, str] | None = None) -> None:
        """Start it and wait until it says where it is."""
        self.directory = directory
        self.installation = Path(environment(directory, changes)["PLOINKY_DATA_DIRECTORY"])
        self.key = ""
        number = len(list(directory.glob("output-*")))
        self._output, self._errors = directory / f"output-{number}", directory / f"errors-{number}"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command_line("start", *arguments),
                cwd=directory,
                env=environment(directory, changes),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )
        self.url = self._await_greeting()

    def _await_greeting(self) -> str:
        def has_ended_or_greeted() -> bool:
            return self.process.poll() is not None or "Try:" in self.output

        try:
            wait_until(has_ended_or_greeted, timeout_seconds=START_LIMIT_SECONDS, what="the greeting")
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.errors}"
        except AssertionError:
            self.kill()
            raise
        line = next(line for line in self.output.splitlines() if line.startswith(READY_LINE))
        return line.removeprefix(READY_LINE).split()[0]

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def initialise(self) -> str:
        """Make the first key and use it from here on."""
        made = self.ask("POST", f"{API}/init")
        assert made.status == 201, made
        self.key = made.document["key"]
        return self.key

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send a request without a key. Header names with `_` for `-`."""
        return request(self.url, method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})

    def api(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send a request to the API with the key."""
        return self.ask(method, API + path, body, X_API_Key=self.key, **headers)

    def management_port(self) -> int:
        """Find the port it chose, by where it sends browsers that look at an empty root."""
        sent = self.ask("GET", "/", Accept="text/html")
        assert sent.status == 307, sent
        return urlsplit(sent.headers["location"]).port or 0

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(STOP_LIMIT_SECONDS)

    def stop(self) -> int:
        """Ask it to end and return its exit code. Idempotent."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it as a crash would. Idempotent."""
        self.process.kill()
        self.process.wait(STOP_LIMIT_SECONDS)

    def agent_processes(self) -> list[int]:
        """Find the processes of its agents: those that were given a queue of this server."""
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._is_agent(entry)]

    def _is_agent(self, entry: Path) -> bool:
        marker = os.fsencode(str(self.directory))
        try:
            is_own = int(entry.name) in {self.process.pid, os.getpid()}
            return not is_own and marker in (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:
            return False

    # What tests of deployments need everywhere.

    def deploy(self, path: str, agent: str, repository: Path | str, **fields: object) -> str:
        """Ask for a deployment on localhost and return its id."""
        wanted = {"domain": "localhost", "path": path, "agent": agent, "repository": str(repository), **fields}
        answer = self.api("POST", "/deployments", wanted)
        assert answer.status == 202, answer.body
        return str(answer.document["id"])

    def deployment(self, deployment_id: str) -> Any:
        answer = self.api("GET", f"/deployments/{deployment_id}")
        return answer.document if answer.status == 200 else None

    def await_rollout(self, deployment_id: str) -> Any:
        """Wait until no rollout is under way and return the deployment."""
        wait_until(
            lambda: self.deployment(deployment_id)["rollout"] is None,
            timeout_seconds=START_LIMIT_SECONDS,
            what="the end of the rollout",
        )
        return self.deployment(deployment_id)

    def serve(self, path: str, agent: str, repository: Path | str, **fields: object) -> str:
        """Deploy, wait until it serves, and return its id."""
        deployment_id = self.deploy(path, agent, repository, **fields)
        found = self.await_rollout(deployment_id)
        assert found["lastRollout"]["outcome"] == "succeeded", found["lastRollout"]
        return deployment_id

    def task(self, task_id: str) -> Any:
        return self.api("GET", f"/tasks/{task_id}").document

    def await_task(self, task_id: str, *states: str) -> Any:
        """Wait until a task is in one of these states and return it."""
        wait_until(lambda: self.task(task_id)["state"] in states, timeout_seconds=START_LIMIT_SECONDS, what=f"{states}")
        return self.task(task_id)

    def await_gone(self, deployment_id: str) -> None:
        wait_until(
            lambda: self.deployment(deployment_id) is None, timeout_seconds=START_LIMIT_SECONDS, what="the removal"
        )
