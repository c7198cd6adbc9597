"""The newest line of progress of each rollout, for people who wait for it."""

LINE_LIMIT_CHARACTERS = 200


class ProgressBoard:
    """One line per deployment; not in the journal, since it says nothing that lasts. Callable from any thread."""

    def __init__(self) -> None:
        """Start empty."""
        self._lines: dict[str, str] = {}

    def note(self, deployment_id: str, line: str) -> None:
        """Put a line up."""
        self._lines[deployment_id] = line[:LINE_LIMIT_CHARACTERS]

    def newest(self, deployment_id: str) -> str:
        """Return the newest line; empty when there is none."""
        return self._lines.get(deployment_id, "")
