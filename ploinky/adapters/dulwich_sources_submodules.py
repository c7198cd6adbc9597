"""Find a commit's submodules, and decide where each may be fetched from."""

import stat
from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple
from urllib.parse import urlsplit

from dulwich.config import ConfigFile, parse_submodules
from dulwich.object_store import BaseObjectStore
from dulwich.objects import Blob, ObjectID, Tree

from ploinky.adapters.dulwich_sources_failures import Refusal
from ploinky.adapters.dulwich_sources_tree import SUBMODULE_MODE, walk
from ploinky.domain.errors import SourceInvalid
from ploinky.domain.source_urls import Location

MODULES_FILE = b".gitmodules"
MODULES_BYTES = 65_536
SUBMODULES = 50
SUBMODULE_DEPTH = 4


class Submodule(NamedTuple):
    """A commit of another repository, at a path of this one."""

    path: bytes
    commit: str
    url: str

    @property
    def shown(self) -> str:
        """The path, for people."""
        return self.path.decode("utf-8", "backslashreplace")[:200]


def submodules_of(objects: BaseObjectStore, tree_id: ObjectID) -> list[Submodule]:
    """List the submodules of a tree that `.gitmodules` gives an address. Raises `Refusal`."""
    root = objects[tree_id]
    if not isinstance(root, Tree) or MODULES_FILE not in root:
        return []
    mode, sha = root[MODULES_FILE]
    content = objects[sha]
    if stat.S_IFMT(mode) != stat.S_IFREG or not isinstance(content, Blob) or content.raw_length() > MODULES_BYTES:
        raise _refused("is no file of a usual size")
    try:
        # Nothing is included: what it names would be read from this machine.
        config = ConfigFile.from_file(BytesIO(content.as_raw_string()), expand_includes=False)
        urls = {path: url.decode() for path, url, _ in parse_submodules(config)}
    except (ValueError, KeyError) as error:
        raise _refused("cannot be read") from error
    found = [
        Submodule(node.path, node.id.decode(), urls[node.path])
        for node in walk(objects, tree_id)
        if stat.S_IFMT(node.mode) == SUBMODULE_MODE and node.path in urls
    ]
    if len(found) > SUBMODULES:
        raise Refusal("invalid", f"The repository has more than {SUBMODULES} submodules")
    return found


def located(submodule: Submodule, parent: Location, hosts: Sequence[str]) -> Location:
    """Return where a submodule is fetched from. Raises `Refusal` when it may not be.

    A repository's author chooses these addresses, so they lead to the repository's own host, or to `hosts`, which the
    operator has named; and to this machine's disk only from a repository that is there itself.
    """
    try:
        location = parent.joined(submodule.url)
    except SourceInvalid as error:
        raise Refusal("invalid", f"Submodule {submodule.shown}: {error.message}", error.advice) from error
    host = urlsplit(location.address).hostname
    is_allowed = parent.is_local if location.is_local else host in hosts or location.origin == parent.origin
    if not is_allowed:
        place = "this machine's own files" if location.is_local else f"another host, {host}"
        hint = (
            "The operator can allow hosts in `submoduleHosts`." if host else "Use a relative address (`../other.git`)."
        )
        raise Refusal("invalid", f"Submodule {submodule.shown} leads to {place}", hint)
    return location


def _refused(reason: str) -> Refusal:
    return Refusal("invalid", f".gitmodules {reason}", "Correct it and commit.")
