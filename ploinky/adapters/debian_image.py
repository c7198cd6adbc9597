"""Build the agent base image from this machine's Debian or Ubuntu packages: no registry of images is needed.

Packages are downloaded with apt, which checks their signatures, unpacked without running their scripts, and handed to
the engine as one layer. No root is needed.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ploinky.adapters.debian_image_tree import furnish, write_tar
from ploinky.domain.errors import ImageUnavailable
from ploinky.ports.runtime import Progress

BASE_REFERENCE = "ploinky/agent-base:2"
"""Its number counts what an agent can expect: 2 has pip."""

COMMAND_TIMEOUT_SECONDS = 300
MAX_PACKAGES = 60
MAX_REASON_CHARACTERS = 500

_PROGRAMS = ("apt-get", "apt-cache", "dpkg-deb", "tar")
_EXTRA_PACKAGES = ("busybox-static", "ca-certificates", "python3-pip-whl")
_PYTHON_PACKAGE = re.compile(r"\bpython(3\.\d+)-minimal\b")
_DEPENDENCY = re.compile(r"^ [ |](?:Pre)?Depends: ([a-z0-9][a-z0-9.+-]+)$", re.MULTILINE)
# What only package scripts, interactive use or Python's nis, dbm and curses modules need; it would drag in Perl.
_UNNEEDED = re.compile(
    r"(debconf|cdebconf|dpkg|perl|mailcap|mime-support|install-info|readline|libreadline|libncurses|libtinfo|libdb5"
    r"|libnsl|libtirpc|libgdbm|openssl|gcc-)"
)
_CHANGES = (
    "WORKDIR /agent",
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "ENV LANG=C.UTF-8",
    'CMD ["python3"]',
)


def why_not_buildable() -> str:
    """Say what this machine lacks for building; empty when nothing."""
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    return f"{', '.join(missing)} not found (needs Debian or Ubuntu)" if missing else ""


def build_base(client_api: Any, progress: Progress) -> str:
    """Build the base image and hand it to the engine; return its reference.

    **Raises** `ImageUnavailable` with what hindered it; whatever the engine's library raises passes through.
    """
    if missing := why_not_buildable():
        raise ImageUnavailable(
            f"the agent base image cannot be built here: {missing}",
            hint="Build it on another machine, `docker save` it.",
        )
    with tempfile.TemporaryDirectory(prefix="ploinky-image-") as temporary:
        downloads, tree = Path(temporary, "downloads"), Path(temporary, "tree")
        downloads.mkdir()
        python_version, packages = _choose_packages(downloads, progress)
        progress(f"downloading {len(packages)} packages")
        _run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages], downloads)
        progress("unpacking")
        _unpack(downloads, tree)
        furnish(tree, python_version)
        archive = Path(temporary, "image.tar")
        write_tar(tree, archive)
        shutil.rmtree(tree)
        progress(f"importing {archive.stat().st_size // 1_000_000} MB")
        _import(client_api, archive)
    progress(f"built {BASE_REFERENCE} with Python {python_version}")
    return BASE_REFERENCE


def _choose_packages(directory: Path, progress: Progress) -> tuple[str, list[str]]:
    """Find the system's Python 3 and everything it needs to run; return its version and the packages."""
    named = _PYTHON_PACKAGE.search(_depends(directory, ["python3-minimal"]))
    if named is None and os.geteuid() == 0:
        progress("reading package lists")
        _run(["apt-get", "-q", "update"], directory)
        named = _PYTHON_PACKAGE.search(_depends(directory, ["python3-minimal"]))
    if named is None:
        raise ImageUnavailable(
            "apt does not know the package python3-minimal",
            hint="Fetch the package lists first: `sudo apt-get update`.",
        )
    version = named.group(1)
    chosen = {f"python{version}-minimal", f"libpython{version}-stdlib", *_EXTRA_PACKAGES}
    unexamined = chosen - {"ca-certificates", "python3-pip-whl"}  # wanted for their files alone
    while unexamined:
        found = set(_DEPENDENCY.findall(_depends(directory, sorted(unexamined))))
        unexamined = {name for name in found - chosen if not _UNNEEDED.match(name)}
        chosen |= unexamined
        if len(chosen) > MAX_PACKAGES:
            raise ImageUnavailable(f"Python needs more than {MAX_PACKAGES} packages here", found=sorted(chosen))
    return version, sorted(chosen)


def _depends(directory: Path, packages: Sequence[str]) -> str:
    unwanted = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    return _run(["apt-cache", "depends", *(f"--no-{kind}" for kind in unwanted), *packages], directory, is_query=True)


def _unpack(downloads: Path, tree: Path) -> None:
    # Merged as in every current release: older packages still ship files below /lib and /bin.
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / name).mkdir(parents=True, exist_ok=True)
        (tree / name).symlink_to(f"usr/{name}")
    for package in sorted(downloads.glob("*.deb")):
        # Not `dpkg-deb -x`, which would put folders in the place of these links.
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as reader:
            _run(
                ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", str(tree)], downloads, reader.stdout
            )
        if reader.returncode != 0:
            raise ImageUnavailable(f"{package.name} cannot be unpacked", hint="Its download may be broken; try again.")


def _run(command: Sequence[str], directory: Path, source: Any = None, *, is_query: bool = False) -> str:
    """Run a system program; return what it prints. A query that finds nothing is no failure."""
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=directory,
            env=environment,
            stdin=source or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageUnavailable(f"{command[0]} failed: {error}"[:MAX_REASON_CHARACTERS]) from error
    if done.returncode != 0 and not is_query:
        raise ImageUnavailable(
            f"{command[0]} failed: {done.stderr.strip()[-MAX_REASON_CHARACTERS:]}",
            hint="If packages are not found, renew the package lists: `sudo apt-get update`.",
        )
    return done.stdout


def _import(client_api: Any, archive: Path) -> None:
    with archive.open("rb") as content:
        # With the tag in the name: Podman passes one over that is given apart.
        answer = client_api.import_image_from_data(content, BASE_REFERENCE, changes=list(_CHANGES))
    for line in str(answer).splitlines():
        message = json.loads(line)
        if isinstance(message, dict) and "error" in message:
            raise ImageUnavailable(f"the engine does not take the image: {message['error']}"[:MAX_REASON_CHARACTERS])
