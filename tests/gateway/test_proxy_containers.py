"""An agent with a web server in a real container, through a real server."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from ploinky.cli.commands.new import copy_template
from tests.adapters.sources.git_repositories import GitRepository
from tests.contracts.runtime_harness import ENGINES
from tests.gateway.web_agents import manifest
from tests.server.running import RunningServer

SERVER = """
import base64, hashlib, os, socketserver

class Handler(socketserver.StreamRequestHandler):
    # Takes one WebSocket and sends its first short text back.
    def handle(self):
        head = {}
        self.rfile.readline()
        while (line := self.rfile.readline().strip()):
            name, _, value = line.decode().partition(":")
            head[name.lower()] = value.strip()
        if "sec-websocket-key" not in head:
            self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
            return
        joined = head["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(joined.encode()).digest())
        self.wfile.write(b"HTTP/1.1 101 X\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n")
        self.wfile.write(b"Sec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\n")
        size = self.rfile.read(2)[1] & 127
        mask = self.rfile.read(4)
        text = bytes(byte ^ mask[index % 4] for index, byte in enumerate(self.rfile.read(size)))
        self.wfile.write(bytes([0x81, size]) + text + bytes([0x88, 2]) + (4000).to_bytes(2, "big"))
        self.rfile.read(1)

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True

Server((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


async def _say(url: str, text: str) -> tuple[str, int | None]:
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as opened:
        await opened.send_str(text)
        said = await opened.receive_str()
        await opened.receive()
        return said, opened.close_code


@pytest.mark.parametrize("engine", ENGINES)
def test_a_web_server_in_a_container(engine: str, tmp_path: Path) -> None:
    """The bundled web agent answers through its route; a new version with a WebSocket takes over."""
    repository = GitRepository(tmp_path / "site")
    copy_template(repository.directory, "site", "web")
    repository.commit({})
    server = RunningServer(tmp_path, changes={"PLOINKY_CONTAINER_RUNTIME": engine})
    try:
        server.initialise()
        deployment_id = server.serve("/site", "site", repository.directory, access="public")
        found = server.deployment(deployment_id)
        assert (found["runtime"], found["kind"]) == (engine, "http")
        assert server.ask("GET", "/site/?name=Ada").body == b"Hello, Ada!\n"
        large = server.ask("POST", "/site", b"x" * 3_000_000)
        assert large.body == b"You sent 3000000 bytes\n"
        repository.commit({"server.py": SERVER, "manifest.json": manifest("site")})
        server.serve("/site", "site", repository.directory, access="public")
        assert server.ask("GET", "/site").body == b"ok"
        assert asyncio.run(_say(f"{server.url}/site", "through")) == ("through", 4000)
        server.api("DELETE", f"/deployments/{deployment_id}")
        server.await_gone(deployment_id)
        assert server.stop() == 0
    finally:
        server.kill()
