"""Small networks cut from one pool, clear of whatever this machine uses already."""

from collections.abc import Collection, Iterator
from ipaddress import IPv4Network
from pathlib import Path

SUBNET_PREFIX = 26
"""61 instances beside the gateway; a /16 holds 1,024 such networks."""
ROUTES_FILE = Path("/proc/net/route")
MAX_ROUTES_BYTES = 4 * 1024 * 1024

_COLUMNS = 8


def free_subnets(
    pool: IPv4Network, taken: Collection[IPv4Network], *, is_from_top: bool = False
) -> Iterator[IPv4Network]:
    """Give the pool's subnets that touch nothing taken, lowest first unless `is_from_top`."""
    count = 1 << (SUBNET_PREFIX - pool.prefixlen)
    size = 1 << (32 - SUBNET_PREFIX)
    first = int(pool.network_address)
    used = sorted((int(network[0]), int(network[-1])) for network in taken if network.overlaps(pool))
    for number in reversed(range(count)) if is_from_top else range(count):
        begin = first + number * size
        if not any(low < begin + size and begin <= high for low, high in used):
            yield IPv4Network((begin, SUBNET_PREFIX))


def routed_here(routes: Path = ROUTES_FILE) -> list[IPv4Network]:
    """Return the networks that this machine has routes to, the default route left out. **Source**: proc(5)."""
    try:
        with routes.open("rb") as file:
            lines = file.read(MAX_ROUTES_BYTES).decode("ascii", "replace").splitlines()[1:]
    except OSError:
        return []
    found: list[IPv4Network] = []
    for line in lines:
        columns = line.split()
        if len(columns) < _COLUMNS:
            continue
        try:
            address, mask = (int.from_bytes(bytes.fromhex(columns[number])[::-1], "big") for number in (1, 7))
            network = IPv4Network((address & mask, mask.bit_count()))
        except ValueError:
            continue
        if network.prefixlen:
            found.append(network)
    return found
