"""The OpenAPI description says what the API does."""

import re
from typing import Any

import pytest

from tests.server.running import RunningServer

METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture(scope="module")
def description(server: RunningServer) -> Any:
    return server.ask("GET", "/management/openapi.json").document


def test_is_an_openapi_document(description: Any) -> None:
    """It has a version, a title and paths, all of them ours."""
    assert description["openapi"].startswith("3.")
    assert description["info"]["title"] == "Ploinky"
    assert description["paths"]
    assert all(path.startswith("/management/") for path in description["paths"])


def test_every_operation_is_described(description: Any) -> None:
    """Each operation has an id of its own, a sentence, and a response for success."""
    ids = set()
    for path, item in description["paths"].items():
        for method in METHODS & item.keys():
            operation = item[method]
            assert operation["operationId"] not in ids, path
            ids.add(operation["operationId"])
            assert operation.get("description"), f"{method} {path} says nothing"
            assert any(status.startswith("2") for status in operation["responses"]), path


def test_every_path_parameter_is_described(description: Any) -> None:
    """What stands in braces in a path is a parameter of each of its operations."""
    for path, item in description["paths"].items():
        wanted = set(re.findall(r"{(\w+)}", path))
        for method in METHODS & item.keys():
            found = {one["name"] for one in item[method].get("parameters", []) if one["in"] == "path"}
            assert found == wanted, path


def test_every_reference_resolves(description: Any) -> None:
    """No schema is referred to that is not there."""
    text = str(description)
    for name in set(re.findall(r"#/components/schemas/([^'\"]+)", text)):
        assert name in description["components"]["schemas"]


def test_the_page_lists_every_path(server: RunningServer, description: Any) -> None:
    """The page for people shows each path, and loads nothing from elsewhere."""
    page = server.ask("GET", "/management/docs").body.decode()
    assert all(f"<code>{path}</code>" in page for path in description["paths"])
    assert not re.search(r"(src|href)=.?https?:", page)
