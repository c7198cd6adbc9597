"""Addresses are read strictly and shown without credentials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ploinky.adapters.dulwich_sources_urls import URL_CHARACTERS, Location, parse_location
from ploinky.domain.errors import SourceInvalid


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/srv/agents", Location("/srv/agents", None, None, is_local=True)),
        ("/srv//x/../agents/", Location("/srv/agents", None, None, is_local=True)),
        ("//srv/agents", Location("/srv/agents", None, None, is_local=True)),
        ("file:///srv/my%20agents", Location("/srv/my agents", None, None, is_local=True)),
        ("file://localhost/srv/agents", Location("/srv/agents", None, None, is_local=True)),
        ("https://example.org/a.git/", Location("https://example.org/a.git", None, None, is_local=False)),
        ("HTTPS://Example.org:8443/a", Location("https://example.org:8443/a", None, None, is_local=False)),
        ("http://[::1]:80/a", Location("http://[::1]:80/a", None, None, is_local=False)),
        ("https://u%40x:p%3Aw@example.org/a", Location("https://example.org/a", "u@x", "p:w", is_local=False)),
        ("https://token@example.org/a", Location("https://example.org/a", "token", None, is_local=False)),
    ],
)
def test_reads_an_address(url: str, expected: Location) -> None:
    """Each kind has one form, with its credentials apart."""
    assert parse_location(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "agents",
        "./agents",
        "~/agents",
        "git@example.org:agents.git",
        "ssh://git@example.org/agents",
        "git://example.org/agents",
        "ext::sh -c id",
        "file://elsewhere/srv/agents",
        "file:agents",
        "https:///agents",
        "https://example.org/a?token=secret",
        "https://example.org/a#secret",
        "https://example.org:port/a",
        "https://[::1/a",
        "https://example.org/a\nb",
        "/srv/a\0b",
        "file:///srv/a%00b",
        "/" + "x" * URL_CHARACTERS,
    ],
)
def test_refuses_another_kind_of_address(url: str) -> None:
    """What cannot be fetched is refused with what can, and shows no secret."""
    with pytest.raises(SourceInvalid) as caught:
        parse_location(url)
    assert "http(s)://" in caught.value.advice
    assert "secret" not in caught.value.message


def test_a_refusal_shows_no_credentials() -> None:
    """Neither does one for a scheme that is not allowed."""
    with pytest.raises(SourceInvalid) as caught:
        parse_location("ftp://somebody:hunter2@example.org/agents")
    assert "hunter2" not in caught.value.message
    assert "example.org" in caught.value.message


@pytest.mark.parametrize(
    ("url", "slug"),
    [
        ("https://example.org/team/My_Agents.git", "my-agents"),
        ("/srv/agents/.git", "agents"),
        ("https://example.org", "example-org"),
        ("/", "repository"),
        ("/srv/" + "x" * 200, "x" * 40),
        ("/srv/ä", "repository"),
    ],
)
def test_a_cache_is_named_for_people(url: str, slug: str) -> None:
    """The folder's name says which repository it is, and is short and plain."""
    name = parse_location(url).cache_name
    assert name.rpartition("-")[0] == slug
    assert len(name.rpartition("-")[2]) == 8


def test_two_repositories_have_two_caches() -> None:
    """The same last part at two places is told apart; credentials and a trailing slash make no difference."""
    names = [
        parse_location(f"https://{host}/a").cache_name for host in ("one.example", "two.example", "u:p@one.example")
    ]
    assert names[0] != names[1]
    assert names[0] == names[2] == parse_location("https://one.example/a/").cache_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot reach https://user:hunter2@example.org/a", "cannot reach https://example.org/a"),
        ("redirected to http://other:pw@example.net/", "redirected to http://example.net/"),
        ("the password hunter2 was wrong", "the password *** was wrong"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_redacts_a_text(text: str, expected: str) -> None:
    """Credentials go wherever they stand."""
    location = parse_location("https://user:hunter2@example.org/a")
    assert location.redacted(text) == expected


def test_redacts_a_token_that_stands_for_the_user() -> None:
    """A name without a password is a secret; a name beside one is not."""
    assert parse_location("https://tok3n@example.org/a").redacted("tok3n is wrong") == "*** is wrong"
    assert parse_location("https://main:pass@example.org/a").redacted("no branch main") == "no branch main"


@given(st.text(max_size=100))
def test_any_text_is_an_address_or_refused(url: str) -> None:
    """No text makes the parser fail in another way, or a cache's name a path."""
    try:
        name = parse_location(url).cache_name
    except SourceInvalid:
        return
    assert "/" not in name
    assert not name.startswith(".")
