"""The peers of the deploy benchmark: the same image and code by `docker run`, and by Compose."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import docker

from ops.benchmarks._deploy_agents import WEB, WEB_PORT, AgentKind, await_condition, await_version

AGENTCORE = Path(__file__).parents[2] / "agentcore"
QUEUE_FOLDERS = ("tasks", "cancel", "results", "errors", "locks")
READY_FILE = "locks/.ready"
CODE_PLACE = "/agent"
AGENTCORE_PLACE = "/agentCore"
QUEUE_PLACE = "/queue"
ENVIRONMENT = {
    "AGENT_DIR": CODE_PLACE,
    "PYTHONPATH": AGENTCORE_PLACE,
    "PLOINKY_QUEUE_DIR": QUEUE_PLACE,
    "HOST": "0.0.0.0",  # noqa: S104 - inside the container, whose port is published nowhere
    "PORT": str(WEB_PORT),
}


def compose_command() -> tuple[str, ...] | None:
    """Return the words that Compose is called by; None where it is not installed."""
    for words in (("docker", "compose"), ("docker-compose",)):
        is_there = shutil.which(words[0]) is not None
        if is_there and not subprocess.run([*words, "version"], capture_output=True, check=False).returncode:
            return words
    return None


class Place:
    """The folders of one version, made before anything is measured."""

    def __init__(self, folder: Path, kind: AgentKind, version: str) -> None:
        """Write the version and make a queue for it."""
        self.kind = kind
        self.version = version
        self._code, self._agentcore, self._queue = (folder / name for name in ("code", "agentcore", "queue"))
        kind.write(self._code, version)
        shutil.copytree(AGENTCORE, self._agentcore / "agentcore")
        for name in QUEUE_FOLDERS:
            (self._queue / name).mkdir(parents=True)

    @property
    def mounts(self) -> list[str]:
        """What is mounted, in the words of `docker run -v`."""
        return [
            f"{self._code}:{CODE_PLACE}",
            f"{self._agentcore}:{AGENTCORE_PLACE}:ro",
            f"{self._queue}:{QUEUE_PLACE}",
        ]

    def await_ready(self, container: Any) -> None:
        """Wait for the same answer that an instance of ours is waited for."""
        if self.kind is WEB:
            container.reload()
            address = next(iter(container.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
            await_version(f"http://{address}:{WEB_PORT}/", self.version)
        else:
            await_condition((self._queue / READY_FILE).exists, "the agent was never ready")


class PlainRun:
    """`docker run`: a new container beside the old one, which is then removed unmeasured."""

    def __init__(self, client: docker.DockerClient, folder: Path, image: str) -> None:
        """Make containers of one image."""
        self._client = client
        self._folder = folder
        self._image = image

    def redeploy(self, kind: AgentKind, version: str) -> float:
        """Return the seconds until the version is ready."""
        place = Place(self._folder / f"plain-{kind.name}-{version}", kind, version)
        began = time.perf_counter()
        container = self._client.containers.run(
            self._image,
            entrypoint=list(kind.command),
            detach=True,
            environment=ENVIRONMENT,
            volumes=place.mounts,
            working_dir=CODE_PLACE,
            name=f"bench-{uuid4().hex}",
        )
        try:
            place.await_ready(container)
            return time.perf_counter() - began
        finally:
            container.remove(force=True)


class Compose:
    """`up -d` over a project whose service changes: the old container is stopped first."""

    def __init__(self, client: docker.DockerClient, folder: Path, image: str, command: tuple[str, ...]) -> None:
        """Make a project for each kind of agent."""
        self._client = client
        self._folder = folder
        self._image = image
        self._command = command
        self._project = f"bench{uuid4().hex[:8]}"

    def redeploy(self, kind: AgentKind, version: str) -> float:
        """Return the seconds until the version is ready."""
        place = Place(self._folder / f"compose-{kind.name}-{version}", kind, version)
        self._write(kind, place)
        began = time.perf_counter()
        self._call(kind, "up", "-d")
        label = f"com.docker.compose.project={self._project}{kind.name}"
        (container,) = self._client.containers.list(filters={"label": label})
        place.await_ready(container)
        return time.perf_counter() - began

    def close(self, kind: AgentKind) -> None:
        """Remove what is there of a kind."""
        if self._file(kind).exists():
            self._call(kind, "down", "-t", "1")

    def _write(self, kind: AgentKind, place: Place) -> None:
        service = {
            "image": self._image,
            "entrypoint": list(kind.command),
            "environment": ENVIRONMENT,
            "volumes": place.mounts,
            "working_dir": CODE_PLACE,
            "network_mode": "bridge",
        }
        self._file(kind).write_text(json.dumps({"version": "3", "services": {"agent": service}}))

    def _file(self, kind: AgentKind) -> Path:
        return self._folder / f"compose-{kind.name}.json"

    def _call(self, kind: AgentKind, *words: str) -> None:
        project = ("-f", str(self._file(kind)), "-p", f"{self._project}{kind.name}")
        done = subprocess.run([*self._command, *project, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"Compose has failed: {done.stderr.strip()[-500:]}")
