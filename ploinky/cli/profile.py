"""The file that keeps a server's address and key."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ploinky.cli.failures import CommandFailed, ExitCode
from ploinky.cli.text import one_line

PROFILE_LIMIT_BYTES = 65_536
OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Profile:
    """How to reach one server."""

    url: str
    key: str | None


def read_profile(path: Path, *, is_required: bool) -> Profile | None:
    """Read a profile; None when there is none.

    **Raises** `CommandFailed` when others can read it, when it is no profile, or when it is required and not there.
    """
    try:
        content = _read_private(path)
    except FileNotFoundError as error:
        if is_required:
            hint = "Make one with `ploinky init` or `ploinky connect`."
            raise _unusable(f"there is no profile {path}", hint) from error
        return None
    except OSError as error:
        raise _unusable(f"the profile {path} cannot be read: {error.strerror}") from error
    import json

    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _unusable(f"the profile {path} is not JSON: {one_line(error)}") from error
    url = document.get("url") if isinstance(document, dict) else None
    key = document.get("key") if isinstance(document, dict) else None
    if not isinstance(url, str) or not isinstance(key, str | None):
        raise _unusable(f"the profile {path} does not hold a `url` and a `key`")
    return Profile(url, key)


def write_profile(path: Path, profile: Profile) -> None:
    """Write or replace a profile that nobody else can read. **Raises** `CommandFailed`."""
    import json
    import secrets

    content = json.dumps({"url": profile.url, "key": profile.key}, indent=2) + "\n"
    target = Path(os.path.realpath(path))  # a link to a profile stays a link
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        make_folder(target.parent)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, target)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unusable(f"the profile {path} cannot be written: {error.strerror}") from error


def make_folder(folder: Path) -> None:
    """Make the folder of a profile, for its owner only where it is new. **Raises** `OSError`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def check_writable(path: Path) -> None:
    """Refuse now what would fail once there is a key to keep. **Raises** `CommandFailed`."""
    folder = Path(os.path.realpath(path)).parent
    try:
        make_folder(folder)
    except OSError as error:
        raise _unusable(f"the folder {folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(f"the folder {folder} cannot be written", "Choose another file with --profile.")


def _read_private(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise _unusable(f"the profile {path} is not a file")
        if found.st_mode & OTHERS:
            mode = stat.S_IMODE(found.st_mode)
            raise _unusable(f"others can use the profile {path} (mode {mode:04o})", f"chmod 600 {path}")
        content = file.read(PROFILE_LIMIT_BYTES + 1)
    if len(content) > PROFILE_LIMIT_BYTES:
        raise _unusable(f"the profile {path} has more than {PROFILE_LIMIT_BYTES} bytes")
    return content


def _unusable(message: str, hint: str = "") -> CommandFailed:
    return CommandFailed(message, code="PROFILE_UNUSABLE", exit_code=ExitCode.CONFIGURATION, hint=hint)
