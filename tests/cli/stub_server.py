"""A server that speaks the management API's shapes from a script, for tests of what stands on the other side."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

API = "/management/api"
HELD_LIMIT_SECONDS = 30


@dataclass(frozen=True)
class Request:
    """What was asked. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes
    client: tuple[str, int]

    @property
    def document(self) -> Any:
        return json.loads(self.content) if self.content else None


@dataclass(frozen=True)
class Reply:
    """What is answered: a JSON document, or `content` as it is."""

    status: int = 200
    document: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_cut: bool = False
    """Promise more bytes than are sent, then close."""
    is_dropped: bool = False
    """Close without any answer."""
    is_stream: bool = False
    """Send without a length and close."""
    is_held: bool = False
    """Keep a stream open until the stub stops."""

    @property
    def bytes_to_send(self) -> bytes:
        return json.dumps(self.document).encode() if self.content is None else self.content


Answering = Reply | Callable[[Request], Reply]


def refusal(status: int, code: str, message: str = "refused", **details: Any) -> Reply:
    document = {
        "error": True,
        "code": code,
        "message": message,
        "details": details,
        "timestamp": "2026-01-01T00:00:00Z",
        "requestId": "request-1",
    }
    return Reply(status, document)


def page_of(*rows: Any, pages: int = 1) -> dict[str, Any]:
    return {
        "data": [*rows],
        "pagination": {"page": 1, "perPage": 50, "total": len(rows), "pages": pages},
        "links": {},
    }


class StubServer:
    """Answers each request with the next reply of its script; the last one is repeated."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self._scripts: dict[tuple[str, str], list[Answering]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def answer(self, method: str, path: str, *replies: Answering) -> None:
        """Set the script for a path; one below the API is written without its prefix as `~/health`."""
        self._scripts[method, path.replace("~", API, 1) if path.startswith("~") else path] = [*replies]

    def next_reply(self, request: Request) -> Reply:
        self.requests.append(request)
        script = self._scripts.get((request.method, request.path))
        if script is None:
            return refusal(404, "NOT_FOUND", f"nothing at {request.path}")
        answering = script.pop(0) if len(script) > 1 else script[0]
        return answering if isinstance(answering, Reply) else answering(request)

    def asked(self, method: str, path: str) -> list[Request]:
        wanted = path.replace("~", API, 1) if path.startswith("~") else path
        return [request for request in self.requests if (request.method, request.path) == (method, wanted)]

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler_for(stub: StubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            request = Request(
                self.command,
                parts.path,
                dict(parse_qsl(parts.query)),
                {name.lower(): value for name, value in self.headers.items()},
                content,
                self.client_address,
            )
            self.send(stub.next_reply(request))

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the names the standard library calls

        def send(self, reply: Reply) -> None:
            self.close_connection = reply.is_cut or reply.is_dropped or reply.is_stream
            if reply.is_dropped:
                return
            content = reply.bytes_to_send
            self.send_response(reply.status)
            headers = {"Content-Type": "application/json", **reply.headers}
            if not reply.is_stream:
                headers["Content-Length"] = str(len(content) + (100 if reply.is_cut else 0))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            if reply.is_held:
                self.wfile.flush()
                stub.stopping.wait(HELD_LIMIT_SECONDS)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the tests' output clean."""

    return Handler
