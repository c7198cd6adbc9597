"""A client of a scripted server."""

from collections.abc import Iterator

import pytest

from ploinky.client import PloinkyClient
from tests.cli.stub_server import StubServer


@pytest.fixture
def stub() -> Iterator[StubServer]:
    server = StubServer()
    yield server
    server.stop()


@pytest.fixture
def client(stub: StubServer) -> Iterator[PloinkyClient]:
    with PloinkyClient(stub.url, "plk_test", timeout_seconds=10) as made:
        yield made
