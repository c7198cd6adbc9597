"""Who is asking is known by a valid key only."""

import pytest

from ploinky.domain import events as e
from ploinky.domain.access import key_text, parse_key, secret_digest
from ploinky.domain.errors import Unauthenticated
from ploinky.usecases.admission import Principal, admit, authenticate
from ploinky.views.views import Views
from tests.views.histories import History

KEY_ID, TEXT = key_text(bytes(range(64)))
OTHER_ID, OTHER_TEXT = key_text(bytes(range(100, 164)))


def views_with_key(*, is_revoked: bool = False) -> Views:
    parsed = parse_key(TEXT)
    assert parsed is not None
    history = History()
    history.add(f"access/{KEY_ID}", e.KeyIssued(name="admin", secret_sha256=secret_digest(parsed[1]), reason="init"))
    if is_revoked:
        history.add(f"access/{KEY_ID}", e.KeyRevoked())
    return history.views


@pytest.mark.parametrize(
    ("api_key", "authorization"),
    [(TEXT, ""), ("", f"Bearer {TEXT}"), ("", f"bearer  {TEXT} "), (TEXT, "Basic x"), (TEXT, "Bearer wrong")],
)
def test_knows_a_valid_key(api_key: str, authorization: str) -> None:
    """A key is taken from either header, `X-API-Key` first."""
    principal = authenticate(views_with_key(), api_key, authorization)
    assert principal == Principal(KEY_ID)
    assert principal is not None
    assert principal.actor == f"key:{KEY_ID}"


@pytest.mark.parametrize(
    ("api_key", "authorization"),
    [
        ("", ""),
        (OTHER_TEXT, ""),
        (TEXT[:-1] + ("0" if TEXT[-1] != "0" else "1"), ""),
        (TEXT.swapcase(), ""),
        (TEXT + "\n", ""),
        ("wrong", f"Bearer {TEXT}"),
        ("", f"Basic {TEXT}"),
        ("", TEXT),
        ("Admin", ""),
        ("plk_", ""),
        ("plk_é", ""),
        ("plk_" + "a" * 100_000, ""),
    ],
)
def test_knows_nobody_else(api_key: str, authorization: str) -> None:
    """An unknown, damaged or missing key is nobody, whatever its form."""
    assert authenticate(views_with_key(), api_key, authorization) is None


def test_forgets_a_revoked_key() -> None:
    """A revoked key opens nothing."""
    assert authenticate(views_with_key(is_revoked=True), TEXT, "") is None


@pytest.mark.parametrize("access", ["authenticated", "reports:read", "", "PUBLIC"])
def test_lets_nobody_unknown_in(access: str) -> None:
    """Whatever is not plainly public needs a key."""
    admit(Principal(KEY_ID), access)
    with pytest.raises(Unauthenticated):
        admit(None, access)


def test_lets_everybody_into_the_public() -> None:
    """A public deployment asks nobody."""
    admit(None, "public")
    admit(Principal(KEY_ID), "public")
