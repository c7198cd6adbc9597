"""What is written about the end of an attempt, and what programs leave behind."""

import json
import subprocess
import sys
from typing import Any

import pytest

from agentcore.external_commands import argument_of, result_of
from agentcore.failures import RESULT_NOT_SERIALISABLE, RESULT_TOO_LARGE, TASK_EXECUTION_ERROR, TaskFailure
from agentcore.outcome import failure_payload, success_payload
from agentcore.program_pipes import Output, converse
from agentcore.task import AttemptName

NAME = AttemptName("t", 2)


def program(source: str) -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", source], stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.mark.parametrize("data", [None, 0, "", [], {}, "ünï", "\ud800", {"k": [1.5, True, None]}])
def test_a_result_holds_its_data(data: object) -> None:
    """Whatever JSON can say comes out as it went in."""
    found = json.loads(success_payload(NAME, data, 1.25))
    assert found.pop("finished_at") > "2026"
    assert found == {
        "id": "t",
        "attempt": 2,
        "success": True,
        "data": data,
        "claimed_at": "1970-01-01T00:00:01.250000Z",
    }


class Hostile(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("not today")


@pytest.mark.parametrize("data", [{1, 2}, b"", float("inf"), object(), {"k": {(1,): 2}}, Hostile(k=1)])
def test_refuses_data_that_is_no_json(data: object) -> None:
    """The failure names the type of the result."""
    with pytest.raises(TaskFailure) as raised:
        success_payload(NAME, data, 0)
    assert raised.value.code == RESULT_NOT_SERIALISABLE
    assert raised.value.details == {"type": type(data).__name__}


def test_refuses_a_payload_above_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure tells the size and the bound."""
    monkeypatch.setattr("agentcore.outcome.MAX_RESULT_BYTES", 200)
    with pytest.raises(TaskFailure) as raised:
        success_payload(NAME, "x" * 200, 0)
    assert raised.value.code == RESULT_TOO_LARGE
    assert raised.value.details["limit_bytes"] == 200
    assert raised.value.details["bytes"] > 200


def test_an_error_holds_code_message_and_details() -> None:
    """An errors file says what failed; its message is bounded."""
    found = json.loads(failure_payload(NAME, TaskFailure("SOME_CODE", "m" * 5000, {"k": 1}), 0))
    assert (found["id"], found["attempt"], found["success"], found["code"]) == ("t", 2, False, "SOME_CODE")
    assert (found["message"], found["details"]) == ("m" * 4096, {"k": 1})


@pytest.mark.parametrize(
    ("param", "argument"),
    [("text", "text"), ("", ""), (5, "5"), (None, "null"), (True, "true"), ({"k": "ü"}, '{"k": "\\u00fc"}')],
)
def test_params_become_arguments(param: object, argument: str) -> None:
    """A text is itself, everything else is JSON."""
    assert argument_of(param) == argument


@pytest.mark.parametrize(
    ("stdout", "expected"),
    [
        (b'{"k": 1}\n', {"k": 1}),
        (b" [1] ", [1]),
        (b"5", 5),
        (b'"text"\n', "text"),
        (b"text\n\n", "text\n"),
        (b"", ""),
        (b"Infinity", "Infinity"),
        (b"[NaN]", "[NaN]"),
        (b"[" * 100_000, "[" * 100_000),
        (b"\xff", "\ufffd"),
    ],
)
def test_stdout_is_the_result(stdout: bytes, expected: object) -> None:
    """JSON when it is strict JSON, else a text without its last line end."""
    assert result_of(Output(0, stdout, b"", is_too_large=False)) == expected


@pytest.mark.parametrize(("status", "ending"), [(1, "status 1"), (255, "status 255"), (-15, "signal 15")])
def test_a_failed_program_is_an_error(status: int, ending: str) -> None:
    """The status is told in words and as a number, with what was printed."""
    with pytest.raises(TaskFailure, match=ending) as raised:
        result_of(Output(status, b"out", b"\xff", is_too_large=False))
    assert raised.value.code == TASK_EXECUTION_ERROR
    assert raised.value.details == {
        "code": status,
        "stdout": "out",
        "stdout_is_cut": False,
        "stderr": "\ufffd",
        "stderr_is_cut": False,
    }


def test_too_much_output_counts_before_the_status() -> None:
    """A program that was killed for its output is not reported as killed by a stranger."""
    with pytest.raises(TaskFailure) as raised:
        result_of(Output(-9, b"", b"", is_too_large=True))
    assert raised.value.code == RESULT_TOO_LARGE


@pytest.mark.parametrize("size_bytes", [0, 1, 4096, 65_536, 1_000_000])
def test_a_program_gets_all_of_its_input(size_bytes: int) -> None:
    """Input of any size arrives whole while the program prints it back."""
    text = b"x" * size_bytes
    output = converse(program("import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"), text)
    assert (output.status, output.stdout, output.stderr, output.is_too_large) == (0, text, b"", False)


def test_a_program_may_close_its_input() -> None:
    """Input that nobody reads is dropped."""
    output = converse(program("import os; os.close(0); print('fine')"), b"x" * 1_000_000)
    assert (output.status, output.stdout) == (0, b"fine\n")


def test_a_program_may_close_its_outputs_early() -> None:
    """The status is waited for though nothing more can be printed."""
    output = converse(program("import os; os.close(1); os.close(2); os.read(0, 1); os._exit(4)"), b"x" * 1_000_000)
    assert output.status == 4


def test_of_stderr_the_end_is_kept() -> None:
    """A chatty program does not fill the memory."""
    output = converse(program("import sys; sys.stderr.write('x' * 1000000 + 'end')"), b"")
    assert len(output.stderr) == 32 * 1024
    assert output.stderr.endswith(b"xend")


def test_a_flood_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that prints above the bound is killed."""
    monkeypatch.setattr("agentcore.program_pipes.MAX_RESULT_BYTES", 1000)
    output = converse(program("while True: print('x' * 1000)"), b"")
    assert output.is_too_large
    assert output.status == -9


def test_refuses_a_program_without_pipes() -> None:
    """A program that cannot be talked to is an error, not a hang."""
    with subprocess.Popen(["true"]) as bare, pytest.raises(ValueError, match="without pipes"):
        converse(bare, b"")
