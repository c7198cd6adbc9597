"""What an agent that means harm can do as a process: as a user of its own, and in a sandbox."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ploinky.adapters import process_runtime_launch
from ploinky.adapters.process_runtime_confinement import find_confinement
from ploinky.adapters.process_runtime_groups import NO_GROUPS
from ploinky.adapters.process_runtime_sandbox import PROCESSES
from ploinky.domain.errors import RuntimeRefused
from tests.contracts.runtime_harness import Bench, Says, Sleeps, eventually, process_runtime

MEGABYTE = 1024 * 1024
ATTEMPTS = """
import ctypes, json, os, signal, sys

def attempt(deed, *arguments):
    try:
        deed(*arguments)
    except OSError as error:
        return type(error).__name__
    return "done"

def trace(pid):
    if ctypes.CDLL(None, use_errno=True).ptrace(16, pid, 0, 0) != 0:  # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), "ptrace")

queue = os.environ["PLOINKY_QUEUE_DIR"]
private, neighbour, *pids = sys.argv[1:]
print(json.dumps({
    "reads the server's file": attempt(open, private),
    "lists the server's folder": attempt(os.listdir, os.path.dirname(private)),
    "lists a neighbour's folder": attempt(os.listdir, neighbour),
    "writes a task": attempt(open, f"{queue}/tasks/forged", "w"),
    "writes a cancellation": attempt(open, f"{queue}/cancel/forged", "w"),
    "replaces the tasks": attempt(os.rename, f"{queue}/tasks", f"{queue}/aside"),
    "removes the tasks": attempt(os.rmdir, f"{queue}/tasks"),
    **{f"signals {pid}": attempt(os.kill, int(pid), 0) for pid in pids},
    **{f"traces {pid}": attempt(trace, int(pid)) for pid in pids},
    **{f"reads the memory of {pid}": attempt(open, f"/proc/{pid}/mem", "rb") for pid in pids},
    **{f"reads the environment of {pid}": attempt(open, f"/proc/{pid}/environ", "rb") for pid in pids},
}))
"""
BOMB = """
import os, time
children = 0
try:
    for _ in range(400):
        if os.fork() == 0:
            time.sleep(60)
        children += 1
except OSError:
    pass
print(children, flush=True)
"""
EATS = "block = bytearray(400 * 1024 * 1024); block[::4096] = b'x' * len(block[::4096]); print('ate it')"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives agents users of their own")
KINDS = [
    pytest.param(True, id="sandbox", marks=pytest.mark.bubblewrap),
    pytest.param(False, id="user", marks=needs_root),
]


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, folder: Path) -> Iterator[Bench]:
    """Give a runtime with nothing but a sandbox, or nothing but users, between agents and the rest."""
    bench = Bench(process_runtime(folder, uses_sandbox=request.param), folder, "isolation")
    yield bench
    bench.remove_all()


def victim(bench: Bench) -> subprocess.Popen[bytes]:
    """Start a process of the server's user, which stands for the server."""
    return subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)


def test_nothing_of_the_server_or_of_others_can_be_touched(bench: Bench) -> None:
    """Files of the server, folders of neighbours, orders in the own queue and foreign processes are out of reach."""
    private = bench.folder / "data" / "journal.db"
    private.parent.mkdir(mode=0o700)
    private.write_text("secret")
    neighbour = bench.folder / "neighbour"
    neighbour.mkdir(mode=0o700)
    if bench.user_id is not None:
        os.chown(neighbour, bench.user_id + 1, bench.user_id + 1)
    (bench.folder / "queue" / "tasks" / "given").write_text("{}")
    with victim(bench) as server:
        # Process 1 of a sandbox that is not root's is the agent's own: it may freeze itself with it, and nobody else.
        others = [str(server.pid), *(["1"] if bench.user_id is not None else [])]
        source = f"import sys; sys.argv[1:] = {[str(private), str(neighbour), *others]!r}\n{ATTEMPTS}"
        seen = json.loads(bench.output_of("attempts", source))
        server.communicate()
    if bench.runtime.confinement.bubblewrap:  # type: ignore[attr-defined]  # the process runtime's own
        # Process 1 of the sandbox is its own, and may be anything but harmed.
        seen = {deed: answer for deed, answer in seen.items() if not deed.endswith(" 1")}
    else:
        # The folder is the agent's own; that something else is in the place of the orders shows, and ends the instance.
        assert seen.pop("replaces the tasks") == "done"
        (bench.folder / "queue" / "aside").rename(bench.folder / "queue" / "tasks")
    assert {deed: answer for deed, answer in seen.items() if answer == "done"} == {}
    assert [path.name for path in (bench.folder / "queue" / "tasks").iterdir()] == ["given"]


def test_gains_nothing_by_programs_of_root(bench: Bench) -> None:
    """No capability is left, and none can be got by running a program that has it."""
    source = "print(*[line for line in open('/proc/self/status') if line[:6] in ('NoNewP', 'CapEff', 'CapPrm')])"
    words = bench.output_of("status", source).split()
    assert words == ["CapPrm:", "0" * 16, "CapEff:", "0" * 16, "NoNewPrivs:", "1"]


@needs_root
def test_is_a_user_without_groups(bench: Bench) -> None:
    """User and group are the ones asked for, and root's further groups are gone."""
    source = "import os; print(*os.getresuid(), *os.getresgid(), os.getgroups())"
    assert bench.output_of("user", source) == f"{' '.join(['65534'] * 6)} []\n"


@needs_root
def test_is_never_root(bench: Bench) -> None:
    """An instance for which nobody chose a user is not made."""
    for user_id in (None, 0):
        with pytest.raises(RuntimeRefused, match="root"):
            bench.create("root", Sleeps(), user_id=user_id)


def test_what_a_deployer_puts_into_the_environment_meets_no_rights(bench: Bench) -> None:
    """A library to preload is loaded by the agent alone, not by what prepares it."""
    trap = bench.folder / "code" / "trap.so"
    trap.write_text("no library, so that loading it leaves a word in the log")
    output = bench.output_of("preload", "print('ran')", environment={"LD_PRELOAD": str(trap), "PYTHONHOME": ""})
    assert output.count("LD_PRELOAD") == 1
    assert output.endswith("ran\n")


def test_a_fork_bomb_is_bounded(bench: Bench) -> None:
    """An agent cannot have more processes than it was given, and all of them end with it."""
    children = int(bench.output_of("bomb", BOMB, pids=16))
    assert 0 < children <= 16


def test_a_fork_bomb_is_bounded_without_control_groups(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where groups cannot be made the kernel's count of a user's processes still bounds them."""
    confinement = bench.runtime.confinement._replace(groups=NO_GROUPS)  # type: ignore[attr-defined]  # as above
    monkeypatch.setattr(type(bench.runtime), "confinement", confinement)
    monkeypatch.setattr(process_runtime_launch, "INSTANCES_OF_ONE_USER", 1)
    children = int(bench.output_of("bomb", BOMB, pids=64))
    assert children <= 64 + PROCESSES


@pytest.mark.skipif(not find_confinement().groups.bounds_memory, reason="no control groups can be made here")
def test_too_much_memory_ends_it_and_says_why(bench: Bench) -> None:
    """An agent that takes more than its memory is killed, and that it was for this is known."""
    name = bench.run("eats", Says(EATS), memory_bytes=64 * MEGABYTE)
    ended = bench.await_exit(name)
    assert (ended.exit_code, ended.is_out_of_memory) == (137, True)
    assert b"ate it" not in bench.runtime.logs(name, 10)


def test_too_much_memory_is_refused_without_control_groups(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where groups cannot be made a process gets no more memory than its bound; whether it died of it is unknown."""
    confinement = bench.runtime.confinement._replace(groups=NO_GROUPS)  # type: ignore[attr-defined]  # as above
    monkeypatch.setattr(type(bench.runtime), "confinement", confinement)
    ended = bench.await_exit(bench.run("eats", Says(EATS), memory_bytes=64 * MEGABYTE))
    assert (ended.exit_code, ended.is_out_of_memory) == (1, None)


def test_no_group_stays(bench: Bench) -> None:
    """The control groups of an instance go with it, also when its shim was killed."""
    name = bench.run_until_it_speaks("grouped", Sleeps())
    record = json.loads((bench.folder / "state" / name / "instance.json").read_bytes())
    shim = json.loads((bench.folder / "state" / name / "process.json").read_bytes())["pid"]
    assert all(Path(group).is_dir() for group in record["groups"])
    os.kill(shim, signal.SIGKILL)
    bench.runtime.remove(name)
    eventually(lambda: not any(Path(group).exists() for group in record["groups"]), "the groups are removed")


class TestSandbox:
    pytestmark = pytest.mark.bubblewrap

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[Bench]:
        bench = Bench(process_runtime(tmp_path, uses_sandbox=True), tmp_path, "sandbox")
        yield bench
        bench.remove_all()

    def test_shows_the_paths_of_a_container(self, bench: Bench) -> None:
        """Code, runner and queue are where containers have them, though all lie in closed folders here."""
        source = (
            "import os; print(*(os.environ[n] for n in ('AGENT_DIR', 'PYTHONPATH', 'PLOINKY_QUEUE_DIR')), os.getcwd())"
        )
        assert bench.output_of("paths", source).split() == ["/agent", "/agentCore", "/agent/.ploinky/queue", "/agent"]

    def test_writes_only_where_it_may(self, bench: Bench) -> None:
        """The agent's own folder, its answers and memory can be written, and nothing else."""
        source = (
            "import os\n"
            "for path in ('/agent', '/tmp', '/dev/shm', '/', '/etc', '/usr', '/dev', '/run', '/agentCore'):\n"
            "    try: open(path + '/made', 'w').close(); print(path)\n"
            "    except OSError: pass"
        )
        assert bench.output_of("writes", source).split() == ["/agent", "/tmp", "/dev/shm"]

    def test_shows_no_other_process(self, bench: Bench) -> None:
        """Only its own processes are there."""
        assert bench.output_of("alone", "import os; print(*filter(str.isdigit, os.listdir('/proc')))") == "1 2\n"

    def test_has_no_network_when_it_asks_for_none(self, bench: Bench) -> None:
        """With `none` there is a loopback and nothing beside; else the machine's network is there."""
        source = "import socket; print(*(name for _, name in socket.if_nameindex()))"
        assert bench.output_of("none", source, has_network=False).split() == ["lo"]
        machine = bench.output_of("some", source, has_network=True).split()
        assert set(machine) == set(os.listdir("/sys/class/net"))

    def test_ends_with_its_shim(self, bench: Bench) -> None:
        """A shim that is killed takes everything in the sandbox along, whoever left its session."""
        source = (
            "import os, time\n"
            "if os.fork() == 0: os.setsid()\n"
            "while True:\n"
            "    print('beat', flush=True); time.sleep(0.01)"
        )
        name = bench.run_until_it_speaks("tied", Says(source))
        shim = json.loads((bench.folder / "state" / name / "process.json").read_bytes())["pid"]
        os.kill(shim, signal.SIGKILL)
        marker = str(bench.folder).encode()

        def are_gone() -> bool:
            lines = []
            for entry in filter(str.isdigit, os.listdir("/proc")):
                try:
                    lines.append(Path(f"/proc/{entry}/cmdline").read_bytes())
                except OSError:
                    continue
            return not any(b"bwrap" in line and marker in line for line in lines)

        eventually(are_gone, "the sandbox ends")
