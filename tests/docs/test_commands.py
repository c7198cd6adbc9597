"""The command lines in the documents are understood by the program, and the program's commands are documented."""

from collections.abc import Iterator

import click
import pytest

from ploinky.cli.program import make_program
from ploinky.cli.session import Session
from tests.docs.documents import PROGRAMS, document, documents, words
from tests.tidy.tree import ROOT

SHELL_LINES = sorted({(text.name, line) for text in documents() for line in text.shell_lines()})
PIECES = sorted({piece for text in documents() for piece in text.code() if piece.startswith(("ploinky ", "p-cli "))})
OPTIONS = sorted({words(piece)[0] for text in documents() for piece in text.code() if piece.startswith("-")})
METAVARIABLES = {"COMMAND", "..."}


def resolve(arguments: list[str]) -> tuple[click.Command, click.Context, list[str]]:
    """Find the command that a command line means, and what is left for it."""
    command: click.Command = make_program("ploinky")
    context = click.Context(command, obj=Session())
    left = list(arguments)
    while isinstance(command, click.Group) and left and left[0] not in METAVARIABLES:
        found = command.get_command(context, left[0])
        assert found is not None, f"there is no command {left[0]!r} in {' '.join(arguments)}"
        command, context = found, click.Context(found, parent=context, obj=context.obj)
        left.pop(0)
    return command, context, left


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Give each command that does something, with the words that name it."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from leaves(inner, (*path, name))


@pytest.mark.parametrize(("name", "line"), SHELL_LINES)
def test_lines_of_shell_are_understood(name: str, line: str) -> None:
    """What a reader may copy is a command with all that it needs, and nothing it does not know."""
    command, context, left = resolve(words(line)[1:])
    assert not isinstance(command, click.Group), line
    command.make_context(command.name, left, parent=context.parent, obj=context.obj)


@pytest.mark.parametrize("piece", PIECES)
def test_commands_in_sentences_exist(piece: str) -> None:
    """A command that is spoken of exists, with the options that are named."""
    command, _, left = resolve(words(piece)[1:])
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in left if word.startswith("-")} <= known | {"--help"}


@pytest.mark.parametrize("option", OPTIONS)
def test_options_in_sentences_exist(option: str) -> None:
    """An option that is spoken of without its command is one of some command, or of a benchmark."""
    if any(f'"{option}"' in script.read_text() for script in (ROOT / "ops" / "benchmarks").glob("*.py")):
        return
    commands = [command for _, command in leaves(make_program("ploinky"))]
    assert any(option in parameter.opts for command in commands for parameter in command.params)


def test_every_command_is_documented() -> None:
    """The page on the command line names each command there is."""
    spoken_of = [tuple(words(piece)[1:]) for piece in document("ops/docs/commands.md").code() if " " in piece]
    for path, _ in leaves(make_program("ploinky")):
        assert any(said[: len(path)] == path for said in spoken_of), " ".join(path)


def test_a_wrong_command_would_be_found() -> None:
    """The checks above can fail: neither a command nor an option that does not exist passes."""
    with pytest.raises(AssertionError):
        resolve(["redeploy", "/demo"])
    command, context, left = resolve(["logs", "/demo", "--no-such-option"])
    with pytest.raises(click.NoSuchOption):
        command.make_context(command.name, left, parent=context.parent, obj=context.obj)


def test_there_is_something_to_check() -> None:
    """The documents hold commands for both checks, and name the alias."""
    assert len(SHELL_LINES) > len(PROGRAMS)
    assert len(PIECES) > len(PROGRAMS)
    assert "p-cli" in document("ops/docs/commands.md").code()
