"""Which kind of file system a folder lies on.

**Source**: proc(5), `/proc/self/mountinfo`.
"""

import os
import re

_MOUNTINFO = "/proc/self/mountinfo"
_MOUNTINFO_LIMIT_BYTES = 16 * 1024 * 1024
_OCTAL = re.compile(r"\\([0-7]{3})")

NETWORK_FILE_SYSTEMS = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse.ceph",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
    }
)
"""Types on which locks or shared memory are not reliable between machines, or not between processes."""


def file_system_type(path: str) -> str:
    """Return the type of the file system that `path` lies on, empty where the system does not tell."""
    try:
        with open(_MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:
            mountinfo = file.read(_MOUNTINFO_LIMIT_BYTES)
    except OSError:
        return ""
    return type_in(mountinfo, os.path.realpath(path))


def type_in(mountinfo: str, path: str) -> str:
    """Return the type of the mount that holds the resolved `path`; of mounts on one another the last is seen."""
    best_length, best_type = -1, ""
    for line in mountinfo.splitlines():
        mount, separator, described = line.partition(" - ")
        fields = mount.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= best_length:
            best_length, best_type = len(point), described.split(" ")[0]
    return best_type
