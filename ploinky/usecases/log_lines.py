"""Cut what an instance prints into lines that are fit to be sent."""

LINE_LIMIT_BYTES = 16 * 1024
"""Longer lines are sent in pieces, so that one that never ends takes no memory and is seen nevertheless."""


class Lines:
    """Collects pieces of an output and gives its lines as text, without their ends; what is no text is replaced."""

    def __init__(self) -> None:
        self._begun = b""

    def split(self, chunk: bytes) -> tuple[str, ...]:
        """Return the lines that are complete now."""
        *complete, self._begun = (self._begun + chunk).split(b"\n")
        found = [piece for line in complete for piece in _pieces(line)]
        while len(self._begun) > LINE_LIMIT_BYTES:
            found.append(self._begun[:LINE_LIMIT_BYTES])
            self._begun = self._begun[LINE_LIMIT_BYTES:]
        return tuple(_text(line) for line in found)

    def rest(self) -> tuple[str, ...]:
        """Return the last line if it has no end."""
        begun, self._begun = self._begun, b""
        return (_text(begun),) if begun else ()


def _pieces(line: bytes) -> list[bytes]:
    return [line[start : start + LINE_LIMIT_BYTES] for start in range(0, max(1, len(line)), LINE_LIMIT_BYTES)]


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
