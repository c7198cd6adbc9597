"""What libraries and the system raise becomes a refusal in words."""

import errno

import pytest
import urllib3.exceptions
from dulwich.client import HTTPProxyUnauthorized, HTTPUnauthorized
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository, ObjectFormatException

from ploinky.adapters.dulwich_sources_failures import MESSAGE_CHARACTERS, Away, Refusal, refusal_of


def wrapped() -> GitProtocolError:
    error = GitProtocolError("connection failed")
    error.__cause__ = urllib3.exceptions.HTTPError("connection failed")
    return error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("no"),
        TimeoutError("late"),
        HangupException(),
        wrapped(),
        GitProtocolError("unexpected http resp 503 for u"),
        GitProtocolError("unexpected http resp 429 for u"),
    ],
)
def test_nobody_answering_lets_the_cache_serve(error: Exception) -> None:
    """These say nothing about the repository, so an earlier commit may serve."""
    assert isinstance(refusal_of(error), Away)
    assert refusal_of(error).kind == "unavailable"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "invalid"),
        (HTTPUnauthorized(None, "u"), "invalid"),
        (HTTPProxyUnauthorized(None, "u"), "invalid"),
        (NotGitRepository(), "invalid"),
        (GitProtocolError("unexpected http resp 404 for u"), "invalid"),
        (GitProtocolError("remote said no"), "unavailable"),
        (OSError(errno.ENOSPC, "full"), "full"),
        (OSError(errno.EDQUOT, "quota"), "full"),
        (OSError(errno.EFBIG, "big"), "invalid"),
        (OSError(errno.EIO, "io"), "unavailable"),
        (ObjectFormatException("x" * 10_000), "invalid"),
        (KeyError(), "invalid"),
        (AssertionError(), "invalid"),
    ],
)
def test_everything_else_is_refused(error: Exception, kind: str) -> None:
    """Each has a kind, a message of bounded length, and is not taken for silence."""
    refusal = refusal_of(error)
    assert refusal.kind == kind
    assert 0 < len(refusal.message) < MESSAGE_CHARACTERS + 100
    assert not isinstance(refusal, Away)


def test_a_refusal_stays_itself() -> None:
    """What was put into words already is not put into others."""
    refusal = Refusal("invalid", "as it is")
    assert refusal_of(refusal) is refusal
