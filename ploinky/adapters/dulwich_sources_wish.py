"""What of a repository is wanted, and how to find it among what a remote has."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from dulwich.objects import ObjectID
from dulwich.refs import Ref, check_ref_format

from ploinky.adapters.dulwich_sources_failures import Refusal

NAMED_BRANCHES = 10
COMMIT_DIGITS = 40
SHORTEST_PREFIX_DIGITS = 4
DEFAULT_KEY = "HEAD"

_PREFIX = re.compile(f"[0-9a-f]{{{SHORTEST_PREFIX_DIGITS},{COMMIT_DIGITS}}}")

Refs = Mapping[Ref, ObjectID | None]


class Wish(NamedTuple):
    """A branch, or a revision, which wins. Both None is the default branch."""

    branch: str | None = None
    revision: str | None = None
    is_fresh: bool = False
    asked_at: float = float("inf")
    """When somebody wanted it, in seconds since 1970; what a server said later answers it too."""

    @property
    def key(self) -> str:
        """Name it among the heads of a cache's record."""
        return self.revision or self.branch or DEFAULT_KEY

    @property
    def shown(self) -> str:
        """Name it for people."""
        return self.revision or self.branch or "the default branch"

    @property
    def commit_prefix(self) -> str | None:
        """Return the commit id, or the beginning of one, that it may be; a branch is taken for a full id only."""
        name = self.key
        if not _PREFIX.fullmatch(name) or (self.revision is None and len(name) < COMMIT_DIGITS):
            return None
        return name


def pick(refs: Refs, wish: Wish) -> ObjectID | None:
    """Choose the wanted commit among a remote's refs; None when it may be a short commit id, which no ref tells."""
    known = {ref: sha for ref, sha in refs.items() if sha is not None and not ref.endswith(b"^{}")}
    branches = sorted(ref.removeprefix(b"refs/heads/") for ref in known if ref.startswith(b"refs/heads/"))
    if wish.key == DEFAULT_KEY:
        return _default(known, branches)
    name = wish.key.encode("utf-8", "surrogateescape")
    if len(wish.commit_prefix or "") == COMMIT_DIGITS:
        return ObjectID(name)
    kind = "branch" if wish.revision is None else "tag"
    if not check_ref_format(Ref(b"refs/heads/" + name)):
        raise Refusal("invalid", f"{wish.key!r} is no possible {kind} name")
    places = (b"refs/heads/" + name, b"refs/tags/" + name, name) if wish.revision is None else (b"refs/tags/" + name,)
    for ref in places:
        if ref in known:
            return known[Ref(ref)]
    if wish.commit_prefix is not None:
        return None
    if wish.revision is None:
        raise Refusal("invalid", f"The repository has no branch {wish.key!r}", _naming(branches))
    tags = sorted(ref.removeprefix(b"refs/tags/") for ref in known if ref.startswith(b"refs/tags/"))
    raise Refusal("invalid", f"The repository has no tag or commit {wish.key!r}", _naming(tags, "tags"))


def _default(known: Mapping[Ref, ObjectID], branches: list[bytes]) -> ObjectID:
    head = known.get(Ref(b"HEAD"))
    if head is not None:
        return head
    for name in [b"main", b"master", *(branches if len(branches) == 1 else [])]:
        if name in branches:
            return known[Ref(b"refs/heads/" + name)]
    if not branches:
        raise Refusal("invalid", "The repository has no commits yet", "Commit something first.")
    raise Refusal("invalid", "The repository has no default branch", _naming(branches))


def _naming(names: list[bytes], kind: str = "") -> str:
    if not names:
        return f"It has no {kind}." if kind else "It has none yet."
    shown = ", ".join(name.decode("utf-8", "replace") for name in names[:NAMED_BRANCHES])
    of_kind = f" the {kind}" if kind else ""
    return f"It has{of_kind}: {shown}{', ...' if len(names) > NAMED_BRANCHES else ''}."
