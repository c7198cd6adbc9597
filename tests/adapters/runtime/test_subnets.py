"""Subnets are cut from the pool without touching anything that is in use."""

from ipaddress import IPv4Network
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ploinky.adapters.subnets import free_subnets, routed_here

POOL = IPv4Network("10.210.0.0/24")
ROUTES = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 010200C0 0003 0 0 0 00000000 0 0 0
docker0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0
eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0
broken line
eth1 zz 0 0 0 0 0 zz 0 0 0
"""


def test_gives_all_of_the_pool_in_order() -> None:
    """An empty pool is given whole, from either end."""
    subnets = [str(subnet) for subnet in free_subnets(POOL, ())]
    assert subnets == ["10.210.0.0/26", "10.210.0.64/26", "10.210.0.128/26", "10.210.0.192/26"]
    assert [str(subnet) for subnet in free_subnets(POOL, (), is_from_top=True)] == subnets[::-1]


def test_gives_none_of_a_full_pool() -> None:
    """Whatever covers the pool leaves nothing."""
    assert list(free_subnets(POOL, [IPv4Network("10.0.0.0/8")])) == []


@given(st.lists(st.tuples(st.integers(0, 511), st.integers(24, 32)), max_size=12), st.booleans())
def test_touches_nothing_that_is_taken(places: list[tuple[int, int]], is_from_top: bool) -> None:
    """Each subnet given overlaps nothing taken, and each that is not given overlaps something."""
    begin = int(POOL.network_address) - 128
    taken = [IPv4Network((begin + offset, prefix), strict=False) for offset, prefix in places]
    given_out = set(free_subnets(POOL, taken, is_from_top=is_from_top))
    for subnet in POOL.subnets(new_prefix=26):
        assert (subnet in given_out) is not any(subnet.overlaps(network) for network in taken)


def test_knows_what_this_machine_has_routes_to(tmp_path: Path) -> None:
    """The kernel's table is read, without the default route, and lines that make no sense are passed over."""
    (tmp_path / "route").write_text(ROUTES)
    assert routed_here(tmp_path / "route") == [IPv4Network("172.17.0.0/16"), IPv4Network("192.0.2.0/24")]
    assert routed_here(tmp_path / "absent") == []
