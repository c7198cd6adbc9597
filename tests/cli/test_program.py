"""The program itself: help that costs nothing, both names, completion, and a quiet end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ploinky.cli.catalog import COMMANDS, EXIT_CODES
from ploinky.cli.failures import ExitCode
from tests.cli.conftest import CommandLine
from tests.cli.documents import event, health
from tests.cli.stub_server import Reply, StubServer, page_of
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
HEAVY = ("http", "json", "ssl", "socket", "email", "importlib.metadata", "logging", "subprocess", "difflib", "secrets")
OURS = ("ploinky.client", "ploinky.server", "ploinky.domain")
GROUPS = {
    "keys": ("list", "recover", "revoke"),
    "settings": ("set", "show"),
    "config": ("show",),
    "image": ("build-base",),
    "new": ("agent",),
    "repo": ("add", "list", "remove"),
    "registry": ("add", "list", "remove"),
    "agent": ("restart", "start", "stop", "update"),
}
WITHOUT_JSON = {"start"}


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={name: value for name, value in os.environ.items() if not name.startswith(("COV_", "COVERAGE_"))},
    )


def imported_by(*arguments: str) -> set[str]:
    """Name the modules that one command line brings in, beyond those Python starts with."""
    code = (
        "import sys; before = set(sys.modules); sys.argv = ['ploinky', *sys.argv[1:]]\n"
        "from ploinky.cli.main import main\n"
        "main()\n"
        "print('\\n'.join(set(sys.modules) - before), file=sys.stderr)"
    )
    return set(python(code, *arguments).stderr.split())


def run_as(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.argv[0] = '/usr/bin/" + program + "'; from ploinky.cli.main import main; sys.exit(main())"
    return python(code, *arguments)


def started(*arguments: str, home: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "ploinky.cli.main", *arguments],
        cwd=ROOT,
        env={**os.environ, "HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("help",), ()])
def test_help_imports_nothing_but_the_catalog(arguments: tuple[str, ...]) -> None:
    """The help of the program needs neither click nor anything else."""
    imported = imported_by(*arguments)
    assert {name for name in imported if name.startswith("ploinky")} == {
        "ploinky",
        "ploinky.cli",
        "ploinky.cli.main",
        "ploinky.cli.catalog",
    }
    assert "click" not in imported


@pytest.mark.parametrize("command", ["deploy", "events", "keys", "new", "start"])
def test_help_of_a_command_imports_nothing_heavy(command: str) -> None:
    """The help of a command brings in click, and neither the network nor JSON nor the server."""
    imported = imported_by(command, "--help")
    heavy = {name for name in imported if name.split(".")[0] in HEAVY or name in HEAVY or name.startswith(OURS)}
    assert not heavy
    assert "click" in imported


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_catalog_is_there(local: CommandLine, command: str) -> None:
    """Each name leads to a command whose help can be shown, with the two ways to ask for it."""
    assert local.succeeds(command, "--help") == local.succeeds("help", command)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - set(GROUPS) - WITHOUT_JSON))
def test_every_command_takes_json(local: CommandLine, command: str) -> None:
    """`--json` is an option of each command."""
    assert "--json" in local.succeeds(command, "--help")


@pytest.mark.parametrize("group", GROUPS)
def test_every_command_of_a_group_takes_json(local: CommandLine, group: str) -> None:
    """Groups have the commands they are known for, each with `--json`."""
    for command in GROUPS[group]:
        assert "--json" in local.succeeds(group, command, "--help")


def test_help_tells_commands_options_and_exit_codes(local: CommandLine) -> None:
    """The help names everything a person can type, whichever way it is asked for."""
    out = local.succeeds("--help")
    assert all(f"\n  {name} " in out for name in COMMANDS)
    assert EXIT_CODES in out
    assert all(str(int(code)) in EXIT_CODES for code in ExitCode)
    assert local.succeeds("--json", "--help").strip() == out.strip()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("--nonsense",),
        ("deploy",),
        ("deployments", "a", "b"),
        ("deployments", "--page", "0"),
        ("keys",),
        ("keys", "nonsense"),
        ("completion", "tcsh"),
        ("--url",),
        ("--json",),
        ("new", "agent"),
    ],
)
def test_exits_with_64_for(local: CommandLine, arguments: tuple[str, ...]) -> None:
    """A command line that cannot be understood is told on stderr."""
    ran = local(*arguments)
    assert (ran.code, ran.out) == (64, "")
    assert ran.err


def test_guesses_what_was_meant(local: CommandLine) -> None:
    """A mistyped command gets the nearest ones."""
    assert "Did you mean deploy" in local("deplyo").err
    assert "Did you mean" not in local("xyzzy").err


def test_shows_its_version(local: CommandLine) -> None:
    """The version is shown by command and by option."""
    out = local.succeeds("version")
    assert out.startswith("ploinky 0")
    assert local.succeeds("--version") == out
    assert json.loads(local.succeeds("version", "--json"))["version"] in out


def test_has_the_same_commands_under_its_other_name(ploinky: CommandLine, stub: StubServer) -> None:
    """`p-cli cloud X` and `p-cli client X` are `ploinky X`, options included."""
    stub.answer("GET", "~/routes", Reply(200, page_of({"domain": "localhost", "path": "/"})))
    expected = ploinky.succeeds("routes")
    for arguments in (("routes",), ("cloud", "routes"), ("client", "routes")):
        assert ploinky.succeeds(*arguments, program="p-cli") == expected
    as_json = ploinky.succeeds("cloud", "--json", "routes", program="p-cli")
    assert json.loads(as_json)["data"][0]["path"] == "/"
    assert ploinky("cloud", "cloud", "routes", program="p-cli").code == 64
    assert ploinky("cloud", "routes").code == 64


def test_knows_which_name_it_was_called_by() -> None:
    """The help speaks of the name that was typed, and only one has the groups."""
    other = run_as("p-cli", "--help").stdout
    assert other.startswith("Usage: p-cli ")
    assert "\n  cloud " in other
    own = run_as("ploinky", "--help").stdout
    assert own.startswith("Usage: ploinky ")
    assert "\n  cloud " not in own


def test_exits_with_the_code_of_the_command(home: Path) -> None:
    """The process ends with what the command ended with."""
    assert run_as("ploinky", "nonsense").returncode == 64
    assert run_as("ploinky", "health", "--url", "http://127.0.0.1:1").returncode == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_prints_a_completion_script(local: CommandLine, shell: str) -> None:
    """The script asks this program under the name it was made by."""
    assert "_PLOINKY_COMPLETE" in local.succeeds("completion", shell)
    assert "_P_CLI_COMPLETE" in local.succeeds("completion", shell, program="p-cli")
    assert json.loads(local.succeeds("completion", shell, "--json"))["shell"] == shell


def test_completes_commands(local: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell is told the commands that begin like what was typed."""
    monkeypatch.setenv("_PLOINKY_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "ploinky deplo")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert local().out.split() == ["plain,deploy", "plain,deployments"]
    monkeypatch.setenv("COMP_WORDS", "ploinky agent st")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert local().out.split() == ["plain,start", "plain,stop"]


def test_tells_what_was_not_expected(local: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect is one line, too; where it is only shows when asked."""
    monkeypatch.setitem(sys.modules, "ploinky.cli.commands.about", None)
    ran = local("version")
    assert ran.code == 1
    assert "(INTERNAL_ERROR)\nhint: PLOINKY_TRACEBACK=1" in ran.err
    assert "Traceback" not in ran.err
    monkeypatch.setenv("PLOINKY_TRACEBACK", "1")
    assert "Traceback" in local("version").err


def test_ends_quietly_when_interrupted(home: Path, stub: StubServer) -> None:
    """Ctrl-C while it follows ends it with 130, without a traceback."""
    line = f"data: {json.dumps(event(5))}\n\n".encode()
    stub.answer("GET", "~/events/stream", Reply(content=line, is_stream=True, is_held=True))
    with started("events", "-f", "--after", "4", "--url", stub.url, home=home) as process:
        assert process.stdout is not None
        assert b"DeploymentRequested" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_ends_quietly_when_nobody_reads(home: Path, stub: StubServer) -> None:
    """A reader that has enough, like head, is no error."""
    events = [event(position, data={"text": "x" * 1000}) for position in range(1, 501)]
    stub.answer("GET", "~/events", Reply(200, {"data": events, "next": 500}), Reply(200, {"data": []}))
    with started("events", "--json", "--url", stub.url, home=home) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.wait(timeout=30)
    assert process.returncode == 141


def test_ends_quietly_when_the_last_bytes_find_no_reader(home: Path, stub: StubServer) -> None:
    """Also output that is still buffered when the command has ended."""
    stub.answer("GET", "~/health", Reply(200, health()))
    with started("health", "--url", stub.url, home=home) as process:
        assert process.stdout is not None
        process.stdout.close()
        wait_until(lambda: process.poll() is not None, timeout_seconds=30)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141
