"""Reach repositories over ssh, with the system's own `ssh` program."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from dulwich.client import SSHGitClient, SSHVendor, SubprocessWrapper
from dulwich.config import ConfigDict
from dulwich.errors import HangupException

from ploinky.adapters.dulwich_sources_failures import MESSAGE_CHARACTERS, Away, Refusal

CONNECT_TIMEOUT_SECONDS = 20
SSH_FAILED = 255
"""Its own failures, not those of the program on the other side. Source: ssh(1)."""
KEY_HINT = "Check the key and the user, and that the host's key is among those known (`sshKnownHostsFile`)."


@contextlib.contextmanager
def ssh_client(address: str, key: str, known_hosts_file: str | None) -> Iterator[tuple[SSHGitClient, str]]:
    """Give a client for one ssh URL, and the path there.

    A key is held in memory only: `ssh` reads it through this process's descriptor, so that nothing is left on the disk
    however this ends. Raises `Refusal` when ssh cannot log in.
    """
    parts = urlsplit(address)
    path = unquote(parts.path).removeprefix("/~/") if parts.path.startswith("/~/") else unquote(parts.path)
    descriptor = _in_memory(key) if key else None
    vendor = _Vendor(known_hosts_file, None if descriptor is None else f"/proc/{os.getpid()}/fd/{descriptor}")
    try:
        yield SSHGitClient(parts.hostname or "", parts.port, parts.username, vendor, ConfigDict()), path
    except Refusal:
        raise
    except Exception as error:
        refusal = vendor.refusal(error)
        if refusal is None:
            raise
        raise refusal from error
    finally:
        vendor.close()
        if descriptor is not None:
            os.close(descriptor)


def _in_memory(key: str) -> int:
    descriptor = os.memfd_create("key")
    os.fchmod(descriptor, 0o600)
    os.write(descriptor, key.strip().encode() + b"\n")
    return descriptor


class _Vendor(SSHVendor):
    """Run ssh so that it neither asks anybody, nor trusts an unknown host, nor reads anybody's configuration."""

    def __init__(self, known_hosts_file: str | None, key_file: str | None) -> None:
        self._options = [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            f"ConnectTimeout={CONNECT_TIMEOUT_SECONDS}",
            "ServerAliveInterval=10",
            "ClearAllForwardings=yes",
            "PermitLocalCommand=no",
            "ControlMaster=no",
            "ControlPath=none",
        ]
        if known_hosts_file is not None:
            self._options += [f"UserKnownHostsFile={known_hosts_file}", "GlobalKnownHostsFile=/dev/null"]
        if key_file is not None:
            self._options += ["IdentitiesOnly=yes", "IdentityAgent=none"]
        self._key_file = key_file
        self._process: subprocess.Popen[bytes] | None = None

    def run_command(
        self,
        host: str,
        command: bytes,
        username: str | None = None,
        port: int | None = None,
        password: str | None = None,
        key_filename: str | None = None,
        ssh_command: str | None = None,
        protocol_version: int | None = None,
    ) -> SubprocessWrapper:
        arguments = ["ssh", "-F", "/dev/null", "-x", "-T"]
        for option in self._options:
            arguments += ["-o", option]
        if self._key_file is not None:
            arguments += ["-i", self._key_file]
        if port is not None:
            arguments += ["-p", str(port)]
        if username is not None:
            arguments += ["-l", username]
        if protocol_version:
            arguments += ["-o", f"SetEnv=GIT_PROTOCOL=version={protocol_version}"]
        try:
            self._process = subprocess.Popen(
                [*arguments, "--", host, command],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError as error:
            hint = "Install OpenSSH's client, or use https://."
            raise Refusal("invalid", "This machine has no `ssh` program", hint) from error
        return SubprocessWrapper(self._process)

    def refusal(self, error: Exception) -> Refusal | None:
        """Say why the other side hung up; None when it did not, so that what was raised tells more."""
        if self._process is None or not isinstance(error, HangupException):
            return None
        lines = [line.decode("utf-8", "replace").strip() for line in error.stderr_lines or []]
        words = next((line for line in reversed(lines) if line), "no message")[:MESSAGE_CHARACTERS]
        try:
            status = self._process.wait(CONNECT_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        if status != SSH_FAILED:
            return Refusal("invalid", f"The repository's server refused ({words})", "Check the URL's path.")
        if any(sign in words for sign in ("Permission denied", "verification failed", "invalid format")):
            return Refusal("invalid", f"The repository's server does not let us in ({words})", KEY_HINT)
        return Away(f"The repository's server does not answer ({words})")

    def close(self) -> None:
        """End ssh, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
