"""Addresses are read strictly and shown without credentials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ploinky.domain.errors import SourceInvalid
from ploinky.domain.source_urls import URL_CHARACTERS, parse_location, without_users


@pytest.mark.parametrize(
    ("url", "address", "transport"),
    [
        ("/srv/agents", "/srv/agents", "local"),
        ("/srv//x/../agents/", "/srv/agents", "local"),
        ("//srv/agents", "/srv/agents", "local"),
        ("file:///srv/my%20agents", "/srv/my agents", "local"),
        ("file://localhost/srv/agents", "/srv/agents", "local"),
        ("https://example.org/a.git/", "https://example.org/a.git", "http"),
        ("HTTPS://Example.org:8443/a", "https://example.org:8443/a", "http"),
        ("http://[::1]:80/a", "http://[::1]:80/a", "http"),
        ("ssh://git@example.org/team/a.git", "ssh://git@example.org/team/a.git", "ssh"),
        ("ssh://example.org:2222/a", "ssh://example.org:2222/a", "ssh"),
        ("git@example.org:team/a.git", "ssh://git@example.org/~/team/a.git", "ssh"),
        ("example.org:/srv/a.git", "ssh://example.org/srv/a.git", "ssh"),
    ],
)
def test_reads_an_address(url: str, address: str, transport: str) -> None:
    """Each kind has one form."""
    assert parse_location(url) == (address, transport)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "agents",
        "./agents",
        "~/agents",
        "ssh://-oProxyCommand=id/agents",
        "-oProxyCommand=id:agents",
        "ssh://-l@example.org/agents",
        "ssh://git@example.org",
        "ssh://git@example.org/",
        "--upload-pack=id",
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


@pytest.mark.parametrize(
    "url",
    [
        "https://somebody:hunter2@example.org/agents",
        "https://hunter2@example.org/agents",
        "https://:hunter2@example.org/agents",
        "ssh://git:hunter2@example.org/agents",
    ],
)
def test_refuses_credentials(url: str) -> None:
    """The hint says where they belong, and the refusal does not show them."""
    with pytest.raises(SourceInvalid, match="credentials") as caught:
        parse_location(url)
    assert "--token-secret" in caught.value.advice
    assert "hunter2" not in caught.value.message


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
    """The same last part at two places is told apart; a trailing slash makes no difference."""
    names = [parse_location(f"https://{host}/a").cache_name for host in ("one.example", "two.example")]
    assert names[0] != names[1]
    assert names[0] == parse_location("https://one.example/a/").cache_name


@pytest.mark.parametrize(
    "other",
    [
        "https://example.org/Team/agents",
        "http://example.org:8080/team/agents.git/",
        "git@example.org:team/agents.git",
        "ssh://git@example.org/team/agents",
    ],
)
def test_one_repository_is_known_by_all_its_addresses(other: str) -> None:
    """A push names another address than a deployment may."""
    assert parse_location("https://example.org/team/agents.git").identity == parse_location(other).identity
    assert parse_location("https://example.net/team/agents.git").identity != parse_location(other).identity


@pytest.mark.parametrize(
    ("parent", "url", "expected"),
    [
        ("https://example.org/team/agents.git", "../other.git", "https://example.org/team/other.git"),
        ("https://example.org/team/agents.git", "./inner", "https://example.org/team/agents.git/inner"),
        ("https://example.org/agents", "../../../../other", "https://example.org/other"),
        ("git@example.org:team/agents.git", "../other.git", "ssh://git@example.org/~/team/other.git"),
        ("/srv/agents", "../other", "/srv/other"),
        ("https://example.org/agents", "https://example.net/x", "https://example.net/x"),
    ],
)
def test_joins_the_address_of_a_submodule(parent: str, url: str, expected: str) -> None:
    """A relative one is taken from its repository's own, and stays on its host."""
    assert parse_location(parent).joined(url).address == expected


def test_credentials_belong_to_scheme_host_and_port() -> None:
    """Anything else is another place."""
    urls = ["https://a.example/x", "https://a.example:443/y", "http://a.example/x", "https://a.example:8443/x", "/x"]
    first, same, *others = [parse_location(url).origin for url in urls]
    assert first == same
    assert first not in others


def test_takes_the_user_out_of_a_text() -> None:
    """Whatever a library prints of a URL is shown without its user part."""
    assert without_users("cannot reach https://user:hunter2@example.org/a") == "cannot reach https://example.org/a"
    assert without_users("nothing to hide") == "nothing to hide"


@given(st.text(max_size=100))
def test_any_text_is_an_address_or_refused(url: str) -> None:
    """No text makes the parser fail in another way, or a cache's name a path."""
    try:
        name = parse_location(url).cache_name
    except SourceInvalid:
        return
    assert "/" not in name
    assert not name.startswith(".")
