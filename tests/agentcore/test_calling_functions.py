"""How the agent's code is found, loaded and called, without a process around it."""

import asyncio
import functools
import sys
import types
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agentcore.context import Context
from agentcore.external_commands import ExternalCommand
from agentcore.failures import COMMAND_NOT_FOUND, INVALID_MANIFEST, NO_HANDLER, TaskFailure
from agentcore.manifest import Manifest
from agentcore.python_functions import (
    HandlerFunction,
    ModuleFunction,
    find_function,
    finish,
    load_handler,
    load_module,
)
from agentcore.resolution import Commands, ListMethods
from agentcore.task import Task


def task(*params: Any, command: str = "called", **metadata: Any) -> Task:
    return Task("t", 3, command, list(params), metadata, None, b"{}")


@pytest.fixture(autouse=True)
def unchanged_modules() -> Iterator[None]:
    """Forget what a test imported."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def module_of(source: str) -> types.ModuleType:
    module = types.ModuleType("agent")
    exec(source, vars(module))
    return module


def test_a_handler_may_leave_the_context_out() -> None:
    """`handle(params)` is called with what it takes."""
    assert HandlerFunction(lambda params: params).run(task(1, 2)) == [1, 2]
    assert HandlerFunction(lambda params, context: [params, context.attempt]).run(task()) == [[], 3]
    assert HandlerFunction(lambda *both: len(both)).run(task()) == 2


def test_a_handler_without_a_signature_gets_both() -> None:
    """A function of C is called as the contract says."""
    assert HandlerFunction(max).run is not None
    with pytest.raises(TypeError):
        HandlerFunction(max).run(task())


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda a, b=5: [a, b], [1, 5]),
        (lambda a, context: [a, context.command], [1, "called"]),
        (lambda a, *, context=None: [a, context.command], [1, "called"]),
        (lambda *a, **other: [a, other], [(1,), {}]),
    ],
)
def test_the_signature_decides_about_the_context(function: Callable[..., Any], expected: object) -> None:
    """`context` is passed by keyword to whom names it, and to nobody else."""
    assert ModuleFunction(function).run(task(1)) == expected


def test_too_few_params_are_an_error_of_the_caller() -> None:
    """Python's own message tells which parameter is missing."""
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'b'"):
        ModuleFunction(lambda a, b: [a, b]).run(task(1))


def test_finds_decorated_functions() -> None:
    """A wrapped function is still the module's own."""
    module = module_of(
        "import functools\n@functools.lru_cache(None)\ndef cached(): return 1\n"
        "def plain(): return 2\nwrapped = functools.wraps(plain)(lambda: 3)\n"
    )
    for name, expected in (("cached", 1), ("plain", 2), ("wrapped", 3)):
        function = find_function(module, name)
        assert function is not None
        assert function.run(task()) == expected


@pytest.mark.parametrize("name", ["system", "partial", "Thing", "number", "missing", "__builtins__", "functools"])
def test_finds_nothing_that_is_not_the_modules_own(name: str) -> None:
    """Imports, classes, values and the interpreter's names are no commands."""
    module = module_of(
        "import functools\nfrom os import system\nclass Thing: pass\nnumber = 1\n"
        "partial = functools.partial(system, 'true')\n"
    )
    assert find_function(module, name) is None


def test_awaits_anything_that_can_be_awaited() -> None:
    """Coroutines, futures and objects with `__await__` are finished; other values are handed on."""

    class Later:
        def __await__(self) -> Any:
            return asyncio.sleep(0, "later").__await__()

    async def soon() -> str:
        return "soon"

    try:
        assert [finish(soon()), finish(Later()), finish("now")] == ["soon", "later", "now"]
    finally:
        asyncio.set_event_loop(None)
        from agentcore.python_functions import _loops

        _loops.pop().close()


def test_a_module_is_loaded_once(tmp_path: Path) -> None:
    """What other code imported under the same name from the same file is the same module."""
    path = tmp_path / "agent_of_test.py"
    path.write_text("seen = []\n")
    first = load_module(str(path), "agent_of_test")
    assert load_module(str(path), "agent_of_test") is first
    assert sys.modules["agent_of_test"] is first


def test_a_library_keeps_its_name(tmp_path: Path) -> None:
    """An agent's file called like a library does not replace it."""
    import json

    (tmp_path / "json.py").write_text("mine = 1\n")
    module = load_module(str(tmp_path / "json.py"), "json")
    assert module.mine == 1
    assert sys.modules["json"] is json


def test_a_module_that_fails_is_not_kept(tmp_path: Path) -> None:
    """A failed import is tried again by the next attempt."""
    path = tmp_path / "fails_once.py"
    path.write_text("raise OSError('not yet')\n")
    with pytest.raises(OSError, match="not yet"):
        load_module(str(path), "fails_once")
    assert "fails_once" not in sys.modules
    path.write_text("fine = True\n")
    assert load_module(str(path), "fails_once").fine


def test_dataclasses_work_in_handlers(tmp_path: Path) -> None:
    """A handler's module can be found by its name while it is imported."""
    (tmp_path / "point.py").write_text(
        "from dataclasses import dataclass, asdict\n@dataclass\nclass Point:\n    x: 'int'\n"
        "def handle(params, context):\n    return asdict(Point(*params))\n"
    )
    assert load_handler(str(tmp_path / "point.py"), "point").run(task(4)) == {"x": 4}


@pytest.mark.parametrize("source", ["", "handle = 5\n", "def handel(params, context): pass\n"])
def test_refuses_a_handler_that_defines_none(tmp_path: Path, source: str) -> None:
    """NO_HANDLER names the file."""
    (tmp_path / "odd.py").write_text(source)
    with pytest.raises(TaskFailure, match=r"handlers/odd\.py") as raised:
        load_handler(str(tmp_path / "odd.py"), "odd")
    assert raised.value.code == NO_HANDLER


LAYERS = (
    ("handlers/do.py", "def handle(params, context): return 'handler'\n", HandlerFunction),
    ("agent.py", "def do(): return 'module'\n", ModuleFunction),
    ("handlers/do.sh", "echo script\n", ExternalCommand),
    ("handlers/do", "#!/bin/sh\necho program\n", ExternalCommand),
)


@pytest.mark.parametrize("missing", range(5))
def test_the_first_rule_that_matches_wins(tmp_path: Path, missing: int) -> None:
    """With the first rules' files missing, the next rule answers, down to the manifest."""
    (tmp_path / "handlers").mkdir()
    for name, text, _ in LAYERS[missing:]:
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    manifest = Manifest(commands={"do": ["echo", "command"]}, run_task=["echo", "fallback"])
    answer = Commands(str(tmp_path), manifest).resolve("do")
    expected = [kind for _, _, kind in LAYERS] + [ExternalCommand]
    assert type(answer) is expected[missing]
    said = ["handler", "module", "script", "program", "command"]
    assert answer.run(task(command="do")) == said[missing]


def test_the_fallback_comes_last(tmp_path: Path) -> None:
    """`methods` is answered before `runTask`, everything else unknown by `runTask`."""
    commands = Commands(str(tmp_path), Manifest(run_task=["echo", "fallback"]))
    assert type(commands.resolve("methods")) is ListMethods
    assert commands.resolve("other").run(task(command="other")) == "fallback"


def test_what_was_found_is_remembered(tmp_path: Path) -> None:
    """The second look is a look into memory, also after the file is gone."""
    (tmp_path / "handlers").mkdir()
    (tmp_path / "handlers/do.py").write_text("def handle(params, context): return 1\n")
    commands = Commands(str(tmp_path), Manifest())
    first = commands.resolve("do")
    (tmp_path / "handlers/do.py").unlink()
    assert commands.resolve("do") is first


def test_what_was_not_found_is_looked_for_again(tmp_path: Path) -> None:
    """A command that is added while the agent runs is found."""
    commands = Commands(str(tmp_path), Manifest())
    with pytest.raises(TaskFailure) as raised:
        commands.resolve("do")
    assert raised.value.code == COMMAND_NOT_FOUND
    (tmp_path / "agent.py").write_text("def do(): return 1\n")
    assert commands.resolve("do").run(task()) == 1


def test_each_attempt_gets_a_failure_of_its_own(tmp_path: Path) -> None:
    """A broken manifest's failure is not one object that grows with every traceback."""
    broken = TaskFailure(INVALID_MANIFEST, "broken", {"line": 1})
    commands = Commands(str(tmp_path), Manifest(failure=broken))
    for _ in range(2):
        with pytest.raises(TaskFailure, match="broken") as raised:
            commands.resolve("do")
        assert raised.value is not broken
        assert raised.value.details == {"line": 1}


def test_a_context_tells_about_its_attempt() -> None:
    """Everything a handler may know is there, and odd metadata gives empty answers."""
    deadline = datetime(2026, 1, 1, tzinfo=UTC)
    context = Context(task(securityContext={"userId": "ann"})._replace(deadline=deadline))
    assert (context.task_id, context.attempt, context.command, context.deadline) == ("t", 3, "called", deadline)
    assert context.security_context == {"userId": "ann"}
    assert Context(task(securityContext="ann")).security_context == {}
    assert Context(task()).metadata == {}


def test_a_log_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Line ends are written as escapes, and a backslash stays distinguishable from them."""
    context = Context(task())
    context.log("a\r\nb\\n")
    context.log(functools.reduce(lambda text, _: text + text, range(20), "x"))
    first, second, rest = capsys.readouterr().err.split("\n")
    assert first == "[t.3 called] a\\r\\nb\\\\n"
    assert len(second) == len("[t.3 called] ") + 16 * 1024
    assert rest == ""
