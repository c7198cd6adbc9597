"""Agents with a web server of their own, as real processes, for the tests of what passes through."""

import functools
import json
from pathlib import Path
from typing import Any

import aiohttp

from tests.adapters.sources.git_repositories import GitRepository
from tests.server.running import Answer

FIXTURES = Path(__file__).parent / "fixtures"
SILENCE_LIMIT_SECONDS = 1.5
LIBRARIES = (
    *("aiohttp", "aiohappyeyeballs", "aiosignal", "attr", "attrs"),
    *("frozenlist", "idna", "multidict", "propcache", "yarl"),
)


def manifest(name: str, **changes: object) -> str:
    fields: dict[str, object] = {
        "name": name,
        "access": "public",
        "run": "python3 server.py",
        "http": {"port": 8080, "health": "/health"},
    }
    return json.dumps({**fields, **changes})


@functools.cache
def libraries() -> dict[str, str]:
    """Return aiohttp and what it needs, Python files alone: agents run on a Python that has nothing installed."""
    installed = Path(aiohttp.__file__).parent.parent
    names = ["typing_extensions.py"] if (installed / "typing_extensions.py").is_file() else []
    files = [path for name in LIBRARIES for path in (installed / name).rglob("*.py")]
    files += [installed / name for name in names]
    return {f"lib/{path.relative_to(installed)}": path.read_text() for path in files}


def web_repository(directory: Path, program: str, **changes: object) -> GitRepository:
    """Make a repository whose root is an agent that runs one of the programs in `fixtures`."""
    repository = GitRepository(directory)
    source = (FIXTURES / f"{program}.py").read_text()
    carried = libraries() if "aiohttp" in source else {}
    repository.commit({**carried, "server.py": source, "manifest.json": manifest(directory.name, **changes)})
    return repository


class Shown:
    """What reached the agent, as its echo shows it."""

    def __init__(self, answer: Answer) -> None:
        assert answer.status == 200, answer
        self.document: Any = answer.document
        self.target: str = self.document["target"]

    def all(self, name: str) -> list[str]:
        return [text for key, text in self.document["headers"] if key == name]

    def header(self, name: str) -> str | None:
        found = self.all(name)
        assert len(found) <= 1, found
        return found[0] if found else None
