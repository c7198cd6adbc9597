"""Kill -9 at every kind of step: what was acknowledged is there, and nothing is there by halves."""

import signal
from itertools import takewhile
from pathlib import Path

import pytest

from tests.crash.journal.aftermath import acknowledged, check, run, tracer
from tests.crash.journal.appending import BATCH_RECORDS

pytestmark = pytest.mark.crash

BATCHES = 10
POINTS_PER_KIND = 10
KINDS = {"sync": "fdatasync", "file write": "pwrite64", "answer": "write"}


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How often an undisturbed run makes each kind of call before it says that it has closed.

    What comes after that is not the journal's: a measuring of coverage writes its own files at the very end.
    """
    folder = tmp_path_factory.mktemp("count")
    result = run(folder / "journal.db", BATCHES, *tracer(",".join(KINDS.values()), folder / "trace"))
    assert result.stdout.endswith("closed\n")
    lines = takewhile(lambda line: '"closed' not in line, (folder / "trace").read_text().splitlines())
    names = [line.split()[1].partition("(")[0] for line in lines]
    return {kind: names.count(call) for kind, call in KINDS.items()}


@pytest.mark.strace
@pytest.mark.parametrize("point", range(POINTS_PER_KIND))
@pytest.mark.parametrize("kind", KINDS)
def test_survives_kill_at_a_system_call(tmp_path: Path, calls: dict[str, int], kind: str, point: int) -> None:
    """Ended right before a sync, a write to a file or an answer, the journal holds every acknowledged batch."""
    assert calls[kind] >= POINTS_PER_KIND
    at = 1 + point * (calls[kind] - 1) // (POINTS_PER_KIND - 1)
    journal = tmp_path / "journal.db"
    result = run(journal, BATCHES, *tracer(KINDS[kind], tmp_path / "trace", f"signal=SIGKILL:when={at}"))
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert "closed" not in result.stdout
    position = check(journal, result)
    print(f"{kind} {at} of {calls[kind]}: acknowledged {acknowledged(result)}, found {position}")


@pytest.mark.parametrize(
    ("name", "hit", "last_acknowledged", "found"),
    [
        ("journal.append.begin", 1, 0, 0),
        ("journal.append.begin", 8, 21, 21),
        ("journal.append.commit", 1, 0, 0),
        ("journal.append.commit", 8, 21, 21),
        ("journal.append.done", 1, 0, 3),
        ("journal.append.done", 8, 21, 24),
    ],
)
def test_survives_kill_at_a_failpoint(tmp_path: Path, name: str, hit: int, last_acknowledged: int, found: int) -> None:
    """Before the commit nothing of the batch is there, after it all of it, though nobody was told."""
    journal = tmp_path / "journal.db"
    result = run(journal, BATCHES, PLOINKY_FAILPOINTS=f"{name}=kill@{hit}")
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert acknowledged(result) == last_acknowledged
    assert check(journal, result) == found


def test_reaches_every_failpoint(tmp_path: Path) -> None:
    """An undisturbed run comes by each failpoint once per batch, and everything is acknowledged."""
    log = tmp_path / "hits"
    result = run(tmp_path / "journal.db", BATCHES, PLOINKY_FAILPOINTS="*=count", PLOINKY_FAILPOINTS_LOG=str(log))
    assert result.returncode == 0, result.stderr
    hits = log.read_text().split()
    assert {name: hits.count(name) for name in hits} == {
        f"journal.append.{step}": BATCHES for step in ("begin", "commit", "done")
    }
    assert check(tmp_path / "journal.db", result) == BATCHES * BATCH_RECORDS
