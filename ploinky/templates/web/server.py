"""A web server: what its URL shows, and what tells that it is well."""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Handler(BaseHTTPRequestHandler):
    """Answers one request after the other on a connection, connections side by side."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/health":
            self.answer(200, "ok")
        elif url.path == "/":
            name = parse_qs(url.query).get("name", ["World"])[0]
            self.answer(200, f"Hello, {name}!")
        else:
            self.answer(404, f"There is nothing at {url.path}")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.answer(200, f"You sent {len(body)} bytes")

    def answer(self, status, text):
        content = (text + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main():
    """Listen until told to end."""
    # SIGTERM comes when nobody is waiting for an answer any more.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Ploinky says where to listen: on this port, and on nobody else's address.
    server = ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler)
    server.serve_forever()


if __name__ == "__main__":
    main()
