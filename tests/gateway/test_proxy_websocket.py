"""WebSockets to an agent with a web server of its own."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from tests.gateway.web_agents import web_repository
from tests.server.running import RunningServer
from tests.waiting import wait_until

LARGE_BYTES = 15 * 1024 * 1024
LIMIT_SECONDS = 30.0

Talk = Callable[[ClientWebSocketResponse], Awaitable[None]]


@pytest.fixture(scope="module")
def web(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The agent with a WebSocket that echoes, public at /web."""
    directory = tmp_path_factory.mktemp("agents") / "web"
    return server.serve("/web", "web", web_repository(directory, "web_agent").directory)


def talk(server: RunningServer, path: str, talk: Talk, protocols: tuple[str, ...] = (), **headers: str) -> None:
    """Open a WebSocket, talk, and close it."""
    sent = {name.replace("_", "-"): text for name, text in headers.items()}

    async def run() -> None:
        async with (
            asyncio.timeout(LIMIT_SECONDS),
            aiohttp.ClientSession() as session,
            session.ws_connect(
                server.url + path, protocols=protocols, headers=sent, max_msg_size=2 * LARGE_BYTES, autoping=False
            ) as opened,
        ):
            await talk(opened)

    asyncio.run(run())


def refusal(server: RunningServer, path: str, **headers: str) -> int:
    """Return the status with which a handshake is refused."""

    async def nothing(_: ClientWebSocketResponse) -> None:
        return

    with pytest.raises(WSServerHandshakeError) as refused:
        talk(server, path, nothing, (), **headers)
    return refused.value.status


def closed_codes(server: RunningServer, prefix: str = "/web") -> list[int]:
    codes: list[int] = server.ask("GET", f"{prefix}/seen").document["closed"]
    return codes


def test_messages_pass_both_ways(server: RunningServer, web: str) -> None:
    """Texts stay texts and bytes stay bytes, in their order."""

    async def echo(opened: ClientWebSocketResponse) -> None:
        for number in range(100):
            await opened.send_str(f"text {number} ü")
            await opened.send_bytes(bytes([number]))
        for number in range(100):
            assert await opened.receive_str() == f"text {number} ü"
            assert await opened.receive_bytes() == bytes([number])

    talk(server, "/web/socket", echo)


def test_large_messages_pass(server: RunningServer, web: str) -> None:
    """Fifteen megabytes in one message arrive whole, both ways."""

    async def echo(opened: ClientWebSocketResponse) -> None:
        sent = b"abc" * (LARGE_BYTES // 3)
        await opened.send_bytes(sent)
        assert await opened.receive_bytes() == sent

    talk(server, "/web/socket", echo)


def test_a_message_above_the_limit_ends_it(server: RunningServer, web: str) -> None:
    """Too large a message from the caller closes the WebSocket, and the agent learns why."""

    async def flood(opened: ClientWebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):  # It is closed while we still send.
            await opened.send_bytes(b"x" * (LARGE_BYTES + LARGE_BYTES // 2))
        message = await opened.receive()
        assert message.type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR}
        assert opened.close_code in {1009, 1006}

    before = len(closed_codes(server))
    talk(server, "/web/socket", flood)
    wait_until(lambda: closed_codes(server)[before:] == [1009], what="the agent's end")


def test_a_message_above_the_limit_from_the_agent_ends_it(server: RunningServer, web: str) -> None:
    """Too large a message from the agent is not carried either."""

    async def flooded(opened: ClientWebSocketResponse) -> None:
        await opened.send_str("flood")
        message = await opened.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)

    talk(server, "/web/socket", flooded)


@pytest.mark.parametrize(("offered", "chosen"), [(("other", "chat"), "other"), (("nope",), None), ((), None)])
def test_the_agent_chooses_the_protocol(
    server: RunningServer, web: str, offered: tuple[str, ...], chosen: str | None
) -> None:
    """What the caller offers reaches the agent, and its choice the caller."""

    async def look(opened: ClientWebSocketResponse) -> None:
        assert opened.protocol == chosen

    talk(server, "/web/socket", look, offered)


def test_a_ping_is_answered(server: RunningServer, web: str) -> None:
    """The server itself answers a ping with the same bytes."""

    async def ping(opened: ClientWebSocketResponse) -> None:
        await opened.ping(b"are you there")
        message = await opened.receive()
        assert (message.type, bytes(message.data)) == (WSMsgType.PONG, b"are you there")

    talk(server, "/web/socket", ping)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_the_agents_end_reaches_the_caller(server: RunningServer, web: str, code: int) -> None:
    """The code and the words with which the agent closes are those that the caller reads."""

    async def read(opened: ClientWebSocketResponse) -> None:
        message = await opened.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, code, "as asked")

    talk(server, f"/web/socket?close={code}", read)


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
def test_the_callers_end_reaches_the_agent(server: RunningServer, web: str, code: int) -> None:
    """The agent reads the code with which the caller closes."""
    before = len(closed_codes(server))

    async def close(opened: ClientWebSocketResponse) -> None:
        await opened.close(code=code)

    talk(server, "/web/socket", close)
    wait_until(lambda: closed_codes(server)[before:] == [code], what="the agent's end")


def test_an_agent_that_vanishes_is_no_good_bye(server: RunningServer, web: str) -> None:
    """A connection to the agent that breaks is told as an error."""

    async def vanish(opened: ClientWebSocketResponse) -> None:
        await opened.send_str("vanish")
        message = await opened.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1011)

    talk(server, "/web/socket", vanish)


def test_a_caller_that_vanishes_is_told_to_the_agent(server: RunningServer, web: str) -> None:
    """When the caller's connection breaks, the agent's WebSocket is closed as of one who goes away."""
    before = len(closed_codes(server))

    async def vanish(opened: ClientWebSocketResponse) -> None:
        opened._response.close()

    talk(server, "/web/socket", vanish)
    wait_until(lambda: closed_codes(server)[before:] == [1001], what="the agent's end")


class TestRefusals:
    def test_by_the_agent(self, server: RunningServer, web: str) -> None:
        """The agent's own refusal is passed on with its status."""
        assert refusal(server, "/web/socket?refuse") == 403
        assert refusal(server, "/web/status/404") == 404

    def test_of_what_is_no_websocket(self, server: RunningServer, web: str) -> None:
        """An agent that answers a handshake like any request has not taken it."""
        assert refusal(server, "/web/health") == 502

    def test_without_a_route(self, server: RunningServer, web: str) -> None:
        """Where no deployment answers there is no WebSocket either, and none to the management."""
        assert refusal(server, "/nowhere") == 404
        assert refusal(server, "/management/api/events") == 404

    def test_of_deployments_that_take_tasks(self, server: RunningServer, deployment_id: str) -> None:
        """A task agent has nobody who would read it."""
        assert refusal(server, "/sample") == 400

    def test_without_a_key(self, server: RunningServer, tmp_path: Path) -> None:
        """A deployment that is not public takes only those with a key, who never shows up at the agent."""
        repository = web_repository(tmp_path / "shut", "web_agent", access="authenticated")
        server.serve("/shut", "shut", repository.directory)
        assert refusal(server, "/shut/socket") == 401

        async def echo(opened: ClientWebSocketResponse) -> None:
            await opened.send_str("let in")
            assert await opened.receive_str() == "let in"

        talk(server, "/shut/socket", echo, X_API_Key=server.key)
