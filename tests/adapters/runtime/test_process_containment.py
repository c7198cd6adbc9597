"""What an agent gets as a process, and that nothing of it stays behind."""

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ploinky.adapters.process_runtime_launch import MAX_FILE_BYTES
from ploinky.adapters.process_runtime_shim import read_stat
from ploinky.domain.errors import RuntimeRefused
from ploinky.ports.runtime import ObservedState
from tests.contracts.runtime_harness import Bench, IgnoresTerm, Says, Sleeps, eventually, process_runtime

ESCAPES = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(os.getpid(), flush=True)
        while True: signal.pause()
    os._exit(0)
os.wait()
while True: signal.pause()
"""
LEAVES_A_CHILD = """
import os, signal
child = os.fork()
if child == 0:
    os.setsid()
    while True: signal.pause()
print(child, flush=True)
raise SystemExit(5)
"""
STANDARD_SIGNALS = (1 << 31) - 1


@pytest.fixture
def bench(folder: Path) -> Iterator[Bench]:
    runtime = process_runtime(folder)
    bench = Bench(runtime, folder, "containment")
    yield bench
    bench.remove_all()
    runtime.close()


def pid_printed_by(bench: Bench, name: str) -> int:
    eventually(lambda: bench.runtime.logs(name, 1).endswith(b"\n"), "it tells its number")
    return int(bench.runtime.logs(name, 1))


def shim_of(bench: Bench, name: str) -> int:
    return int(json.loads((bench.folder / "state" / name / "process.json").read_bytes())["pid"])


def is_gone(pid: int) -> bool:
    found = read_stat(pid)
    return found is None or found.state == "Z"


class TestEnvironment:
    def test_holds_the_agents_own_variables_only(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing of the server's environment reaches the agent; its own and the fixed ones do."""
        monkeypatch.setenv("SERVER_SECRET", "must stay here")
        seen = json.loads(bench.output_of("env", "import os, json; print(json.dumps(dict(os.environ)))"))
        assert seen.pop("PLOINKY_PROCESS")
        assert seen.pop("PATH").endswith("/usr/bin:/sbin:/bin")
        seen.pop("LC_CTYPE", None)  # set by Python itself
        assert seen == {
            "GREETING": "hello",
            "LANG": "C.UTF-8",
            "HOME": str(bench.folder / "temporary" / bench.name("env")),
            "TMPDIR": str(bench.folder / "temporary" / bench.name("env")),
            "AGENT_DIR": str(bench.folder / "code"),
            "PLOINKY_QUEUE_DIR": str(bench.folder / "queue"),
            "PYTHONPATH": str(bench.folder / "agentcore"),
        }

    def test_does_not_let_the_agent_choose_the_fixed_variables(self, bench: Bench) -> None:
        """A deployment's own AGENT_DIR does not replace the real one."""
        output = bench.output_of(
            "fixed", "import os; print(os.environ['AGENT_DIR'])", environment={"AGENT_DIR": "/elsewhere"}
        )
        assert output.strip() == str(bench.folder / "code")

    def test_runs_in_the_code_directory_with_a_private_umask(self, bench: Bench) -> None:
        """The agent starts in its own folder, and what it writes is its own."""
        output = bench.output_of("here", "import os; print(os.getcwd()); open('made', 'w').close()")
        assert output.strip() == str(bench.folder / "code")
        assert stat.S_IMODE((bench.folder / "code" / "made").stat().st_mode) == 0o600

    def test_finds_the_package_of_the_runner(self, bench: Bench) -> None:
        """Modules below the runner's folder are importable, those beside the agent do not shadow them."""
        (bench.folder / "agentcore" / "probe.py").write_text("print('the right one')")
        (bench.folder / "code" / "probe.py").write_text("print('a shadow')")
        output = bench.output_of("module", "", command=("python3", "-m", "probe"))
        assert output == "the right one\n"

    def test_has_no_descriptors_of_the_server(self, bench: Bench) -> None:
        """Even an inheritable descriptor of the server is closed in the agent."""
        reading, writing = os.pipe()
        os.set_inheritable(writing, True)
        try:
            output = bench.output_of("fds", "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])")
            assert output.strip() == "[0, 1, 2]"
        finally:
            os.close(reading)
            os.close(writing)

    def test_bounds_files_and_core_dumps(self, bench: Bench) -> None:
        """The kernel enforces the limits on the agent's process."""
        source = (
            "import resource as r; print([r.getrlimit(x)[1] for x in (r.RLIMIT_FSIZE, r.RLIMIT_NOFILE, r.RLIMIT_CORE)])"
        )
        file_bytes, open_files, core_bytes = json.loads(bench.output_of("limits", source))
        assert file_bytes == MAX_FILE_BYTES
        assert 0 < open_files <= 4096
        assert core_bytes == 0

    def test_removes_the_temporary_folder_with_the_end(self, bench: Bench) -> None:
        """Each agent has one of its own, which nobody else can look into, and which goes with it."""
        source = (
            "import os, tempfile; open(tempfile.mkstemp()[1]).close(); print(oct(os.stat(os.environ['HOME']).st_mode))"
        )
        assert bench.output_of("tidy", source).strip() == "0o40700"
        eventually(lambda: list((bench.folder / "temporary").iterdir()) == [], "the folder is removed")

    def test_starts_with_ordinary_signals(self, bench: Bench) -> None:
        """Nothing is blocked or ignored, though Python, which starts it, ignores some signals itself."""
        name = bench.run("signals", Sleeps(), command=("grep", "^Sig[BI]", "/proc/self/status"))
        bench.await_exit(name)
        masks = [int(line.split()[1], 16) for line in bench.runtime.logs(name, 10).splitlines()]
        assert [mask & STANDARD_SIGNALS for mask in masks] == [0, 0]


class TestEnd:
    def test_takes_escaped_children_along_when_stopped(self, bench: Bench) -> None:
        """A child that left group and session and ignores SIGTERM does not survive a stop."""
        name = bench.run("escapes", Says(ESCAPES))
        escaped = pid_printed_by(bench, name)
        bench.runtime.stop(name, 0.2)
        assert is_gone(escaped)

    def test_takes_children_along_when_the_agent_ends_by_itself(self, bench: Bench) -> None:
        """What an agent leaves running when it ends is ended too, as in a container."""
        name = bench.run("leaves", Says(LEAVES_A_CHILD))
        assert bench.await_exit(name).exit_code == 5
        assert is_gone(pid_printed_by(bench, name))

    def test_tells_a_signal_as_shells_do(self, bench: Bench) -> None:
        """An agent that dies of SIGTERM has exit code 143."""
        name = bench.run_until_it_speaks("default", Says("import signal; print('up', flush=True); signal.pause()"))
        last = bench.runtime.stop(name, 10)
        assert last is not None
        assert last.exit_code == 143

    def test_is_complete_when_the_shim_was_killed(self, bench: Bench) -> None:
        """The agent dies with its shim; what had escaped is found by its marker and killed by the stop."""
        name = bench.run("orphaned", Says(ESCAPES))
        escaped = pid_printed_by(bench, name)
        os.kill(shim_of(bench, name), signal.SIGKILL)
        eventually(lambda: bench.state(name) is ObservedState.EXITED, "the death of the shim is seen")
        assert bench.look(name).exit_code is None
        assert not is_gone(escaped)
        bench.runtime.stop(name, 1)
        assert is_gone(escaped)

    def test_works_on_a_frozen_shim(self, bench: Bench) -> None:
        """A shim that does not react is killed, and the agent with it."""
        name = bench.run_until_it_speaks("frozen", IgnoresTerm())
        os.kill(shim_of(bench, name), signal.SIGSTOP)
        last = bench.runtime.stop(name, 0.1)
        assert last is not None
        assert last.state is ObservedState.EXITED


class TestIdentity:
    @pytest.mark.parametrize("field", ["start_ticks", "boot_id"])
    def test_never_touches_a_reused_process_number(self, bench: Bench, field: str) -> None:
        """A number that now belongs to another process, here this very test, is left alone."""
        name = bench.create("reused", Sleeps())
        own = read_stat(os.getpid())
        assert own is not None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        record = {"pid": os.getpid(), "start_ticks": own.start_ticks, "boot_id": boot}
        record[field] = own.start_ticks - 1 if field == "start_ticks" else "another-boot"
        (bench.folder / "state" / name / "process.json").write_text(json.dumps(record))
        assert bench.state(name) is ObservedState.EXITED
        bench.runtime.stop(name, 0)
        bench.runtime.remove(name)
        assert bench.runtime.inspect(name) is None


class TestRefusal:
    def test_names_a_program_that_does_not_exist(self, bench: Bench) -> None:
        """A command that cannot be run is refused with its name, and has ended for good."""
        name = bench.create("nothing", Sleeps(), command=("no-such-program",))
        with pytest.raises(RuntimeRefused, match="no-such-program"):
            bench.runtime.start(name)
        assert bench.await_exit(name).exit_code == 127

    def test_names_a_code_directory_that_does_not_exist(self, bench: Bench) -> None:
        """A folder that is missing is named."""
        name = bench.create("homeless", Sleeps(), code_directory=str(bench.folder / "missing"))
        with pytest.raises(RuntimeRefused, match="missing"):
            bench.runtime.start(name)

    def test_says_that_the_log_cannot_be_written(self, bench: Bench) -> None:
        """A log below a folder that does not exist hinders the start; a link in its place is not followed."""
        (bench.folder / "link.log").symlink_to(bench.folder / "elsewhere")
        for word, path in (("nolog", "missing/x.log"), ("linked", "link.log")):
            name = bench.create(word, Sleeps(), log_path=str(bench.folder / path))
            with pytest.raises(RuntimeRefused, match="log"):
                bench.runtime.start(name)
        assert not (bench.folder / "elsewhere").exists()
