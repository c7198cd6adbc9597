"""What a container is made of, and what the engine says of one."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ploinky.adapters.docker_runtime_dialects import Dialect
from ploinky.adapters.docker_runtime_identity import Identity, is_selinux_enforcing, user_inside, user_mapping
from ploinky.adapters.docker_runtime_places import mounts, own_environment, working_directory
from ploinky.domain.errors import RuntimeUnavailable
from ploinky.ports.runtime import InstanceSpec, Observation, ObservedState

TEMPORARY_BYTES = 64 * 1024 * 1024

_STATES = {
    "created": ObservedState.CREATED,
    "initialized": ObservedState.CREATED,  # Podman, between being made and its first process
    "running": ObservedState.RUNNING,
    "restarting": ObservedState.RUNNING,
    "stopping": ObservedState.RUNNING,  # Podman, from the request to the end
    "paused": ObservedState.PAUSED,
    "exited": ObservedState.EXITED,
    "stopped": ObservedState.EXITED,  # Podman, before it has tidied up
    "dead": ObservedState.EXITED,
}


_CONFINED = {"Privileged": False, "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges:true"]}
_UNCONFINED = {"Privileged": True}
"""For agents that the operator named."""


def container_config(
    spec: InstanceSpec, dialect: Dialect, identity: Identity, network: str, image_path: str, *, has_init: bool
) -> dict[str, Any]:
    """Describe the container of an instance. **Source**: Engine API 1.41, `POST /containers/create`.

    `image_path` is the image's own PATH, which matters where there are dependencies.
    """
    environment = {**spec.environment, **own_environment(spec, image_path)}
    # As entrypoint, so that one of the image's own does not swallow it.
    started = {"Entrypoint": list(spec.command), "Cmd": []} if spec.command else {}
    return {
        "Image": spec.image,
        **started,
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "User": user_inside(spec.user_id, identity),
        "WorkingDir": working_directory(spec),
        "Labels": dict(spec.labels),
        "StopSignal": "SIGTERM",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(spec, dialect, identity, network, has_init=has_init),
        **_names_in(network, spec),
    }


def _host_config(
    spec: InstanceSpec, dialect: Dialect, identity: Identity, network: str, *, has_init: bool
) -> dict[str, Any]:
    return {
        **(_UNCONFINED if spec.grants.is_privileged else _CONFINED),
        "Devices": [
            {"PathOnHost": device, "PathInContainer": device, "CgroupPermissions": "rwm"}
            for device in spec.grants.devices
        ],
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": f"size={TEMPORARY_BYTES},mode=1777"},  # noqa: S108 - inside the container, its own
        "Init": has_init,
        "IpcMode": "private",
        "NetworkMode": network,
        "PublishAllPorts": False,
        "RestartPolicy": {"Name": "no"},
        "Memory": spec.memory_bytes,
        "MemorySwap": spec.memory_bytes,  # equal: no swap on top
        "NanoCpus": int(spec.cpus * 1_000_000_000),
        "PidsLimit": spec.pids,
        "Ulimits": [{"Name": name, "Soft": most, "Hard": most} for name, most in dialect.ulimits],
        "LogConfig": {"Type": "json-file", "Config": _log_options(spec)},
        **user_mapping(identity),
        **mounts(spec, is_labelled=is_selinux_enforcing()),
    }


def _log_options(spec: InstanceSpec) -> dict[str, str]:
    return {"max-size": str(spec.log_file_bytes), "max-file": str(spec.log_file_count)}


def _names_in(network: str, spec: InstanceSpec) -> dict[str, Any]:
    """Give an instance its names where it has a network of its own; the engines' shared ones know none."""
    if network != spec.network or not spec.grants.aliases:
        return {}
    return {"NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": list(spec.grants.aliases)}}}}


class _State(msgspec.Struct, rename="pascal"):
    status: str
    exit_code: int = 0
    oom_killed: bool | None = msgspec.field(default=None, name="OOMKilled")


class _Config(msgspec.Struct, rename="pascal"):
    labels: dict[str, str] | None = None


class _Inspected(msgspec.Struct, rename="pascal"):
    id: str
    name: str
    state: _State
    config: _Config


class _Listed(msgspec.Struct, rename="pascal"):
    id: str
    names: list[str]
    state: str
    labels: dict[str, str] | None = None


def observe_inspected(answer: object, *, can_tell_out_of_memory: bool = True) -> Observation:
    """Read the answer to an inspect. **Raises** `RuntimeUnavailable` when it is none."""
    try:
        found = msgspec.convert(answer, _Inspected)
    except msgspec.ValidationError as error:
        raise _not_understood(error) from error
    state = _STATES.get(found.state.status, ObservedState.UNKNOWN)
    is_over = state is ObservedState.EXITED
    return Observation(
        name=found.name.removeprefix("/"),
        engine_id=found.id,
        state=state,
        labels=_labels(found.config.labels),
        exit_code=found.state.exit_code if is_over else None,
        is_out_of_memory=(found.state.oom_killed if can_tell_out_of_memory else found.state.oom_killed or None)
        if is_over
        else None,
    )


def observe_listed(answer: object) -> list[Observation]:
    """Read the answer to a list; it knows no exit codes. **Raises** `RuntimeUnavailable` when it is none."""
    try:
        containers = msgspec.convert(answer, list[_Listed])
    except msgspec.ValidationError as error:
        raise _not_understood(error) from error
    return [
        Observation(
            name=found.names[0].removeprefix("/") if found.names else "",
            engine_id=found.id,
            state=_STATES.get(found.state, ObservedState.UNKNOWN),
            labels=_labels(found.labels),
        )
        for found in containers
    ]


def _labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    return dict(labels or {})


def _not_understood(error: msgspec.ValidationError) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        "the container engine answers something unexpected",
        hint="Docker 20.10 or Podman 4 or later is needed.",
        reason=str(error),
    )
