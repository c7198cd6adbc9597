"""Deliveries are read as each git server writes them, and believed only with its signature."""

import hmac
import json
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ploinky.domain.errors import Invalid
from ploinky.usecases.webhook_forms import PROVIDERS, Push, read_push

SECRET = b"a secret of some length"
BODY = b'{"ref": "refs/heads/main"}'
COMMIT = "c0ffee" + "0" * 34


def signature(provider: str, body: bytes = BODY, secret: bytes = SECRET) -> dict[str, str]:
    known = PROVIDERS[provider]
    value = secret.decode() if known.is_plain_token else hmac.new(secret, body, sha256).hexdigest()
    return {known.signature_header: known.signature_prefix + value}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_right_signature_is_believed(provider: str) -> None:
    """Each server has its own header and form."""
    assert PROVIDERS[provider].is_signed(signature(provider), BODY, SECRET)


def test_github_s_own_example_is_believed() -> None:
    """The documentation gives one: secret, body and signature."""
    headers = {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
    assert PROVIDERS["github"].is_signed(headers, b"Hello, World!", b"It's a Secret to Everybody")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_anything_else_is_not(provider: str) -> None:
    """Another secret, no signature, half of one, another body, odd letters."""
    known = PROVIDERS[provider]
    right = signature(provider)[known.signature_header]
    for wrong in ("", right[:-1], right + "0", right.upper() + "x", "sha1=0", "\udcff", "ä"):
        assert not known.is_signed({known.signature_header: wrong}, BODY, SECRET)
    assert not known.is_signed({}, BODY, SECRET)
    assert not known.is_signed(signature(provider, secret=b"another"), BODY, SECRET)
    if not known.is_plain_token:
        assert not known.is_signed(signature(provider), BODY + b" ", SECRET)


def github(**changes: Any) -> dict[str, Any]:
    repository = {
        "clone_url": "https://github.com/team/agents.git",
        "ssh_url": "git@github.com:team/agents.git",
        "default_branch": "main",
        "owner": {"name": "team"},
    }
    return {"ref": "refs/heads/main", "after": COMMIT, "repository": repository, "commits": []} | changes


GITLAB = {
    "object_kind": "push",
    "ref": "refs/heads/main",
    "after": COMMIT,
    "project": {
        "git_http_url": "https://gitlab.com/team/agents.git",
        "git_ssh_url": "git@gitlab.com:team/agents.git",
        "default_branch": "main",
    },
    "repository": {"name": "agents", "url": "git@gitlab.com:team/agents.git"},
}


def read(document: object, **headers: str) -> Push | None:
    return read_push(headers, json.dumps(document).encode())


def test_reads_a_push_of_github_and_gitea() -> None:
    """Branch, commit, default branch and every address."""
    assert read(github()) == Push(
        "main", COMMIT, "main", ("https://github.com/team/agents.git", "git@github.com:team/agents.git")
    )


def test_reads_a_push_of_gitlab() -> None:
    """Its addresses stand under `project`."""
    push = read(GITLAB)
    assert push is not None
    assert push[:3] == ("main", COMMIT, "main")
    assert "https://gitlab.com/team/agents.git" in push.urls


def test_reads_a_form() -> None:
    """GitHub can be told to send one."""
    body = urlencode({"payload": json.dumps(github())}).encode()
    assert read_push({"content-type": "application/x-www-form-urlencoded; charset=utf-8"}, body) == read(github())


def test_reads_json_whatever_it_is_called() -> None:
    """As `curl -d` sends it."""
    assert read(github(), **{"content-type": "application/x-www-form-urlencoded"}) == read(github())


@pytest.mark.parametrize(
    "changes",
    [
        {"ref": "refs/tags/v1"},
        {"ref": "main"},
        {"ref": "refs/heads/"},
        {"ref": "refs/heads/" + "x" * 300},
        {"ref": "refs/heads/a\nb"},
        {"after": "0" * 40},
        {"after": ""},
        {"after": "../../etc"},
    ],
)
def test_what_is_no_push_to_a_branch_is_none(changes: dict[str, str]) -> None:
    """Tags, removed branches and nonsense are acknowledged and ignored."""
    assert read(github(**changes)) is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"ref": 7}', b'{"repository": "x"}', b"[" * 100_000])
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_an_unreadable_body_is_refused(body: bytes, kind: str) -> None:
    """In words, whatever is wrong with it."""
    with pytest.raises(Invalid):
        read_push({"content-type": kind}, body)


@given(st.binary(max_size=200), st.sampled_from(["application/json", "application/x-www-form-urlencoded", "x"]))
def test_any_bytes_are_a_push_or_refused(body: bytes, kind: str) -> None:
    """Nothing makes the reader fail in another way."""
    try:
        read_push({"content-type": kind}, body)
    except Invalid:
        return


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("delivery", ["", "x" * 256, "a\nb"])
def test_a_delivery_needs_an_id(provider: str, delivery: str) -> None:
    """Without one, a repetition could not be told from another push."""
    known = PROVIDERS[provider]
    with pytest.raises(Invalid):
        known.delivery(dict.fromkeys(known.delivery_headers, delivery))
    assert known.delivery({known.delivery_headers[-1]: "id-1"}) == "id-1"
