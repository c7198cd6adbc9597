"""Shell scripts, executables and command lines of the manifest, run by a real agent."""

import json

import pytest

from tests.agentcore.conftest import Agent


def test_runs_a_script_with_params_as_arguments(agent: Agent) -> None:
    """Params are arguments, texts as they are and the rest as JSON; stdout that is no JSON is a text."""
    agent.write("handlers/show.sh", 'for word in "$@"; do echo "<$word>"; done\n')
    found = agent.start().data("show", "a b", "$(id)", {"k": [1]}, True, "")
    assert found == '<a b>\n<$(id)>\n<{"k": [1]}>\n<true>\n<>'


def test_gives_the_task_on_stdin_and_reads_json(agent: Agent) -> None:
    """The task JSON comes in on stdin, and JSON on stdout is the result as such."""
    agent.write("handlers/task.sh", "cat\n")
    found = agent.start().data("task", 7, metadata={"method": "GET"})
    assert found == {"id": "task-1", "attempt": 1, "command": "task", "params": [7], "metadata": {"method": "GET"}}


def test_runs_an_executable_file(agent: Agent) -> None:
    """`handlers/{command}` runs when it is executable."""
    agent.write("handlers/tool", '#!/bin/sh\necho "$TASK_COMMAND in $PWD"\n', 0o755)
    assert agent.start().data("tool") == f"tool in {agent.folder}"


def test_runs_an_executable_without_an_interpreter_line(agent: Agent) -> None:
    """A script without #! is run by the shell, as a shell would do it."""
    agent.write("handlers/bare", "echo ran\n", 0o755)
    assert agent.start().data("bare") == "ran"


def test_a_file_that_is_not_executable_is_no_command(agent: Agent) -> None:
    """Notes in `handlers/` do not become commands."""
    agent.write("handlers/notes", "echo no\n")
    assert agent.start().call("notes")["code"] == "COMMAND_NOT_FOUND"


@pytest.mark.parametrize("command", ["one.py", "two.sh", "__pycache__"])
def test_a_source_is_no_command_by_its_file_name(agent: Agent, command: str) -> None:
    """An executable source answers to its command only, not to its file name."""
    agent.write("handlers/one.py", "#!/bin/sh\necho one\n", 0o755)
    agent.write("handlers/two.sh", "#!/bin/sh\necho two\n", 0o755)
    assert agent.start().call(command)["code"] == "COMMAND_NOT_FOUND"


def test_reports_a_failed_command(agent: Agent) -> None:
    """A non-zero exit is an error with the exit code, stdout and stderr."""
    agent.write("handlers/fail.sh", "echo out; echo err >&2; exit 3\n")
    found = agent.start().call("fail")
    assert (found["code"], found["message"]) == ("TASK_EXECUTION_ERROR", "the command ended with status 3")
    assert found["details"]["code"] == 3
    assert found["details"]["stdout"] == "out\n"
    assert found["details"]["stderr"] == "err\n"


def test_bounds_what_a_failed_command_printed(agent: Agent) -> None:
    """Of long output the end is kept."""
    agent.write("handlers/fail.sh", "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 1\n")
    details = agent.start().call("fail")["details"]
    assert details["stderr_is_cut"] is True
    assert len(details["stderr"]) == 8192
    assert details["stderr"].endswith("xend\n")


def test_says_which_signal_ended_a_command(agent: Agent) -> None:
    """A command that is killed is an error naming the signal."""
    agent.write("handlers/die.sh", "kill -9 $$\n")
    assert agent.start().call("die")["message"] == "the command ended with signal 9"


def test_stops_a_command_that_prints_without_end(agent: Agent) -> None:
    """More output than the bound ends the command with RESULT_TOO_LARGE."""
    agent.write("handlers/flood.sh", "cat /dev/zero\n")
    assert agent.start().call("flood")["code"] == "RESULT_TOO_LARGE"


def test_feeds_a_large_task_to_a_command_that_prints_meanwhile(agent: Agent) -> None:
    """Neither side waits for the other for ever when both pipes are full."""
    agent.write("handlers/size.sh", "cat >&2; echo done\n")
    agent.start()
    assert agent.data("size", metadata={"filler": "x" * 300_000}) == "done"


def test_takes_a_command_that_does_not_read_its_stdin(agent: Agent) -> None:
    """A closed stdin with a large task is no error."""
    agent.write("handlers/deaf.sh", "exec <&-; echo done\n")
    assert agent.start().data("deaf", metadata={"filler": "x" * 300_000}) == "done"


def test_does_not_wait_for_a_daemon(agent: Agent) -> None:
    """A command that leaves a process behind is finished when it ends itself."""
    agent.write("handlers/daemon.sh", "sleep 600 & echo started\n")
    assert agent.start().data("daemon") == "started"


def test_runs_commands_of_the_manifest_without_a_shell(agent: Agent) -> None:
    """A command line is split into words; params are added as words and never interpreted."""
    agent.write("manifest.json", json.dumps({"commands": {"say": "printf '%s|' 'two words' $HOME"}}))
    assert agent.start().data("say", "; id", "`id`") == "two words|$HOME|; id|`id`|"


def test_run_task_answers_to_every_other_command(agent: Agent) -> None:
    """`runTask` is the last resort and gets the command in TASK_COMMAND; `methods` stays built in."""
    agent.write("manifest.json", json.dumps({"runTask": ["sh", "-c", 'echo "$TASK_COMMAND $1"', "sh"]}))
    agent.start()
    assert agent.data("anything; id", "x") == "anything; id x"
    assert agent.data("methods", name="task-2.1")[0]["name"] == "methods"


def test_reports_a_command_line_that_cannot_be_started(agent: Agent) -> None:
    """A missing program is an execution error that names it."""
    agent.write("manifest.json", json.dumps({"commands": {"gone": "no-such-program"}}))
    found = agent.start().call("gone")
    assert found["code"] == "TASK_EXECUTION_ERROR"
    assert "no-such-program" in found["message"]


def test_reports_params_that_no_argument_can_hold(agent: Agent) -> None:
    """A NUL in a param is an error of that attempt only."""
    agent.write("handlers/show.sh", "echo fine\n")
    agent.start()
    assert agent.call("show", "a\0b")["code"] == "TASK_EXECUTION_ERROR"
    assert agent.data("show", name="task-2.1") == "fine"


def test_hides_secrets_a_command_printed(agent: Agent) -> None:
    """Secrets of the environment do not leave in the details of an error."""
    agent.write("handlers/leak.sh", 'echo "$API_KEY"; exit 1\n')
    found = agent.start(API_KEY="very-secret").call("leak")
    assert found["details"]["stdout"] == "[hidden API_KEY]\n"


def test_nan_is_a_text(agent: Agent) -> None:
    """What only looks like JSON is handed on as text."""
    agent.write("handlers/nan.sh", "echo NaN\n")
    assert agent.start().data("nan") == "NaN"


def test_what_a_successful_command_says_on_stderr_is_logged(agent: Agent) -> None:
    """Warnings of commands are found in the agent's log."""
    agent.write("handlers/warn.sh", "echo careful >&2; echo 1\n")
    assert agent.start().data("warn") == 1
    assert "careful\n" in agent.stderr()
