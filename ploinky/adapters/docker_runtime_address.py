"""Where this server reaches a container's port: the container's own address, else a port published on 127.0.0.1.

A rootful engine on this machine puts containers on bridges of this machine, and their addresses are reachable as they
are. A rootless engine, or one in a virtual machine, has its bridges elsewhere: there, and only there, the port is
published.
"""

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any

import msgspec

from ploinky.domain.errors import RuntimeUnavailable
from ploinky.ports.runtime import Address

LOOPBACK = "127.0.0.1"
CONNECT_LIMIT_SECONDS = 1.0
ANY_PORT = 9


class _Endpoint(msgspec.Struct, rename="pascal"):
    ip_address: str | None = msgspec.field(default=None, name="IPAddress")


class _Published(msgspec.Struct, rename="pascal"):
    host_ip: str = ""
    host_port: str = ""


class _NetworkSettings(msgspec.Struct, rename="pascal"):
    networks: dict[str, _Endpoint] | None = None
    ports: dict[str, list[_Published] | None] | None = None


class _Inspected(msgspec.Struct, rename="pascal"):
    network_settings: _NetworkSettings


class _Pool(msgspec.Struct, rename="pascal"):
    subnet: str | None = None


class _AddressManagement(msgspec.Struct, rename="pascal"):
    config: list[_Pool] | None = None


class _Network(msgspec.Struct, rename="pascal"):
    ipam: _AddressManagement | None = msgspec.field(default=None, name="IPAM")


class Reach:
    """Whether this machine's own bridges carry the engine's containers. Measured until they do.

    An engine may make its bridges with its first container: until then ports are published.
    """

    def __init__(self) -> None:
        self._is_direct = False

    def is_direct(self, client: Any) -> bool:
        """Tell whether a container's own address can be reached from here; False when that is not certain."""
        if not self._is_direct:
            try:
                self._is_direct = any(_is_attached(subnet) for subnet in _subnets(client))
            except Exception:  # noqa: BLE001 - whatever hinders it, it is asked again for the next container
                return False
        return self._is_direct


def with_published_port(config: Mapping[str, Any], port: int) -> dict[str, Any]:
    """Return a container's configuration with a port published on a free one of 127.0.0.1."""
    name = f"{port}/tcp"
    host_config = {**config["HostConfig"], "PortBindings": {name: [{"HostIp": LOOPBACK, "HostPort": ""}]}}
    return {**config, "ExposedPorts": {name: {}}, "HostConfig": host_config}


def addresses_of(answer: object, port: int) -> list[Address]:
    """Read from an inspect where a port may be reached, the best first. **Raises** `RuntimeUnavailable`."""
    try:
        settings = msgspec.convert(answer, _Inspected).network_settings
    except msgspec.ValidationError as error:
        raise _not_understood(error) from error
    own = [Address(found.ip_address, port) for found in (settings.networks or {}).values() if found.ip_address]
    published = [
        Address(LOOPBACK, int(binding.host_port))
        for binding in (settings.ports or {}).get(f"{port}/tcp") or ()
        if binding.host_port.isdecimal()
    ]
    return own + published


def reachable_address(name: str, candidates: list[Address]) -> Address:
    """Return the first that accepts a connection when there is a choice. **Raises** `RuntimeUnavailable`."""
    if len(candidates) == 1:
        return candidates[0]
    for candidate in candidates:
        try:
            with socket.create_connection(candidate, CONNECT_LIMIT_SECONDS):
                return candidate
        except OSError:
            continue
    raise RuntimeUnavailable(f"{name} has no address that answers yet")


def _subnets(client: Any) -> list[str]:
    networks = msgspec.convert(client.networks(filters={"driver": "bridge"}), list[_Network])
    pools = [pool for network in networks if network.ipam for pool in network.ipam.config or ()]
    return [pool.subnet for pool in pools if pool.subnet]


def _is_attached(subnet: str) -> bool:
    """Tell whether this machine has an address of its own in a network: what is sent there would come from it."""
    try:
        network = ipaddress.ip_network(subnet, strict=False)
        family = socket.AF_INET6 if network.version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.connect((str(network[min(2, network.num_addresses - 1)]), ANY_PORT))  # sends nothing
            return ipaddress.ip_address(trial.getsockname()[0]) in network
    except (OSError, ValueError):
        return False


def _not_understood(error: msgspec.ValidationError) -> RuntimeUnavailable:
    return RuntimeUnavailable("the container engine answers something unexpected", reason=str(error))
