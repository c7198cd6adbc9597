"""Open a data directory: lease, journal, blobs, keys. Names the adapters of storage."""

from pathlib import Path
from typing import NamedTuple

from ploinky.adapters.fcntl_lease import FcntlLease
from ploinky.adapters.file_blobs import FileBlobStore
from ploinky.adapters.file_secrets import FileSecrets
from ploinky.adapters.hmac_signer import HmacSigner
from ploinky.adapters.sqlalchemy_journal_opening import open_journal
from ploinky.journal import snapshot
from ploinky.journal.chain import verify
from ploinky.journal.codec import Codec
from ploinky.journal.follower import Follower
from ploinky.ports.failpoints import reach
from ploinky.ports.journal_store import Head, JournalStore
from ploinky.ports.lease import Lease
from ploinky.ports.payloads import BlobStore
from ploinky.ports.secrets import SecretStore, Signer
from ploinky.views.fold_digest import fold_digest
from ploinky.views.views import Views

JOURNAL_FILE = "journal.db"
SNAPSHOT_FILE = "views.snapshot"


class Storage(NamedTuple):
    """What lies in a data directory, opened by its one writer."""

    directory: Path
    lease: Lease
    store: JournalStore
    blobs: BlobStore
    signer: Signer
    secrets: SecretStore
    head: Head
    """As of the taking over, under a new epoch."""

    def close(self) -> None:
        """Close everything and give the directory up. Idempotent."""
        self.store.close()
        self.lease.release()


class Restored(NamedTuple):
    """The views as of the head."""

    views: Views
    last_at: int
    """UTC microseconds of the newest event; 0 when there is none."""


def take_lease(directory: Path) -> Lease:
    """Become the one user of a data directory. Raises `DirectoryBusy` or `DirectoryUnusable`."""
    lease = FcntlLease(str(directory))
    lease.acquire()
    return lease


def open_storage(directory: Path, lease: Lease) -> Storage:
    """Open what a leased data directory holds, fencing every earlier writer.

    Raises `DirectoryUnusable`, `JournalNewer`, `JournalCorrupt`, `JournalBroken`.
    """
    store = open_journal(str(directory / JOURNAL_FILE), verify)
    try:
        blobs = FileBlobStore(str(directory / "blobs"))
        signer = HmacSigner.in_directory(directory)
        secrets = FileSecrets(directory)
        return Storage(directory, lease, store, blobs, signer, secrets, store.take_epoch())
    except BaseException:
        store.close()
        raise


def restore_views(storage: Storage, codec: Codec) -> Restored:
    """Bring the views up to the head: from the snapshot and the tail, or from the first event."""
    views, last_at = Views(), 0
    found = snapshot.load(storage.directory / SNAPSHOT_FILE, storage.store, storage.head, fold_digest())
    if found is not None:
        views.load(found.views, found.position)
        last_at = found.last_at
    follower = Follower(storage.store, codec, views.position)
    follower.catch_up(views.fold)
    views.position = storage.head.position
    reach("start.views_restored")
    return Restored(views, follower.last.at if follower.last else last_at)
