"""Where every runtime lets this server reach an agent's own web server."""

import socket

import pytest

from ploinky.adapters.memory.runtime import MemoryRuntime
from ploinky.domain.errors import RuntimeRefused
from ploinky.ports.runtime import Address
from tests.contracts.runtime_harness import Bench, Serves, Sleeps

PORT = 8080


def test_leads_to_the_instance(bench: Bench) -> None:
    """Who connects to the address of an instance is answered by it, and the address stays."""
    name = bench.run_until_it_speaks("serves", Serves(), http_port=PORT, has_network=True)
    address = bench.runtime.address(name, PORT)
    assert bench.runtime.address(name, PORT) == address
    with socket.create_connection(address, 10) as connection:
        assert connection.recv(100) == b"hello"


def test_is_unknown_for_what_does_not_exist(bench: Bench) -> None:
    """There is nothing to connect to under an unknown name."""
    with pytest.raises(RuntimeRefused):
        bench.runtime.address(bench.name("absent"), PORT)


def test_is_another_for_each(bench: Bench) -> None:
    """Two instances with the same port are not in each other's way."""
    first = bench.run("first", Sleeps(), http_port=PORT, has_network=True)
    second = bench.run("second", Sleeps(), http_port=PORT, has_network=True)
    if isinstance(bench.runtime, MemoryRuntime):
        bench.runtime.addresses = {first: Address("a", 1), second: Address("b", 1)}
    assert bench.runtime.address(first, PORT) != bench.runtime.address(second, PORT)
