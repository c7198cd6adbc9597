"""Nobody without a valid key gets past the door, whatever they ask for."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.running import Answer, RunningServer, run_to_end

OPEN_OPERATIONS = {
    ("POST", "/management/api/init"),
    ("POST", "/management/api/keys/recover"),
    ("GET", "/management/health/live"),
    ("GET", "/management/health/ready"),
}
BODY = b'{"this": is no JSON'
METHODS = ("get", "put", "post", "delete", "patch")


@pytest.fixture(scope="module")
def description(server: RunningServer) -> Any:
    return server.ask("GET", "/management/openapi.json").document


def operations(description: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield (method, path with made-up ids, operation) of everything the API can do."""
    for path, item in description["paths"].items():
        for method in METHODS:
            if method in item:
                filled = path
                for name in ("deployment_id", "task_id", "key_id", "name", "host"):
                    filled = filled.replace("{" + name + "}", "00000000000000000000")
                filled = filled.replace("{provider}", "github")
                assert "{" not in filled, f"{path} has a parameter that this test does not know"
                yield method.upper(), filled, item[method]


def revoked_key(server: RunningServer) -> str:
    """Give a key that was valid: all keys but the newest are revoked by a recovery."""
    old = server.key
    made = run_to_end(server.directory, "keys", "recover", "--json")
    assert made.returncode == 0, made.stderr
    server.key = json.loads(made.stdout)["key"]
    return old


def test_refuses_everybody_unknown(server: RunningServer, description: Any) -> None:
    """Each operation answers 401 in the error format without a key, with a wrong and with a revoked one."""
    wrong = "plk_" + "0" * 12 + "_" + "0" * 40 + "_000000"
    headers: list[dict[str, str]] = [
        {},
        {"X_API_Key": wrong},
        {"X_API_Key": revoked_key(server)},
        {"Authorization": f"Bearer {wrong}"},
        {"Authorization": f"Basic {server.key}"},
        {"Cookie": f"key={server.key}; role=Admin"},
    ]
    asked = 0
    for method, path, _ in operations(description):
        if (method, path) in OPEN_OPERATIONS:
            continue
        for shown in headers:
            # The body is broken, so a 400 would tell that something was read before the door.
            answer = server.ask(method, path + "?page=x", BODY if method in {"POST", "PUT"} else None, **shown)
            assert (answer.status, answer.code) == (401, "UNAUTHENTICATED"), f"{method} {path} with {shown}"
            asked += 1
    assert asked > 100


def test_lets_the_key_through(server: RunningServer, description: Any) -> None:
    """With the key, in either header, each operation answers something else, in the error format when it refuses."""
    for method, path, operation in operations(description):
        if path.endswith(("/events/stream", "/init", "/webhooks/github")):  # The last one is opened by a signature.
            continue
        for shown in ({"X_API_Key": server.key}, {"Authorization": f"Bearer {server.key}"}):
            answer = server.ask(method, path, BODY if method in {"POST", "PUT"} else None, **shown)
            assert answer.status not in {401, 403, 405, 500}, f"{method} {path}: {answer}"
            assert_documented(answer, operation)


def assert_documented(answer: Answer, operation: Any) -> None:
    if answer.status >= 400:
        assert answer.code
    else:
        assert str(answer.status) in operation["responses"]


def test_opens_only_what_is_meant_to_be_open(server: RunningServer, description: Any) -> None:
    """Probes, the description and its page answer everybody; initialising a second time and bad proofs are refused."""
    known = {(method, path) for method, path, _ in operations(description)}
    assert known >= OPEN_OPERATIONS
    for path in ("/management/health/live", "/management/health/ready"):
        assert server.ask("GET", path).document == {"status": "ok"}
    assert server.ask("GET", "/management/openapi.json").status == 200
    assert server.ask("GET", "/management/docs").headers["content-type"].startswith("text/html")
    again = server.ask("POST", "/management/api/init")
    assert (again.status, again.code) == (409, "ALREADY_INITIALISED")
    forged = server.ask("POST", "/management/api/keys/recover", {"issuedAt": 1, "proof": "x"})
    assert (forged.status, forged.code) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    "path",
    [
        "/management",
        "/management/",
        "/management/nothing",
        "/management/health/ready/x",
        "/management/health/../api/keys",
        "/management/docs/../api/keys",
        "/management/openapi.json/",
        "/management/api",
        "/management/api/",
        "/management//api/keys",
        "/management/api/%6beys",
        "/management/api/keys/",
        "/management/api/keys?token=x",
        "/management/api/tasks/?token=",
        "/management/api/tasks/../keys?token=x",
    ],
)
def test_has_no_side_entrance(server: RunningServer, path: str) -> None:
    """Unknown and oddly spelt paths below /management are refused as well; with the key they are errors as usual."""
    answer = server.ask("GET", path)
    assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
    shown = server.ask("GET", path, X_API_Key=server.key)
    assert shown.status in {200, 404}
    if shown.status == 404:
        assert shown.code in {"NOT_FOUND", "TASK_NOT_FOUND"}


@pytest.mark.parametrize(
    "path", ["/%6danagement/api/keys", "/Management/api/keys", "/managementx", "//management/api/keys"]
)
def test_spelt_otherwise_it_is_a_deployment(server: RunningServer, path: str) -> None:
    """The raw path decides: what does not begin with /management is looked up as a deployment."""
    answer = server.ask("GET", path, X_API_Key=server.key)
    assert (answer.status, answer.code) == (404, "DEPLOYMENT_NOT_FOUND")
    assert answer.document["details"]["path"] == path


@pytest.mark.parametrize("path", ["/auth", "/auth/login", "/client", "/client/x"])
def test_keeps_what_is_reserved(server: RunningServer, path: str) -> None:
    """Paths that are ours never reach a deployment."""
    answer = server.ask("GET", path)
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
