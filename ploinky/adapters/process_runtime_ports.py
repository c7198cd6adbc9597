"""Free ports for agents that bring a web server and share the machine's addresses."""

import secrets
import socket

from ploinky.domain.errors import RuntimeUnavailable

LOOPBACK = "127.0.0.1"
FIRST_PORT = 20_000
LAST_PORT = 31_999
"""Below what Linux gives to outgoing connections (32768 to 60999), so that only those who ask for one take it."""
ATTEMPTS = 200
REMEMBERED_PORTS = 2_000
"""Given out by this server: not given again soon, since an agent takes its port only once it has started."""


class FreePorts:
    """Chooses ports at random that nobody listens on."""

    def __init__(self) -> None:
        self._given: dict[int, None] = {}

    def choose(self) -> int:
        """Return a port that is free now. **Raises** `RuntimeUnavailable` when none is found."""
        for _ in range(ATTEMPTS):
            port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT + 1)
            if port not in self._given and _is_free(port):
                self._given[port] = None
                while len(self._given) > REMEMBERED_PORTS:
                    del self._given[next(iter(self._given))]
                return port
        raise RuntimeUnavailable(
            f"no port between {FIRST_PORT} and {LAST_PORT} is free", hint="Stop what holds so many of them."
        )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        try:
            trial.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
