"""The image that agents run in."""

import click

from ploinky.cli.output import print_json, remark, say
from ploinky.cli.session import Session, json_option, pass_session


@click.group()
def image() -> None:
    """Build the image that agents run in."""


@image.command("build-base")
@click.option(
    "--runtime",
    type=click.Choice(["auto", "docker", "podman"]),
    default="auto",
    help="The engine that gets it; auto = the first that answers.",
)
@json_option
@pass_session
def build_base(session: Session, runtime: str) -> None:
    """Build it from the packages of this machine's Debian; needs a container engine and the network."""
    from ploinky.server.main import build_base_image

    reference = build_base_image(remark, runtime)
    if session.is_json:
        print_json({"image": reference})
    else:
        say(f"built {reference}")
