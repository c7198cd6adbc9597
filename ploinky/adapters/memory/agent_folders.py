"""Agents' folders in memory, over the trees of `MemorySources`."""

import json

from ploinky.adapters.memory.sources import Tree
from ploinky.domain.dependencies import DEPENDENCY_FILES
from ploinky.domain.errors import AgentNotFound, SourceInvalid
from ploinky.domain.release import DOCKERFILE
from ploinky.ports.sources import AGENT_FOLDER_DEPTH, AGENT_SIGNS, AGENTS_LIMIT, AgentFolder, FoundAgent

DEPTHS = AGENT_FOLDER_DEPTH + 1


class MemoryAgentFolders:
    """The `AgentFolders` port in memory: a folder is the paths that start with its name."""

    def __init__(self, trees: dict[str, Tree]) -> None:
        self._trees = trees
        """Give it `MemorySources.trees`; prepared releases are put there too."""
        self.volumes: set[tuple[str, str]] = set()

    def find(self, checkout: str, agent: str, subfolder: str = "") -> AgentFolder:
        _check_name(agent)
        if subfolder:
            _check_name(subfolder)
            checkout = f"{checkout}/{subfolder}"
        root, tree = self._split(checkout)
        if not any(path.startswith(root) for path in tree):
            raise AgentNotFound(f"The repository has no folder {subfolder!r}", hint="Check the subfolder.")
        manifest = tree.get(f"{root}manifest.json")
        is_folder = any(path.startswith(f"{root}{agent}/") for path in tree)
        if _name_in(manifest) != agent and is_folder:
            return _found(f"{checkout}/{agent}", f"{root}{agent}/", tree)
        if not any(path.removeprefix(root).split("/")[0] in AGENT_SIGNS for path in tree if path.startswith(root)):
            raise AgentNotFound(
                f"The repository has no agent {agent!r}", hint="An agent is the name of a folder there."
            )
        return _found(checkout, root, tree)

    def agents(self, checkout: str) -> list[FoundAgent]:
        root, tree = self._split(checkout)
        paths = [path.removeprefix(root).split("/") for path in tree if path.startswith(root)]
        candidates = {"/".join(parts[:depth]) for parts in paths for depth in range(min(len(parts), DEPTHS))}
        found: list[FoundAgent] = []
        for folder in sorted(candidates, key=lambda name: (name.count("/"), name)):
            parts = folder.split("/") if folder else []
            below = [path[len(parts) :] for path in paths if path[: len(parts)] == parts and len(path) > len(parts)]
            is_inside = any(known.folder and folder.startswith(f"{known.folder}/") for known in found)
            is_hidden = any(part.startswith((".", "_")) for part in parts) or folder in AGENT_SIGNS
            if is_inside or is_hidden or not any(path[0] in AGENT_SIGNS for path in below):
                continue
            handlers = {path[1].partition(".")[0] for path in below if path[0] == "handlers" and len(path) == 2}
            prefix = f"{root}{folder}/" if folder else root
            found.append(FoundAgent(folder, tree.get(f"{prefix}manifest.json"), tuple(sorted(handlers))))
        return sorted(found)[:AGENTS_LIMIT]

    def prepare(self, source: str, release: str, owner_user_id: int | None = None) -> str:
        target = self._path(release)
        if target not in self._trees:
            prefix, tree = self._split(source)
            self._trees[target] = {
                path.removeprefix(prefix): content
                for path, content in tree.items()
                if path.startswith(prefix) and ".git" not in path.split("/")
            }
        return target

    def volume(self, deployment_id: str, name: str, owner_user_id: int | None = None) -> str:
        _check_name(name)
        if "/" in name:
            raise SourceInvalid(f"{name!r} is no name of a volume")
        self.volumes.add((deployment_id, name))
        return f"/memory/data/{deployment_id}/{name}"

    def discard_volumes(self, deployment_id: str) -> None:
        self.volumes = {volume for volume in self.volumes if volume[0] != deployment_id}

    def discard(self, release: str) -> None:
        self._trees.pop(self._path(release), None)

    def _path(self, release: str) -> str:
        deployment, _, number = release.partition("/")
        if not deployment or deployment.startswith(".") or not number.isdecimal():
            raise SourceInvalid(f"{release[:100]!r} is no release", hint="It looks like {deploymentId}/{number}.")
        return f"/memory/releases/{release}"

    def _split(self, directory: str) -> tuple[str, Tree]:
        """Find the tree a directory is in, and the prefix of its paths there."""
        for root, tree in self._trees.items():
            if directory == root:
                return "", tree
            if directory.startswith(f"{root}/"):
                return f"{directory.removeprefix(f'{root}/')}/", tree
        raise SourceInvalid(f"There is no checkout {directory}")


def _check_name(name: str) -> None:
    if not name or any(part in {"", ".", "..", ".git"} for part in name.split("/")):
        raise SourceInvalid(f"{name[:100]!r} is no agent's name", hint="It is the name of a folder.")


def _found(directory: str, prefix: str, tree: Tree) -> AgentFolder:
    files = {name: tree[prefix + name] for name in DEPENDENCY_FILES if prefix + name in tree}
    return AgentFolder(directory, tree.get(f"{prefix}manifest.json"), files, prefix + DOCKERFILE in tree)


def _name_in(manifest: bytes | None) -> object:
    try:
        content = json.loads(manifest) if manifest else None
    except ValueError:
        return None
    return content.get("name") if isinstance(content, dict) else None
