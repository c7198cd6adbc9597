"""An sshd of one's own: its inetd mode behind a listening socket, so that no port is fixed and nobody else is asked."""

import contextlib
import getpass
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SSHD = "/usr/sbin/sshd"
PRIVILEGE_SEPARATION = Path("/run/sshd")
LIMIT_SECONDS = 30


def make_key(path: Path) -> str:
    """Make a key pair and return the private key's text."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True, timeout=LIMIT_SECONDS)
    return path.read_text()


class SshServer:
    """Lets the current user in with one key."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        self.key = make_key(directory / "user")
        self.other_key = make_key(directory / "other")
        make_key(directory / "host")
        self._configuration = directory / "sshd_config"
        self._configuration.write_text(
            f"HostKey {directory}/host\nAuthorizedKeysFile {directory}/user.pub\nStrictModes no\nUsePAM no\n"
            "PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n"
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        host_key = " ".join((directory / "host.pub").read_text().split()[:2])
        self.known_hosts = directory / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {host_key}\n")
        self._children: list[subprocess.Popen[bytes]] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def url(self, path: Path) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                command = [SSHD, "-i", "-e", "-f", str(self._configuration)]
                self._children.append(
                    subprocess.Popen(
                        command, stdin=connection.fileno(), stdout=connection.fileno(), stderr=subprocess.DEVNULL
                    )
                )

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for child in self._children:
            child.kill()
            child.wait()


@contextmanager
def ssh_server(directory: Path) -> Iterator[SshServer]:
    server = SshServer(directory)
    try:
        yield server
    finally:
        server.stop()
