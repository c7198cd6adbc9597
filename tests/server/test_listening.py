"""Where the server listens, and how that is told to people."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from ploinky.domain.errors import ConfigurationInvalid, PortInUse
from ploinky.server.first_run import local_url
from ploinky.server.listening import listen


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with closing(listen("127.0.0.1", 0, "PLOINKY_PORT")) as found:
        yield found


def test_listens_on_a_free_port(listener: socket.socket) -> None:
    """Port 0 is a free port, which takes connections at once and is not handed to children."""
    with closing(socket.create_connection(listener.getsockname(), timeout=5)):
        assert listener.getsockname()[1] > 0
    assert not listener.get_inheritable()


def test_refuses_a_taken_port(listener: socket.socket) -> None:
    """A port in use is named with the setting that chooses another."""
    port = listener.getsockname()[1]
    with pytest.raises(PortInUse, match=str(port)) as caught:
        listen("127.0.0.1", port, "PLOINKY_MANAGEMENT_PORT")
    assert "PLOINKY_MANAGEMENT_PORT" in caught.value.advice


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "300.1.1.1", "a b"])
def test_refuses_a_host_that_is_not_here(host: str) -> None:
    """An address that is not this machine's, or is none, is a mistake in the configuration."""
    with pytest.raises(ConfigurationInvalid):
        listen(host, 0, "PLOINKY_PORT")


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "localhost"), ("0.0.0.0", "localhost")])
def test_shows_an_address_that_works_here(host: str, shown: str) -> None:
    """What is printed can be used on this machine, also when it listens everywhere."""
    with closing(listen(host, 0, "PLOINKY_PORT")) as found:
        assert local_url(found) == f"http://{shown}:{found.getsockname()[1]}"
