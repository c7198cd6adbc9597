"""Say what went wrong with a repository, in words for its user."""

import errno
import re

from dulwich.client import HTTPProxyUnauthorized, HTTPUnauthorized
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository

MESSAGE_CHARACTERS = 300

_STATUS = re.compile(r"unexpected http resp (\d{3})")
_CREDENTIALS_HINT = (
    "Check the URL, and give credentials when the repository is private (`ploinky repo add --token-secret`)."
)
_AWAY_HINT = "Check the URL and the network, then try again."


class Refusal(Exception):
    """An answer that is no checkout: `kind` is unavailable, invalid or full."""

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint


class Away(Refusal):
    """Nobody answered, so that a cached branch may serve."""

    def __init__(self, message: str) -> None:
        super().__init__("unavailable", message, _AWAY_HINT)


def refusal_of(error: BaseException) -> Refusal:
    """Translate whatever dulwich and the system raise."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, MemoryError):
        return Refusal("invalid", "The repository needs too much memory", "Keep large files out of it.")
    if isinstance(error, (HTTPUnauthorized, HTTPProxyUnauthorized)):
        return Refusal("invalid", "The repository's server asks for credentials", _CREDENTIALS_HINT)
    if isinstance(error, HangupException):
        return Away("The repository's server closed the connection")
    if isinstance(error, NotGitRepository):
        return Refusal("invalid", "There is no repository at this URL", _CREDENTIALS_HINT)
    if isinstance(error, GitProtocolError):
        return _protocol(error)
    if isinstance(error, OSError):
        return _system(error)
    return Refusal("invalid", f"The repository cannot be read ({_short(error)})", "Check it with `git fsck`.")


def _protocol(error: GitProtocolError) -> Refusal:
    found = _STATUS.search(str(error))
    if found is not None:
        status = int(found[1])
        if status >= 500 or status in {408, 425, 429}:
            return Away(f"The repository's server answered with status {status}")
        return Refusal("invalid", f"The repository's server answered with status {status}", _CREDENTIALS_HINT)
    cause = error.__cause__
    if isinstance(cause, Exception) and type(cause).__module__.startswith("urllib3"):
        return Away(f"The repository's server does not answer ({_short(cause)})")
    return Refusal("unavailable", f"The repository's server refused ({_short(error)})", _AWAY_HINT)


def _system(error: OSError) -> Refusal:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Refusal("full", "The disk is full")
    if error.errno == errno.EFBIG:
        return Refusal("invalid", "The repository is too large", "Keep large files out of it.")
    if isinstance(error, (ConnectionError, TimeoutError)):
        return Away(f"The repository's server does not answer ({_short(error)})")
    return Refusal("unavailable", f"The repository cannot be read ({_short(error)})", _AWAY_HINT)


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:MESSAGE_CHARACTERS]
