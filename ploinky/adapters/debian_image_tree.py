"""The root folder of the agent base image: what packages alone do not bring, and how it becomes an archive."""

import os
import shutil
import tarfile
from pathlib import Path

_FOLDERS = ("agent/.ploinky/queue", "agentCore", "dev", "etc", "proc", "sys", "root", "run", "var/tmp")
_WHEELS = "usr/share/python-wheels"
_STICKY_FOLDERS = ("tmp", "var/tmp")
_UNNEEDED_FOLDERS = ("usr/share/doc", "usr/share/man", "usr/share/lintian", "usr/share/locale", "var/lib/apt", _WHEELS)
_APPLETS = (
    *("[", "awk", "basename", "cat", "chmod", "cp", "cut", "date", "df", "dirname", "du", "echo", "env", "expr"),
    *("false", "find", "grep", "gzip", "head", "hostname", "id", "kill", "ln", "ls", "md5sum", "mkdir", "mktemp"),
    *("mv", "nc", "nproc", "od", "printf", "ps", "pwd", "readlink", "realpath", "rm", "rmdir", "sed", "seq", "sh"),
    *("sha256sum", "sleep", "sort", "stat", "sync", "tail", "tar", "tee", "test", "timeout", "touch", "tr", "true"),
    *("tty", "uname", "uniq", "unzip", "wc", "wget", "which", "whoami", "xargs", "yes"),
)
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
_PYTHON_PACKAGES = "usr/lib/python3/dist-packages"
_CERTIFICATES = "usr/share/ca-certificates"
_CERTIFICATE_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_OPENSSL_BUNDLE = "usr/lib/ssl/cert.pem"


def furnish(tree: Path, python_version: str) -> None:
    """Complete the unpacked packages: folders, accounts, `python3`, a shell and its programs, certificates."""
    for folder in (*_FOLDERS, *_STICKY_FOLDERS):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    for name, content in _FILES.items():
        (tree / name).write_text(content, "ascii")
    programs = tree / "usr/bin"
    _link(programs / "python3", f"python{python_version}")
    for applet in _APPLETS:
        _link(programs / applet, "busybox")
    _bundle_certificates(tree)
    _unpack_pip(tree)


def write_tar(tree: Path, archive: Path) -> None:
    """Write a folder as an archive that depends on its content alone: sorted, owned by root, without times."""

    def neutral(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        # Whatever umask this runs under: everybody may read, nobody but root may write.
        is_executable = member.isdir() or bool(member.mode & 0o100)
        member.mode = 0o1777 if member.name in _STICKY_FOLDERS else (0o755 if is_executable else 0o644)
        return member

    unneeded = {tree / folder for folder in _UNNEEDED_FOLDERS}
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as tar:
        for folder, folders, files in os.walk(tree):
            here = Path(folder)
            folders[:] = sorted(name for name in folders if here / name not in unneeded)
            for name in sorted([*folders, *files]):
                path = here / name
                tar.add(path, arcname=str(path.relative_to(tree)), recursive=False, filter=neutral)


def _link(path: Path, target: str) -> None:
    if not path.exists() and not path.is_symlink():
        path.symlink_to(target)


def _unpack_pip(tree: Path) -> None:
    """Make `python3 -m pip` work: Debian keeps pip as a wheel, for what makes virtual environments."""
    for wheel in sorted((tree / _WHEELS).glob("pip-*.whl")):
        shutil.unpack_archive(wheel, tree / _PYTHON_PACKAGES, "zip")


def _bundle_certificates(tree: Path) -> None:
    """Do what the script of ca-certificates does: TLS reads one file with all of them."""
    bundle, default = tree / _CERTIFICATE_BUNDLE, tree / _OPENSSL_BUNDLE
    for path in (bundle, default):
        path.parent.mkdir(parents=True, exist_ok=True)
    _link(default, f"/{_CERTIFICATE_BUNDLE}")
    certificates = sorted((tree / _CERTIFICATES).rglob("*.crt"))
    bundle.write_text("".join(path.read_text("ascii").strip() + "\n" for path in certificates), "ascii")
