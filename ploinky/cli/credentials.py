"""Options for what opens a private repository. Values come from the environment, a prompt, or standard input."""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import click

SECRET_CHARACTERS = 16_384
STANDARD_INPUT = "-"

Command = Callable[..., Any]


def credential_options(prefix: str) -> Callable[[Command], Command]:
    """Add the options of credentials to a command, which takes them as `credentials`: None, or the API's object."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_credentials(*arguments: Any, **options: Any) -> Any:
            given = [options.pop(f"access_{kind}") for kind in ("username", "secret", "token", "key")]
            return command(*arguments, credentials=_credentials(prefix, *given), **options)

        for name, parameter, metavar, meaning in (
            ("ssh-key-secret", "access_key", "NAME", "An ssh key for the repository."),
            ("token-secret", "access_token", "NAME", "A token for the repository."),
            ("secret", "access_secret", "NAME", "The password; NAME is a variable here, - is standard input."),
            ("username", "access_username", "USER", "Who the password or token is for."),
        ):
            click.option(f"{prefix}{name}", parameter, metavar=metavar, help=meaning)(with_credentials)
        return with_credentials

    return decorate


def _credentials(
    prefix: str, username: str | None, secret: str | None, token: str | None, key: str | None
) -> dict[str, str] | None:
    named = {"password": secret, "token": token, "sshKey": key}
    given = {kind: name for kind, name in named.items() if name is not None}
    if not given and username is None:
        return None
    if len(given) != 1 or (secret is not None and username is None):
        raise click.UsageError(
            f"give {prefix}username with {prefix}secret, or {prefix}token-secret, or {prefix}ssh-key-secret"
        )
    ((kind, name),) = given.items()
    return {kind: secret_value(name), **({"username": username} if username else {})}


def secret_value(name: str) -> str:
    """Take a secret from the variable of that name, from standard input for `-`, or ask for it.

    **Raises** `click.UsageError` when standard input holds none.
    """
    if name != STANDARD_INPUT:
        return os.environ.get(name) or click.prompt(name, hide_input=True, err=True)
    value = sys.stdin.read(SECRET_CHARACTERS + 1).rstrip("\r\n")
    if not 0 < len(value) <= SECRET_CHARACTERS:
        raise click.UsageError(f"standard input has to hold the secret, of at most {SECRET_CHARACTERS} characters")
    return value
