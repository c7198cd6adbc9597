"""What the runner reads: instants, names, manifests, settings, sources."""

import ast
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentcore.clock import instant_text, parse_instant
from agentcore.failures import INVALID_MANIFEST, TaskFailure
from agentcore.limits import MAX_MANIFEST_BYTES, MAX_TASK_BYTES
from agentcore.manifest import Manifest, read_manifest
from agentcore.methods import is_command_name, list_methods
from agentcore.settings import read_settings
from agentcore.task import AttemptName, parse_attempt_name, read_task

AGENTCORE = Path(__file__).parents[2] / "agentcore"


@pytest.mark.parametrize("path", sorted(AGENTCORE.rglob("*.py")), ids=lambda path: path.stem)
def test_every_file_is_python_3_8(path: Path) -> None:
    """No syntax is newer than the oldest Python an agent's image may bring."""
    ast.parse(path.read_text(), feature_version=(3, 8))


@pytest.mark.parametrize("path", sorted(AGENTCORE.rglob("*.py")), ids=lambda path: path.stem)
def test_every_file_needs_the_standard_library_only(path: Path) -> None:
    """Nothing of the server and no third-party package is imported."""
    import sys

    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported <= sys.stdlib_module_names | {"agentcore"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01t12:00:00.5z", datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-03-01 12:00:00.123456789+02:30", datetime(2026, 3, 1, 9, 30, 0, 123_456, tzinfo=UTC)),
        ("2026-03-01T23:00:00-02:00", datetime(2026, 3, 2, 1, tzinfo=UTC)),
    ],
)
def test_reads_instants(text: str, expected: datetime) -> None:
    """All forms of RFC 3339 are read, with fractions of any length."""
    assert parse_instant(text) == expected


@pytest.mark.parametrize(
    "text", ["", "now", "2026-03-01", "2026-03-01T12:00:00", "2026-13-01T12:00:00Z", "0001-01-01T00:00:00+01:00"]
)
def test_refuses_what_is_no_instant(text: str) -> None:
    """An instant without an offset, or out of range, is none."""
    with pytest.raises(ValueError, match=r"instant|month|range"):
        parse_instant(text)


def test_writes_instants_it_can_read() -> None:
    """Writing keeps microseconds even when they are zero."""
    assert instant_text(0) == "1970-01-01T00:00:00.000000Z"
    assert parse_instant(instant_text(1.5)).timestamp() == 1.5


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("t.1", AttemptName("t", 1)),
        ("01J-a_b.c:d.12", AttemptName("01J-a_b.c:d", 12)),
        ("t", None),
        ("t.", None),
        (".t.1", None),
        ("t.1.tmp", None),
        ("t/../x.1", None),
        ("t.1\n", None),
        ("t.1234567890", None),
    ],
)
def test_takes_attempt_names_apart(name: str, expected: AttemptName | None) -> None:
    """A name is `{taskId}.{attempt}` and nothing else."""
    assert parse_attempt_name(name) == expected


def test_refuses_a_task_file_that_is_too_large(tmp_path: Path) -> None:
    """A task above the bound is refused by its size, unread."""
    with (tmp_path / "t.1").open("wb") as file:
        file.truncate(MAX_TASK_BYTES + 1)
    with pytest.raises(TaskFailure, match="more than"):
        read_task(str(tmp_path / "t.1"), AttemptName("t", 1))


def test_refuses_a_missing_task_file(tmp_path: Path) -> None:
    """A task that vanished is refused with the system's reason."""
    with pytest.raises(TaskFailure, match="No such file"):
        read_task(str(tmp_path / "t.1"), AttemptName("t", 1))


@pytest.mark.parametrize("token", [None, 5, ["x"]])
def test_a_token_that_is_no_text_is_none(tmp_path: Path, token: object) -> None:
    """Odd metadata does not break an attempt."""
    (tmp_path / "t.1").write_text(json.dumps({"id": "t", "attempt": 1, "command": "c", "metadata": {"token": token}}))
    assert read_task(str(tmp_path / "t.1"), AttemptName("t", 1)).token == ""


def test_an_agent_needs_no_manifest(tmp_path: Path) -> None:
    """An absent manifest is an empty one."""
    assert read_manifest(str(tmp_path)) == Manifest()


@pytest.mark.parametrize(
    ("written", "module"),
    [
        ("main.py", "main.py"),
        ("src/main.py", "src/main.py"),
        ("src.main", "src/main.py"),
        ("main", "main.py"),
        ("/etc/x.py", "agent.py"),
        ("../x.py", "agent.py"),
        ("a/../../x.py", "agent.py"),
        ("a\0.py", "agent.py"),
        ("", "agent.py"),
        (5, "agent.py"),
    ],
)
def test_a_module_stays_inside_the_agent(tmp_path: Path, written: object, module: str) -> None:
    """A path or dotted name inside the folder is taken, anything else is left out."""
    (tmp_path / "manifest.json").write_text(json.dumps({"module": written}))
    assert read_manifest(str(tmp_path)).module == module


def test_reads_command_lines(tmp_path: Path) -> None:
    """A command line is a text to be split or a list of words; the rest is left out with a warning."""
    commands = {"a": "x 'y z'", "b": ["x", "y z"], "c": "", "d": [], "e": ["x", 1], "f": "'open", "g": 5}
    (tmp_path / "manifest.json").write_text(json.dumps({"commands": commands, "runTask": "run it"}))
    manifest = read_manifest(str(tmp_path))
    assert manifest.commands == {"a": ["x", "y z"], "b": ["x", "y z"]}
    assert manifest.run_task == ["run", "it"]


@pytest.mark.parametrize(("field", "value"), [("commands", []), ("concurrency", 0), ("concurrency", True)])
def test_leaves_wrong_fields_out(tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, value: object) -> None:
    """A field of the wrong type is named on stderr and otherwise as if it were absent."""
    (tmp_path / "manifest.json").write_text(json.dumps({field: value}))
    assert read_manifest(str(tmp_path)) == Manifest()
    assert f"`{field}`" in capsys.readouterr().err


def test_reads_a_manifest_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Editors that write a mark do no harm."""
    (tmp_path / "manifest.json").write_bytes(b'\xef\xbb\xbf{"concurrency": 3}')
    assert read_manifest(str(tmp_path)).concurrency_workers == 3


def test_refuses_a_manifest_that_is_too_large(tmp_path: Path) -> None:
    """A manifest above the bound fails the tasks instead of filling the memory."""
    (tmp_path / "manifest.json").write_text(" " * (MAX_MANIFEST_BYTES + 1))
    failure = read_manifest(str(tmp_path)).failure
    assert failure is not None
    assert failure.code == INVALID_MANIFEST


def test_refuses_a_manifest_that_is_a_folder(tmp_path: Path) -> None:
    """A manifest that cannot be read says why."""
    (tmp_path / "manifest.json").mkdir()
    failure = read_manifest(str(tmp_path)).failure
    assert failure is not None
    assert "directory" in failure.message


def test_settings_have_defaults() -> None:
    """Without an environment the places are those of a container."""
    settings = read_settings({})
    assert (settings.agent_directory, settings.queue_directory) == ("/agent", "/agent/.ploinky/queue")
    assert (settings.workers(None), settings.workers(7), settings.drain_seconds) == (4, 7, 10.0)


@pytest.mark.parametrize("text", ["many", "-1", "nan", "1e400"])
def test_wrong_numbers_leave_the_default(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A number that is none is told and the default holds."""
    settings = read_settings({"PLOINKY_DRAIN_SECONDS": text, "PLOINKY_CONCURRENCY": text})
    assert (settings.drain_seconds, settings.workers(None)) == (10.0, 4)
    assert "PLOINKY_DRAIN_SECONDS" in capsys.readouterr().err


def test_concurrency_is_bounded() -> None:
    """Neither the environment nor the manifest can ask for processes without end."""
    assert read_settings({"PLOINKY_CONCURRENCY": "100000"}).workers(None) == 256
    assert read_settings({}).workers(100_000) == 256


@pytest.mark.parametrize("name", ["echo", "ns.name", "Ünï-cödé", "a b", "x" * 128, "-v"])
def test_accepts_command_names(name: str) -> None:
    """Ordinary names are looked up, whatever their language."""
    assert is_command_name(name)


def test_listing_methods_runs_nothing(tmp_path: Path) -> None:
    """Sources are read, not imported: neither side effects nor broken files get in the way."""
    (tmp_path / "handlers").mkdir()
    (tmp_path / "agent.py").write_text(
        f"__all__ = ['one']\nopen({str(tmp_path / 'ran')!r}, 'w')\ndef one(a, /, b): pass\ndef two(): pass\n"
    )
    (tmp_path / "handlers/bad.py").write_text("def handle(:\n")
    (tmp_path / "handlers/_private.py").write_text("def handle(params, context): pass\n")
    found = list_methods(str(tmp_path), Manifest())
    assert [(method["name"], method["params"]) for method in found] == [("one", ["a", "b"]), ("methods", [])]
    assert not (tmp_path / "ran").exists()


def test_a_broken_manifest_has_no_methods(tmp_path: Path) -> None:
    """What cannot be called is not listed."""
    assert list_methods(str(tmp_path), Manifest(failure=TaskFailure(INVALID_MANIFEST, "broken"))) == []
