"""Python handlers and module functions, called through a real agent."""

import pytest

from tests.agentcore.conftest import Agent


def test_calls_a_handler_with_params_and_context(agent: Agent) -> None:
    """`handlers/{command}.py` gets the params and a context that knows its attempt."""
    agent.write(
        "handlers/greet.py",
        "def handle(params, context):\n"
        "    return [params, context.task_id, context.attempt, context.command, context.security_context,\n"
        "            context.metadata['method'], context.deadline.isoformat()]\n",
    )
    metadata = {"method": "POST", "securityContext": {"userId": "ann"}, "deadline": "2099-01-01T02:00:00.5+02:00"}
    found = agent.start().data("greet", "a", 2, metadata=metadata)
    assert found == [["a", 2], "task-1", 1, "greet", {"userId": "ann"}, "POST", "2099-01-01T00:00:00.500000+00:00"]


def test_says_when_it_was_claimed_and_finished(agent: Agent) -> None:
    """An outcome carries both instants in RFC 3339 UTC with microseconds."""
    agent.write("agent.py", "def nothing():\n    pass\n")
    found = agent.start().call("nothing")
    assert found["data"] is None
    assert found["claimed_at"] <= found["finished_at"]
    assert len(found["claimed_at"]) == len("2026-01-01T00:00:00.000000Z")
    assert found["claimed_at"].endswith("Z")


def test_awaits_async_handlers_on_one_loop(agent: Agent) -> None:
    """Coroutines are awaited, and the loop is the same for all attempts of a worker."""
    agent.write(
        "agent.py",
        "import asyncio\nasync def loop():\n    await asyncio.sleep(0)\n    return id(asyncio.get_running_loop())\n",
    )
    agent.write("handlers/later.py", "async def handle(params, context):\n    return params[0] + 1\n")
    agent.start(PLOINKY_CONCURRENCY="1")
    assert agent.data("later", 41) == 42
    assert agent.data("loop", name="a.1") == agent.data("loop", name="b.1")


def test_keeps_handlers_warm(agent: Agent) -> None:
    """A module is loaded once per worker, so its state survives between attempts."""
    agent.write(
        "handlers/count.py", "seen = []\ndef handle(params, context):\n    seen.append(1)\n    return len(seen)\n"
    )
    agent.start(PLOINKY_CONCURRENCY="1")
    assert [agent.data("count", name=f"t{number}.1") for number in range(3)] == [1, 2, 3]


def test_handler_file_wins_over_the_module(agent: Agent) -> None:
    """Rule 1 comes before rule 2."""
    agent.write("handlers/who.py", "def handle(params, context):\n    return 'handler'\n")
    agent.write("agent.py", "def who():\n    return 'module'\n")
    assert agent.start().data("who") == "handler"


def test_passes_the_context_to_functions_that_take_one(agent: Agent) -> None:
    """A module's function gets `context` by keyword only when its signature has it."""
    agent.write(
        "agent.py",
        "def plain(a, b=2):\n    return [a, b]\ndef aware(a, *, context):\n    return [a, context.command]\n",
    )
    agent.start()
    assert agent.data("plain", 1) == [1, 2]
    assert agent.data("aware", 1, name="task-2.1") == [1, "aware"]


def test_uses_the_module_of_the_manifest(agent: Agent) -> None:
    """The manifest's `module` replaces agent.py, written as a path or with dots."""
    agent.write("manifest.json", '{"module": "src.tasks"}')
    agent.write("src/tasks.py", "from lib import twice\ndef double(x):\n    return twice(x)\n")
    agent.write("lib.py", "def twice(x):\n    return 2 * x\n")
    assert agent.start().data("double", 21) == 42


@pytest.mark.parametrize("command", ["system", "Thing", "_private", "os", "constant"])
def test_refuses_what_the_module_does_not_offer(agent: Agent, command: str) -> None:
    """Imported functions, classes, private names and values of a module are no commands."""
    agent.write(
        "agent.py",
        "import os\nfrom os import system\nconstant = 1\nclass Thing:\n    pass\ndef _private():\n    return 1\n",
    )
    found = agent.start().call(command, "exit 0")
    assert found["code"] == "COMMAND_NOT_FOUND"


def test_all_decides_what_a_module_offers(agent: Agent) -> None:
    """With `__all__`, exactly the listed functions answer, imported ones included."""
    agent.write("agent.py", "from math import gcd\n__all__ = ['gcd']\ndef other():\n    return 1\n")
    agent.start()
    assert agent.data("gcd", 12, 18) == 6
    assert agent.call("other", name="task-2.1")["code"] == "COMMAND_NOT_FOUND"


def test_namespaced_commands_are_normal_names(agent: Agent) -> None:
    """`ns.name` finds `handlers/ns.name.py`."""
    agent.write("handlers/math.add.py", "def handle(params, context):\n    return sum(params)\n")
    assert agent.start().data("math.add", 1, 2) == 3


def test_tells_what_exists_when_nothing_answers(agent: Agent) -> None:
    """COMMAND_NOT_FOUND lists the methods there are."""
    agent.write("agent.py", "def echo(x):\n    return x\n")
    found = agent.start().call("ecko", 1)
    assert found["code"] == "COMMAND_NOT_FOUND"
    assert found["details"] == {"methods": ["echo", "methods"]}


def test_refuses_a_handler_file_without_handle(agent: Agent) -> None:
    """A handler file that defines no `handle` is NO_HANDLER, not something else's turn."""
    agent.write("handlers/empty.py", "x = 1\n")
    agent.write("agent.py", "def empty():\n    return 1\n")
    assert agent.start().call("empty")["code"] == "NO_HANDLER"


def test_reports_what_a_handler_raises(agent: Agent) -> None:
    """The message is `Type: text`, the traceback starts at the agent's code."""
    agent.write("agent.py", "def broken():\n    return {}['nope']\n")
    found = agent.start().call("broken")
    assert (found["code"], found["message"]) == ("TASK_EXECUTION_ERROR", "KeyError: 'nope'")
    assert "agent.py" in found["details"]["traceback"]
    assert "agentcore" not in found["details"]["traceback"]


@pytest.mark.parametrize(
    "body",
    ["import sys; sys.exit(3)", "raise KeyboardInterrupt", "import asyncio; raise asyncio.CancelledError"],
)
def test_survives_exceptions_that_are_no_errors(agent: Agent, body: str) -> None:
    """What ends other programs ends only the attempt; the worker goes on."""
    agent.write("agent.py", f"import os\ndef leave():\n    {body}\ndef pid():\n    return os.getpid()\n")
    agent.start(PLOINKY_CONCURRENCY="1")
    before = agent.data("pid", name="a.1")
    assert agent.call("leave")["code"] == "TASK_EXECUTION_ERROR"
    assert agent.data("pid", name="b.1") == before


def test_reports_a_handler_that_cannot_be_imported(agent: Agent) -> None:
    """A syntax error in a handler is an execution error with its place, and only for that command."""
    agent.write("handlers/bad.py", "def handle(params, context):\n    return (\n")
    agent.write("agent.py", "def good():\n    return 1\n")
    agent.start()
    found = agent.call("bad")
    assert found["code"] == "TASK_EXECUTION_ERROR"
    assert found["message"].startswith("SyntaxError:")
    assert agent.data("good", name="task-2.1") == 1


def test_survives_an_exception_without_a_text(agent: Agent) -> None:
    """An exception whose text cannot be had is still reported."""
    agent.write(
        "agent.py",
        "class Odd(Exception):\n    def __str__(self):\n        raise ValueError\ndef odd():\n    raise Odd\n",
    )
    assert agent.start().call("odd")["message"] == "Odd: (an exception without a text)"


def test_bounds_the_traceback_and_the_message(agent: Agent) -> None:
    """A huge error is cut, not passed on whole."""
    agent.write("agent.py", "def huge():\n    raise ValueError('x' * 1000000)\n")
    found = agent.start().call("huge")
    assert len(found["message"]) == 4096
    assert len(found["details"]["traceback"].encode()) <= 8192
    assert found["details"]["traceback_is_cut"] is True


def test_hides_secrets_and_the_token(agent: Agent) -> None:
    """Neither secrets of the environment nor the attempt's token leave in an error."""
    agent.write(
        "agent.py",
        "import os\ndef leak(*, context):\n"
        "    raise ValueError(os.environ['DB_PASSWORD'] + ' ' + os.environ['ODD'] + ' ' + context.metadata['token'])\n",
    )
    agent.start(DB_PASSWORD="hunter2", ODD="peculiar", PLOINKY_SECRET_NAMES="ODD")
    found = agent.call("leak", metadata={"token": "tok-123456"})
    assert found["message"] == "ValueError: [hidden DB_PASSWORD] [hidden ODD] [hidden token]"
    for secret in ("hunter2", "peculiar", "tok-123456"):
        assert secret not in str(found)


@pytest.mark.parametrize("value", ["object()", "float('nan')", "{(1, 2): 3}", "b'x'", "(n for n in [])"])
def test_refuses_a_result_that_is_no_json(agent: Agent, value: str) -> None:
    """What JSON cannot say is RESULT_NOT_SERIALISABLE."""
    agent.write("agent.py", f"def odd():\n    return {value}\n")
    assert agent.start().call("odd")["code"] == "RESULT_NOT_SERIALISABLE"


def test_refuses_a_circular_result(agent: Agent) -> None:
    """A result that contains itself is RESULT_NOT_SERIALISABLE."""
    agent.write("agent.py", "def loop():\n    x = []\n    x.append(x)\n    return x\n")
    assert agent.start().call("loop")["code"] == "RESULT_NOT_SERIALISABLE"


def test_refuses_a_result_that_is_too_large(agent: Agent) -> None:
    """A result above the bound is RESULT_TOO_LARGE and no file of that size is left."""
    agent.write("agent.py", "def large():\n    return 'x' * (64 * 1024 * 1024)\n")
    found = agent.start().call("large")
    assert found["code"] == "RESULT_TOO_LARGE"
    assert list((agent.queue / "results").iterdir()) == []


def test_prints_never_corrupt_the_protocol(agent: Agent) -> None:
    """What handlers print, by whatever way, goes to the log and the result is what they return."""
    agent.write(
        "agent.py",
        "import os, sys\ndef noisy(*, context):\n    print('to stdout')\n    os.write(1, b'raw\\n')\n"
        "    print('to stderr', file=sys.stderr)\n    context.log('two\\nlines')\n    return sys.stdin.read()\n",
    )
    assert agent.start().data("noisy") == ""
    assert "to stdout\n" in agent.stdout()
    assert "raw\n" in agent.stdout()
    assert "to stderr\n" in agent.stderr()
    assert "[task-1.1 noisy] two\\nlines\n" in agent.stderr()


def test_methods_lists_what_an_agent_answers_to(agent: Agent) -> None:
    """The built-in `methods` gives name, doc and params of all rules."""
    agent.write("agent.py", 'def add(a, b, *rest, context=None):\n    """Add."""\n')
    agent.write("handlers/one.py", '"""Do one."""\nasync def handle(params, context):\n    return 1\n')
    agent.write("handlers/two.sh", "echo 2\n")
    agent.write("manifest.json", '{"commands": {"three": "echo 3"}}')
    assert agent.start().data("methods") == [
        {"name": "one", "doc": "Do one.", "params": []},
        {"name": "add", "doc": "Add.", "params": ["a", "b", "*rest"]},
        {"name": "two", "doc": "", "params": []},
        {"name": "three", "doc": "echo 3", "params": []},
        {"name": "methods", "doc": "List what this agent answers to.", "params": []},
    ]


def test_an_agent_may_define_methods_itself(agent: Agent) -> None:
    """A command `methods` of the agent replaces the built-in one."""
    agent.write("agent.py", "def methods():\n    return 'mine'\n")
    assert agent.start().data("methods") == "mine"


def test_leaves_the_release_as_it_was_deployed(agent: Agent) -> None:
    """Importing handlers writes no byte code into the agent's folder."""
    agent.write("handlers/one.py", "def handle(params, context):\n    return 1\n")
    agent.start().data("one")
    assert [path.name for path in agent.folder.rglob("*")] == ["handlers", "one.py"]
