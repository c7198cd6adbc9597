"""A registry of images on this machine that wants a password, with images to be had from it."""

import io
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker

from ploinky.ports.images import RegistryLogin
from tests.waiting import wait_until

START_LIMIT_SECONDS = 30.0
USERNAME, PASSWORD = "robot", "open-sesame-7"
ACCOUNTS = f"{USERNAME}:$2y$05$sC1OU8JtU0tVXWxwUUFxLe9EUd5FD6Y9ihobwo3vf.djG0zr/qcaO\n"
CONFIGURATION = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http: {{addr: "{host}"}}
auth: {{htpasswd: {{realm: tests, path: {folder}/accounts}}}}
"""


class LocalRegistry:
    """Its address, and what is needed to fill it."""

    def __init__(self, host: str, process: "subprocess.Popen[bytes]") -> None:
        self.host = host
        self._process = process
        self.login = RegistryLogin(host=host, username=USERNAME, password=PASSWORD)
        self.client = docker.APIClient()
        self.digests: list[str] = []

    def push(self, name: str, content: str, tag: str = "latest") -> str:
        """Make an image of one file, push it, forget it here; return its content id."""
        reference = f"{self.host}/{name}"
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tar:
            member = tarfile.TarInfo("content")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content.encode()))
        self.client.import_image_from_data(layer.getvalue(), reference, tag)
        digest = str(self.client.inspect_image(f"{reference}:{tag}")["Id"])
        self.digests.append(digest)
        account = {"username": USERNAME, "password": PASSWORD}
        answer = [*self.client.push(reference, tag, stream=True, decode=True, auth_config=account)]
        assert not [line for line in answer if "error" in line], answer
        self.forget(f"{reference}:{tag}")
        return digest

    def forget(self, reference: str) -> None:
        """Remove an image from the engine, if it has it."""
        try:
            self.client.remove_image(reference, force=True)
        except docker.errors.ImageNotFound:
            return

    def stop(self) -> None:
        """Answer nobody any more. Idempotent."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        self.stop()
        for digest in self.digests:
            self.forget(digest)
        self.client.close()


@contextmanager
def local_registry(folder: Path) -> Iterator[LocalRegistry]:
    """Run a registry on a free port of 127.0.0.1."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{door.getsockname()[1]}"
    folder.mkdir()
    (folder / "accounts").write_text(ACCOUNTS)
    (folder / "configuration.yml").write_text(CONFIGURATION.format(folder=folder, host=host))
    command = ["docker-registry", "serve", str(folder / "configuration.yml")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: _answers(host, process), timeout_seconds=START_LIMIT_SECONDS, what="the registry")
        with closing(LocalRegistry(host, process)) as registry:
            yield registry
    finally:
        process.kill()
        process.wait()


def _answers(host: str, process: "subprocess.Popen[Any]") -> bool:
    assert process.poll() is None, "the registry ended"
    name, _, port = host.partition(":")
    try:
        with socket.create_connection((name, int(port)), timeout=1):
            return True
    except OSError:
        return False
