"""What holds for any input: names never become paths, instants and results come back as they went."""

import json
import os
import random
import signal
import string
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agentcore.clock import instant_text, parse_instant
from agentcore.hiding import Hider, tail_of
from agentcore.methods import is_command_name
from agentcore.outcome import success_payload
from agentcore.task import AttemptName, parse_attempt_name
from tests.agentcore.conftest import Agent
from tests.waiting import wait_until

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
likely_paths = st.text(st.sampled_from("ab./_\\\0\n-~*1")) | st.text()


@given(likely_paths)
def test_a_command_name_is_never_a_path(command: str) -> None:
    """Whatever is accepted names a file right inside its folder, and a public one."""
    if is_command_name(command):
        path = os.path.normpath(os.path.join("/agent/handlers", command))
        assert os.path.dirname(path) == "/agent/handlers"
        assert not os.path.basename(path).startswith((".", "_"))
        assert "\0" not in command


@given(likely_paths)
def test_an_attempt_name_is_never_a_path(name: str) -> None:
    """Whatever is accepted is one plain file name and says what it was made of."""
    parsed = parse_attempt_name(name)
    if parsed is not None:
        assert os.path.basename(name) == name
        assert name.isascii()
        assert name.isprintable()
        assert name.startswith(f"{parsed.task_id}.")
        assert int(name.rpartition(".")[2]) == parsed.attempt


@given(st.text(string.ascii_letters + string.digits, min_size=1, max_size=40), st.integers(0, 999_999_999))
def test_an_attempt_name_comes_back(task_id: str, attempt: int) -> None:
    """Every name the server makes is understood."""
    assert parse_attempt_name(f"{task_id}.{attempt}") == AttemptName(task_id, attempt)


@given(st.integers(0, 7_000_000_000_000_000))
def test_an_instant_comes_back(epoch_microseconds: int) -> None:
    """Writing and reading loses at most the rounding of a float."""
    instant = datetime.fromtimestamp(epoch_microseconds / 1e6, UTC)
    assert abs((parse_instant(instant_text(instant.timestamp())) - instant).total_seconds()) < 1e-5


@given(json_values)
def test_a_result_comes_back(data: object) -> None:
    """Any JSON value is the same after it was written and read."""
    assert json.loads(success_payload(AttemptName("t", 1), data, 0))["data"] == data


@given(st.text(), st.integers(1, 50))
def test_a_tail_is_bounded(text: str, limit_bytes: int) -> None:
    """The end of a text never exceeds its bound and is always an end."""
    tail, is_cut = tail_of(text, limit_bytes)
    assert len(tail.encode()) <= limit_bytes
    assert is_cut is (len(text.encode("utf-8", "backslashreplace")) > limit_bytes)
    if not is_cut:
        assert tail == text.encode("utf-8", "backslashreplace").decode()


@given(st.dictionaries(st.sampled_from(["A_TOKEN", "B_SECRET", "C_KEY"]), st.text("ab", min_size=4)), st.text("abc"))
def test_no_secret_is_left_in_a_text(environment: dict[str, str], text: str) -> None:
    """After hiding, no secret's value stands in the text any more, whatever it was made of."""
    hidden = Hider(environment).hide(text + "".join(environment.values()))
    assert not [value for value in environment.values() if value in hidden]


def children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def test_every_attempt_has_one_outcome_though_workers_are_killed(agent: Agent) -> None:
    """Under kill -9 of workers at random moments each attempt ends once: with its result or WORKER_DIED."""
    agent.write("agent.py", "import os\ndef work(x):\n    for _ in range(2000):\n        os.getpid()\n    return x\n")
    agent.start(PLOINKY_CONCURRENCY="3")
    chance = random.Random(7)
    names = [agent.submit("work", number, name=f"t{number}.1") for number in range(150)]
    killed = 0

    def is_finished() -> bool:
        nonlocal killed
        workers = children_of(agent.pid)
        if workers and killed < 20:
            os.kill(chance.choice(workers), signal.SIGKILL)
            killed += 1
        return all(agent.outcome(name) for name in names)

    wait_until(is_finished, timeout_seconds=30, what="the outcome of all attempts")
    for number, name in enumerate(names):
        found = agent.wait_outcome(name)
        assert found.get("data", number) == number
        assert found.get("code", "WORKER_DIED") == "WORKER_DIED"
        assert not ((agent.queue / "results" / name).exists() and (agent.queue / "errors" / name).exists())
    assert killed > 0
    agent.signal(signal.SIGTERM)
    assert agent.wait_end() == 0
