"""What the command line makes of an agent with a web server of its own."""

import json
from pathlib import Path

from tests.gateway.web_agents import web_repository
from tests.server.running import RunningServer, run_to_end


def test_a_call_is_plain_http(server: RunningServer, tmp_path: Path) -> None:
    """`ploinky call` sends its command to the web server and prints what that answers."""
    server.serve("/called", "called", web_repository(tmp_path / "called", "web_agent", access="private").directory)
    ended = run_to_end(tmp_path, "call", "/called", "hello", "Ada", "--url", server.url, "--key", server.key)
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout)
    assert (shown["method"], shown["target"]) == ("POST", "/")
    assert shown["size"] == len(json.dumps({"command": "hello", "params": ["Ada"]}))
    refused = run_to_end(tmp_path, "call", "/called", "hello", "--url", server.url, "--key", "plk_wrong")
    assert refused.returncode == 3
