"""A Docker engine of a test's own, which can go away and come back without anybody else noticing."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import docker

from ploinky.adapters.docker_runtime import DockerRuntime
from tests.waiting import wait_until

START_LIMIT_SECONDS = 60.0
SEARCH_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
DAEMON = shutil.which("dockerd", path=SEARCH_PATH)


class PrivateEngine:
    """One dockerd over a folder of its own, without networks; its containers outlive it (`--live-restore`).

    It has a network namespace of its own: an engine that is told to have no bridge removes `docker0` from the one that
    it runs in, which is that of the usual engine.
    """

    def __init__(self) -> None:
        """Start it. The folder's path is short, since a socket's may not be long."""
        self.folder = Path(tempfile.mkdtemp(prefix="ploinky-dockerd-"))
        self.url = f"unix://{self.folder}/s.sock"
        self._log = (self.folder / "log").open("ab")
        self.start()

    def start(self) -> None:
        """Start, or start again, and wait until it answers."""
        words = (
            *("--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec")),
            *("--host", self.url, "--pidfile", str(self.folder / "pid")),
            *("--bridge", "none", "--iptables=false", "--live-restore"),
        )
        self._process = subprocess.Popen(
            ["unshare", "--net", "--", str(DAEMON), *words],
            env={**os.environ, "PATH": SEARCH_PATH},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        wait_until(self._answers, timeout_seconds=START_LIMIT_SECONDS, what="the engine")

    def stop(self) -> None:
        """End it; containers go on. Idempotent."""
        self._process.terminate()
        self._process.wait(START_LIMIT_SECONDS)

    def load_base_image(self) -> None:
        """Give it the agent base image of the usual engine, which builds one if it has none."""
        usual = DockerRuntime()
        reference = usual.resolve_image("", print).reference
        usual.close()
        source, target = docker.from_env(), docker.DockerClient(self.url)
        try:
            target.api.load_image(source.api.get_image(reference))
        finally:
            source.close()
            target.close()

    def containers(self) -> int:
        """Count its containers, stopped ones included."""
        client = docker.DockerClient(self.url)
        try:
            return len(client.api.containers(all=True))
        finally:
            client.close()

    def close(self) -> None:
        """Remove everything: containers first, which would outlive it, then what it has mounted."""
        client = docker.DockerClient(self.url)
        try:
            for one in client.api.containers(all=True):
                client.api.remove_container(one["Id"], force=True)
        finally:
            client.close()
        self.stop()
        self._log.close()
        mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for place in sorted((place for place in mounted if place.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", place], check=False, capture_output=True)
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2_000:]
        # Not the library's own attempt, which leaves a socket behind that could not be connected.
        with socket.socket(socket.AF_UNIX) as door:
            try:
                door.connect(self.url.removeprefix("unix://"))
            except OSError:
                return False
        return True
