"""What every runtime promises of instances that stand still."""

from collections.abc import Callable

import pytest

from ploinky.adapters.memory.runtime import MemoryRuntime
from ploinky.domain.errors import RuntimeRefused
from ploinky.ports.runtime import ObservedState, Runtime
from tests.contracts.runtime_harness import Bench, Exits, IgnoresTerm, Says, Sleeps, eventually

BEATS = """
import os, sys, time
child = os.fork()
while True:
    print("child" if child == 0 else "parent", flush=True)
    time.sleep(0.01)
"""
"""A program of two processes that both go on printing."""
BEATS_AWAITED = 20

Call = Callable[[Runtime, str], None]


def pause(runtime: Runtime, name: str) -> None:
    runtime.pause(name)


def resume(runtime: Runtime, name: str) -> None:
    runtime.resume(name)


class TestPause:
    def test_is_observed(self, bench: Bench) -> None:
        """A paused instance is seen as paused, one by one and in the list, and has not ended."""
        name = bench.run_until_it_speaks("pauses", Sleeps())
        bench.runtime.pause(name)
        found = bench.look(name)
        assert found.state is ObservedState.PAUSED
        assert found.exit_code is None
        assert bench.runtime.list(bench.journal_id) == [found]

    def test_changes_nothing_when_repeated(self, bench: Bench) -> None:
        """A pause of what is paused is no error, and one resume ends it."""
        name = bench.run_until_it_speaks("twice", Sleeps())
        bench.runtime.pause(name)
        bench.runtime.pause(name)
        assert bench.state(name) is ObservedState.PAUSED
        bench.runtime.resume(name)
        assert bench.state(name) is ObservedState.RUNNING

    def test_lets_no_process_run(self, bench: Bench) -> None:
        """Neither the agent nor what it started does anything while it is paused, and both go on afterwards."""
        if isinstance(bench.runtime, MemoryRuntime):
            pytest.skip("no process runs in memory")
        still, other = (bench.run_until_it_speaks(word, Says(BEATS)) for word in ("still", "other"))
        eventually(lambda: b"child" in bench.runtime.logs(still, 1_000), "both processes print")
        bench.runtime.pause(still)
        before = self._beats(bench, still)
        self._await_more_beats(bench, other)
        assert self._beats(bench, still) == before
        bench.runtime.resume(still)
        self._await_more_beats(bench, still)

    def test_does_not_start_again(self, bench: Bench) -> None:
        """A start of a paused instance changes nothing: it lives."""
        name = bench.run_until_it_speaks("lives", Sleeps())
        bench.runtime.pause(name)
        bench.runtime.start(name)
        assert bench.state(name) is ObservedState.PAUSED

    def _beats(self, bench: Bench, name: str) -> tuple[int, int]:
        lines = bench.runtime.logs(name, 100_000).splitlines()
        return lines.count(b"parent"), lines.count(b"child")

    def _await_more_beats(self, bench: Bench, name: str) -> None:
        parent, child = self._beats(bench, name)

        def have_come() -> bool:
            beats = self._beats(bench, name)
            return beats[0] >= parent + BEATS_AWAITED and beats[1] >= child + BEATS_AWAITED

        eventually(have_come, f"{BEATS_AWAITED} more beats of both processes of {name}")


class TestResume:
    def test_lets_it_go_on(self, bench: Bench) -> None:
        """After a resume the instance runs and still ends in order."""
        name = bench.run_until_it_speaks("goes", Sleeps())
        bench.runtime.pause(name)
        bench.runtime.resume(name)
        assert bench.state(name) is ObservedState.RUNNING
        last = bench.runtime.stop(name, 10)
        assert last is not None
        assert last.state is ObservedState.EXITED

    def test_changes_nothing_while_it_runs(self, bench: Bench) -> None:
        """A resume of what runs is no error."""
        name = bench.run_until_it_speaks("runs", Sleeps())
        bench.runtime.resume(name)
        assert bench.state(name) is ObservedState.RUNNING


@pytest.mark.parametrize("call", [pause, resume])
class TestRefusal:
    def test_of_what_does_not_exist(self, bench: Bench, call: Call) -> None:
        """There is nothing to pause or resume under an unknown name."""
        with pytest.raises(RuntimeRefused, match="does not exist"):
            call(bench.runtime, bench.name("absent"))

    def test_of_what_was_never_started(self, bench: Bench, call: Call) -> None:
        """What is only created has nothing that could stand still or go on."""
        name = bench.create("idle", Sleeps())
        with pytest.raises(RuntimeRefused, match="does not run"):
            call(bench.runtime, name)
        assert bench.state(name) is ObservedState.CREATED

    def test_of_what_has_ended(self, bench: Bench, call: Call) -> None:
        """An end is final."""
        name = bench.run("ended", Exits(3))
        bench.await_exit(name)
        with pytest.raises(RuntimeRefused, match="does not run"):
            call(bench.runtime, name)
        assert bench.look(name).exit_code == 3


class TestEndOfWhatIsPaused:
    def test_by_a_stop_it_obeys(self, bench: Bench) -> None:
        """A paused instance is stopped like any other, and hears that it shall end."""
        name = bench.run_until_it_speaks("obeys", Sleeps())
        bench.runtime.pause(name)
        last = bench.runtime.stop(name, 10)
        assert last is not None
        assert last.state is ObservedState.EXITED
        assert last.exit_code == (137 if isinstance(bench.runtime, MemoryRuntime) else 0)

    def test_by_a_kill_after_the_grace(self, bench: Bench) -> None:
        """A paused instance that ignores the wish to end is killed."""
        name = bench.run_until_it_speaks("stubborn", IgnoresTerm())
        bench.runtime.pause(name)
        last = bench.runtime.stop(name, 1)
        assert last is not None
        assert (last.state, last.exit_code) == (ObservedState.EXITED, 137)

    def test_by_a_removal(self, bench: Bench) -> None:
        """A paused instance is removed without being resumed first."""
        name = bench.run_until_it_speaks("removed", IgnoresTerm())
        bench.runtime.pause(name)
        bench.runtime.remove(name)
        assert bench.runtime.inspect(name) is None
