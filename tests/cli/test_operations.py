"""Commands inside instances keep their exit code and their streams; statistics are aligned and honest."""

import base64
import io
import json
from typing import Any

import pytest

from ploinky.cli.commands import operations
from tests.cli.conftest import CommandLine
from tests.cli.documents import deployment
from tests.cli.stub_server import Reply, StubServer, page_of, refusal

EXEC = "~/deployments/dep1/exec"


def executed(exit_code: int = 0, written: bytes = b"", complained: bytes = b"", /, **changes: Any) -> Reply:
    document = {
        "instance": "dep1.1.0",
        "exitCode": exit_code,
        "explanation": "",
        "stdout": base64.b64encode(written).decode(),
        "stderr": base64.b64encode(complained).decode(),
        "isTruncated": False,
        "isTimedOut": False,
    }
    return Reply(200, {**document, **changes})


def usage(**changes: Any) -> dict[str, Any]:
    document = {
        "instance": "dep1.1.0",
        "deployment": "dep1",
        "runtime": "docker",
        "cpuSeconds": 12.3456,
        "cpuPercent": 4.25,
        "memoryBytes": 30_000_000,
        "memoryLimitBytes": 536_870_912,
        "pids": 3,
        "pidsLimit": 256,
        "isUnknown": False,
    }
    return {**document, **changes}


class TestExec:
    def test_passes_everything_on_and_through(self, ploinky: CommandLine, stub: StubServer) -> None:
        """Command and choice go to the server; both streams and the exit code come out as they were."""
        stub.answer("GET", "~/deployments", Reply(200, page_of(deployment())))
        stub.answer("POST", EXEC, executed(3, b"out\n", b"err\n"))
        ran = ploinky(
            "exec", "/demo", "--timeout", "5", "--generation", "2", "--instance", "1", "--", "ls", "-l", "--x"
        )
        assert (ran.code, ran.out, ran.err) == (3, "out\n", "err\n")
        (request,) = stub.asked("POST", EXEC)
        assert request.document == {
            "command": ["ls", "-l", "--x"],
            "stdin": "",
            "encoding": "base64",
            "timeoutSeconds": 5.0,
            "generation": 2,
            "instance": 1,
        }

    def test_sends_its_input_only_when_asked(
        self, ploinky: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With -i standard input goes along, byte by byte; without, it is left to whoever else wants it."""
        stub.answer("POST", EXEC, executed())
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\0in")))
        ploinky.succeeds("exec", "dep1", "--", "cat")
        ploinky.succeeds("exec", "dep1", "-i", "--", "cat")
        sent = [base64.b64decode(request.document["stdin"]) for request in stub.asked("POST", EXEC)]
        assert sent == [b"", b"\xff\0in"]

    @pytest.mark.parametrize(
        ("reply", "code", "words"),
        [
            (executed(137, explanation="killed (SIGKILL)"), 137, "exit code 137: killed"),
            (executed(1), 1, ""),
            (executed(137, isTimedOut=True), 137, "killed after 30 s"),
            (executed(0, isTruncated=True), 0, "the rest is left out"),
        ],
        ids=["killed", "failed", "timed out", "truncated"],
    )
    def test_explains_what_does_not_explain_itself(
        self, ploinky: CommandLine, stub: StubServer, reply: Reply, code: int, words: str
    ) -> None:
        """A remark on stderr says what the exit code alone does not."""
        stub.answer("POST", EXEC, reply)
        ran = ploinky("exec", "dep1", "--", "x")
        assert (ran.code, ran.out) == (code, "")
        assert words in ran.err
        assert bool(words) == bool(ran.err)

    def test_prints_json_with_text(self, ploinky: CommandLine, stub: StubServer) -> None:
        """With --json the answer has both streams as text, and the exit code is still passed on."""
        stub.answer("POST", EXEC, executed(2, b"out \xff\n"))
        ran = ploinky("exec", "--json", "dep1", "--", "x")
        assert ran.code == 2
        assert json.loads(ran.out)["stdout"] == "out �\n"

    @pytest.mark.parametrize("broken", [{"stdout": "***"}, {"exitCode": None}, {"stderr": None}])
    def test_refuses_an_answer_that_is_none(self, ploinky: CommandLine, stub: StubServer, broken: Any) -> None:
        """An answer without streams or exit code is no answer."""
        stub.answer("POST", EXEC, executed(**broken))
        ran = ploinky("exec", "dep1", "--", "x")
        assert ran.code == 1
        assert "the answer holds no" in ran.err

    def test_tells_the_servers_refusal(self, ploinky: CommandLine, stub: StubServer) -> None:
        """When nothing runs the server's reason is told, with the code for what is not found."""
        stub.answer("POST", EXEC, refusal(404, "INSTANCE_NOT_FOUND", "No such instance of this deployment runs"))
        ran = ploinky("exec", "dep1", "--", "x")
        assert ran.code == 6
        assert "No such instance" in ran.err

    def test_needs_a_command(self, ploinky: CommandLine) -> None:
        """Without a command nothing is asked."""
        assert ploinky("exec", "dep1").code == 64


class TestStats:
    def test_shows_what_is_known(self, ploinky: CommandLine, stub: StubServer) -> None:
        """Amounts are written with their limits and units."""
        stub.answer("GET", "~/stats", Reply(200, page_of(usage())))
        line = ploinky.succeeds("stats").splitlines()[1]
        assert " ".join(line.split()) == "dep1.1.0 4.2 % 12.35 28.6 MiB of 512.0 MiB 3 of 256 docker"

    def test_shows_a_dash_for_what_is_not(self, ploinky: CommandLine, stub: StubServer) -> None:
        """What a runtime cannot tell is a dash, never a zero; a silent engine is named as such."""
        nothing = dict.fromkeys(("cpuSeconds", "cpuPercent", "memoryBytes", "memoryLimitBytes", "pids", "pidsLimit"))
        stub.answer("GET", "~/stats", Reply(200, page_of(usage(**nothing, isUnknown=True))))
        line = ploinky.succeeds("stats").splitlines()[1]
        assert " ".join(line.split()) == "dep1.1.0 - - - - docker, no answer"

    def test_asks_for_one_deployment(self, ploinky: CommandLine, stub: StubServer) -> None:
        """A path chooses a deployment, and --json prints what the server sent."""
        stub.answer("GET", "~/deployments", Reply(200, page_of(deployment())))
        stub.answer("GET", "~/deployments/dep1/stats", Reply(200, page_of(usage())))
        assert json.loads(ploinky.succeeds("stats", "/demo", "--json"))["data"] == [usage()]

    def test_says_that_nothing_runs(self, ploinky: CommandLine, stub: StubServer) -> None:
        """Without instances there is nothing to show."""
        stub.answer("GET", "~/stats", Reply(200, page_of()))
        ran = ploinky("stats")
        assert (ran.code, ran.out) == (0, "")
        assert "nothing runs" in ran.err

    def test_looks_again_and_again(
        self, ploinky: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With --watch it asks until the server refuses; with --json each look is one line."""
        monkeypatch.setattr(operations, "WATCH_SECONDS", 0.001)
        look = Reply(200, page_of(usage()))
        stub.answer("GET", "~/stats", look, look, look, refusal(503, "SHUTTING_DOWN"))
        ran = ploinky("stats", "--watch", "--json")
        assert ran.code != 0
        assert [json.loads(line)["data"] for line in ran.out.splitlines()] == [[usage()]] * 3
