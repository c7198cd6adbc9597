"""What every runtime promises of an output that is followed."""

import threading

import pytest

from ploinky.adapters.memory.runtime import MemoryRuntime
from ploinky.ports.runtime import LogStream
from tests.contracts.runtime_harness import Bench, Exits, Says, Sleeps, eventually

COUNTS = """
import os, time
for number in range({lines}):
    print("line", number, flush=number % 100 == 0)
print("done", flush=True)
while not os.path.exists(os.environ["AGENT_DIR"] + "/end"): time.sleep(0.01)
print("last", flush=True)
"""


class Counts(Says):
    """Prints many lines, waits to be told, prints one more and ends."""

    def __init__(self, lines: int) -> None:
        super().__init__(COUNTS.format(lines=lines))
        self.lines = lines

    def pretend(self, runtime: MemoryRuntime, name: str) -> None:
        for number in range(self.lines):
            runtime.write_output(name, f"line {number}\n".encode())
        runtime.write_output(name, b"done\n")

    def end(self, bench: Bench, name: str) -> None:
        (bench.folder / "code" / "end").touch()
        if isinstance(bench.runtime, MemoryRuntime):
            bench.runtime.write_output(name, b"last\n")
            bench.runtime.exit(name, 0)


class Follower:
    """Reads a stream in a thread of its own, as the server does."""

    def __init__(self, stream: LogStream) -> None:
        self.stream = stream
        self.content = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while chunk := self.stream.read():
            self.content += chunk

    def is_done(self) -> bool:
        return not self._thread.is_alive()


def follow(bench: Bench, name: str, tail_lines: int = 100_000) -> Follower:
    return Follower(bench.runtime.follow(name, tail_lines))


def test_every_line_comes_once_and_in_order(bench: Bench) -> None:
    """From the first line to the last none is lost or doubled, and the stream ends with the instance."""
    program = Counts(5_000)
    name = bench.create("counts", program)
    bench.start(name)
    follower = follow(bench, name)
    eventually(lambda: follower.content.endswith(b"done\n"), "all lines so far")
    program.end(bench, name)
    eventually(follower.is_done, "the stream ends")
    follower.stream.close()
    expected = "".join([*(f"line {number}\n" for number in range(5_000)), "done\n", "last\n"])
    content = follower.content.decode()
    if bench.runtime.kind == "podman":  # it drops the end of a line that falls between two of its reads
        expected, content = expected.replace("\n", ""), content.replace("\n", "")
    assert content == expected


@pytest.mark.parametrize(("tail_lines", "begins"), [(0, []), (2, ["line 9", "done"])])
def test_begins_with_the_newest_lines(bench: Bench, tail_lines: int, begins: list[str]) -> None:
    """As many lines as asked for come first, and then what is new."""
    program = Counts(10)
    name = bench.run("tail", program)
    eventually(lambda: bench.runtime.logs(name, 1) == b"done\n", "it has printed")
    follower = follow(bench, name, tail_lines)
    eventually(lambda: len(follower.content.splitlines()) >= len(begins), "the first lines")
    program.end(bench, name)
    eventually(follower.is_done, "the stream ends")
    follower.stream.close()
    assert follower.content.decode().splitlines() == [*begins, "last"]


def test_a_close_ends_a_waiting_read(bench: Bench) -> None:
    """Whoever waits for more is let go by a close from another thread, and the instance goes on."""
    name = bench.run_until_it_speaks("stays", Sleeps())
    follower = follow(bench, name)
    eventually(lambda: follower.content == b"up\n", "what there is")
    assert not follower.is_done()
    follower.stream.close()
    eventually(follower.is_done, "the reader is let go")
    follower.stream.close()
    assert follower.stream.read() == b""
    assert bench.look(name).exit_code is None


def test_what_has_ended_is_read_to_its_end(bench: Bench) -> None:
    """The output of an ended instance comes whole, and then the end."""
    name = bench.run("ended", Exits(0))
    bench.await_exit(name)
    follower = follow(bench, name)
    eventually(follower.is_done, "the stream ends")
    follower.stream.close()
    assert follower.content == b"bye\n"


def test_what_does_not_exist_prints_nothing(bench: Bench) -> None:
    """An unknown name has an empty output that is over."""
    stream = bench.runtime.follow(bench.name("absent"), 10)
    assert stream.read() == b""
    stream.close()


def test_a_rotation_loses_no_line(bench: Bench) -> None:
    """A follower of a chatty instance gets every line however often its files are full, and what is kept is bounded."""
    if bench.runtime.kind not in {"memory", "process"}:
        pytest.skip("an engine that rotates faster than it reads loses lines of its own stream")
    program = Counts(8_000)
    name = bench.create("rotates", program, log_file_bytes=10_000, log_file_count=10)
    bench.start(name)
    follower = follow(bench, name)
    eventually(lambda: follower.content.endswith(b"done\n"), "all lines so far")
    program.end(bench, name)
    eventually(follower.is_done, "the stream ends")
    follower.stream.close()
    assert follower.content.decode().splitlines() == [f"line {number}" for number in range(8_000)] + ["done", "last"]


def test_what_is_kept_is_bounded(bench: Bench) -> None:
    """Of an instance that prints more than its files hold the newest lines are kept."""
    program = Counts(8_000)
    name = bench.create("bounded", program, log_file_bytes=20_000, log_file_count=2)
    bench.start(name)
    program.end(bench, name)
    bench.await_exit(name)
    kept = bench.runtime.logs(name, 100_000)
    assert kept.endswith(b"line 7999\ndone\nlast\n")
    if not isinstance(bench.runtime, MemoryRuntime):
        assert len(kept) <= 40_000


def test_many_may_follow_one(bench: Bench) -> None:
    """Each follower gets everything."""
    program = Counts(50)
    name = bench.run("many", program)
    followers = [follow(bench, name) for _ in range(3)]
    program.end(bench, name)
    for follower in followers:
        eventually(follower.is_done, "the stream ends")
        follower.stream.close()
        assert follower.content.endswith(b"done\nlast\n")
        assert follower.content.count(b"line") == 50
