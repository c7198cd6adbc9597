"""What an agent asks for beyond its container, and what of it the operator allows by name."""

import posixpath
import re
from typing import NamedTuple, NoReturn

from ploinky.domain.errors import ManifestInvalid
from ploinky.domain.grants import Grants, Volume
from ploinky.domain.manifest import Manifest

_OWN_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OURS = ("/agent", "/agentCore", "/agent-deps")
_SYSTEM = ("/proc", "/sys", "/dev")


class Allowed(NamedTuple):
    """What the operator's configuration allows, by name."""

    mounts: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    """Of the engine; `host` stands for the machine's own."""
    privileged: tuple[str, ...] = ()
    """Names of agents."""


def grants_of(agent: str, manifest: Manifest, allowed: Allowed) -> Grants:
    """Return what an agent gets. **Raises** `ManifestInvalid` naming what is not allowed, and where to allow it."""
    security, network = manifest.container_security, manifest.network
    if security.privileged and agent not in allowed.privileged:
        _refuse("containerSecurity.privileged", f"agent {agent}", "allowedPrivileged")
    for device in security.devices:
        if device not in allowed.devices:
            _refuse("containerSecurity.devices", f"device {device}", "allowedDevices")
    for name in (*network.networks, *(["host"] if network.mode == "host" else [])):
        if name not in allowed.networks:
            _refuse("network", f"network {name}", "allowedNetworks")
    return Grants(
        volumes=tuple(_volume(source, target, allowed) for source, target in sorted(manifest.volumes.items())),
        devices=security.devices,
        networks=network.networks,
        aliases=network.aliases,
        is_privileged=security.privileged,
        is_on_host_network=network.mode == "host",
    )


def _volume(source: str, target: str, allowed: Allowed) -> Volume:
    place = posixpath.normpath(target)
    if not target.startswith("/") or place.strip("/") == "" or _is_within(place, (*_OURS, *_SYSTEM)):
        raise ManifestInvalid(
            f"manifest.json: `volumes` cannot put {source!r} at {target!r}",
            hint="Inside it is an absolute path, and none of /agent, /agentCore, /agent-deps, /proc, /sys and /dev.",
        )
    if not source.startswith("/"):
        name = source.removeprefix("./").rstrip("/")
        if not _OWN_VOLUME.fullmatch(name):
            raise ManifestInvalid(
                f"manifest.json: `volumes` names {source!r}, which is no folder's name",
                hint="A name such as `cache` is a folder among the deployment's data, kept until it is undeployed.",
            )
        return Volume(name, place)
    if posixpath.normpath(source) != source.rstrip("/") or not _is_within(source.rstrip("/"), allowed.mounts):
        _refuse("volumes", f"path {source}", "allowedMounts")
    return Volume(source.rstrip("/"), place)


def _is_within(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def _refuse(field: str, what: str, key: str) -> NoReturn:
    raise ManifestInvalid(
        f"manifest.json: `{field}` asks for the {what[:200]}, which this server does not allow",
        hint=f"Its operator can name it under {key} in the configuration.",
    )
