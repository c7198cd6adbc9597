"""Find the deployment a person means."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ploinky.client import JsonObject, PloinkyClient

DEFAULT_DOMAIN = "localhost"


def split_route(text: str, domain: str = DEFAULT_DOMAIN) -> tuple[str, str]:
    """Read `/path` or `domain/path` as domain and path."""
    if text.startswith("/"):
        return domain, text
    named, slash, rest = text.partition("/")
    return named, slash + rest


def find_deployment(client: "PloinkyClient", target: str) -> "JsonObject":
    """Give the deployment for an id, `/path` or `domain/path`. **Raises** `ApiError` 404 when there is none."""
    if "/" not in target:
        return client.deployment(target)
    return find_at(client, *split_route(target))


def find_at(client: "PloinkyClient", domain: str, path: str) -> "JsonObject":
    """Give the deployment at a route, written as people write it. **Raises** `ApiError` 404 when there is none."""
    return client.find_deployment(domain.lower(), path.rstrip("/") or "/")


def id_of(document: "JsonObject") -> str:
    """Give the id the server sent. **Raises** `click.ClickException` when it sent none."""
    found = document.get("id")
    if not isinstance(found, str) or not found:
        raise click.ClickException("the server sent a document without an id")
    return found


def name_of(deployment: "JsonObject") -> str:
    """Name a deployment as its route."""
    return f"{deployment.get('domain', '')}{deployment.get('path', '')}"
