"""Two agents whose versions are told apart by their answers: one that takes tasks, one with a web server."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from dulwich import porcelain

from ploinky.adapters.dulwich_new_repository import AUTHOR, make_repository

ANSWER_LIMIT_SECONDS = 60.0
LOOK_SECONDS = 0.005
WEB_PORT = 8080
WEB_COMMAND = ("python3", "server.py")
TASK_COMMAND = ("python3", "-m", "agentcore")

_HANDLER = "def handle(params, context):\n    return {version!r}\n"
_WEB_SERVER = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        content = b'"{version}"'
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


class AgentKind(NamedTuple):
    """One kind of agent."""

    name: str
    command: tuple[str, ...]
    manifest: dict[str, object]
    file: str
    source: str

    def write(self, folder: Path, version: str) -> None:
        """Put a version of it into a folder."""
        (folder / self.file).parent.mkdir(parents=True, exist_ok=True)
        source = self.source.replace("{version!r}", repr(version)).replace("{version}", version)
        (folder / self.file).write_text(source)
        (folder / "manifest.json").write_text(json.dumps({"name": self.name, "access": "public", **self.manifest}))


TASKS = AgentKind("tasks", TASK_COMMAND, {}, "handlers/version.py", _HANDLER)
WEB = AgentKind(
    "web", WEB_COMMAND, {"run": [*WEB_COMMAND], "http": {"port": WEB_PORT, "health": "/"}}, "server.py", _WEB_SERVER
)
KINDS = (TASKS, WEB)


class AgentRepository:
    """A repository of one agent."""

    def __init__(self, kind: AgentKind, folder: Path) -> None:
        """Make it with a first version."""
        self.kind = kind
        self.folder = folder
        folder.mkdir(parents=True)
        kind.write(folder, "first")
        make_repository(str(folder))

    def publish(self, version: str) -> None:
        """Commit a version."""
        self.kind.write(self.folder, version)
        porcelain.add(str(self.folder), [str(self.folder / self.kind.file)])
        porcelain.commit(str(self.folder), message=version.encode(), author=AUTHOR, committer=AUTHOR)


def await_version(url: str, version: str) -> None:
    """Ask until the answer is this version."""
    await_condition(lambda: _answer(url) == version, f"{url} never answered {version!r}")


def await_condition(condition: Callable[[], bool], otherwise: str) -> None:
    """Look until it holds. Raises `RuntimeError` after a while."""
    deadline = time.monotonic() + ANSWER_LIMIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(otherwise)
        time.sleep(LOOK_SECONDS)


def _answer(url: str) -> object:
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_LIMIT_SECONDS) as response:  # noqa: S310 - our own, on loopback
            return json.loads(response.read())
    except (urllib.error.URLError, HTTPException, OSError):
        return None
