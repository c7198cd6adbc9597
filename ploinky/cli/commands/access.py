"""Get and keep the key to a server."""

import sys

import click

from ploinky.cli.failures import CommandFailed, ExitCode
from ploinky.cli.output import print_json, remark, say
from ploinky.cli.profile import Profile, check_writable, read_profile, write_profile
from ploinky.cli.session import DEFAULT_URL, Session, pass_session, remote_options

REPLACE = click.option("--replace", is_flag=True, help="Replace a profile that holds the key to another server.")


@click.command()
@REPLACE
@remote_options
@pass_session
def init(session: Session, *, replace: bool) -> None:
    """Take over a new server: get its first key and keep it in the profile.

    Works once. The key is printed whole this one time.
    """
    from ploinky.client import PloinkyClient

    known = _profile_of(session)
    url = session.chosen_url or (known.url if known else DEFAULT_URL)
    with PloinkyClient(url) as client:
        _refuse_to_forget(session, known, client.url, replace=replace)
        check_writable(session.profile_path)
        document = client.initialise()
    key = document.get("key")
    if not isinstance(key, str) or not key:
        raise click.ClickException("the server sent no key")
    # Printed before it is kept: a full disk must not lose the only copy.
    if session.is_json:
        print_json(document)
    else:
        say(key)
    write_profile(session.profile_path, Profile(client.url, key))
    remark(f"This key is not shown again. It is kept in {session.profile_path}.")


@click.command()
@click.argument("server_url", metavar="URL")
@REPLACE
@remote_options
@pass_session
def connect(session: Session, server_url: str, *, replace: bool) -> None:
    """Keep the address and key of a server for later commands, once they have been seen to work.

    The key comes from --key, PLOINKY_KEY, or is asked for.
    """
    from ploinky.client import ApiError, PloinkyClient

    key = session.chosen_key or _asked_key()
    with PloinkyClient(server_url, key) as client:
        _refuse_to_forget(session, _profile_of(session), client.url, replace=replace)
        document = client.health()
        if key is not None:
            try:
                client.deployments(per_page=1)
            except ApiError as error:
                if error.status != 403:  # known, but not allowed to list: the key itself is good
                    raise
    write_profile(session.profile_path, Profile(client.url, key))
    if session.is_json:
        print_json({"url": client.url, "profile": str(session.profile_path), "health": document})
    else:
        say(f"connected to {client.url}{'' if key else ', without a key'}; kept in {session.profile_path}")


def _asked_key() -> str | None:

    if not sys.stdin.isatty():
        return None
    answer: str = click.prompt("Key (empty for none)", default="", hide_input=True, show_default=False, err=True)
    return answer.strip() or None


def _profile_of(session: Session) -> Profile | None:
    return read_profile(session.profile_path, is_required=False)


def _refuse_to_forget(session: Session, known: Profile | None, url: str, *, replace: bool) -> None:
    """Keep the only copy of another server's key from being overwritten."""
    if known is None or known.key is None or replace or known.url.rstrip("/") == url:
        return
    raise CommandFailed(
        f"the profile {session.profile_path} holds the key to {known.url}",
        code="PROFILE_IN_USE",
        exit_code=ExitCode.CONFIGURATION,
        hint="Choose another file with --profile FILE, or give --replace to forget that key.",
    )
