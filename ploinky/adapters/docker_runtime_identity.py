"""As whom an agent runs inside a container, so that outside its files belong to the right user."""

import os
from enum import StrEnum
from pathlib import Path

TRIAL_USER_ID = 199_999
"""Just below the users of agents."""
SELINUX_FILE = Path("/sys/fs/selinux/enforce")


class Identity(StrEnum):
    """Who an agent is, inside and outside."""

    ALLOCATED = "allocated"
    """Root's engine and a server that is root: each deployment has a user of its own, the same inside and outside."""
    SERVER = "server"
    """Root's engine and another server: the server's user, inside and outside."""
    KEEP_ID = "keep-id"
    """Podman without root: the server's user, mapped to itself by the engine."""
    CONTAINER_ROOT = "container-root"
    """Docker without root: root inside, without capabilities, which outside is the server's user."""


def identity_of(kind: str, engine_user_id: int, own_user_id: int) -> Identity:
    """Decide by whose engine it is and who the server is. A trial shows whether it comes out so."""
    if engine_user_id == 0:
        return Identity.ALLOCATED if own_user_id == 0 else Identity.SERVER
    return Identity.KEEP_ID if kind == "podman" else Identity.CONTAINER_ROOT


def engine_user_id(base_url: str) -> int:
    """Return whose engine listens there: the owner of its socket, and root where that cannot be seen."""
    _scheme, separator, path = base_url.partition("unix://")
    try:
        return os.stat(path).st_uid if separator else 0
    except OSError:
        return 0


def user_inside(user_id: int | None, identity: Identity) -> str:
    """Return user and group inside a container; `user_id` is the one outside, None = the server's."""
    if identity is Identity.CONTAINER_ROOT:
        return "0:0"
    return f"{os.getuid()}:{os.getgid()}" if user_id is None else f"{user_id}:{user_id}"


def user_mapping(identity: Identity) -> dict[str, str]:
    """Return what a container's configuration says about the mapping of users."""
    return {"UsernsMode": "keep-id"} if identity is Identity.KEEP_ID else {}


def is_selinux_enforcing(switch: Path = SELINUX_FILE) -> bool:
    """Tell whether SELinux keeps containers from files that carry no label for them."""
    try:
        return switch.read_text().strip() == "1"
    except OSError:
        return False
