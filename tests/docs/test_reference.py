"""Tables of names in the documents are those of the code: nothing is missing, nothing is invented."""

import ast
import json
import re
from pathlib import Path

import msgspec

from ploinky.cli.failures import ExitCode
from ploinky.domain import errors, specs
from ploinky.domain.deciders import DECIDERS
from ploinky.domain.manifest import Manifest
from ploinky.domain.settings import SETTINGS
from ploinky.journal.codec import EVENT_TYPES
from ploinky.server.config import Configuration
from ploinky.server.config_layers import variable_name
from ploinky.usecases.problems import STATUSES, TASK_STATUSES, problem, status_of
from tests.docs.documents import INLINE, document, documents, rows
from tests.tidy.tree import ROOT, source_files

SHOUTED = re.compile(r"[A-Z]+(?:_[A-Z0-9]+)+")
WITHOUT_EFFECT = {"about", "warnings"}
"""Fields that are read and not used yet, and one that is none of the file."""


def first_code(cell: str) -> list[str]:
    return INLINE.findall(cell)


def sources() -> str:
    """Everything a name can come from: the code, the scripts, what tests read from the environment."""
    chosen = [path for path in source_files() if path.suffix in {".py", ".sh", ".toml"} or path.parent == ROOT / "ops"]
    return "\n".join(path.read_text(encoding="utf-8") for path in chosen if "docs" not in path.parts)


def test_every_key_of_the_configuration_is_documented_with_its_default() -> None:
    """The table has each key once, with the value that holds when nobody says anything."""
    keys = document("ops/docs/configuration.md").section("Configuration")
    table = {first_code(key)[0]: default.strip("`") for key, default, _ in rows(keys)}
    fields = {field.encode_name: field.default for field in msgspec.structs.fields(Configuration)}
    fields |= {"dataDirectory": "~/.ploinky/data", "queueDirectory": "none", "sshKnownHostsFile": "none"}
    assert table == {key: value if isinstance(value, str) else json.dumps(value) for key, value in fields.items()}


def test_what_can_be_changed_while_it_runs_is_named() -> None:
    """The page on configuration names each setting as one."""
    text = document("ops/docs/configuration.md").text
    sentence = next(part for part in text.split("\n\n") if "while the server runs" in part)
    assert set(SETTINGS) <= set(first_code(sentence))


def test_the_error_format_is_the_documented_one() -> None:
    """The example has the fields that errors have."""
    example = json.loads(document("ops/docs/api.md").blocks("json")[0])
    assert list(example) == list(json.loads(problem("X", "x", {}, "r")))


def test_documented_statuses_are_those_of_the_table() -> None:
    """Each code stands in the row of the status that it is answered with."""
    classes = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PloinkyError)
    ]
    known = {kind.code: status_of(kind()) for kind in classes if kind is not errors.Broken} | dict(TASK_STATUSES)
    for status, _, codes in rows(document("ops/docs/api.md").section("Errors")):
        for code in first_code(codes):
            assert code not in known or str(known[code]) in status, code


def test_every_status_is_documented() -> None:
    """The table of statuses has each one that a request can end with."""
    cells = [status for status, *_ in rows(document("ops/docs/api.md").section("Errors"))]
    documented = {int(number) for cell in cells for number in cell.split(", ")}
    assert set(STATUSES.values()) | set(TASK_STATUSES.values()) == documented - {405}


def test_every_error_of_a_task_has_its_documented_status() -> None:
    """The statuses in the page on agents are those that callers get."""
    table = {
        code: int(status)
        for cell, status, _ in rows(document("ops/docs/agents.md").section("Errors a caller sees"))
        for code in first_code(cell)
    }
    assert {code: TASK_STATUSES.get(code, 500) for code in table} == table
    assert TASK_STATUSES.keys() - {"OUTCOME_UNKNOWN"} <= table.keys()


def test_every_field_of_a_manifest_with_an_effect_is_documented() -> None:
    """The table names each field that is read and used, and no other."""
    table = {
        name.partition(".")[0]
        for cell, *_ in rows(document("ops/docs/agents.md").section("manifest.json"))
        for name in first_code(cell)
    }
    assert table == set(Manifest.__struct_encode_fields__) - WITHOUT_EFFECT


def test_defaults_of_a_release_are_the_documented_ones() -> None:
    """What holds when a manifest says nothing is in the table."""
    table = {
        first_code(cell)[0]: default
        for cell, _, default in rows(document("ops/docs/agents.md").section("manifest.json"))
    }
    release = specs.Release(commit="")
    assert table["concurrency"] == str(release.concurrency)
    assert table["runtime.resources.memory"] == f"{release.memory_bytes >> 20} MiB"
    assert table["runtime.resources.cpus"] == f"{release.cpus:g}"
    assert table["runtime.resources.pids"] == str(release.pids)
    assert table["retries.max"] == f"{release.retries.lost} for lost attempts, {release.retries.failed} for errors"
    assert table["retries.backoffSeconds"] == f"{release.retries.backoff_seconds:g}"
    assert table["run"] == f"`{' '.join(release.command)}`"


def test_exit_codes_are_those_of_the_program() -> None:
    """The table of exit codes has each code there is."""
    table = {int(code) for code, _ in rows(document("ops/docs/operations.md").section("Exit codes"))}
    assert table == {0, 130} | {int(code) for code in ExitCode}


def test_events_that_are_named_exist() -> None:
    """Each name of an event in the documents is that of a type."""
    name = re.compile(rf"(?:{'|'.join(DECIDERS)})\.[a-z_]+\??")
    named = {piece for text in documents() for code in text.code() for piece in name.findall(code)}
    known = {f"{kind}.py" for kind in DECIDERS}
    assert len(named) > len(DECIDERS)
    assert not {piece for piece in named if piece.endswith(".py")} - known
    assert (
        not {piece for piece in named if piece not in known and not piece.endswith((".py", ".md"))} - EVENT_TYPES.keys()
    )


def test_codes_and_variables_that_are_named_exist() -> None:
    """Each error code and environment variable in the documents stands in the code as well."""
    text = sources() + " ".join(variable_name(field) for field in Configuration.__struct_encode_fields__)
    named = {word for page in documents() for piece in page.code() for word in SHOUTED.findall(piece)}
    assert not {word for word in named if word not in text}


def test_every_folder_of_the_tree_is_explained() -> None:
    """The table of the tree in the page on architecture has each package of ours."""
    table = {
        name for cell, *_ in rows(document("ops/docs/architecture.md").section("The tree")) for name in first_code(cell)
    }
    packages = {f"ploinky/{path.parent.name}" for path in (ROOT / "ploinky").glob("*/__init__.py")}
    assert packages | {"agentcore", "migrations"} <= table


def test_decisions_are_numbered_once() -> None:
    """Each decision has a number of its own, the one in its title."""
    pages = sorted((ROOT / "ops/docs/adr").glob("*.md"))
    numbers = [page.name[:4] for page in pages]
    assert len(set(numbers)) == len(numbers)
    for page in pages:
        assert page.read_text().startswith(f"# {int(page.name[:4])}."), page.name


def test_modules_in_examples_exist() -> None:
    """What an example imports from us is there."""
    for text in documents():
        for block in text.blocks("python"):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ploinky"):
                    file = Path(ROOT, *node.module.split(".")).with_suffix(".py")
                    assert all(
                        re.search(rf"^(?:class|def) {name.name}\b", file.read_text(), re.MULTILINE)
                        for name in node.names
                    )
