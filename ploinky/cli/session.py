"""What all commands share: the server to talk to, and the form of the output."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ploinky.cli.profile import Profile, read_profile

if TYPE_CHECKING:
    from ploinky.client import PloinkyClient

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_PROFILE = Path("~/.ploinky/profile.json")

Decorated = TypeVar("Decorated", bound=Callable[..., Any] | click.Command)


class Session:
    """The global options of one run; those after the command win over those before it."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.key: str | None = None
        self.profile: str | None = None
        self.is_json = False

    @property
    def profile_path(self) -> Path:
        chosen = self.profile or os.environ.get("PLOINKY_PROFILE")
        return Path(chosen or DEFAULT_PROFILE).expanduser()

    @property
    def chosen_url(self) -> str | None:
        """The URL as given for this run, not the profile's."""
        return self.url or os.environ.get("PLOINKY_URL") or None

    @property
    def chosen_key(self) -> str | None:
        """The key as given for this run, not the profile's."""
        return self.key or (os.environ.get("PLOINKY_KEY") or "").strip() or None

    def access(self) -> tuple[str, str | None]:
        """Give URL and key. The profile's key is for the profile's server only and never sent to another one.

        **Raises** `CommandFailed` for a profile that may not be used, or was asked for and is not there.
        """
        url, key = self.chosen_url, self.chosen_key
        if url and key:
            return url, key
        profile = read_profile(self.profile_path, is_required=self.profile is not None) or Profile(DEFAULT_URL, None)
        chosen = url or profile.url
        if key is None and chosen.rstrip("/") == profile.url.rstrip("/"):
            key = profile.key
        return chosen, key

    def client(self) -> "PloinkyClient":
        """Make the client for this run. **Raises** `CommandFailed`, `AddressInvalid`."""
        from ploinky.client import PloinkyClient

        return PloinkyClient(*self.access())


pass_session = click.make_pass_decorator(Session)


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value and parameter.name:
        setattr(context.ensure_object(Session), parameter.name, value)


def _shared_option(flag: str, **settings: Any) -> click.Option:
    return click.Option([flag, *settings.pop("names", [])], expose_value=False, callback=_remember, **settings)


def json_option(decorated: Decorated) -> Decorated:
    """Give a command `--json`."""
    return _with_options(decorated, [_shared_option("--json", names=["is_json"], is_flag=True, help="Print JSON.")])


def remote_options(decorated: Decorated) -> Decorated:
    """Give a command what says which server it talks to, and `--json`."""
    options = [
        _shared_option("--url", metavar="URL", help="The server."),
        _shared_option("--key", metavar="KEY", help="The API key."),
        _shared_option("--profile", metavar="FILE", help="Where address and key are kept."),
    ]
    return json_option(_with_options(decorated, options))


def _with_options(decorated: Decorated, options: list[click.Option]) -> Decorated:
    if isinstance(decorated, click.Command):
        decorated.params.extend(options)
    else:
        # Where click's own decorators collect parameters of a function, the last one first.
        held = decorated.__dict__.setdefault("__click_params__", [])
        held[:0] = reversed(options)
    return decorated
