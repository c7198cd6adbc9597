"""A network of its own for each deployment: outbound open, inbound from this machine only, nothing to the others.

The engines' own pools end near 30 networks, so the subnets come from a pool of ours.
"""

import contextlib
import threading
from collections.abc import Callable, Collection
from ipaddress import IPv4Network
from itertools import islice
from typing import Any

import msgspec
from docker.types import IPAMConfig, IPAMPool

from ploinky.adapters.docker_runtime_dialects import PODMAN, Dialect
from ploinky.adapters.docker_runtime_errors import reason_of, translate, translated
from ploinky.adapters.subnets import free_subnets, routed_here
from ploinky.domain.errors import PloinkyError, RuntimeRefused, RuntimeUnavailable
from ploinky.ports.runtime import LABEL_DEPLOYMENT, LABEL_JOURNAL, InstanceSpec

DEFAULT_POOL = IPv4Network("10.210.0.0/16")
MAX_TRIES = 16
"""Subnets offered to the engine, which may know of a user of one that we do not see."""


class _Pool(msgspec.Struct, rename="pascal"):
    subnet: str = ""


class _Ipam(msgspec.Struct, rename="pascal"):
    config: list[_Pool] | None = None


class _Network(msgspec.Struct, rename="pascal"):
    name: str
    id: str
    labels: dict[str, str] | None = None
    ipam: _Ipam | None = msgspec.field(default=None, name="IPAM")


class Networks:
    """Make networks when they are needed, and remove those that no deployment has any more."""

    def __init__(self, client: Callable[[], Any], dialect: Dialect, pool: IPv4Network | None) -> None:
        """Take the pool; None leaves all agents in the engine's one shared network."""
        self._client = client
        self._dialect = dialect
        self._pool = pool
        self._making = threading.Lock()
        self._taken: set[IPv4Network] = set()
        """Subnets that the engine is known to have given to somebody."""

    def mode_for(self, spec: InstanceSpec) -> str:
        """Return the network mode of an instance, its deployment's network made if it is not there.

        **Raises** `RuntimeRefused` when the engine cannot make one.
        """
        if not spec.has_network:
            return "none"
        if spec.grants.is_on_host_network:
            return "host"
        if not spec.network or self._pool is None:
            return "bridge"
        with self._making:
            self._ensure(spec.network, spec, self._pool)
        return spec.network

    def join(self, spec: InstanceSpec, engine_id: str) -> None:
        """Connect an instance that was created to the further networks it was granted. Idempotent."""
        for network in spec.grants.networks:
            try:
                self._client().connect_container_to_network(engine_id, network)
            except Exception as error:
                if "already" not in reason_of(error):
                    raise translate(f"join the network {network}", error) from error

    def keep(self, journal_id: str, names: Collection[str]) -> None:
        """Remove this journal's networks that are not named; one that is still used stays until the next time."""
        for network in self._list({"label": f"{LABEL_JOURNAL}={journal_id}"}):
            is_ours = (network.labels or {}).get(LABEL_JOURNAL) == journal_id
            if not is_ours or network.name in names:
                continue
            with contextlib.suppress(RuntimeRefused), translated(f"remove the network {network.name}"):
                self._client().remove_network(network.name)  # by its id Podman removes also one that is used
                self._taken.difference_update(_subnets([network]))

    def _ensure(self, name: str, spec: InstanceSpec, pool: IPv4Network) -> None:
        journal_id = spec.labels.get(LABEL_JOURNAL, "")
        for network in self._list({"name": name}):
            if network.name != name:
                continue  # the filter takes parts of names
            if (network.labels or {}).get(LABEL_JOURNAL) != journal_id:
                raise RuntimeRefused(f"the network {name} is not ours", hint="Rename or remove it.")
            return
        if not self._taken:
            # Once: a whole list takes seconds where there are many, and the engine refuses what is taken since.
            self._taken.update(_subnets(self._list({})))
        taken = [*self._taken, *routed_here()]
        # From opposite ends, since one engine does not see what the other has only planned.
        offers = islice(free_subnets(pool, taken, is_from_top=self._dialect.kind == PODMAN.kind), MAX_TRIES)
        labels = {LABEL_JOURNAL: journal_id, LABEL_DEPLOYMENT: spec.labels.get(LABEL_DEPLOYMENT, "")}
        for subnet in offers:
            addresses = IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet))])
            self._taken.add(subnet)
            try:
                self._client().create_network(
                    name,
                    driver="bridge",
                    check_duplicate=True,
                    ipam=addresses,
                    labels=labels,
                    options=self._dialect.network_options,
                )
            except Exception as error:
                if self._dialect.is_network_there(error):
                    return
                if not self._dialect.is_subnet_taken(error):
                    self._taken.discard(subnet)
                    raise _not_made(name, error) from error
            else:
                return
        raise RuntimeRefused(
            f"there is no free network in {pool}", hint="Configure a larger or another networkPool, as 10.128.0.0/12."
        )

    def _list(self, filters: dict[str, str]) -> list[_Network]:
        with translated("list networks"):
            answer = self._client().networks(filters=filters)
        try:
            return msgspec.convert(answer, list[_Network])
        except msgspec.ValidationError as error:
            raise RuntimeUnavailable("the container engine's networks are not readable", reason=str(error)) from error


def _not_made(name: str, error: Exception) -> PloinkyError:
    ours = translate(f"make the network {name}", error)
    if not isinstance(ours, RuntimeRefused):
        return ours
    hint = "With networkPool null in the configuration, all agents share the engine's own network."
    return RuntimeRefused(ours.message, hint=hint)


def _subnets(networks: list[_Network]) -> list[IPv4Network]:
    found: list[IPv4Network] = []
    for network in networks:
        for pool in (network.ipam.config if network.ipam else None) or ():
            with contextlib.suppress(ValueError):  # of the other version, or of a driver with its own notion
                found.append(IPv4Network(pool.subnet, strict=False))
    return found
