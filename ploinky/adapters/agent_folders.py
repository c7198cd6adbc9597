"""Find agents in checkouts, and copy each into the folder that one release runs from."""

import errno
import json
import os
import re
import shutil
import stat
import tempfile
from threading import Lock
from weakref import WeakValueDictionary

from ploinky.adapters.durable_folders import sync_file_system
from ploinky.domain.dependencies import DEPENDENCY_FILES
from ploinky.domain.errors import AgentNotFound, SourceInvalid, StorageFull
from ploinky.domain.release import DOCKERFILE
from ploinky.ports.sources import AGENT_FOLDER_DEPTH, AGENT_SIGNS, AGENTS_LIMIT, AgentFolder, FoundAgent

MANIFEST_BYTES = 262_144
DEPENDENCY_FILE_BYTES = 8_388_608
NAME_CHARACTERS = 200
FILES = 100_000
CONTENT_BYTES = 1_073_741_824
PASSAGE_MODE = 0o711
CHUNK_BYTES = 1_048_576

_MANIFEST = "manifest.json"
_RELEASE = re.compile(r"[0-9A-Za-z_-]{1,64}/[0-9]{1,10}")
_TEMPORARY = ".tmp-"
_VOLUME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")


class FileAgentFolders:
    """The `AgentFolders` port over the file system; releases are `{releases}/{deploymentId}/{number}`."""

    def __init__(
        self, releases_directory: str | os.PathLike[str], volumes_directory: str | os.PathLike[str] | None = None
    ) -> None:
        """Take where releases are made, and the volumes of deployments: by default beside them."""
        self._releases = os.path.abspath(releases_directory)
        self._volumes = os.path.abspath(volumes_directory or f"{self._releases}-data")
        self._turns: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        """Instances of one release are started side by side, and the first one to come makes it for all."""
        self._turns_lock = Lock()

    def find(self, checkout: str, agent: str, subfolder: str = "") -> AgentFolder:
        if subfolder:
            checkout = _folder(checkout, subfolder)
            if not os.path.isdir(checkout):
                raise AgentNotFound(f"The repository has no folder {subfolder!r}", hint="Check the subfolder.")
        folder = _folder(checkout, agent)
        root_manifest = _manifest(checkout)
        if _name_in(root_manifest) != agent and os.path.isdir(folder):
            return _agent_folder(folder, _manifest(folder))
        if not any(os.path.lexists(os.path.join(checkout, name)) for name in AGENT_SIGNS):
            raise AgentNotFound(
                f"The repository has no agent {agent!r}", hint="An agent is the name of a folder there."
            )
        return _agent_folder(checkout, root_manifest)

    def agents(self, checkout: str) -> list[FoundAgent]:
        found: list[FoundAgent] = []
        folders = [""]
        while folders and len(found) < AGENTS_LIMIT:
            folder = folders.pop(0)
            path = os.path.join(checkout, folder)
            if any(os.path.lexists(os.path.join(path, sign)) for sign in AGENT_SIGNS):
                found.append(_found(path, folder))
                if folder:
                    continue
            if folder.count("/") + bool(folder) < AGENT_FOLDER_DEPTH:
                below = (os.path.join(folder, name) for name in _plain_names(path, is_folder=True))
                folders += [name for name in below if name not in AGENT_SIGNS]
        return sorted(found)

    def prepare(self, source: str, release: str, owner_user_id: int | None = None) -> str:
        target = self._path(release)
        with self._turns_lock:
            turn = self._turns.setdefault(target, Lock())
        with turn:
            if not os.path.isdir(target):  # renamed into place whole, so its existence is the proof
                self._make(source, target, owner_user_id)
        return target

    def _make(self, source: str, target: str, owner_user_id: int | None) -> None:
        parent = os.path.dirname(target)
        _make_passage(self._releases)
        _make_passage(parent)
        _remove_leftovers(parent, os.path.basename(target))
        aside = tempfile.mkdtemp(prefix=f"{_TEMPORARY}{os.path.basename(target)}-", dir=parent)
        try:
            _Copy(source, aside).run()
            os.makedirs(os.path.join(aside, ".ploinky", "queue"), exist_ok=True)
            if owner_user_id is not None:
                _give_away(aside, owner_user_id)
                os.chmod(aside, 0o700)  # its owner's alone, for other agents may be able to pass here
            sync_file_system(aside)
            os.rename(aside, target)
        except OSError as error:
            _remove(aside)
            raise _translated(error, source) from error
        except BaseException:
            _remove(aside)
            raise

    def volume(self, deployment_id: str, name: str, owner_user_id: int | None = None) -> str:
        if not (_VOLUME.fullmatch(name) and _VOLUME.fullmatch(deployment_id)):
            raise SourceInvalid(f"{name[:100]!r} is no name of a volume", hint="It looks like `cache`.")
        target = os.path.join(self._volumes, deployment_id, name)
        try:
            os.makedirs(target, mode=0o700, exist_ok=True)
            # Also when it was there: a crash may have come in between.
            if owner_user_id not in {None, os.stat(target, follow_symlinks=False).st_uid}:
                os.chown(target, owner_user_id or 0, owner_user_id or 0, follow_symlinks=False)
        except OSError as error:
            raise _translated(error, target) from error
        return target

    def discard_volumes(self, deployment_id: str) -> None:
        if _VOLUME.fullmatch(deployment_id):
            _remove(os.path.join(self._volumes, deployment_id))

    def discard(self, release: str) -> None:
        target = self._path(release)
        _remove(target)
        try:
            os.rmdir(os.path.dirname(target))
        except OSError:
            return  # other releases of the deployment are there, or nothing ever was

    def _path(self, release: str) -> str:
        if not _RELEASE.fullmatch(release):
            raise SourceInvalid(f"{release[:100]!r} is no release", hint="It looks like {deploymentId}/{number}.")
        return os.path.join(self._releases, *release.split("/"))


class _Copy:
    """Copy one tree into an empty folder: files with their executable bit, links as links, nothing else."""

    def __init__(self, source: str, target: str) -> None:
        self._source = source
        self._target = target
        self._files = 0
        self._bytes = 0

    def run(self) -> None:
        os.chmod(self._target, 0o755)  # noqa: S103 - the user inside a container reads it
        folders = [""]
        while folders:
            folder = folders.pop()
            with os.scandir(os.path.join(self._source, folder)) as entries:
                for entry in entries:
                    path = os.path.join(folder, entry.name)
                    # A queue that a running agent left there is another instance's.
                    if entry.name == ".git" or path == ".ploinky":
                        continue
                    if self._place(entry, path):
                        folders.append(path)

    def _place(self, entry: "os.DirEntry[str]", path: str) -> bool:
        """Copy one entry and return whether it is a folder, to be gone into."""
        self._files += 1
        if self._files > FILES:
            raise SourceInvalid(f"The agent's folder has more than {FILES} files")
        target = os.path.join(self._target, path)
        if entry.is_symlink():
            self._link(entry.path, path)
            return False
        if entry.is_dir(follow_symlinks=False):
            os.mkdir(target)
            os.chmod(target, 0o755)  # noqa: S103 - independent of the umask, as above
            return True
        self._file(entry.path, path)
        return False

    def _link(self, source: str, path: str) -> None:
        link = os.readlink(source)
        root = os.path.realpath(self._source)
        reached = os.path.realpath(source)
        if link.startswith("/") or (reached != root and not reached.startswith(root + "/")):
            hint = "Keep what an agent needs inside its own folder."
            raise SourceInvalid(f"{path} is a link that leaves the agent's folder", hint=hint)
        os.symlink(link, os.path.join(self._target, path))

    def _file(self, source: str, path: str) -> None:
        # Not blocking: opening a pipe that somebody put there would wait for a writer.
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as reader:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SourceInvalid(f"{path} is neither a file nor a folder nor a link")
            with open(os.path.join(self._target, path), "xb") as writer:
                while chunk := reader.read(CHUNK_BYTES):
                    self._bytes += len(chunk)
                    if self._bytes > CONTENT_BYTES:
                        raise SourceInvalid(f"The agent's folder has more than {CONTENT_BYTES} bytes")
                    writer.write(chunk)
                os.fchmod(writer.fileno(), 0o755 if status.st_mode & 0o111 else 0o644)


def _folder(checkout: str, agent: str) -> str:
    parts = agent.split("/")
    is_acceptable = 0 < len(agent) <= NAME_CHARACTERS and all(
        part not in {"", ".", ".."} and part.lower() != ".git" and part.isprintable() for part in parts
    )
    if not is_acceptable:
        raise SourceInvalid(f"{agent[:100]!r} is no agent's name", hint="It is the name of a folder in the repository.")
    for count in range(1, len(parts) + 1):
        if os.path.islink(os.path.join(checkout, *parts[:count])):
            raise SourceInvalid(f"The agent's folder {agent!r} is a link", hint="Name the folder itself.")
    return os.path.join(checkout, agent)


def _agent_folder(folder: str, manifest: bytes | None) -> AgentFolder:
    read = {name: _content(folder, name, DEPENDENCY_FILE_BYTES) for name in DEPENDENCY_FILES}
    files = {name: content for name, content in read.items() if content is not None}
    return AgentFolder(folder, manifest, files, os.path.isfile(os.path.join(folder, DOCKERFILE)))


def _manifest(folder: str) -> bytes | None:
    return _content(folder, _MANIFEST, MANIFEST_BYTES)


def _content(folder: str, name: str, limit_bytes: int) -> bytes | None:
    path = os.path.join(folder, name)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SourceInvalid(f"{name} cannot be read ({error.strerror})", hint="Is it a link?") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SourceInvalid(f"{name} is no file")
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise SourceInvalid(f"{name} has more than {limit_bytes} bytes")
    return content


def _found(path: str, folder: str) -> FoundAgent:
    handlers = os.path.join(path, "handlers")
    names = [] if os.path.islink(handlers) else _plain_names(handlers, is_folder=False)
    commands = tuple(sorted({os.path.splitext(name)[0] for name in names}))
    try:
        return FoundAgent(folder, _manifest(path), commands)
    except SourceInvalid as error:
        return FoundAgent(folder, None, commands, error.message)


def _plain_names(path: str, *, is_folder: bool) -> list[str]:
    """Return what a folder holds, without links and what begins with a dot or underscore, sorted."""
    if not os.path.isdir(path):
        return []
    with os.scandir(path) as entries:
        matching = [
            entry.name
            for entry in entries
            if (entry.is_dir(follow_symlinks=False) if is_folder else entry.is_file(follow_symlinks=False))
        ]
    return sorted(name for name in matching if not name.startswith((".", "_")) and name.isprintable())


def _name_in(manifest: bytes | None) -> object:
    """Read the name only; what else is wrong with it is said where the manifest is used."""
    try:
        content = json.loads(manifest) if manifest else None
    except (ValueError, RecursionError):
        return None
    return content.get("name") if isinstance(content, dict) else None


def _make_passage(directory: str) -> None:
    """Make a folder that others may pass through, should they come so far, and not list."""
    os.makedirs(directory, exist_ok=True)
    os.chmod(directory, PASSAGE_MODE)


def _give_away(folder: str, user_id: int) -> None:
    for directory, _, names in os.walk(folder):
        for path in (directory, *(os.path.join(directory, name) for name in names)):
            os.chown(path, user_id, user_id, follow_symlinks=False)


def _remove_leftovers(parent: str, number: str) -> None:
    """Remove half a copy from before a crash."""
    for name in os.listdir(parent):
        if name.startswith(f"{_TEMPORARY}{number}-"):
            _remove(os.path.join(parent, name))


def _remove(path: str) -> None:
    """Remove a folder, read-only folders in it included. Nothing there is fine."""
    if not os.path.lexists(path):
        return
    os.chmod(path, 0o700)
    for folder, folders, _ in os.walk(path):
        for name in folders:
            inner = os.path.join(folder, name)
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)
    shutil.rmtree(path)


def _translated(error: OSError, source: str) -> Exception:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFull()
    return SourceInvalid(f"{source} cannot be copied ({error.strerror})", hint="Can the server's user read all of it?")
