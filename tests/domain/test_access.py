"""Admin keys: who issues them, what is kept, how their text is read."""

import hmac
import re

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from ploinky.domain import access
from ploinky.domain import commands as c
from ploinky.domain import events as e
from ploinky.domain.access import Key, evolve, key_text, opens, parse_key, secret_digest
from ploinky.domain.errors import AlreadyInitialised, Conflict, KeyNotFound
from tests.domain.specification import given

STREAM = "access/k1"
ISSUED = (STREAM, e.KeyIssued(name="admin", secret_sha256="d", reason="init"))
REVOKE = c.RevokeKey(subject_id="k1")
RANDOM = bytes(range(52))
TEXT = key_text(RANDOM)[1]


def issue(reason: str = "init", key_id: str = "k1") -> c.IssueKey:
    return c.IssueKey(subject_id=key_id, name="admin", secret_sha256="d", reason=reason)


def test_issues_the_first_key() -> None:
    """The digest of its secret is kept, and the installation is initialised from here on."""
    world = given().when(issue()).then(e.KeyIssued(name="admin", secret_sha256="d", reason="init"))
    assert world.state(STREAM) == Key(name="admin", secret_sha256="d", reason="init")
    assert world.indexes.is_initialised


@pytest.mark.parametrize("past", [[ISSUED], [ISSUED, (STREAM, e.KeyRevoked())]], ids=["open", "revoked"])
def test_initialises_once(past: list[tuple[str, e.Event]]) -> None:
    """A second first key is refused, also when the first one was revoked."""
    given(past).when(issue(key_id="k2")).then_refused(AlreadyInitialised, "ALREADY_INITIALISED")


@pytest.mark.parametrize("reason", ["recovery", "request"])
def test_issues_further_keys(reason: str) -> None:
    """On the machine itself, or by whoever has a key."""
    given([ISSUED]).when(issue(reason, "k2")).then_types(e.KeyIssued)


def test_refuses_the_id_of_another_key() -> None:
    """An id is used once, also after its key was revoked."""
    given([ISSUED]).when(issue("request")).then_refused(Conflict)
    given([ISSUED, (STREAM, e.KeyRevoked())]).when(issue("request")).then_refused(Conflict)


def test_revokes_a_key_once() -> None:
    """The second time it is so already."""
    world = given([ISSUED]).when(REVOKE).then(e.KeyRevoked())
    assert world.state(STREAM).is_revoked
    assert world.execute(REVOKE) == []


def test_refuses_to_revoke_what_was_never_issued() -> None:
    """There is no such key."""
    given().when(REVOKE).then_refused(KeyNotFound)


def test_other_events_change_nothing() -> None:
    """An event of another aggregate leaves the state as it is."""
    assert evolve(Key(name="n"), e.RepositoryRemoved()) == Key(name="n")


def test_the_text_has_its_form() -> None:
    """`plk_`, 12 of id, 40 of secret, 6 of checksum; the id is told apart."""
    key_id, text = key_text(RANDOM)
    assert re.fullmatch(r"plk_[0-9A-Za-z]{12}_[0-9A-Za-z]{40}_[0-9A-Za-z]{6}", text)
    assert text.startswith(f"plk_{key_id}_")
    assert (key_id, text) == (
        "0123456789AB",
        "plk_0123456789AB_CDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop_" + text[-6:],
    )


@examples(st.binary(min_size=52, max_size=80))
def test_reads_what_it_makes(random: bytes) -> None:
    """Every key that can be made is read back as id and secret."""
    key_id, text = key_text(random)
    assert parse_key(text) == (key_id, text.split("_")[2])


@examples(st.binary(min_size=52, max_size=52), st.integers(4, 63), st.sampled_from(access._ALPHABET))
def test_notices_a_mistyped_character(random: bytes, place: int, typed: str) -> None:
    """One wrong character anywhere in the text makes it no key."""
    _, text = key_text(random)
    mistyped = text[:place] + typed + text[place + 1 :]
    assert (parse_key(mistyped) is None) == (mistyped != text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        TEXT[:-1],
        TEXT + "0",
        TEXT + "\n",
        TEXT + "\x00",
        " " + TEXT,
        TEXT.replace("plk_", "PLK_"),
        TEXT.replace("_", "-"),
        TEXT[:-1] + "\u00e9",
        TEXT[:-1] + "\u0661",
    ],
)
def test_refuses_what_is_no_key(text: str) -> None:
    """Nothing but the exact form is read, and nothing raises."""
    assert parse_key(TEXT) is not None
    assert parse_key(text) is None


@examples(st.text(max_size=100))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever a header holds, reading it does not raise."""
    assert parse_key(text) is None


@pytest.mark.parametrize("size", [0, 12, 51])
def test_makes_no_weak_key(size: int) -> None:
    """Too few random bytes make no key at all."""
    with pytest.raises(ValueError, match="random"):
        key_text(bytes(size))


def test_a_key_opens_with_its_secret_only() -> None:
    """The secret itself opens, another one, its digest and nothing do not."""
    key = Key(name="admin", secret_sha256=secret_digest("right"))
    assert opens(key, "right")
    for wrong in ("wrong", "", "right ", secret_digest("right")):
        assert not opens(key, wrong)


def test_a_revoked_or_unknown_key_opens_nothing() -> None:
    """Not even with its secret."""
    assert not opens(Key(secret_sha256=secret_digest("right"), is_revoked=True), "right")
    assert not opens(Key(), "")
    assert not opens(Key(), "-")


@pytest.mark.parametrize("key", [Key(), Key(secret_sha256=secret_digest("s")), Key(secret_sha256="x", is_revoked=True)])
def test_compares_in_constant_time(monkeypatch: pytest.MonkeyPatch, key: Key) -> None:
    """Every look at a secret is one comparison by `hmac.compare_digest`, whatever the state of the key."""
    compared: list[tuple[str, str]] = []

    def watch(left: str, right: str) -> bool:
        compared.append((left, right))
        return hmac.compare_digest(left, right)

    monkeypatch.setattr(access, "compare_digest", watch)
    assert opens(key, "s") == (key.secret_sha256 == secret_digest("s"))
    assert compared == [(key.secret_sha256 or "-", secret_digest("s"))]
