"""What the git servers send when somebody pushes, and how each of them signs it."""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import parse_qs

import msgspec

from ploinky.domain.errors import Invalid

BRANCH_PREFIX = "refs/heads/"
BRANCH_CHARACTERS = 255
DELIVERY_CHARACTERS = 255
FORM = "application/x-www-form-urlencoded"

Headers = Mapping[str, str]
"""Names in lower case."""


class Provider(NamedTuple):
    """One kind of git server.

    **Source**: GitHub, *Validating webhook deliveries*; GitLab, *Webhooks*; Gitea, *Webhooks*.
    """

    signature_header: str
    signature_prefix: str
    """Before the hex digest of HMAC-SHA256 over the body."""
    is_plain_token: bool
    """Whether the header holds the secret itself, as GitLab's does."""
    event_header: str
    push_event: str
    delivery_headers: tuple[str, ...]

    def is_signed(self, headers: Headers, body: bytes, secret: bytes) -> bool:
        """Tell whether a delivery is signed with a secret. Takes as long for a wrong signature as for a right one."""
        given = headers.get(self.signature_header, "").encode("utf-8", "surrogateescape")
        if self.is_plain_token:
            return hmac.compare_digest(given, secret)
        wanted = self.signature_prefix + hmac.new(secret, body, sha256).hexdigest()
        return hmac.compare_digest(given, wanted.encode())

    def delivery(self, headers: Headers) -> str:
        """Return what tells a delivery from others and from its repetition. Raises `Invalid`."""
        found = next((headers[name] for name in self.delivery_headers if headers.get(name)), "")
        if not 0 < len(found) <= DELIVERY_CHARACTERS or not found.isprintable():
            raise Invalid(f"The delivery has no usable id in {' or '.join(self.delivery_headers)}")
        return found


PROVIDERS: Mapping[str, Provider] = {
    "github": Provider("x-hub-signature-256", "sha256=", False, "x-github-event", "push", ("x-github-delivery",)),
    "gitlab": Provider(
        "x-gitlab-token", "", True, "x-gitlab-event", "Push Hook", ("idempotency-key", "x-gitlab-event-uuid")
    ),
    "gitea": Provider("x-gitea-signature", "", False, "x-gitea-event", "push", ("x-gitea-delivery",)),
}


class Push(NamedTuple):
    """What a delivery tells."""

    branch: str
    commit: str
    default_branch: str | None
    urls: tuple[str, ...]
    """All addresses that the repository is said to have."""


class _Repository(msgspec.Struct, frozen=True):
    clone_url: str | None = None
    ssh_url: str | None = None
    html_url: str | None = None
    git_http_url: str | None = None
    git_ssh_url: str | None = None
    web_url: str | None = None
    default_branch: str | None = None


class _Body(msgspec.Struct, frozen=True):
    ref: str = ""
    after: str = ""
    repository: _Repository = _Repository()
    project: _Repository = _Repository()


def read_push(headers: Headers, body: bytes) -> Push | None:
    """Read the body of a push; None when it is not one to a branch, or removes the branch. Raises `Invalid`."""
    try:
        is_form = headers.get("content-type", "").partition(";")[0].strip().lower() == FORM
        if is_form and not body.lstrip().startswith(b"{"):  # What reads as JSON is JSON, as everywhere.
            body = parse_qs(body.decode(), max_num_fields=10)["payload"][0].encode()
        found = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, ValueError, KeyError, RecursionError) as error:
        raise Invalid("The delivery's body is no push as JSON") from error
    branch = found.ref.removeprefix(BRANCH_PREFIX)
    if branch == found.ref or not 0 < len(branch) <= BRANCH_CHARACTERS or not branch.isprintable():
        return None
    if not found.after.strip("0") or not all(digit in "0123456789abcdef" for digit in found.after):
        return None
    parts = (found.repository, found.project)
    urls = [
        url
        for part in parts
        for url in (part.clone_url, part.ssh_url, part.html_url, part.git_http_url, part.git_ssh_url, part.web_url)
    ]
    default = found.repository.default_branch or found.project.default_branch
    return Push(branch, found.after[:64], default, tuple(url for url in urls if url))
