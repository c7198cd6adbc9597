"""What an instance finds inside its container, and where: folders, search paths, the place it starts in."""

import os
from collections.abc import Mapping
from typing import Any

from ploinky.domain.dependencies import InstallPlace, installer_variables, search_paths
from ploinky.domain.errors import RuntimeRefused
from ploinky.ports.runtime import InstanceSpec

AGENT_DIRECTORY = "/agent"
AGENTCORE_DIRECTORY = "/agentCore"
QUEUE_DIRECTORY = "/agent/.ploinky/queue"
READ_ONLY_IN_QUEUE = ("tasks", "cancel")
DEPENDENCIES_DIRECTORY = "/agent-deps"
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - inside the container, whose port is published nowhere else
USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Of images that name none."""


def working_directory(spec: InstanceSpec) -> str:
    """Return where the command begins."""
    return DEPENDENCIES_DIRECTORY if spec.install_place is InstallPlace.DEPENDENCIES else AGENT_DIRECTORY


def own_environment(spec: InstanceSpec, image_path: str) -> dict[str, str]:
    """Return the variables that say where everything is; `image_path` is the image's own PATH."""
    found = search_paths(DEPENDENCIES_DIRECTORY) if spec.dependencies_directory else {}
    environment = {"AGENT_DIR": AGENT_DIRECTORY}
    if spec.http_port:
        environment |= {"HOST": ALL_ADDRESSES, "PORT": str(spec.http_port)}
    if spec.install_place is None:
        environment["PLOINKY_QUEUE_DIR"] = QUEUE_DIRECTORY
        found["PYTHONPATH"] = [AGENTCORE_DIRECTORY, *found.get("PYTHONPATH", [])]
    else:
        environment |= installer_variables(DEPENDENCIES_DIRECTORY)
    if "PATH" in found:
        found["PATH"] = [*found["PATH"], image_path]
        environment["PLOINKY_DEPENDENCIES_DIR"] = DEPENDENCIES_DIRECTORY
    return {**environment, **{name: ":".join(places) for name, places in found.items()}}


def mounts(spec: InstanceSpec, *, is_labelled: bool) -> dict[str, Any]:
    """Describe the folders; labelled for SELinux in the older form, which alone can ask for that."""
    listed = binds(spec)
    if not is_labelled:
        return {"Mounts": listed}
    return {"Binds": [_labelled(bind) for bind in listed]}


def _labelled(bind: Mapping[str, Any]) -> str:
    """Ask for a label: `z` on what several share, `Z` on a container's own. **Source**: docker-run(1)."""
    label = "z" if bind["Target"] in {AGENTCORE_DIRECTORY, DEPENDENCIES_DIRECTORY} else "Z"
    return f"{bind['Source']}:{bind['Target']}:{'ro' if bind['ReadOnly'] else 'rw'},{label}"


def binds(spec: InstanceSpec) -> list[dict[str, Any]]:
    """Return the folders with their places inside, outer ones first. **Source**: Engine API 1.41, `Mount`."""
    is_install = spec.install_place is not None
    own = [_bind(spec.code_directory, AGENT_DIRECTORY, is_read_only=is_install)]
    if spec.dependencies_directory:
        own.append(_bind(spec.dependencies_directory, DEPENDENCIES_DIRECTORY, is_read_only=not is_install))
    if is_install:
        return own
    return [
        *own,
        _bind(spec.agentcore_directory, AGENTCORE_DIRECTORY, is_read_only=True),
        _bind(spec.queue_directory, QUEUE_DIRECTORY),
        *(
            _bind(f"{spec.queue_directory}/{name}", f"{QUEUE_DIRECTORY}/{name}", is_read_only=True)
            for name in READ_ONLY_IN_QUEUE
        ),
        *(_bind(volume.source, volume.target) for volume in spec.grants.volumes),
    ]


def refuse_missing_folders(spec: InstanceSpec) -> None:
    """Refuse what an engine would make itself, as root, to mount it. **Raises** `RuntimeRefused`."""
    for bind in binds(spec):
        if not os.path.exists(bind["Source"]):
            raise RuntimeRefused(f"cannot create {spec.name}: {bind['Source']} is missing")


def _bind(source: str, target: str, *, is_read_only: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": is_read_only}
