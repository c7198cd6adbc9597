"""What the memory runtime offers to tests beyond the contract: faults, ends and outputs on demand."""

import pytest

from ploinky.adapters.memory import runtime as memory
from ploinky.adapters.memory.runtime import MemoryRuntime
from ploinky.domain.errors import RuntimeUnavailable
from ploinky.ports.runtime import LABEL_JOURNAL, LABEL_SPEC_DIGEST, Image, InstanceSpec, ObservedState

SPEC = InstanceSpec(
    name="a",
    labels={LABEL_JOURNAL: "j", LABEL_SPEC_DIGEST: "d"},
    image="",
    command=("python3",),
    environment={},
    code_directory="/code",
    agentcore_directory="/core",
    queue_directory="/queue",
    log_path="/log",
)


def test_raises_what_it_is_told_before_anything_happens() -> None:
    """A fault injected into one method leaves the others and the state alone."""
    calls: list[tuple[str, str]] = []

    def fail_starts(method: str, name: str) -> None:
        calls.append((method, name))
        if method == "start":
            raise RuntimeUnavailable("on purpose")

    runtime = MemoryRuntime(fail_starts)
    runtime.create(SPEC)
    with pytest.raises(RuntimeUnavailable, match="on purpose"):
        runtime.start("a")
    found = runtime.inspect("a")
    assert found is not None
    assert found.state is ObservedState.CREATED
    assert calls == [("create", "a"), ("start", "a"), ("inspect", "a")]
    assert runtime.started == []


def test_tells_every_method_to_the_fault() -> None:
    """No method slips past the injection."""
    called: set[str] = set()
    runtime = MemoryRuntime(lambda method, _name: called.add(method))
    runtime.resolve_image("", print)
    runtime.create(SPEC)
    runtime.start("a")
    runtime.inspect("a")
    runtime.list("j")
    runtime.logs("a", 1)
    runtime.stop("a", 0)
    runtime.remove("a")
    runtime.events("j")
    assert called == {"resolve_image", "create", "start", "inspect", "list", "logs", "stop", "remove", "events"}


def test_counts_real_starts_only() -> None:
    """A repeated start is no second one."""
    runtime = MemoryRuntime()
    runtime.create(SPEC)
    runtime.start("a")
    runtime.start("a")
    assert runtime.started == ["a"]


def test_lets_an_instance_end_on_demand() -> None:
    """An end shows its code and whether memory ran out; what does not run cannot end."""
    runtime = MemoryRuntime()
    runtime.create(SPEC)
    runtime.exit("a", 1)
    runtime.exit("absent", 1)
    found = runtime.inspect("a")
    assert found is not None
    assert found.state is ObservedState.CREATED
    runtime.start("a")
    runtime.exit("a", 137, is_out_of_memory=True)
    found = runtime.inspect("a")
    assert found is not None
    assert (found.state, found.exit_code, found.is_out_of_memory) == (ObservedState.EXITED, 137, True)


def test_hints_at_every_change_to_its_own_journal_only() -> None:
    """Create, start, end and removal are hinted at, in order, to listeners of that journal."""
    runtime = MemoryRuntime()
    own, other = runtime.events("j"), runtime.events("another")
    runtime.create(SPEC)
    runtime.start("a")
    runtime.exit("a", 0)
    runtime.remove("a")
    runtime.close()
    assert list(own) == ["a"] * 4
    assert list(other) == []


def test_drops_hints_that_nobody_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that sleeps costs a bounded amount of memory."""
    monkeypatch.setattr(memory, "MAX_WAITING_HINTS", 2)
    runtime = MemoryRuntime()
    hints = runtime.events("j")
    for _ in range(5):
        runtime.create(SPEC)
    runtime.close()
    assert list(hints) == ["a", "a"]


def test_keeps_the_newest_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output is bounded from its beginning."""
    monkeypatch.setattr(memory, "MAX_LOG_BYTES", 8)
    runtime = MemoryRuntime()
    runtime.create(SPEC)
    runtime.write_output("a", b"first\nsecond\n")
    assert runtime.logs("a", 1) == b"second\n"
    assert len(runtime.logs("a", 100)) == 8


def test_resolves_any_image() -> None:
    """There are no images in memory: every reference is as good as it was given."""
    assert MemoryRuntime().resolve_image("x:1", print) == Image("x:1", "")
