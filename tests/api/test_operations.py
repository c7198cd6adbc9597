"""Commands inside a real agent, and what it takes, over the API."""

import base64

import pytest

from tests.server.running import RunningServer

LOOK = ["python3", "-c", "import os; print(os.environ['PLOINKY_PATH'])"]


class TestExec:
    def test_runs_beside_the_agent(self, server: RunningServer, deployment_id: str) -> None:
        """The command has the agent's environment; its exit code and output come back."""
        done = server.api("POST", f"/deployments/{deployment_id}/exec", {"command": LOOK})
        assert done.status == 200, done
        assert done.document == {
            "instance": f"{deployment_id}.1.0",
            "exitCode": 0,
            "explanation": "ended without an error",
            "stdout": "/sample\n",
            "stderr": "",
            "isTruncated": False,
            "isTimedOut": False,
        }

    def test_takes_and_gives_any_bytes(self, server: RunningServer, deployment_id: str) -> None:
        """As base64 no byte is lost, in either direction."""
        content = base64.b64encode(bytes(range(256))).decode()
        body = {"command": ["cat"], "stdin": content, "encoding": "base64"}
        assert server.api("POST", f"/deployments/{deployment_id}/exec", body).document["stdout"] == content

    def test_ends_what_takes_too_long(self, server: RunningServer, deployment_id: str) -> None:
        """A command is killed when its time is over, and the answer says so."""
        body = {"command": ["sleep", "600"], "timeoutSeconds": 0.5}
        done = server.api("POST", f"/deployments/{deployment_id}/exec", body).document
        assert (done["isTimedOut"], done["exitCode"]) == (True, 137)

    def test_is_recorded_without_arguments(self, server: RunningServer, deployment_id: str) -> None:
        """Who ran what is on record; arguments and output, which may be secret, are not."""
        server.api("POST", f"/deployments/{deployment_id}/exec", {"command": ["echo", "s3cret", "x"]})
        page = server.api("GET", "/events?type=instance.exec_requested&limit=1000").document
        newest = page["data"][-1]
        assert newest["data"] == {"program": "echo", "argument_count": 2}
        assert newest["actor"].startswith("key:")
        assert "s3cret" not in str(page)

    @pytest.mark.parametrize(
        "body",
        [
            {"command": []},
            {"command": [""]},
            {"command": ["x\0y"]},
            {"command": "ls"},
            {"command": ["cat"], "stdin": "***", "encoding": "base64"},
            {"command": ["cat"], "timeoutSeconds": 0},
            {"command": ["cat"], "user": "root"},
        ],
    )
    def test_refuses_what_is_no_command(self, server: RunningServer, deployment_id: str, body: object) -> None:
        """A request that cannot be understood runs nothing."""
        answer = server.api("POST", f"/deployments/{deployment_id}/exec", body)
        assert (answer.status, answer.code) == (400, "INVALID_REQUEST")

    def test_needs_a_key(self, server: RunningServer, deployment_id: str) -> None:
        """Nobody else runs anything."""
        answer = server.ask("POST", f"/management/api/deployments/{deployment_id}/exec", {"command": ["ls"]})
        assert answer.status == 401

    @pytest.mark.parametrize("choice", [{"generation": 99}, {"instance": 7}])
    def test_finds_no_other_instance(self, server: RunningServer, deployment_id: str, choice: dict[str, int]) -> None:
        """A generation or number that does not run is not replaced by another."""
        answer = server.api("POST", f"/deployments/{deployment_id}/exec", {"command": ["ls"], **choice})
        assert (answer.status, answer.code) == (404, "INSTANCE_NOT_FOUND")

    def test_finds_no_unknown_deployment(self, server: RunningServer) -> None:
        """There is nothing to run in what was never deployed."""
        for method, path in (("POST", "exec"), ("GET", "stats")):
            body = {"command": ["ls"]} if method == "POST" else None
            assert server.api(method, f"/deployments/absent/{path}", body).code == "DEPLOYMENT_NOT_FOUND"


class TestStats:
    def test_counts_what_runs(self, server: RunningServer, deployment_id: str) -> None:
        """Each instance is measured; its share of the processor shows from the second look on."""
        first, second = (server.api("GET", f"/deployments/{deployment_id}/stats").document["data"][0] for _ in "12")
        assert first["instance"] == f"{deployment_id}.1.0"
        assert first["memoryBytes"] > 1_000_000
        assert first["pids"] >= 1
        assert first["memoryLimitBytes"] is None
        assert second["cpuPercent"] >= 0
        assert second["cpuSeconds"] >= first["cpuSeconds"] > 0
        assert not second["isUnknown"]

    def test_of_all_is_paged(self, server: RunningServer, deployment_id: str) -> None:
        """All instances are listed page by page, and only those of the page are measured."""
        page = server.api("GET", "/stats?perPage=1").document
        assert page["pagination"]["perPage"] == 1
        assert page["data"][0]["deployment"] == deployment_id


def test_instances_tell_how_they_are(server: RunningServer, deployment_id: str) -> None:
    """An instance has an age, and neither an end nor an unknown state while it runs."""
    rows = server.api("GET", "/instances").document["data"]
    (row,) = [row for row in rows if row["deployment"] == deployment_id]
    assert row["createdAt"]
    assert (row["unknownSince"], row["exitCode"], row["explanation"]) == (None, None, "")
