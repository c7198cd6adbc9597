"""About this program."""

import click

import ploinky
from ploinky.cli.catalog import completion_variable
from ploinky.cli.output import print_json, say
from ploinky.cli.session import Session, json_option, pass_session

SHELLS = ("bash", "zsh", "fish")


@click.command()
@json_option
@pass_session
def version(session: Session) -> None:
    """Show the version of this program; `ploinky health` shows the server's."""
    if session.is_json:
        print_json({"version": ploinky.__version__})
    else:
        say(f"ploinky {ploinky.__version__}")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell.

    For example: eval "$(ploinky completion bash)"
    """
    from click.shell_completion import get_completion_class

    root = context.find_root()
    program = root.info_name or "ploinky"
    found = get_completion_class(shell)
    if found is None:
        raise click.BadParameter(f"there is no completion for {shell}")
    script = found(root.command, {}, program, completion_variable(program)).source()
    if context.ensure_object(Session).is_json:
        print_json({"shell": shell, "script": script})
    else:
        say(script)
