"""The files by which people on this machine reach an installation: a profile, and a launcher that knows it."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TypedDict

PROFILE_FILE = "profile.json"
LAUNCHER_FILE = "ploinky"
DEMO_REPOSITORY = "demo-repository"
"""The bundled demo agent, as a git repository."""
ADDRESS_FILE = "address"
"""Where the running server listens, for `ploinky keys recover`."""


class Profile(TypedDict):
    """Where the server is and the key that opens it."""

    url: str
    key: str


def read_profile(directory: Path) -> Profile | None:
    """Return the installation's profile, or None when there is none that can be read."""
    try:
        found = json.loads((directory / PROFILE_FILE).read_text())
        return Profile(url=str(found["url"]), key=str(found["key"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_profile(directory: Path, url: str, key: str) -> None:
    """Write or replace the profile; only the server's own user can read it."""
    _write(directory / PROFILE_FILE, json.dumps({"url": url, "key": key}, indent=2) + "\n", 0o600)


def write_launcher(directory: Path) -> Path:
    """Write a `ploinky` that works as it is and uses the installation's profile; return its path."""
    program = Path(sys.executable).parent / LAUNCHER_FILE
    command = [str(program)] if program.exists() else [sys.executable, "-m", "ploinky.cli.main"]
    script = (
        "#!/bin/sh\n"
        f'[ -n "$PLOINKY_PROFILE" ] || PLOINKY_PROFILE={shlex.quote(str(directory / PROFILE_FILE))}\n'
        f'[ -n "$PLOINKY_DATA_DIRECTORY" ] || PLOINKY_DATA_DIRECTORY={shlex.quote(str(directory))}\n'
        "export PLOINKY_PROFILE PLOINKY_DATA_DIRECTORY\n"
        f'exec {" ".join(shlex.quote(word) for word in command)} "$@"\n'
    )
    path = directory / LAUNCHER_FILE
    _write(path, script, 0o700)
    return path


def _write(path: Path, content: str, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
    temporary.replace(path)


def write_address(directory: Path, url: str) -> None:
    """Note where the server listens."""
    _write(directory / ADDRESS_FILE, url + "\n", 0o600)
