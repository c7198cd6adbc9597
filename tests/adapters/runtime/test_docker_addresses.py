"""How a container's port is reached: at its own address, or published where that is not ours to reach."""

import secrets
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ploinky.adapters.docker_runtime import DockerRuntime
from ploinky.adapters.docker_runtime_address import Reach, addresses_of, reachable_address, with_published_port
from ploinky.domain.errors import RuntimeUnavailable
from ploinky.ports.runtime import Address
from tests.contracts.runtime_harness import Bench, Serves

PORT = 8080
ELSEWHERE, HERE = "203.0.113.0/24", "127.0.0.0/8"
"""A network for documentation, which no machine is in, and one that each machine is in."""


class Client:
    """An engine's client that knows networks only."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    def networks(self, filters: dict[str, str]) -> Any:
        assert filters == {"driver": "bridge"}
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def network(*subnets: str | None) -> dict[str, Any]:
    return {"Name": "n", "IPAM": {"Config": [{"Subnet": subnet} for subnet in subnets]}}


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ([network(ELSEWHERE), network(HERE)], True),
        ([network("::1/128", ELSEWHERE)], True),
        ([network(ELSEWHERE)], False),
        ([network(None), {"Name": "n"}, {"Name": "n", "IPAM": {"Config": None}}], False),
        ([network("no network")], False),
        ([], False),
        ("nonsense", False),
        (OSError("gone"), False),
    ],
)
def test_reach_is_measured(networks: object, expected: bool) -> None:
    """An engine whose bridges are interfaces of this machine is reached directly, and no other is."""
    assert Reach().is_direct(Client(networks)) is expected


def test_reach_is_measured_until_it_is_there() -> None:
    """Bridges that come with the first container are noticed at the next one, and are then taken for granted."""
    client, reach = Client([]), Reach()
    assert not reach.is_direct(client)
    client.answer = [network(HERE)]
    assert reach.is_direct(client)
    client.answer = []
    assert reach.is_direct(client)
    assert client.asked == 2


def inspected(networks: Any = None, ports: Any = None) -> dict[str, Any]:
    return {"Id": "c1", "NetworkSettings": {"Networks": networks, "Ports": ports}}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (inspected({"one": {"IPAddress": "10.0.0.2"}}), [Address("10.0.0.2", PORT)]),
        (inspected({"gone": {"IPAddress": ""}, "two": {"IPAddress": "10.1.0.2"}}), [Address("10.1.0.2", PORT)]),
        (
            inspected({"one": {"IPAddress": "10.0.0.2"}}, {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "4711"}]}),
            [Address("10.0.0.2", PORT), Address("127.0.0.1", 4711)],
        ),
        (inspected({}, {"8080/tcp": None, "9/tcp": [{"HostPort": "9"}]}), []),
        (inspected({}, {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}), []),
        (inspected(), []),
    ],
)
def test_addresses_are_read(answer: object, expected: list[Address]) -> None:
    """The container's own address comes first, then where its port is published."""
    assert addresses_of(answer, PORT) == expected


@pytest.mark.parametrize("answer", [{}, [], None, {"NetworkSettings": {"Networks": {"n": "x"}}}])
def test_nonsense_is_no_address(answer: object) -> None:
    """What is no answer to an inspect is an engine's failure."""
    with pytest.raises(RuntimeUnavailable):
        addresses_of(answer, PORT)


@pytest.fixture
def listening() -> Iterator[Address]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield Address(*listener.getsockname())


def test_the_first_that_answers_is_taken(listening: Address) -> None:
    """With a choice, what accepts a connection is the address; a single one is taken as it is."""
    closed = Address("127.0.0.1", 1)
    assert reachable_address("n", [closed, listening]) == listening
    assert reachable_address("n", [closed]) == closed
    for candidates in ([], [closed, closed]):
        with pytest.raises(RuntimeUnavailable):
            reachable_address("n", candidates)


def test_a_port_is_published_on_this_machine_only() -> None:
    """Nobody outside reaches a published port, and the rest of the configuration stays."""
    before = {"Image": "i", "HostConfig": {"CapDrop": ["ALL"]}}
    after = with_published_port(before, PORT)
    assert after["HostConfig"] == {
        "CapDrop": ["ALL"],
        "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
    }
    assert after["Image"] == "i"
    assert before == {"Image": "i", "HostConfig": {"CapDrop": ["ALL"]}}


@pytest.mark.docker
def test_a_real_engine_publishes_when_it_has_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the bridges are not ours, the port on 127.0.0.1 leads to the container as well."""
    monkeypatch.setattr(Reach, "is_direct", lambda _self, _client: False)
    runtime = DockerRuntime()
    bench = Bench(runtime, tmp_path, secrets.token_hex(6), runtime.resolve_image("", lambda _line: None).reference)
    try:
        name = bench.run_until_it_speaks("published", Serves(), http_port=PORT, has_network=True)
        answer = runtime._connections.client().inspect_container(name)
        own, published = addresses_of(answer, PORT)
        assert own.port == PORT
        assert published.host == "127.0.0.1"
        with socket.create_connection(published, 10) as connection:
            assert connection.recv(100) == b"hello"
    finally:
        bench.remove_all()
        runtime.close()


@pytest.mark.docker
def test_a_real_engine_publishes_nothing_when_it_need_not(tmp_path: Path) -> None:
    """Where the container's own address is reachable, no port of this machine is taken."""
    runtime = DockerRuntime()
    bench = Bench(runtime, tmp_path, secrets.token_hex(6), runtime.resolve_image("", lambda _line: None).reference)
    try:
        if not runtime._reach.is_direct(runtime._connections.client()):
            pytest.skip("this engine's bridges are not this machine's")
        name = bench.run_until_it_speaks("direct", Serves(), http_port=PORT, has_network=True)
        assert len(addresses_of(runtime._connections.client().inspect_container(name), PORT)) == 1
    finally:
        bench.remove_all()
        runtime.close()
