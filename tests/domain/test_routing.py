"""Routes as people give them, hosts as clients send them, and who answers."""

from collections.abc import Mapping

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from ploinky.domain.errors import Invalid
from ploinky.domain.routing import RESERVED_PATHS, Match, Route, RouteTable, host_without_port, parse_route
from ploinky.domain.specs import DOMAIN_LIMIT_CHARACTERS, PATH_LIMIT_CHARACTERS

LONG_LABEL = "a" * 63


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        ("localhost", "localhost"),
        ("Example.COM", "example.com"),
        (" example.com. ", "example.com"),
        ("*.example.com", "*.example.com"),
        ("*", "*"),
        ("10.0.0.1", "10.0.0.1"),
        ("[::1]", "[::1]"),
        ("[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]"),
        ("my_host", "my_host"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        (LONG_LABEL, LONG_LABEL),
        (f"{LONG_LABEL}.{LONG_LABEL}.{LONG_LABEL}.{'a' * 61}",) * 2,
    ],
)
def test_reads_a_domain(domain: str, host: str) -> None:
    """Host names in any case, addresses, one wildcard level, the catch-all."""
    assert parse_route(domain, "/") == Route(host, "/")
    assert len(host) <= DOMAIN_LIMIT_CHARACTERS


@pytest.mark.parametrize(
    "domain",
    [
        "",
        " ",
        ".",
        ".example.com",
        "example..com",
        "example.com:80",
        "[::1]:80",
        "::1",
        "http://example.com",
        "example.com/path",
        "user@example.com",
        "exa mple.com",
        "-example.com",
        "example-.com",
        "**",
        "*.*.example.com",
        "a.*.com",
        "*example.com",
        "b\u00fccher.example",
        "example.com\nx",
        "[::1",
        "[]",
        "a" * 64,
        f"{LONG_LABEL}.{LONG_LABEL}.{LONG_LABEL}.{'a' * 62}",
    ],
)
def test_refuses_what_is_no_domain(domain: str) -> None:
    """Ports, URLs, other wildcards, empty and too long labels; with a hint what to give."""
    with pytest.raises(Invalid, match="not a domain") as refusal:
        parse_route(domain, "/")
    assert refusal.value.advice
    assert refusal.value.details == {"domain": domain}


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/a", "/a"),
        ("/a/", "/a"),
        ("/a/b/", "/a/b"),
        ("/A/b", "/A/b"),
        ("/a%2Fb", "/a%2Fb"),
        ("/.well-known", "/.well-known"),
        ("/~user/@me/a:b;c=d,e", "/~user/@me/a:b;c=d,e"),
        ("/managementx", "/managementx"),
        ("/my/auth", "/my/auth"),
        ("/" + "a" * (PATH_LIMIT_CHARACTERS - 1),) * 2,
    ],
)
def test_reads_a_path(path: str, route: str) -> None:
    """Without the slash at the end, otherwise as it was given."""
    assert parse_route("*", path) == Route("*", route)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "a/b",
        "*",
        "/a//b",
        "//a",
        "/.",
        "/..",
        "/a/../b",
        "/a/./b",
        "/a b",
        "/a?b",
        "/a#b",
        "/a\\b",
        "/a%2",
        "/a%zz",
        "/\u00e9",
        "/a\n",
        "/a\x00",
        "/<a>",
        "/" + "a" * PATH_LIMIT_CHARACTERS,
    ],
)
def test_refuses_what_is_no_path(path: str) -> None:
    """Relative paths, empty segments, dots, queries, characters that a URL cannot hold."""
    with pytest.raises(Invalid, match="not a path") as refusal:
        parse_route("localhost", path)
    assert refusal.value.advice
    assert refusal.value.details == {"path": path}


@pytest.mark.parametrize("reserved", RESERVED_PATHS)
@pytest.mark.parametrize("rest", ["", "/", "/api", "/a/b"])
def test_refuses_reserved_paths(reserved: str, rest: str) -> None:
    """What the server itself answers is not to be had, at any depth."""
    with pytest.raises(Invalid, match="reserved"):
        parse_route("localhost", reserved + rest)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("example.com", "example.com"),
        ("Example.COM:8000", "example.com"),
        (" example.com. ", "example.com"),
        ("example.com.:443", "example.com"),
        ("10.0.0.1:80", "10.0.0.1"),
        ("[::1]", "[::1]"),
        ("[::1]:8000", "[::1]"),
        ("[FE80::1]:8000", "[fe80::1]"),
        ("", ""),
    ],
)
def test_reads_the_host_without_its_port(host: str, name: str) -> None:
    """Names and addresses of both kinds, in lower case."""
    assert host_without_port(host) == name


def table(**deployments: str) -> RouteTable:
    """Make a table of `deployment="domain/path"`."""
    routes = {key: value.partition("/") for key, value in deployments.items()}
    return RouteTable((Route(domain, f"/{path}"), key) for key, (domain, _, path) in routes.items())


def answer(routes: RouteTable, host: str, path: str) -> tuple[str, str] | None:
    match = routes.match(host, path)
    return None if match is None else (match.deployment_id, match.rest)


NESTED = table(root="localhost/", api="localhost/api", v1="localhost/api/v1", other="example.com/api")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ("root", "/")),
        ("/api", ("api", "")),
        ("/api/", ("api", "/")),
        ("/api/users", ("api", "/users")),
        ("/api/v1", ("v1", "")),
        ("/api/v1/users/", ("v1", "/users/")),
        ("/api/v2", ("api", "/v2")),
        ("/api/v1x", ("api", "/v1x")),
        ("/apiary", ("root", "/apiary")),
        ("/API", ("root", "/API")),
        ("/api%2Fv1", ("root", "/api%2Fv1")),
        ("/api/v1%2Fusers", ("api", "/v1%2Fusers")),
        ("/api//v1", ("api", "//v1")),
        ("//api", ("root", "//api")),
        ("/else/where", ("root", "/else/where")),
    ],
)
def test_the_longest_prefix_of_whole_segments_answers(path: str, expected: tuple[str, str]) -> None:
    """The raw path decides: an encoded slash makes no segment, and neither does a longer name."""
    assert answer(NESTED, "localhost", path) == expected


@pytest.mark.parametrize("path", ["/", "/apiary", "/other", "", "*"])
def test_nobody_answers_beside_the_routes(path: str) -> None:
    """Without a deployment at the root there may be no answer."""
    assert NESTED.match("example.com", path) is None
    assert RouteTable().match("example.com", path) is None


HOSTS = table(exact="a.example.com/", level="*.example.com/", any="*/")


@pytest.mark.parametrize(
    ("host", "deployment_id"),
    [
        ("a.example.com", "exact"),
        ("b.example.com", "level"),
        ("a.b.example.com", "any"),
        ("example.com", "any"),
        ("localhost", "any"),
        ("", "any"),
        ("[::1]", "any"),
    ],
)
def test_hosts_are_tried_from_exact_to_any(host: str, deployment_id: str) -> None:
    """A wildcard stands for exactly one level; the catch-all for everything else."""
    found = HOSTS.match(host, "/x")
    assert found is not None
    assert found.deployment_id == deployment_id


def test_a_wider_host_answers_where_the_exact_one_has_no_route() -> None:
    """Hosts are looked at one after the other, each with its own paths."""
    routes = table(api="a.example.com/api", level="*.example.com/web", any="*/")
    assert answer(routes, "a.example.com", "/api/x") == ("api", "/x")
    assert answer(routes, "a.example.com", "/web/x") == ("level", "/x")
    assert answer(routes, "a.example.com", "/x") == ("any", "/x")


def test_tells_the_route_that_answered() -> None:
    """With the domain as it was deployed, not as it was asked for."""
    assert HOSTS.match("b.example.com", "/x") == Match("level", Route("*.example.com", "/"), "/x")


def test_finds_the_longest_route_there_can_be() -> None:
    """The bound on what is looked at lies just above the longest route."""
    longest = parse_route("localhost", "/" + "a/" * (PATH_LIMIT_CHARACTERS // 2 - 1) + "a").path
    assert len(longest) == PATH_LIMIT_CHARACTERS
    routes = RouteTable([(Route("localhost", longest), "deep")])
    assert answer(routes, "localhost", longest) == ("deep", "")
    assert answer(routes, "localhost", longest + "/x") == ("deep", "/x")
    assert answer(routes, "localhost", longest + "x") is None
    assert answer(routes, "localhost", longest + "/" * 10_000) == ("deep", "/" * 10_000)


class CountedPaths(dict[str, str]):
    """Paths that count how often they are looked at."""

    looks = 0

    def __contains__(self, key: object) -> bool:
        self.looks += 1
        return super().__contains__(key)


def test_looks_at_few_prefixes_of_a_long_path() -> None:
    """A request of nothing but slashes costs no more than the longest route."""
    routes = table(api="localhost/api")
    paths = CountedPaths({"/api": "api"})
    routes._by_host["localhost"] = paths
    assert answer(routes, "localhost", "/" * 100_000) is None
    assert paths.looks <= PATH_LIMIT_CHARACTERS + 2


def naive(routes: Mapping[Route, str], host: str, path: str) -> tuple[str, str] | None:
    """Find who answers by trying every route."""
    parent = host.split(".", 1)[1] if "." in host else ""
    for domain in (host, f"*.{parent}", "*"):
        best: Route | None = None
        for route in routes:
            is_above = route.path in {"/", path} or path.startswith(route.path + "/")
            if route.domain == domain and is_above and (best is None or len(route.path) > len(best.path)):
                best = route
        if best is not None:
            return routes[best], path.removeprefix(best.path) if best.path != "/" else path
    return None


SEGMENTS = st.lists(st.sampled_from(["a", "b", "ab", "a%2Fb", ""]), max_size=4)
PATHS = SEGMENTS.map(lambda segments: "/" + "/".join(segments))
DEPLOYED_PATHS = SEGMENTS.map(lambda segments: "/" + "/".join(filter(None, segments)))
ASKED_HOSTS = st.sampled_from(["a.example.com", "b.example.com", "example.com", "x.a.example.com", "localhost"])
DOMAINS = st.one_of(ASKED_HOSTS, st.sampled_from(["*", "*.example.com", "*.com", "*.a.example.com"]))


@examples(
    st.dictionaries(st.builds(Route, DOMAINS, DEPLOYED_PATHS), st.uuids().map(str), max_size=12), ASKED_HOSTS, PATHS
)
def test_agrees_with_trying_every_route(routes: dict[Route, str], host: str, path: str) -> None:
    """The look-up finds what an obvious search over all routes finds."""
    assert answer(RouteTable(routes.items()), host, path) == naive(routes, host, path)


@examples(st.text(max_size=40), st.text("/.%aA0-~* \n", max_size=40))
def test_what_is_read_as_a_route_is_found_again(domain: str, path: str) -> None:
    """A route is either refused, or read the same a second time and found by a request for it."""
    try:
        route = parse_route(domain, path)
    except Invalid:
        return
    assert parse_route(*route) == route
    assert answer(RouteTable([(route, "d")]), route.domain, route.path) in {("d", ""), ("d", "/")}
