"""Results as a hostile agent makes them: each is refused, removed, and nothing outside is touched."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ploinky.adapters.file_courier import FileCourier
from ploinky.adapters.file_courier_look import SCAN_LIMIT_NAMES
from ploinky.adapters.file_courier_outcomes import ERROR_MESSAGE_LIMIT_CHARACTERS, RESULT_LIMIT_BYTES
from ploinky.domain.errors import QueueUnavailable
from ploinky.ports.courier import Failed, Finding, Quarantined, Succeeded
from tests.adapters.courier.folder_agent import INSTANCE_ID, TASK_ID, FolderAgent, error, numbered_task_id, result

NAME = f"{TASK_ID}.1"
LEASE_HOLDER = """
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
sys.stdin.read()
"""


def look_one(courier: FileCourier) -> Finding:
    (finding,) = courier.look(INSTANCE_ID)
    return finding


def refusal(courier: FileCourier) -> str:
    """Return why the only finding was refused, having checked that its file is gone."""
    finding = look_one(courier)
    assert isinstance(finding, Quarantined)
    assert (finding.task_id, finding.attempt) == (TASK_ID, 1)
    assert courier.look(INSTANCE_ID, include_claims=True) == []
    return finding.reason


def make_socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


def make_tree(path: Path) -> None:
    (path / "deep" / "deeper").mkdir(parents=True)
    (path / "deep" / "file").write_text("x")


@pytest.mark.parametrize(
    ("make", "reason"),
    [(os.mkfifo, "a pipe"), (make_socket, "a socket"), (make_tree, "a folder")],
    ids=["pipe", "socket", "folder"],
)
def test_never_waits_for_what_is_no_file(
    courier: FileCourier, agent: FolderAgent, make: Callable[[Path], None], reason: str
) -> None:
    """Pipes, sockets and folders are named as what they are and removed, without blocking."""
    make(agent.root / "results" / NAME)
    assert reason in refusal(courier)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make devices")
def test_never_opens_a_device(courier: FileCourier, agent: FolderAgent) -> None:
    """A device is refused by its kind; this one could not even be opened."""
    os.mknod(agent.root / "results" / NAME, stat.S_IFCHR | 0o666, os.makedev(0, 0))
    assert "a device" in refusal(courier)


@pytest.mark.parametrize("target", ["owner", "inner", "missing"])
@pytest.mark.parametrize("folder", ["results", "errors"])
def test_never_follows_a_link(
    courier: FileCourier, agent: FolderAgent, outside: Path, folder: str, target: str
) -> None:
    """A link is refused and removed; what it points to is neither read nor touched."""
    (agent.root / folder / NAME).symlink_to(outside / target)
    assert "a link" in refusal(courier)


def test_refuses_a_link_to_a_valid_result(courier: FileCourier, agent: FolderAgent, place: Path) -> None:
    """Even a link to something that would be a good result is refused."""
    elsewhere = place / "good"
    elsewhere.write_text(json.dumps(result()))
    (agent.root / "results" / NAME).symlink_to(elsewhere)
    assert "a link" in refusal(courier)
    assert elsewhere.exists()


def test_refuses_a_file_with_a_second_name(courier: FileCourier, agent: FolderAgent, outside: Path) -> None:
    """A hard link to a file outside is refused, and only the agent's name of it is removed."""
    os.link(outside / "owner", agent.root / "results" / NAME)
    assert "second name" in refusal(courier)


def test_refuses_more_than_the_limit_without_reading_it(courier: FileCourier, agent: FolderAgent) -> None:
    """A sparse file of a gigabyte is refused by its size."""
    with (agent.root / "results" / NAME).open("wb") as sparse:
        sparse.truncate(1024**3)
    assert str(RESULT_LIMIT_BYTES) in refusal(courier)


def test_takes_a_result_of_exactly_the_limit(courier: FileCourier, agent: FolderAgent) -> None:
    """The limit itself is allowed."""
    head = json.dumps(result(data=""))[:-2].encode()
    agent.write("results", NAME, head + b"x" * (RESULT_LIMIT_BYTES - len(head) - 2) + b'"}')
    finding = look_one(courier)
    assert isinstance(finding, Succeeded)
    assert len(bytes(finding.data)) > RESULT_LIMIT_BYTES - 200


def test_refuses_a_file_that_may_not_be_opened(courier: FileCourier, agent: FolderAgent) -> None:
    """A lease, by which the owner of a file can stall whoever opens it, stalls nobody."""
    path = agent.write("results", NAME, result())
    holder = subprocess.Popen(
        [sys.executable, "-c", LEASE_HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert "cannot be opened" in refusal(courier)
        holder.kill()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (json.dumps(result()).encode()[:-5], "not JSON"),
        (b"\x00\xff\xfe", "not JSON"),
        (b'{"id":"%s","attempt":1,"success":true,"data":"\xff"}' % TASK_ID.encode(), "not JSON"),
        (b'{"id":"%s","attempt":1,"success":true,"data":NaN}' % TASK_ID.encode(), "not JSON"),
        (b'{"data":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested too deeply"),
        (b"[]", "fields are wrong"),
        (b'{"id":"%s","attempt":1}' % TASK_ID.encode(), "fields are wrong"),
        ({**result(), "attempt": "1"}, "fields are wrong"),
        (result(success="yes"), "fields are wrong"),
        (result(claimed_at="yesterday"), "fields are wrong"),
        (result(claimed_at="2024-01-01T00:00:00"), "fields are wrong"),
        (result(task_id=numbered_task_id(1)), "its id"),
        (result(attempt=2), "its attempt"),
        (result(success=False), "success"),
    ],
)
def test_refuses_what_is_no_result_of_this_attempt(
    courier: FileCourier, agent: FolderAgent, content: bytes | dict[str, object], reason: str
) -> None:
    """Half-written, malformed, or somebody else's results are refused with the reason."""
    agent.write("results", NAME, content)
    assert reason in refusal(courier)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (error(code=""), "fields are wrong"),
        (error(code="X" * 129), "fields are wrong"),
        (error(message=7), "fields are wrong"),
        (error(success=True), "success"),
        (error(attempt=2), "its attempt"),
        ({"id": TASK_ID, "attempt": 1, "success": False}, "fields are wrong"),
    ],
)
def test_refuses_what_is_no_error_of_this_attempt(
    courier: FileCourier, agent: FolderAgent, content: dict[str, object], reason: str
) -> None:
    """Errors are held to the same rules."""
    agent.write("errors", NAME, content)
    assert reason in refusal(courier)


def test_shortens_an_error_message(courier: FileCourier, agent: FolderAgent) -> None:
    """A message of a megabyte is cut, not refused: it still says what happened."""
    agent.write("errors", NAME, error(message="m" * 1_000_000))
    finding = look_one(courier)
    assert isinstance(finding, Failed)
    assert len(finding.message) == ERROR_MESSAGE_LIMIT_CHARACTERS


def test_takes_a_claim_time_at_the_edge_of_the_calendar(courier: FileCourier, agent: FolderAgent) -> None:
    """A time that does not exist in UTC is dropped; the result counts."""
    agent.write("results", NAME, result(claimed_at="0001-01-01T00:00:00+10:00"))
    finding = look_one(courier)
    assert isinstance(finding, Succeeded)
    assert finding.claimed_at is None


def test_a_result_without_data_is_null(courier: FileCourier, agent: FolderAgent) -> None:
    """JavaScript's serialiser leaves `undefined` out."""
    agent.write("results", NAME, {"id": TASK_ID, "attempt": 1, "success": True, "unknown": [1]})
    finding = look_one(courier)
    assert isinstance(finding, Succeeded)
    assert bytes(finding.data) == b"null"


@pytest.mark.parametrize(
    "name",
    [
        ".tmp-anything",
        f"{TASK_ID}.1\n",
        f"{TASK_ID}.01",
        f"{TASK_ID}.0",
        f"{TASK_ID}.-1",
        f"{TASK_ID}.1.1",
        f"{TASK_ID}.1234567890",
        TASK_ID,
        TASK_ID.upper() + ".1",
        f"{TASK_ID}.\N{ARABIC-INDIC DIGIT ONE}",
        "-rf",
        "x" * 150,
    ],
)
def test_ignores_names_that_mean_nothing(courier: FileCourier, agent: FolderAgent, name: str) -> None:
    """Whatever is not exactly an attempt's name is left alone and counted."""
    path = agent.write("results", name, result())
    assert courier.look(INSTANCE_ID) == []
    assert courier.stray_count(INSTANCE_ID) == 1
    assert path.exists()


def test_ignores_a_name_that_is_no_text(courier: FileCourier, agent: FolderAgent) -> None:
    """Bytes that are not UTF-8 are a name like any other that means nothing."""
    with open(os.path.join(os.fsencode(agent.root / "results"), b"\xff\xfe.1"), "wb"):
        pass
    assert courier.look(INSTANCE_ID) == []


@pytest.mark.parametrize("folder", ["results", "errors", "locks"])
def test_says_when_a_folder_is_flooded(courier: FileCourier, agent: FolderAgent, folder: str) -> None:
    """More names than any working agent makes: the queue is unavailable, after a bounded look."""
    for number in range(2 * SCAN_LIMIT_NAMES):
        os.close(os.open(agent.root / folder / f"{number}", os.O_CREAT | os.O_WRONLY))
    with pytest.raises(QueueUnavailable, match="flooded"):
        courier.look(INSTANCE_ID, include_claims=True)
