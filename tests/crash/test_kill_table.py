"""The plan of the rounds reaches every named place, and a run that did not says so."""

import ast
from pathlib import Path

from tests.crash.deploy_round import KILLS
from tests.crash.kill_table import DEFAULT_ROUNDS, PROPERTY, KillTable
from tests.crash.steps import EFFECTS, STEPS, plan

SOURCES = Path(__file__).parents[2] / "ploinky"
LEAST_DOCKER_ROUNDS = 20


def reached_names() -> set[str]:
    """Collect what the code passes to `reach`; a variable part is written as `{}`."""
    names = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach":
                parts = node.args[0].values if isinstance(node.args[0], ast.JoinedStr) else [node.args[0]]
                names.add("".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts))
    return names


def test_plans_a_kill_at_every_place_in_the_code() -> None:
    """A place that the code names and no round ends the server at would be untested."""
    planned = {step.name for step in STEPS} | {kill.step for kill in KILLS}
    for place in ("before", "after", "recorded"):
        of_effects = {f"executor.{place}.{effect}" for effect in EFFECTS}
        assert of_effects <= planned
        planned = planned - of_effects | {f"executor.{place}.{{}}"}
    assert planned == reached_names()


def test_reaches_every_step_by_default() -> None:
    """The rounds of an ordinary run hold every step, random moments, and enough of them on Docker."""
    planned = plan(DEFAULT_ROUNDS)
    names = {step.name for _, kills in planned for step in kills}
    assert names == {step.name for step in STEPS} | {"a random moment"}
    assert sum(runtime == "docker" for runtime, _ in planned) >= LEAST_DOCKER_ROUNDS


def test_changes_the_runtime_of_a_step_over_many_rounds() -> None:
    """With enough rounds every step is reached on both runtimes."""
    seen = {(step.name, runtime) for runtime, kills in plan(200) for step in kills}
    assert {step.name for step in STEPS} == {name for name, kind in seen if kind == "docker"} - {"a random moment"}
    assert {step.name for step in STEPS} == {name for name, kind in seen if kind == "process"} - {"a random moment"}


def test_names_what_was_never_reached() -> None:
    """A whole run that missed a step has failed; a part of a run has not."""
    table = KillTable(2)
    names = [step.name for _, kills in plan(2) for step in kills]
    table.note([(PROPERTY, names[0])])
    assert table.missing == []
    table.note([(PROPERTY, names[0])])
    assert table.missing == sorted(set(names[1:]))
    assert any(line.endswith("x 2") and line.startswith(names[0]) for line in table.lines())


def test_says_nothing_without_rounds() -> None:
    """Other runs are not told about rounds."""
    table = KillTable(2)
    table.note([("other", "value")])
    assert table.lines() == []
    assert table.missing == []
