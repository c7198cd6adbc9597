"""One server with a good agent, a place outside that nobody may touch, and hostile agents beside."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.hostile_agent import AGENT, hostile_repository
from tests.server.running import RunningServer
from tests.server.sample_agent import sample_repository
from tests.waiting import wait_until

SECRET = "nobody may read this"
GOOD_PATH = "/good"


class Victims:
    """What is attacked: a server, an agent that is good, and a file outside."""

    def __init__(self, directory: Path) -> None:
        self.outside = directory / "outside"
        self.outside.mkdir()
        self.sentinel = self.outside / "sentinel"
        self.sentinel.write_text(SECRET)
        self.repositories = {
            retries: hostile_repository(directory / f"hostile-{retries}", retries) for retries in (0, 2)
        }
        good = sample_repository(directory / "good")
        self.server = RunningServer(directory)
        self.server.initialise()
        self.good_id = self.server.serve(GOOD_PATH, "sample", good.directory)

    def attack(self, name: str, *, retries: int = 0, **fields: object) -> str:
        """Deploy an agent with this attack at a path of the same name; return the deployment's id."""
        env = {"ATTACK": name, "OUTSIDE": str(self.sentinel)}
        return self.server.serve(f"/{name}", AGENT, self.repositories[retries], env=env, **fields)

    def submit(self, deployment_id: str, command: str = "attack", *params: object) -> str:
        """Submit a task and return its id."""
        wanted = {"deployment": deployment_id, "command": command, "params": list(params)}
        answer = self.server.api("POST", "/tasks", wanted)
        assert answer.status == 202, answer.body
        return str(answer.document["id"])

    def end_of(self, task_id: str) -> dict[str, object]:
        """Wait for a task's end and return the task."""
        return dict(self.server.await_task(task_id, "succeeded", "failed", "cancelled", "dead"))

    def check(self) -> None:
        """Nobody outside was harmed, and the good agent answers."""
        assert [path.name for path in self.outside.iterdir()] == ["sentinel"]
        assert self.sentinel.read_text() == SECRET
        assert self.server.process.poll() is None
        answer = self.server.ask("POST", GOOD_PATH, {"command": "echo", "params": ["still here"]})
        assert (answer.status, answer.document) == (200, ["still here"])
        assert "Traceback" not in self.server.errors
        assert SECRET not in self.server.errors

    def remove(self, deployment_id: str) -> None:
        """Take a hostile agent off: nothing of it stays, and nothing else goes with it."""
        assert self.server.api("DELETE", f"/deployments/{deployment_id}").status == 202
        self.server.await_gone(deployment_id)
        queue = self.server.directory / "queues" / deployment_id
        wait_until(lambda: not queue.exists(), what="the removal of the queue")
        self.check()


@pytest.fixture(scope="module")
def server_with_victims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victims]:
    """Start the server once: what one attack breaks, the next one's checks find."""
    victims = Victims(tmp_path_factory.mktemp("hostile"))
    yield victims
    assert victims.server.stop() == 0
    assert victims.server.agent_processes() == []


@pytest.fixture
def victims(server_with_victims: Victims) -> Iterator[Victims]:
    """Check after every test that nobody was harmed."""
    yield server_with_victims
    server_with_victims.check()
