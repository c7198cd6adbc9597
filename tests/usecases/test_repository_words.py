"""Who may name which repository, and which credentials fit it."""

import pytest

from ploinky.domain.errors import Denied, Invalid, SourceInvalid
from ploinky.domain.source_urls import parse_location
from ploinky.domain.specs import AccessKind
from ploinky.usecases.admission import locate
from ploinky.usecases.repositories import CREDENTIAL_BYTES, USERNAME_CHARACTERS, GivenAccess, check_access

WEB, SSH, LOCAL = "https://git.example.com/a", "git@git.example.com:a", "/srv/a"


@pytest.mark.parametrize("actor", ["key:k1", "server"])
def test_an_administrator_may_name_a_path_of_this_machine(actor: str) -> None:
    """Every key is an administrator's today, and the server deploys its demo."""
    assert locate(LOCAL, actor, allow_local=False).is_local


@pytest.mark.parametrize("actor", ["anonymous", "webhook:github", "serverless", ""])
def test_others_may_not_unless_the_operator_says_so(actor: str) -> None:
    """What the server's user can read is not everybody's to deploy; any other address is."""
    with pytest.raises(Denied):
        locate(LOCAL, actor, allow_local=False)
    assert locate(LOCAL, actor, allow_local=True).is_local
    assert not locate(WEB, actor, allow_local=False).is_local


def test_credentials_in_an_address_are_refused_with_a_hint() -> None:
    """The hint says where they belong."""
    with pytest.raises(SourceInvalid) as caught:
        locate("https://user:secret@git.example.com/a", "key:k1", allow_local=False)
    assert "--username" in caught.value.advice


@pytest.mark.parametrize(
    ("access", "url"),
    [
        (GivenAccess(AccessKind.BASIC, "word", "user"), WEB),
        (GivenAccess(AccessKind.TOKEN, "word"), WEB),
        (GivenAccess(AccessKind.TOKEN, "word", "user"), "http://git.example.com/a"),
        (GivenAccess(AccessKind.SSH_KEY, "-----BEGIN\nKEY-----\n"), SSH),
    ],
)
def test_accepts_credentials_that_fit(access: GivenAccess, url: str) -> None:
    """Words open http(s), keys open ssh."""
    check_access(access, parse_location(url))


@pytest.mark.parametrize(
    ("access", "url"),
    [
        (GivenAccess(AccessKind.BASIC, "word", "user"), SSH),
        (GivenAccess(AccessKind.BASIC, "word", "user"), LOCAL),
        (GivenAccess(AccessKind.SSH_KEY, "key"), WEB),
        (GivenAccess(AccessKind.BASIC, "word"), WEB),
        (GivenAccess(AccessKind.BASIC, "", "user"), WEB),
        (GivenAccess(AccessKind.TOKEN, "x" * (CREDENTIAL_BYTES + 1)), WEB),
        (GivenAccess(AccessKind.TOKEN, "two\nlines"), WEB),
        (GivenAccess(AccessKind.BASIC, "word", "a:b"), WEB),
        (GivenAccess(AccessKind.BASIC, "word", "x" * (USERNAME_CHARACTERS + 1)), WEB),
    ],
)
def test_refuses_credentials_that_do_not(access: GivenAccess, url: str) -> None:
    """What could not be used, or would become another header, is refused before it is kept."""
    with pytest.raises(Invalid) as caught:
        check_access(access, parse_location(url))
    assert "word" not in caught.value.message.replace("password", "")
