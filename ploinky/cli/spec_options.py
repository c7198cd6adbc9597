"""What can be said of a deployment when it is made and when it is changed, as options."""

import functools
import os
import re
from collections.abc import Callable
from typing import Any

import click

from ploinky.cli.credentials import credential_options

VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LARGEST_CONCURRENCY = 1_000
LARGEST_REPLICAS = 64

Command = Callable[..., Any]

NAMES = {
    "branch": "branch",
    "revision": "revision",
    "subfolder": "subfolder",
    "credentials": "credentials",
    "runtime": "runtime",
    "image": "image",
    "access": "access",
    "concurrency": "concurrency",
    "task_timeout": "timeoutSeconds",
    "replicas": "replicas",
}
"""The API's names."""


def spec_options(command: Command) -> Command:
    """Add the options to a command, which takes them as `options`: the API's fields, None for what was not said."""

    @functools.wraps(command)
    def with_options(*arguments: Any, **given: Any) -> Any:
        options = {wire: given.pop(name) for name, wire in NAMES.items()}
        options["env"] = environment_of(given.pop("variables")) or None
        options["secrets"] = secrets_of(given.pop("secrets")) or None
        return command(*arguments, options=options, **given)

    concurrency, replicas = click.IntRange(1, LARGEST_CONCURRENCY), click.IntRange(1, LARGEST_REPLICAS)
    timeout = click.FloatRange(0, min_open=True)
    decorated: Command = with_options
    # As decorators are applied: the last one comes first in the help.
    for option in (
        click.option(
            "--secret", "secrets", metavar="NAME", multiple=True, help="The same; its value is kept encrypted."
        ),
        click.option(
            "--env", "variables", metavar="NAME=VALUE", multiple=True, help="Repeatable; NAME takes it from here."
        ),
        click.option("--replicas", type=replicas, help="Instances side by side."),
        click.option("--task-timeout", type=timeout, metavar="SECONDS", help="For each attempt."),
        click.option("--concurrency", type=concurrency, help="Tasks at the same time, in each instance."),
        click.option(
            "--access", metavar="public|authenticated|PERMISSION", help="Who may call it; else the manifest's."
        ),
        click.option("--image", metavar="REFERENCE", help="The container image; else the manifest's."),
        click.option(
            "--runtime", type=click.Choice(["auto", "docker", "podman", "process"]), help="What to run it with."
        ),
        credential_options("--repository-"),
        click.option("--subfolder", metavar="FOLDER", help="Of the repository, where its agents are."),
        click.option("--revision", metavar="TAG|COMMIT", help="Stay at it; a commit may be shortened."),
        click.option("--branch", metavar="NAME", help="Of the repository; else its own default."),
    ):
        decorated = option(decorated)
    return decorated


def environment_of(variables: tuple[str, ...]) -> dict[str, str]:
    """Read `NAME=VALUE`, and `NAME` with the value it has here. **Raises** `click.UsageError`."""
    environment: dict[str, str] = {}
    for variable in variables:
        name, equals, value = variable.partition("=")
        check_name(name, "--env")
        if not equals and name not in os.environ:
            raise click.BadParameter(f"{name} has no value here; write {name}=VALUE", param_hint="'--env'")
        environment[name] = value if equals else os.environ[name]
    return environment


def secrets_of(names: tuple[str, ...]) -> dict[str, str]:
    """Take secret values from this environment, so that no list of processes shows them; ask for what is not there."""
    for name in names:
        check_name(name, "--secret")
    return {name: os.environ.get(name) or click.prompt(name, hide_input=True, err=True) for name in names}


def check_name(name: str, option: str) -> None:
    """Refuse what cannot be a variable's name. **Raises** `click.UsageError`."""
    if not VARIABLE_NAME.fullmatch(name):
        raise click.BadParameter(f"{name!r} is not the name of a variable", param_hint=f"'{option}'")
