"""The conversation with the child process is bounded in time and in size, and leaves nobody behind."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ploinky.adapters import dulwich_sources_process
from ploinky.adapters.dulwich_sources_process import STDERR_BYTES, run_child
from ploinky.domain.errors import SourceInvalid, SourceUnavailable
from tests.waiting import wait_until

Ask = Callable[..., dict[str, object]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    monkeypatch.setattr(dulwich_sources_process, "CHILD_MODULE", "tests.adapters.sources.odd_child")

    def ask(how: str, progress: Callable[[str], None] = print, timeout_seconds: float = 60) -> dict[str, object]:
        return run_child(json.dumps({"how": how}).encode(), timeout_seconds, progress)

    return ask


def test_passes_progress_and_returns_the_answer(ask: Ask) -> None:
    """Lines arrive in order, and the last message is the answer."""
    lines: list[str] = []
    assert ask("answer", lines.append)["commit"] == "c"
    assert lines == ["one", "two"]


def test_the_child_sees_a_clean_environment(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that could make git ask or run somebody, and no secret of ours, reaches the child."""
    for name in ("GIT_ASKPASS", "SSH_ASKPASS", "GIT_DIR", "GIT_SSH_COMMAND", "PLOINKY_SECRET", "PYTHONSTARTUP"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    environment = ask("answer")["environment"]
    assert isinstance(environment, dict)
    assert environment["https_proxy"] == "http://proxy.example:3128"
    assert environment["HOME"] == "/nonexistent"
    assert "x" not in environment.values()


def test_a_child_that_hangs_is_killed(ask: Ask) -> None:
    """The time-out holds, and is an error that heals."""
    started = time.monotonic()
    with pytest.raises(SourceUnavailable, match="too long"):
        ask("hang", timeout_seconds=0.3)
    assert time.monotonic() - started < 30


def test_what_the_child_left_behind_is_killed(ask: Ask) -> None:
    """A grandchild that keeps the pipes open ends with the time-out, as part of the group."""
    pids: list[str] = []
    with pytest.raises(SourceUnavailable, match="too long"):
        ask("leave somebody behind", pids.append, timeout_seconds=1.5)

    def has_ended() -> bool:
        try:
            return Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    wait_until(has_ended, what="the end of the grandchild")


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("garbage", SourceUnavailable, "garbage"),
        ("die", SourceUnavailable, "without an answer"),
        ("long line", SourceInvalid, "too many"),
        ("many lines", SourceInvalid, "too many"),
        ("many errors", SourceUnavailable, "the last line"),
    ],
)
def test_a_child_that_misbehaves_is_an_error(ask: Ask, how: str, error: type[Exception], message: str) -> None:
    """Whatever it says, the server keeps a bounded part of it and answers in words."""
    with pytest.raises(error, match=message) as caught:
        ask(how, [].append)
    assert len(str(caught.value)) < STDERR_BYTES + 200


def test_a_request_to_nobody_is_an_error(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that never started says why on its standard error."""
    monkeypatch.setattr(dulwich_sources_process, "CHILD_MODULE", "tests.adapters.sources.missing")
    with pytest.raises(SourceUnavailable, match="missing"):
        ask("answer")
