"""Where the engines that speak Docker's protocol differ, all in one place.

Found by asking Docker 20.10 and Podman 4.3, both through one library. Differences that need nothing of us: Podman's
events say `remove` for `destroy` and know neither `stop` nor `oom` (events are only hints); its health checks never
leave `starting` (we run none); its limits cannot be changed later (we never do); its log has times to the second (we
read none); what it says of a stopped container's processes is no JSON (no answer, as from a broken engine).
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from docker.utils import kwargs_from_env

from ploinky.adapters.docker_runtime_errors import CONFLICT, reason_of, status_of
from ploinky.domain.errors import RuntimeUnavailable

MAX_OPEN_FILES = 4096
MAX_USER_PROCESSES = 4096
"""Of all containers with the same user together; what one instance may have is bounded by its own pids limit."""
DOCKER_SOCKET = "unix:///var/run/docker.sock"
ROOTFUL_PODMAN_SOCKET = "/run/podman/podman.sock"
SERVER_ERROR = 500

_PODMAN_COMPONENT = "Podman Engine"


class Dialect(NamedTuple):
    """One engine's way of speaking the protocol."""

    kind: str
    """The runtime's name."""
    title: str
    """The engine's name, as shown to people."""
    program: str
    """What people type to ask it something."""
    ulimits: tuple[tuple[str, int], ...]
    can_tell_out_of_memory: bool
    """Else its flag is never set, and that says nothing."""
    network_options: dict[str, str]
    """What keeps a network closed to the others."""
    makes_missing_folders: bool
    """Whether it makes what is mounted and is not there, instead of refusing the container."""

    def is_name_taken(self, error: Exception) -> bool:
        """Tell whether a creation failed because the name is in use: 409, or Podman's 500 with a text."""
        status = status_of(error)
        return status == CONFLICT or (status == SERVER_ERROR and "name is already in use" in reason_of(error))

    def is_between_states(self, error: Exception) -> bool:
        """Tell whether a call came while a container was ending: Podman's 500, which passes by itself."""
        return status_of(error) == SERVER_ERROR and "state improper" in reason_of(error)

    def is_network_there(self, error: Exception) -> bool:
        """Tell whether a network was not made because its name is in use."""
        return status_of(error) == CONFLICT or "network already exists" in reason_of(error)

    def is_subnet_taken(self, error: Exception) -> bool:
        """Tell whether a network was not made because something else has its addresses: 403, or Podman's 500."""
        return "overlaps with other one" in reason_of(error) or "is already used on the host" in reason_of(error)

    def has_no_init(self, error: Exception) -> bool:
        """Tell whether a creation failed because the engine has no init process to put in front."""
        return status_of(error) == SERVER_ERROR and "container-init binary" in reason_of(error)

    def insist(self, version: Any) -> None:
        """Refuse the answer to `version` of another engine, which is another runtime. **Raises** `RuntimeUnavailable`.

        A user's Docker socket is often a link to Podman's, and its containers must not have two owners here.
        """
        found = PODMAN if _is_podman(version) else DOCKER
        if found.kind != self.kind:
            raise RuntimeUnavailable(
                f"it is {found.title} that answers where {self.title} is looked for",
                hint=f"Use it with --runtime {found.kind}.",
            )

    def find(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """Return where the engine listens, as arguments of the library's client. **Raises** `RuntimeUnavailable`."""
        if self.kind == PODMAN.kind:
            return {"base_url": _podman_url(environ)}
        return {"base_url": DOCKER_SOCKET, **kwargs_from_env(environment=environ)}


DOCKER = Dialect(
    kind="docker",
    title="Docker",
    program="docker",
    ulimits=(("nofile", MAX_OPEN_FILES), ("core", 0)),
    can_tell_out_of_memory=True,
    network_options={},
    makes_missing_folders=False,
)
PODMAN = Dialect(
    kind="podman",
    title="Podman",
    program="podman",
    # Left out, it takes its own over, which it then may not set.
    ulimits=(("nofile", MAX_OPEN_FILES), ("nproc", MAX_USER_PROCESSES), ("core", 0)),
    can_tell_out_of_memory=False,
    network_options={"isolate": "true"},
    makes_missing_folders=True,
)


def _is_podman(version: Any) -> bool:
    components = version.get("Components") if isinstance(version, dict) else None
    parts = components if isinstance(components, list) else []
    return any(isinstance(part, dict) and part.get("Name") == _PODMAN_COMPONENT for part in parts)


def _podman_url(environ: Mapping[str, str]) -> str:
    """Return CONTAINER_HOST, else the first usual socket that is there: the user's own one, then the system's."""
    given = environ.get("CONTAINER_HOST", "")
    if given and not given.startswith("unix://"):
        raise RuntimeUnavailable(
            f"CONTAINER_HOST is {given[:100]}, which is not on this machine", hint="It begins with unix://."
        )
    if given:
        return given
    own = environ.get("XDG_RUNTIME_DIR")
    places = [f"{own}/podman/podman.sock", ROOTFUL_PODMAN_SOCKET] if own else [ROOTFUL_PODMAN_SOCKET]
    if os.geteuid() == 0:
        places.reverse()
    return "unix://" + next((place for place in places if os.path.exists(place)), places[0])
