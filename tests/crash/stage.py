"""What every kind of round has: lives of one server over one directory, and what is there because of it."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import docker

from ploinky.adapters.docker_runtime import DockerRuntime
from ploinky.ports.runtime import LABEL_JOURNAL
from tests.crash.crashing_server import CrashingServer, pids_with
from tests.crash.watching import Watch


class Stage:
    """One directory, its server's present life, and its journal."""

    server: CrashingServer
    watch: Watch

    def __init__(self, directory: Path, runtime: str) -> None:
        """Nothing runs yet."""
        self.directory = directory
        self.runtime = runtime
        self.installation = directory / "installation"

    def close(self) -> None:
        """End what is still there; after a round that went well there is nothing."""
        self.server.kill()
        for pid in pids_with(str(self.directory)):
            os.kill(pid, signal.SIGKILL)
        if self.runtime == "docker":
            for container in self.containers():
                container.remove(force=True)
            runtime = DockerRuntime()
            runtime.keep_networks(self.watch.store.journal_id, ())
            runtime.close()
        self.watch.close()

    def containers(self) -> list["docker.models.containers.Container"]:
        """Return the containers of this journal, stopped ones included."""
        with self._engine() as engine:
            return list(engine.containers.list(all=True, filters=self._of_this_journal(), ignore_removed=True))

    def networks(self) -> list["docker.models.networks.Network"]:
        """Return the networks of this journal."""
        with self._engine() as engine:
            return list(engine.networks.list(filters=self._of_this_journal()))

    def _of_this_journal(self) -> dict[str, str]:
        return {"label": f"{LABEL_JOURNAL}={self.watch.store.journal_id}"}

    @staticmethod
    @contextlib.contextmanager
    def _engine() -> Iterator["docker.DockerClient"]:
        client = docker.from_env()
        try:
            yield client
        finally:
            client.close()
