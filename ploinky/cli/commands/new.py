"""Make new agents."""

import re
import shutil
from pathlib import Path

import click

from ploinky.cli.failures import CommandFailed, ExitCode
from ploinky.cli.output import print_json, say
from ploinky.cli.session import Session, json_option, pass_session

TEMPLATES = Path(__file__).parent.parent.parent / "templates"
KINDS = {"task": "agent", "web": "web"}
"""What `--template` may say, with the folder of each."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
NAME_LIMIT_CHARACTERS = 100
PLACEHOLDER = "agent-name"


@click.group()
def new() -> None:
    """Make a new agent from a template."""


@new.command("agent")
@click.argument("name")
@click.option("--directory", metavar="PATH", default=".", help="Where its folder goes. [here]")
@click.option(
    "--template",
    "kind",
    type=click.Choice(list(KINDS)),
    default="task",
    show_default=True,
    help="Answer to commands, or be a web server.",
)
@json_option
@pass_session
def new_agent(session: Session, name: str, directory: str, kind: str) -> None:
    """Make the folder NAME with a working agent, as a git repository with one commit."""
    if len(name) > NAME_LIMIT_CHARACTERS or not NAME.fullmatch(name):
        hint = "small letters, digits and . _ -, and a letter or digit first"
        raise click.BadParameter(f"{name!r} is not a name: use {hint}", param_hint="'NAME'")
    from ploinky.cli.new_repository import make_repository

    folder = Path(directory).expanduser().absolute() / name
    _refuse_occupied(folder)
    copy_template(folder, name, kind)
    make_repository(folder)
    deploy = f"ploinky deploy localhost /{name} {name} --repository {folder}"
    if session.is_json:
        print_json({"name": name, "directory": str(folder), "deploy": deploy})
        return
    is_web = kind == "web"
    say(f"Made {folder}. What it answers {'is in its server.py' if is_web else 'to is in its handlers folder'}.")
    say("Next:")
    say(f"  {deploy}")
    if not is_web:
        say(f"  ploinky call /{name} hello World")
    say("After a change: commit it, then")
    say(f"  ploinky agent update /{name}")


def copy_template(folder: Path, name: str, kind: str = "task") -> None:
    """Copy a template with the agent's name put in. **Raises** `OSError`."""
    template = TEMPLATES / KINDS[kind]
    for source in sorted(template.rglob("*")):
        if source.is_dir() or "__pycache__" in source.parts:
            continue
        target = folder / source.relative_to(template)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text(encoding="utf-8").replace(PLACEHOLDER, name), encoding="utf-8")
        shutil.copymode(source, target)


def _refuse_occupied(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()) or (folder.is_dir() and any(folder.iterdir())):
        raise CommandFailed(
            f"{folder} is there already and not empty",
            code="FOLDER_OCCUPIED",
            exit_code=ExitCode.NOT_FOUND_OR_CONFLICT,
            hint="Choose another name or --directory.",
        )
