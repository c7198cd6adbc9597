"""What an agent needs installed: read from its folder, never from a network, so that a digest names it."""

import json
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from ploinky.domain.errors import SourceInvalid
from ploinky.domain.manifest import Manifest
from ploinky.domain.specs import PinnedImage

PYTHON_FILE = "requirements.txt"
NODE_FILE = "package.json"
NODE_LOCKS = ("npm-shrinkwrap.json", "package-lock.json")
DEPENDENCY_FILES = (PYTHON_FILE, NODE_FILE, *NODE_LOCKS)
SETTING_PREFIXES = ("PIP_", "NPM_CONFIG_", "npm_config_")
"""Variables of a deployment that the installers see too: which index, with what token. No others are passed."""
DIGEST_CHARACTERS = 32

_NODE_SECTIONS = ("dependencies", "optionalDependencies")
_SHELL_WORDS = frozenset({"&&", "||", ";", "|", ">", "<", "&"})


class InstallPlace(StrEnum):
    """Where a command that installs something runs."""

    AGENT = "agent"
    """In the agent's folder, which it cannot write."""
    DEPENDENCIES = "dependencies"
    """In the folder that it fills."""


def search_paths(directory: str) -> dict[str, list[str]]:
    """Return where programs, Python's modules and Node's are found in a folder of dependencies, by variable."""
    return {
        "PATH": [f"{directory}/bin", f"{directory}/python/bin", f"{directory}/node_modules/.bin"],
        "PYTHONPATH": [f"{directory}/python"],
        "NODE_PATH": [f"{directory}/node_modules"],
    }


def installer_variables(directory: str) -> dict[str, str]:
    """Return what tells installers to put everything into a folder, and to keep nothing anywhere else."""
    temporary = f"{directory}/.tmp"
    return {
        "PIP_TARGET": f"{directory}/python",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "NPM_CONFIG_CACHE": f"{temporary}/npm",
        "HOME": temporary,
        "TMPDIR": temporary,
    }


class InstallStep(NamedTuple):
    """One command of an installation, run in a container or process of its own."""

    name: str
    """As people see it: `pip`, `npm`, or the manifest's field."""
    command: tuple[str, ...]
    place: InstallPlace = InstallPlace.AGENT


def install_steps(files: Mapping[str, bytes], manifest: Manifest) -> tuple[InstallStep, ...]:
    """Return what has to be run, in order; nothing when the agent needs nothing.

    `files` are those of `DEPENDENCY_FILES` that the agent's folder has. Raises `SourceInvalid` for one that cannot be
    read, or that asks for what is not done here.
    """
    steps = [_hook("preinstall", manifest.preinstall)]
    if _needs_python(files):
        steps.append(InstallStep("pip", ("python3", "-m", "pip", "install", "-r", PYTHON_FILE)))
    if _needs_node(files):
        verb = "ci" if any(lock in files for lock in NODE_LOCKS) else "install"
        command = ("npm", verb, "--omit=dev", "--no-audit", "--no-fund")
        steps.append(InstallStep("npm", command, InstallPlace.DEPENDENCIES))
    steps += [_hook("install", manifest.install), _hook("postinstall", manifest.postinstall)]
    return tuple(step for step in steps if step is not None)


def dependencies_digest(
    steps: tuple[InstallStep, ...], files: Mapping[str, bytes], folder: str, settings: Mapping[str, str]
) -> str:
    """Return a digest of all that the result depends on but the image; empty when there are no steps.

    A hook, and a requirement that is a file, may read anything in the agent's folder: then
    `folder` counts too, which names the folder and its commit. `settings` holds secrets as the ids of their versions.
    """
    if not steps:
        return ""
    reads_folder = any(step.name not in {"pip", "npm"} for step in steps) or _names_files(files)
    chosen = sorted((name, value) for name, value in settings.items() if name.startswith(SETTING_PREFIXES))
    parts: list[Any] = [
        [[step.name, *step.command] for step in steps],
        [[name, sha256(content).hexdigest()] for name, content in sorted(files.items())],
        folder if reads_folder else "",
        chosen,
    ]
    return _digest(parts)


def folder_digest(pin: PinnedImage, dependencies: str) -> str:
    """Return what names the folder: what was asked for, as installed in one image."""
    return _digest([pin.runtime, pin.digest, dependencies])


def _digest(parts: list[Any]) -> str:
    return sha256(json.dumps(parts).encode()).hexdigest()[:DIGEST_CHARACTERS]


def _hook(name: str, command: tuple[str, ...] | None) -> InstallStep | None:
    if command is None:
        return None
    if found := _SHELL_WORDS.intersection(command):
        raise SourceInvalid(
            f"manifest.json: `{name}` holds {min(found)}, but no shell reads it",
            hint=f'Write "{name}": ["sh", "-c", "..."].',
        )
    return InstallStep(name, command)


def _needs_python(files: Mapping[str, bytes]) -> bool:
    return bool(_requirement_lines(files))


def _requirement_lines(files: Mapping[str, bytes]) -> list[str]:
    lines = files.get(PYTHON_FILE, b"").decode(errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


def _names_files(files: Mapping[str, bytes]) -> bool:
    """Tell whether a requirement is, or may be, a path: `./x.whl`, `-r other.txt`, `name @ file:...`."""
    return any(
        line.startswith(("-", ".", "/")) or "file:" in line or line.partition(";")[0].strip().endswith((".whl", ".gz"))
        for line in _requirement_lines(files)
    )


def _needs_node(files: Mapping[str, bytes]) -> bool:
    if NODE_FILE not in files:
        return False
    try:
        document = json.loads(files[NODE_FILE])
    except (ValueError, RecursionError) as error:
        raise SourceInvalid(f"{NODE_FILE} is not JSON: {str(error)[:200]}") from error
    if not isinstance(document, dict):
        raise SourceInvalid(f"{NODE_FILE} holds no object")
    wanted: dict[str, Any] = {}
    for section in _NODE_SECTIONS:
        found = document.get(section)
        wanted |= found if isinstance(found, dict) else {}
    for name, version in wanted.items():
        if isinstance(version, str) and version.startswith(("file:", "link:", "workspace:")):
            raise SourceInvalid(
                f"{NODE_FILE}: {name[:100]} is a folder or file of the repository, which npm cannot reach here",
                hint="Publish it, name it by its URL, or put it into the agent's folder as it is.",
            )
    return bool(wanted)
