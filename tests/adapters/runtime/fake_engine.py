"""A container engine that answers what a test tells it to, over a Unix socket."""

import http.server
import json
import re
import socketserver
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = tuple[int, object]
"""Status and body; bytes are streamed as they are, anything else is sent as JSON."""


class Connection(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        return

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        engine: FakeEngine = self.server.engine  # type: ignore[attr-defined]  # set by FakeEngine
        answer = engine.answer_to(self.command, self.path, content)
        if answer is None:
            self.close_connection = True  # hang up without a word
            return
        status, body = answer
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if isinstance(body, bytes):
            self.send_header("Transfer-Encoding", "chunked")  # as the real one streams
            content = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
        else:
            content = json.dumps(body).encode()
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    engine: "FakeEngine"

    def get_request(self) -> tuple[Any, Any]:
        connection, _address = super().get_request()
        return connection, ("local", 0)

    def handle_error(self, request: object, client_address: object) -> None:
        return


class FakeEngine:
    """Answers by pattern of `METHOD path`; the last answer given for a pattern counts."""

    def __init__(self, socket_path: Path) -> None:
        self.base_url = f"unix://{socket_path}"
        self.calls: list[str] = []
        self._received: list[tuple[str, bytes]] = []
        self._answers: list[tuple[re.Pattern[str], Callable[[], Answer | None]]] = []
        self.on("GET /version", (200, {"ApiVersion": "1.41", "Version": "20.10.24"}))
        self._server = Server(str(socket_path), Connection)
        self._server.engine = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def on(self, pattern: str, *answers: Answer | None) -> None:
        """Answer one after the other, then always the last; None hangs up."""
        waiting = list(answers)

        def next_answer() -> Answer | None:
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]

        self._answers.insert(0, (re.compile(pattern), next_answer))

    def on_call(self, pattern: str, answer: Callable[[], Answer | None]) -> None:
        self._answers.insert(0, (re.compile(pattern), answer))

    def bodies(self, pattern: str) -> list[Any]:
        """Give what was sent with the calls that match, in order."""
        return [json.loads(content or b"null") for call, content in self._received if re.match(pattern, call)]

    def answer_to(self, method: str, path: str, content: bytes) -> Answer | None:
        call = f"{method} {re.sub(r'^/v[0-9.]+', '', path)}"
        self.calls.append(call)
        self._received.append((call, content))
        for pattern, answer in self._answers:
            if pattern.match(call):
                return answer()
        return 404, {"message": f"nothing is known of {call}"}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
