"""What every runtime promises of commands beside the agent, and of what an instance takes."""

from collections.abc import Iterator

import pytest

from ploinky.adapters.memory.runtime import MemoryRuntime
from ploinky.domain.errors import RuntimeRefused
from ploinky.ports.runtime import Executed
from tests.contracts.runtime_harness import Bench, Exits, Says, Sleeps, eventually

GREETS = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
READS = "import sys; content = sys.stdin.buffer.read(); print(len(content), content[:3].decode())"
LOOKS = "import os; print(os.getuid(), os.getcwd() == os.environ['AGENT_DIR'], os.environ['GREETING'])"
SHOUTS = "import sys; sys.stdout.write('x' * 1_000_000); sys.stderr.write('y' * 10)"
DIES = "import os; os.kill(os.getpid(), 15)"
HANGS = """
import os, time
print("begun", flush=True)
if os.fork() == 0:
    os.setsid()
while True:
    with open("/proc/self/stat") as stat:
        stat.read()
    with open(os.environ["AGENT_DIR"] + "/beats", "ab") as beats:
        beats.write(b".")
    time.sleep(0.01)
"""
"""Two processes, in sessions of their own, that go on leaving traces."""
LEAVES = "import os, time; os.fork() or time.sleep(60); print('parent is done', flush=True)"
MEGABYTE = 1024 * 1024


@pytest.fixture
def agent(bench: Bench) -> str:
    """A running agent; in memory commands are pretended."""
    if isinstance(bench.runtime, MemoryRuntime):
        bench.runtime.commands = pretend
    return bench.run_until_it_speaks("agent", Sleeps())


def pretend(command: tuple[str, ...], stdin: bytes) -> Executed:
    """Do in memory what the programs of this suite do."""
    if command[0] != "python3":
        return Executed(127, stderr=f"{command[0]} cannot be run".encode())
    return {
        GREETS: Executed(3, b"out\n", b"err\n"),
        READS: Executed(0, f"{len(stdin)} {stdin[:3].decode()}\n".encode()),
        LOOKS: Executed(0, b"65534 True hello\n"),
        SHOUTS: Executed(0, b"x" * 1_000_000, b"y" * 10),
        DIES: Executed(143),
        HANGS: Executed(137, b"begun\n", is_timed_out=True),
        LEAVES: Executed(0, b"parent is done\n"),
    }[command[2]]


def python(source: str) -> tuple[str, ...]:
    return ("python3", "-c", source)


@pytest.fixture(autouse=True)
def _no_thread_is_left(bench: Bench) -> Iterator[None]:
    yield
    bench.remove_all()


class TestExec:
    def test_returns_exit_code_and_both_streams(self, bench: Bench, agent: str) -> None:
        """The exit code is the command's own, and what it wrote comes back apart."""
        done = bench.runtime.exec(agent, python(GREETS))
        assert done == Executed(3, b"out\n", b"err\n")

    @pytest.mark.parametrize("content", [b"abc", b"abc" * MEGABYTE], ids=["short", "longer than any buffer"])
    def test_feeds_the_input_to_its_end(self, bench: Bench, agent: str, content: bytes) -> None:
        """The command reads all of its input, and then its end."""
        done = bench.runtime.exec(agent, python(READS), stdin=content)
        assert (done.exit_code, done.stdout) == (0, f"{len(content)} abc\n".encode())

    def test_has_no_input_otherwise(self, bench: Bench, agent: str) -> None:
        """Without an input the command is at its end at once."""
        assert bench.runtime.exec(agent, python(READS)).stdout == b"0 \n"

    def test_does_not_mind_input_that_is_not_read(self, bench: Bench, agent: str) -> None:
        """A command that ends without reading is no error."""
        assert bench.runtime.exec(agent, python(GREETS), stdin=b"x" * MEGABYTE).exit_code == 3

    def test_is_where_the_agent_is(self, bench: Bench, agent: str) -> None:
        """The command has the agent's user, folder and environment."""
        user, is_in_folder, greeting = bench.runtime.exec(agent, python(LOOKS)).stdout.split()
        agents_own = bench.output_of("looks", LOOKS) if not isinstance(bench.runtime, MemoryRuntime) else "65534"
        assert user.decode() == agents_own.split()[0]
        assert (is_in_folder, greeting) == (b"True", b"hello")

    def test_keeps_the_beginning_of_what_is_too_long(self, bench: Bench, agent: str) -> None:
        """Each stream is kept up to the limit; the command still runs to its end."""
        done = bench.runtime.exec(agent, python(SHOUTS), output_limit_bytes=1_000)
        assert done == Executed(0, b"x" * 1_000, b"y" * 10, is_truncated=True)

    def test_says_how_a_signal_ended_it(self, bench: Bench, agent: str) -> None:
        """An end by a signal is counted as shells do."""
        assert bench.runtime.exec(agent, python(DIES)).exit_code == 143

    def test_says_that_there_is_no_such_command(self, bench: Bench, agent: str) -> None:
        """A command that cannot be run has the exit code that shells give it, and a word about it."""
        done = bench.runtime.exec(agent, ("no-such-program", "x"))
        assert done.exit_code in {126, 127}
        assert b"no-such-program" in done.stdout + done.stderr

    def test_kills_everything_when_the_time_is_over(self, bench: Bench, agent: str) -> None:
        """What takes too long is killed with all that it started, and what it had written is there."""
        done = bench.runtime.exec(agent, python(HANGS), timeout_seconds=2)
        assert (done.exit_code, done.stdout, done.is_timed_out) == (137, b"begun\n", True)
        beats = bench.folder / "code" / "beats"
        if not isinstance(bench.runtime, MemoryRuntime):
            before = beats.stat().st_size
            bench.runtime.exec(agent, python("import time; time.sleep(0.3)"))
            assert 0 < beats.stat().st_size == before
        assert bench.look(agent).exit_code is None

    def test_does_not_wait_for_what_it_left_behind(self, bench: Bench, agent: str) -> None:
        """A command has ended when its own process has; what it started may go on."""
        done = bench.runtime.exec(agent, python(LEAVES), timeout_seconds=10)
        assert done == Executed(0, b"parent is done\n")

    def test_lose_nothing_at_the_beginning(self, bench: Bench, agent: str) -> None:
        """The first bytes of each command arrive, however soon they come."""
        for _ in range(10):
            assert bench.runtime.exec(agent, python(GREETS)).stdout == b"out\n"


class TestRefusedExec:
    def test_of_what_does_not_run(self, bench: Bench) -> None:
        """Nothing runs in what does not exist, was never started or has ended."""
        ended = bench.run("ended", Exits(0))
        bench.await_exit(ended)
        for name in (bench.name("absent"), bench.create("idle", Sleeps()), ended):
            with pytest.raises(RuntimeRefused):
                bench.runtime.exec(name, python(GREETS))

    def test_of_what_is_paused(self, bench: Bench, agent: str) -> None:
        """A command in a paused instance would never end, so it is not begun."""
        bench.runtime.pause(agent)
        with pytest.raises(RuntimeRefused, match="paused"):
            bench.runtime.exec(agent, python(GREETS))


class TestStats:
    def test_counts_what_runs(self, bench: Bench) -> None:
        """Time, memory and processes of an instance are those of all its processes together."""
        source = "import os, time; data = bytearray(40_000_000); os.fork(); print('up', flush=True)\nwhile True: pass"
        name = bench.run("works", Says(source))
        first = bench.runtime.stats(name)
        assert first is not None
        if isinstance(bench.runtime, MemoryRuntime):
            assert (first.memory_limit_bytes, first.pids_limit) == (128 * MEGABYTE, 32)
            return
        eventually(lambda: bench.runtime.logs(name, 10).count(b"up") == 2, "both processes run")
        eventually(lambda: (bench.runtime.stats(name) or first).cpu_seconds > 0.3, "time is counted")  # type: ignore[operator]  # both tell it
        usage = bench.runtime.stats(name)
        assert usage is not None
        assert usage.memory_bytes is not None
        assert 40_000_000 < usage.memory_bytes < 128 * MEGABYTE
        assert usage.pids is None or usage.pids >= 2
        if bench.runtime.kind != "process":
            assert usage.memory_limit_bytes == 128 * MEGABYTE

    def test_still_knows_what_is_paused(self, bench: Bench, agent: str) -> None:
        """A paused instance keeps its memory."""
        bench.runtime.pause(agent)
        usage = bench.runtime.stats(agent)
        assert usage is not None
        assert usage.memory_bytes

    def test_knows_nothing_of_what_does_not_run(self, bench: Bench) -> None:
        """None for what does not exist, was never started or has ended."""
        ended = bench.run("ended", Exits(0))
        bench.await_exit(ended)
        for name in (bench.name("absent"), bench.create("idle", Sleeps()), ended):
            assert bench.runtime.stats(name) is None
