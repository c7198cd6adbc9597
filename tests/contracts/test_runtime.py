"""What every runtime promises: memory, processes and a real container engine, the same assertions."""

import secrets
import threading

import pytest

from ploinky.domain.errors import RuntimeRefused
from ploinky.ports.runtime import ObservedState, Runtime
from tests.contracts.conftest import make_runtime
from tests.contracts.runtime_harness import Bench, Exits, IgnoresTerm, Sleeps, eventually


def test_is_usable_and_says_what_it_is(bench: Bench) -> None:
    """A runtime that works names itself and gives no reason against it."""
    availability = bench.runtime.check()
    assert availability.is_usable
    assert availability.version
    assert availability.reason == ""


class TestCreate:
    def test_does_not_start(self, bench: Bench) -> None:
        """What is created is there, with its labels, and does not run."""
        spec = bench.spec("made", Sleeps())
        engine_id = bench.runtime.create(spec)
        found = bench.look(spec.name)
        assert found.name == spec.name
        assert found.engine_id == engine_id
        assert found.state is ObservedState.CREATED
        assert found.labels == spec.labels
        assert found.exit_code is None

    def test_returns_the_same_id_when_repeated(self, bench: Bench) -> None:
        """The same specification under the same name is the same instance."""
        spec = bench.spec("twice", Sleeps())
        assert bench.runtime.create(spec) == bench.runtime.create(spec)
        assert len(bench.runtime.list(bench.journal_id)) == 1

    def test_returns_the_same_id_while_it_runs(self, bench: Bench) -> None:
        """Repeating the creation of a running instance changes nothing."""
        spec = bench.spec("running", Sleeps())
        engine_id = bench.runtime.create(spec)
        bench.start(spec.name)
        assert bench.runtime.create(spec) == engine_id
        assert bench.state(spec.name) is ObservedState.RUNNING

    def test_refuses_another_specification_under_the_same_name(self, bench: Bench) -> None:
        """A name belongs to one specification for ever; the first one stays."""
        name = bench.create("mine", Sleeps(), digest="digest-1")
        with pytest.raises(RuntimeRefused):
            bench.create("mine", Sleeps(), digest="digest-2")
        assert bench.look(name).labels["ploinky.spec-digest"] == "digest-1"

    def test_makes_one_instance_for_many_creators(self, bench: Bench) -> None:
        """Creators that race for one name all get the same instance."""
        spec = bench.spec("raced", Sleeps())
        ids: list[str] = []
        threads = [threading.Thread(target=lambda: ids.append(bench.runtime.create(spec))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ids) == 4
        assert len(set(ids)) == 1


class TestStart:
    def test_runs_what_was_created(self, bench: Bench) -> None:
        """After a start the instance runs and has no exit code."""
        name = bench.run_until_it_speaks("runs", Sleeps())
        found = bench.look(name)
        assert found.state is ObservedState.RUNNING
        assert found.exit_code is None

    def test_changes_nothing_when_repeated(self, bench: Bench) -> None:
        """A second start of a running instance is no second run."""
        name = bench.run_until_it_speaks("once", Sleeps())
        bench.runtime.start(name)
        bench.runtime.start(name)
        assert bench.runtime.logs(name, 100) == b"up\n"

    def test_refuses_what_has_ended(self, bench: Bench) -> None:
        """An instance that has ended is never started again."""
        name = bench.run("ended", Exits(0))
        bench.await_exit(name)
        with pytest.raises(RuntimeRefused):
            bench.runtime.start(name)
        assert bench.runtime.logs(name, 100) == b"bye\n"

    def test_refuses_what_was_stopped(self, bench: Bench) -> None:
        """A stop is final."""
        name = bench.run_until_it_speaks("stopped", Sleeps())
        bench.runtime.stop(name, 5)
        with pytest.raises(RuntimeRefused):
            bench.runtime.start(name)

    def test_refuses_what_does_not_exist(self, bench: Bench) -> None:
        """There is nothing to start under an unknown name."""
        with pytest.raises(RuntimeRefused):
            bench.runtime.start(bench.name("absent"))


class TestEnd:
    @pytest.mark.parametrize("code", [0, 3])
    def test_is_observed_with_its_exit_code(self, bench: Bench, code: int) -> None:
        """An instance that ends by itself is seen as exited, with its own exit code."""
        ended = bench.await_exit(bench.run("ends", Exits(code)))
        assert ended.exit_code == code
        assert not ended.is_out_of_memory


class TestStop:
    def test_ends_what_obeys_within_the_grace(self, bench: Bench) -> None:
        """What ends when asked is not killed, and the last look is returned."""
        name = bench.run_until_it_speaks("obeys", Sleeps())
        last = bench.runtime.stop(name, 10)
        assert last is not None
        assert last.state is ObservedState.EXITED
        assert last == bench.look(name)

    def test_kills_what_ignores_it(self, bench: Bench) -> None:
        """After the grace the instance is killed, and its exit code says so."""
        name = bench.run_until_it_speaks("stubborn", IgnoresTerm())
        last = bench.runtime.stop(name, 1)
        assert last is not None
        assert last.state is ObservedState.EXITED
        assert last.exit_code == 137

    def test_changes_nothing_when_repeated(self, bench: Bench) -> None:
        """A stop of what has stopped returns the same look again."""
        name = bench.run_until_it_speaks("again", Sleeps())
        assert bench.runtime.stop(name, 5) == bench.runtime.stop(name, 5)

    def test_leaves_what_was_never_started(self, bench: Bench) -> None:
        """There is nothing to end in an instance that is only created."""
        last = bench.runtime.stop(bench.create("idle", Sleeps()), 1)
        assert last is not None
        assert last.state is ObservedState.CREATED

    def test_finds_nothing_under_an_unknown_name(self, bench: Bench) -> None:
        """None says that there is no such instance."""
        assert bench.runtime.stop(bench.name("absent"), 1) is None


class TestRemove:
    def test_makes_it_disappear(self, bench: Bench) -> None:
        """What is removed is neither found nor listed, and its name is free again."""
        name = bench.create("gone", Sleeps(), digest="digest-1")
        bench.runtime.remove(name)
        assert bench.runtime.inspect(name) is None
        assert bench.runtime.list(bench.journal_id) == []
        bench.create("gone", Sleeps(), digest="digest-2")

    def test_kills_what_still_runs(self, bench: Bench) -> None:
        """A running instance is killed first."""
        name = bench.run_until_it_speaks("killed", IgnoresTerm())
        bench.runtime.remove(name)
        assert bench.runtime.inspect(name) is None

    def test_changes_nothing_when_repeated(self, bench: Bench) -> None:
        """Removing what is gone, or never was, is no error."""
        name = bench.create("gone", Sleeps())
        bench.runtime.remove(name)
        bench.runtime.remove(name)
        bench.runtime.remove(bench.name("absent"))


class TestLook:
    def test_finds_nothing_under_an_unknown_name(self, bench: Bench) -> None:
        """None says that there is no such instance."""
        assert bench.runtime.inspect(bench.name("absent")) is None

    def test_lists_all_of_this_journal_and_no_others(self, bench: Bench) -> None:
        """The list holds the created, the running and the ended of this journal, and nobody else's."""
        other = Bench(bench.runtime, bench.folder, secrets.token_hex(6), bench.image)
        created = bench.create("created", Sleeps())
        running = bench.run_until_it_speaks("running", Sleeps())
        ended = bench.run("ended", Exits(4))
        bench.await_exit(ended)
        foreign = other.create("foreign", Sleeps())
        try:
            found = {look.name: look for look in bench.runtime.list(bench.journal_id)}
            assert {name: look.state for name, look in found.items()} == {
                created: ObservedState.CREATED,
                running: ObservedState.RUNNING,
                ended: ObservedState.EXITED,
            }
            assert found[ended].exit_code == 4
            assert [look.name for look in bench.runtime.list(other.journal_id)] == [foreign]
        finally:
            other.remove_all()

    def test_lists_nothing_for_an_unknown_journal(self, bench: Bench) -> None:
        """A journal that never created anything owns nothing."""
        bench.create("created", Sleeps())
        assert bench.runtime.list(secrets.token_hex(6)) == []


class TestLogs:
    def test_returns_the_newest_lines(self, bench: Bench) -> None:
        """As many lines as were asked for come back, the newest ones."""
        name = bench.run("ends", Exits(0))
        bench.await_exit(name)
        assert bench.runtime.logs(name, 10) == b"bye\n"
        assert bench.runtime.logs(name, 0) == b""

    def test_is_empty_before_anything_ran(self, bench: Bench) -> None:
        """What was never started, or never existed, has written nothing."""
        assert bench.runtime.logs(bench.create("idle", Sleeps()), 10) == b""
        assert bench.runtime.logs(bench.name("absent"), 10) == b""


class Listener:
    """Collects hints in a thread of its own, as the server does."""

    def __init__(self, runtime: Runtime, journal_id: str) -> None:
        self.names: list[str] = []
        self._hints = runtime.events(journal_id)
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        for name in self._hints:
            self.names.append(name)

    def is_done(self) -> bool:
        return not self._thread.is_alive()


class TestEvents:
    def test_hint_at_a_start_and_at_an_end(self, bench: Bench) -> None:
        """Whoever listens hears of an instance when it starts and when it ends."""
        listener = Listener(bench.runtime, bench.journal_id)
        probe = bench.run("probe", Sleeps())
        eventually(lambda: probe in listener.names, "a hint at the start")
        heard = listener.names.count(probe)
        bench.runtime.stop(probe, 5)
        eventually(lambda: listener.names.count(probe) > heard, "a hint at the end")

    def test_end_when_the_runtime_closes(self, bench: Bench) -> None:
        """Closing from another thread ends the stream of hints, and leaves the instances alone."""
        runtime = make_runtime(bench.runtime.kind, bench.folder)
        name = bench.run_until_it_speaks("stays", Sleeps())
        listener = Listener(runtime, bench.journal_id)
        runtime.close()
        eventually(listener.is_done, "the hints end")
        runtime.close()
        assert bench.state(name) is ObservedState.RUNNING

    def test_are_over_once_closed(self, bench: Bench) -> None:
        """A closed runtime gives no more hints."""
        runtime = make_runtime(bench.runtime.kind, bench.folder)
        runtime.close()
        assert list(runtime.events(bench.journal_id)) == []
