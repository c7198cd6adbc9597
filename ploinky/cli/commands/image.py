"""The image that agents run in."""

import click

from ploinky.cli.output import print_json, remark, say
from ploinky.cli.server_side import server_main
from ploinky.cli.session import Session, json_option, pass_session


@click.group()
def image() -> None:
    """Build the image that agents run in."""


@image.command("build-base")
@json_option
@pass_session
def build_base(session: Session) -> None:
    """Build it from the packages of this machine's Debian; needs a container engine and the network."""
    built = server_main().build_base_image(remark)
    if session.is_json:
        print_json({"image": None if built is None else str(built)})
    else:
        say("built" if built is None else f"built {built}")
