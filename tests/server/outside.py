"""What a test and an agent can both reach although the agent sees none of the test's files: the loopback."""

import socket
import threading
from typing import Self

PARTIES = 64


class Gate:
    """Keeps handlers waiting until it is opened; written as text it is what they have to be given."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=PARTIES)
        self._address = "{}:{}".format(*self._listener.getsockname())

    def __str__(self) -> str:
        return self._address

    def __del__(self) -> None:
        self.touch()

    def touch(self) -> None:
        """Open it for all who wait, and all who come later. Idempotent."""
        self._listener.close()


class Notes:
    """Collects what handlers write; written as text it is what they have to be given."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=PARTIES)
        self._address = "{}:{}".format(*self._listener.getsockname())
        self._text: list[str] = []
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def __str__(self) -> str:
        return self._address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_reasons: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def lines(self) -> list[str]:
        """Return what has been written."""
        return "".join(self._text).splitlines()

    def _collect(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile() as reader:
                self._text.append(reader.read())
                connection.sendall(b".")  # only now the writer goes on
