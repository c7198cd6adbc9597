"""The bounds of one look, and that no content an agent can write breaks it."""

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ploinky.adapters import file_courier_look
from ploinky.adapters.file_courier import FileCourier
from ploinky.adapters.file_courier_folder import QueueFolder
from ploinky.adapters.file_courier_look import LOOK_LIMIT_BYTES, REPORT_AGAIN_SECONDS, OpenQueue
from ploinky.adapters.file_courier_names import AttemptName, attempt_name, parse_attempt
from ploinky.adapters.file_courier_outcomes import read_outcome
from ploinky.domain.errors import QueueUnavailable
from ploinky.ports.courier import Finding, Quarantined, Succeeded
from tests.adapters.courier.folder_agent import INSTANCE_ID, TASK_ID, FolderAgent, numbered_task_id, result

NAME = f"{TASK_ID}.1"
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@pytest.fixture
def queue(courier: FileCourier, agent: FolderAgent) -> OpenQueue:
    return courier._queues[INSTANCE_ID]


def look(queue: OpenQueue, now_seconds: float) -> tuple[list[Finding], bool]:
    findings: list[Finding] = []
    return findings, queue.collect_outcomes(findings, now_seconds)


def test_reports_again_what_nobody_settled(queue: OpenQueue, agent: FolderAgent) -> None:
    """A result lost on its way to the journal is reported again after five seconds, not before."""
    agent.succeed()
    assert [len(look(queue, now)[0]) for now in (0.0, 1.0, REPORT_AGAIN_SECONDS, REPORT_AGAIN_SECONDS + 1)] == [
        1,
        0,
        1,
        0,
    ]


def test_stops_when_enough_was_read(queue: OpenQueue, agent: FolderAgent) -> None:
    """A look that has read its share leaves the rest, in results and errors, for the next."""
    padding = "x" * (LOOK_LIMIT_BYTES // 2)
    for number in range(3):
        agent.write("results", f"{numbered_task_id(number)}.1", result(numbered_task_id(number), data=padding))
    agent.fail()
    first, is_first_complete = look(queue, 0.0)
    second, is_second_complete = look(queue, 0.0)
    assert (len(first), is_first_complete, len(second), is_second_complete) == (2, False, 2, True)


def test_forgets_what_it_reported_when_that_is_too_much(
    queue: OpenQueue, agent: FolderAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that takes its results back again and again cannot make the server remember without bound."""
    monkeypatch.setattr(file_courier_look, "SCAN_LIMIT_NAMES", 3)
    for number in range(50):
        path = agent.write("results", f"{numbered_task_id(number)}.1", result(numbered_task_id(number)))
        assert len(look(queue, 0.0)[0]) == 1
        path.unlink()
        assert len(queue._reported["results"]) <= 4


def test_leaves_out_what_vanishes_during_the_look(
    queue: OpenQueue, agent: FolderAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is gone when it is opened is no finding."""
    names = OpenQueue._names
    monkeypatch.setattr(OpenQueue, "_names", lambda *of: [*names(*of), NAME])
    assert look(queue, 0.0) == ([], True)
    assert queue.claims(0.0) == []


def test_trouble_of_the_servers_own_is_not_the_agents_fault(
    courier: FileCourier, agent: FolderAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running out of descriptors makes the queue unavailable and leaves the result where it is."""

    def fail(*arguments: object, **options: object) -> None:
        raise OSError(24, "Too many open files")

    agent.succeed()
    with monkeypatch.context() as patch:
        patch.setattr(file_courier_look, "read_outcome", fail)
        with pytest.raises(QueueUnavailable, match="Too many open files"):
            courier.look(INSTANCE_ID)
    assert [type(found) for found in courier.look(INSTANCE_ID)] == [Succeeded]


@given(content=st.binary(max_size=300) | JSON_VALUES.map(msgspec.json.encode))
def test_any_content_is_a_result_or_quarantined(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever the bytes are, reading them gives a finding of this attempt, and never an exception."""
    finding = read_content(tmp_path_factory, content)
    assert (finding.task_id, finding.attempt) == (TASK_ID, 1)
    assert isinstance(finding, (Succeeded, Quarantined))


@given(data=JSON_VALUES, extra=st.dictionaries(st.text(min_size=11), JSON_VALUES, max_size=3))
def test_any_data_comes_through(
    tmp_path_factory: pytest.TempPathFactory, data: object, extra: dict[str, object]
) -> None:
    """What the agent answers arrives byte for byte, whatever else it writes beside."""
    document = {**extra, "id": TASK_ID, "attempt": 1, "success": True, "data": data}
    finding = read_content(tmp_path_factory, msgspec.json.encode(document))
    assert isinstance(finding, Succeeded)
    assert bytes(finding.data) == msgspec.json.encode(data)


def read_content(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> Finding:
    directory = tmp_path_factory.mktemp("results")
    (directory / NAME).write_bytes(content)
    folder_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return read_outcome(folder_fd, AttemptName(TASK_ID, 1), INSTANCE_ID, is_success_expected=True)[0]
    finally:
        os.close(folder_fd)


@given(
    task_id=st.text("0123456789abcdefghijklmnopqrstuv", min_size=20, max_size=20),
    attempt=st.integers(1, 999_999_999),
)
def test_names_come_back_as_they_were(task_id: str, attempt: int) -> None:
    """Every attempt's name is read as that attempt."""
    assert parse_attempt(attempt_name(task_id, attempt)) == (task_id, attempt)


@given(name=st.text(max_size=40))
def test_other_names_mean_nothing(name: str) -> None:
    """A name is either exactly what its parts would be called, or nothing."""
    parsed = parse_attempt(name)
    assert parsed is None or attempt_name(*parsed) == name


def test_a_folder_closes_what_it_opened_when_it_cannot_be_opened(
    courier: FileCourier, agent: FolderAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure half way leaves no descriptor open."""
    before = len(os.listdir("/proc/self/fd"))
    (agent.root / "locks").rmdir()
    with pytest.raises(QueueUnavailable, match="cannot be opened"):
        QueueFolder(courier._queues_fd, INSTANCE_ID)
    assert len(os.listdir("/proc/self/fd")) == before
