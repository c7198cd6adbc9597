"""What a container is made of, and what the engine says of one."""

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from ploinky.adapters.docker_runtime_dialects import Dialect
from ploinky.adapters.docker_runtime_identity import Identity, is_selinux_enforcing, user_inside, user_mapping
from ploinky.domain.errors import RuntimeRefused, RuntimeUnavailable
from ploinky.ports.runtime import InstanceSpec, Observation, ObservedState

AGENT_DIRECTORY = "/agent"
AGENTCORE_DIRECTORY = "/agentCore"
QUEUE_DIRECTORY = "/agent/.ploinky/queue"
READ_ONLY_IN_QUEUE = ("tasks", "cancel")

ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - inside the container, whose port is published nowhere else
TEMPORARY_BYTES = 64 * 1024 * 1024
LOG_FILE_SIZE = "10m"
LOG_FILES = 2

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


def container_config(spec: InstanceSpec, dialect: Dialect, identity: Identity, *, has_init: bool) -> dict[str, Any]:
    """Describe the container of an instance. **Source**: Engine API 1.41, `POST /containers/create`."""
    environment = {
        **spec.environment,
        "AGENT_DIR": AGENT_DIRECTORY,
        "PLOINKY_QUEUE_DIR": QUEUE_DIRECTORY,
        "PYTHONPATH": AGENTCORE_DIRECTORY,
        **({"HOST": ALL_ADDRESSES, "PORT": str(spec.http_port)} if spec.http_port else {}),
    }
    # As entrypoint, so that one of the image's own does not swallow it.
    started = {"Entrypoint": list(spec.command), "Cmd": []} if spec.command else {}
    return {
        "Image": spec.image,
        **started,
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "User": user_inside(spec.user_id, identity),
        "WorkingDir": AGENT_DIRECTORY,
        "Labels": dict(spec.labels),
        "StopSignal": "SIGTERM",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(spec, dialect, identity, has_init=has_init),
    }


def _host_config(spec: InstanceSpec, dialect: Dialect, identity: Identity, *, has_init: bool) -> dict[str, Any]:
    return {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "Privileged": False,
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": f"size={TEMPORARY_BYTES},mode=1777"},  # noqa: S108 - inside the container, its own
        "Init": has_init,
        "IpcMode": "private",
        "NetworkMode": "bridge" if spec.has_network else "none",
        "PublishAllPorts": False,
        "RestartPolicy": {"Name": "no"},
        "Memory": spec.memory_bytes,
        "MemorySwap": spec.memory_bytes,  # equal: no swap on top
        "NanoCpus": int(spec.cpus * 1_000_000_000),
        "PidsLimit": spec.pids,
        "Ulimits": [{"Name": name, "Soft": most, "Hard": most} for name, most in dialect.ulimits],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": LOG_FILE_SIZE, "max-file": str(LOG_FILES)}},
        **user_mapping(identity),
        **_mounts(spec, is_labelled=is_selinux_enforcing()),
    }


def _mounts(spec: InstanceSpec, *, is_labelled: bool) -> dict[str, Any]:
    """Describe the folders; labelled for SELinux in the older form, which alone can ask for that."""
    binds = [
        _bind(spec.code_directory, AGENT_DIRECTORY),
        _bind(spec.agentcore_directory, AGENTCORE_DIRECTORY, is_read_only=True),
        _bind(spec.queue_directory, QUEUE_DIRECTORY),
        *(
            _bind(f"{spec.queue_directory}/{name}", f"{QUEUE_DIRECTORY}/{name}", is_read_only=True)
            for name in READ_ONLY_IN_QUEUE
        ),
    ]
    if not is_labelled:
        return {"Mounts": binds}
    return {"Binds": [_labelled(bind) for bind in binds]}


def _labelled(bind: Mapping[str, Any]) -> str:
    """Ask for a label: `z` on the runner, which all share, `Z` on a container's own. **Source**: docker-run(1)."""
    label = "z" if bind["Target"] == AGENTCORE_DIRECTORY else "Z"
    return f"{bind['Source']}:{bind['Target']}:{'ro' if bind['ReadOnly'] else 'rw'},{label}"


def refuse_missing_folders(spec: InstanceSpec) -> None:
    """Refuse what an engine would make itself, as root, to mount it. **Raises** `RuntimeRefused`."""
    for folder in (spec.code_directory, spec.agentcore_directory, spec.queue_directory):
        if not os.path.isdir(folder):
            raise RuntimeRefused(f"cannot create {spec.name}: {folder} is missing")


def _bind(source: str, target: str, *, is_read_only: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": is_read_only}


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
