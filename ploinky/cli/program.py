"""The commands as click sees them, each imported when it is asked for."""

import importlib
import os

import click
from click.shell_completion import shell_complete

from ploinky.cli.catalog import ALIAS_PROGRAM, ALIASES, COMMANDS, completion_variable, program_help
from ploinky.cli.failures import report
from ploinky.cli.session import Session, remote_options

SUGGESTIONS_LIMIT = 3
HELP_OPTION_NAMES = ["-h", "--help"]


class Program(click.Group):
    """A group that knows its commands from the catalog."""

    def __init__(self, program: str) -> None:
        super().__init__(name=program, context_settings={"help_option_names": HELP_OPTION_NAMES}, no_args_is_help=False)
        self.program = program

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *(ALIASES if self._has_aliases(ctx) else ())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in ALIASES and self._has_aliases(ctx):
            return make_program(self.program)
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"ploinky.cli.commands.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, self.list_commands(ctx), SUGGESTIONS_LIMIT)
            advice = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"there is no command {name!r}.{advice}", ctx)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(program_help(self.program) + "\n")

    def _has_aliases(self, ctx: click.Context) -> bool:
        return self.program == ALIAS_PROGRAM and ctx.parent is None


def make_program(program: str) -> click.Group:
    """Make the whole program under the name it was called by."""
    return remote_options(Program(program))


def run_command(program: str, arguments: list[str]) -> int:
    """Run one command line and return its exit code; failures are told on stderr.

    `KeyboardInterrupt` and `BrokenPipeError` pass through.
    """
    group = make_program(program)
    variable = completion_variable(program)
    if instruction := os.environ.get(variable):
        return shell_complete(group, {}, program, variable, instruction)
    try:
        with group.make_context(program, list(arguments), obj=Session()) as context:
            group.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except click.Abort as interrupted:
        raise KeyboardInterrupt from interrupted
    except Exception as error:  # noqa: BLE001 - the top of the program: everything becomes a line and a code
        return report(error)
    return 0
