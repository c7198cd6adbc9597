"""Repositories made with git itself, and a server that is git's own CGI program behind the standard library's."""

import base64
import gzip
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

GIT_TIMEOUT_SECONDS = 30


def git(directory: Path, *arguments: str) -> str:
    """Run git with a fixed author, whatever the machine's configuration."""
    person = {f"GIT_{who}_{what}": f"{what}@example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**person, "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *arguments],
        cwd=directory,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=GIT_TIMEOUT_SECONDS,
    )
    return done.stdout.strip()


class GitRepository:
    """A repository with a work tree."""

    def __init__(self, directory: Path, branch: str = "main") -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        git(directory, "init", "-q", "-b", branch)
        git(directory, "config", "uploadpack.allowAnySHA1InWant", "true")

    def commit(self, files: dict[str, str], message: str = "change") -> str:
        for name, content in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        git(self.directory, "add", "-A")
        git(self.directory, "commit", "-q", "--allow-empty", "-m", message)
        return git(self.directory, "rev-parse", "HEAD")


class GitServer:
    """Serve the repositories of a folder over HTTP on a port of the system's choice."""

    def __init__(self, root: Path, password: str | None = None) -> None:
        self.root = root
        self.password = password
        self.status = 200
        self.requests = 0
        self.packs = 0
        """Answers that brought objects."""
        self.authorizations: list[str] = []
        """What came with requests as `Authorization`."""
        self.is_telltale = False
        """Refuse with an error that repeats what came as `Authorization`, plain and as it was sent."""
        self.redirect = ""
        """Send everybody there instead, when it is not empty."""
        self.is_stuck = threading.Event()
        """Set once an answer was held back."""
        self.holds_back = False
        """Send half of each longer answer, then nothing until the server stops."""
        self._is_stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"front": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{name}"

    def stop(self) -> None:
        self._is_stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def hold(self) -> None:
        self.is_stuck.set()
        self._is_stopping.wait(GIT_TIMEOUT_SECONDS)

    def ask_git(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        parts = urlsplit(target)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "REQUEST_METHOD": method,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, timeout=30, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if ": " in line]
        status = next((int(value[:3]) for name, value in fields if name == "Status"), 200)
        return status, [(name, value) for name, value in fields if name != "Status"], content


class _Handler(BaseHTTPRequestHandler):
    front: GitServer

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._serve(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _serve(self, body: bytes) -> None:
        self.front.requests += 1
        self.front.authorizations += [value for name, value in self.headers.items() if name == "Authorization"]
        if self.front.redirect:
            self._answer(302, [("Location", self.front.redirect + self.path)], b"")
            return
        if self.front.is_telltale and (sent := self.headers.get("Authorization")):
            plain = base64.b64decode(sent.removeprefix("Basic ")).decode()
            line = f"ERR you sent {sent}, that is {plain}\n"
            self._answer(
                200,
                [("Content-Type", "application/x-git-upload-pack-advertisement")],
                f"001e# service=git-upload-pack\n0000{len(line) + 4:04x}{line}".encode(),
            )
            return
        if self.front.status != 200:
            self._answer(self.front.status, [], b"")
        elif self.front.password is not None and not self._is_allowed():
            self._answer(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
        else:
            self._answer(*self.front.ask_git(self.command, self.path, dict(self.headers), body))

    def _is_allowed(self) -> bool:
        wanted = base64.b64encode(f"user:{self.front.password}".encode()).decode()
        return self.headers.get("Authorization") == f"Basic {wanted}"

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.front.packs += self.command == "POST" and b"PACK" in body
        if self.front.holds_back and self.command == "POST" and b"PACK" in body:
            self.wfile.write(body[: len(body) // 2])
            self.front.hold()
        else:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def git_server(root: Path, password: str | None = None) -> Iterator[GitServer]:
    server = GitServer(root, password)
    try:
        yield server
    finally:
        server.stop()
