"""What a command inside an instance writes, kept up to a limit."""

from ploinky.ports.runtime import Executed


class ExecOutput:
    """The beginnings of both streams; what comes after the limit is read and dropped, so that the command goes on."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._streams = (bytearray(), bytearray())
        self._is_truncated = False

    def add(self, chunk: bytes, *, is_error: bool) -> None:
        """Take a piece of one stream in."""
        stream = self._streams[is_error]
        room_bytes = self._limit_bytes - len(stream)
        stream += chunk[:room_bytes]
        self._is_truncated |= len(chunk) > room_bytes

    def ended(self, exit_code: int, *, is_timed_out: bool = False) -> Executed:
        """Return everything together with how it ended."""
        stdout, stderr = self._streams
        return Executed(exit_code, bytes(stdout), bytes(stderr), self._is_truncated, is_timed_out)
