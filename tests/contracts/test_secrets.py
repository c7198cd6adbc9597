"""What every `SecretStore` and every `Signer` has to do."""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ploinky.adapters.file_secrets import SECRET_BYTES, FileSecrets
from ploinky.adapters.hmac_signer import HmacSigner
from ploinky.adapters.key_file import KEY_BYTES, read_or_make_key
from ploinky.adapters.memory.secrets import MemorySecrets
from ploinky.domain.errors import (
    DirectoryUnusable,
    Invalid,
    PloinkyError,
    SecretNotFound,
    SecretUnreadable,
    StorageFull,
)
from ploinky.ports.secrets import SecretStore, Signer

VALUE = b"correct horse battery staple"


@pytest.fixture(params=["memory", "files"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SecretStore:
    return MemorySecrets() if request.param == "memory" else FileSecrets(tmp_path)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return HmacSigner.in_directory(tmp_path)


@pytest.mark.parametrize("value", [VALUE, b"", bytes(range(256))])
def test_gives_back_what_was_put(store: SecretStore, value: bytes) -> None:
    """Any bytes survive, the empty value included."""
    assert store.get(store.put(value)) == value


def test_equal_values_get_two_ids(store: SecretStore) -> None:
    """An id says nothing about the value, not even that it is the same as another."""
    assert store.put(VALUE) != store.put(VALUE)


@pytest.mark.parametrize("version_id", ["0" * 32, "", "..", "../keys/secrets.key", "a\0b"])
def test_refuses_an_unknown_version(store: SecretStore, version_id: str) -> None:
    """A version that is not there is not found, whatever its id looks like."""
    with pytest.raises(SecretNotFound):
        store.get(version_id)


def test_forgets_what_is_removed(store: SecretStore) -> None:
    """A removed version is not found, removing again is fine, and others stay."""
    removed, kept = store.put(VALUE), store.put(b"other")
    store.remove(removed)
    store.remove(removed)
    store.remove("../keys/secrets.key")
    with pytest.raises(SecretNotFound):
        store.get(removed)
    assert store.get(kept) == b"other"


def test_memory_injects_faults() -> None:
    """The shipped store fails on request as the real one does."""
    memory = MemorySecrets()
    version_id = memory.put(VALUE)
    memory.has_other_key = memory.is_full = True
    with pytest.raises(SecretUnreadable):
        memory.get(version_id)
    with pytest.raises(StorageFull):
        memory.put(VALUE)


def test_survives_a_restart(tmp_path: Path) -> None:
    """Another store over the same directory reads what the first one wrote."""
    assert FileSecrets(tmp_path).get(FileSecrets(tmp_path).put(VALUE)) == VALUE


def test_nothing_readable_is_on_the_disk(tmp_path: Path) -> None:
    """No file holds the value, and nobody else may read any."""
    FileSecrets(tmp_path).put(VALUE)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert not any(VALUE in path.read_bytes() for path in files)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5])


def grow(file: Path) -> None:
    file.write_bytes(file.read_bytes() + bytes(2 * SECRET_BYTES))


def replace_by_a_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/passwd")


@pytest.mark.parametrize("damage", [flip_a_bit, cut, grow, replace_by_a_link])
def test_refuses_a_file_that_was_tampered_with(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """What does not authenticate is never returned, and the refusal holds no value."""
    store = FileSecrets(tmp_path)
    version_id = store.put(VALUE)
    damage(tmp_path / "secrets" / version_id)
    with pytest.raises(SecretUnreadable) as caught:
        store.get(version_id)
    assert VALUE.decode() not in str(caught.value)


def test_refuses_a_file_that_was_moved_over_another(tmp_path: Path) -> None:
    """One secret cannot be made to stand for another."""
    store = FileSecrets(tmp_path)
    mine, other = store.put(VALUE), store.put(b"other")
    (tmp_path / "secrets" / other).rename(tmp_path / "secrets" / mine)
    with pytest.raises(SecretUnreadable):
        store.get(mine)


def test_refuses_another_key(tmp_path: Path) -> None:
    """Under a key that is not theirs, secrets cannot be read, and the hint says what to restore."""
    version_id = FileSecrets(tmp_path).put(VALUE)
    (tmp_path / "keys" / "secrets.key").write_bytes(os.urandom(KEY_BYTES))
    with pytest.raises(SecretUnreadable) as caught:
        FileSecrets(tmp_path).get(version_id)
    assert "keys" in caught.value.advice


def test_refuses_to_make_a_new_key_for_old_secrets(tmp_path: Path) -> None:
    """A lost key is told at the start, instead of being replaced in silence."""
    FileSecrets(tmp_path).put(VALUE)
    (tmp_path / "keys" / "secrets.key").unlink()
    with pytest.raises(SecretUnreadable):
        FileSecrets(tmp_path)
    assert not (tmp_path / "keys" / "secrets.key").exists()


def test_removes_what_a_crash_left_half_written(tmp_path: Path) -> None:
    """A temporary file is nobody's secret."""
    FileSecrets(tmp_path)
    (tmp_path / "secrets" / "half.tmp").write_bytes(b"x")
    FileSecrets(tmp_path)
    assert list((tmp_path / "secrets").iterdir()) == []


def test_refuses_a_huge_value(tmp_path: Path) -> None:
    """A secret has a bound."""
    store = FileSecrets(tmp_path)
    assert len(store.get(store.put(bytes(SECRET_BYTES)))) == SECRET_BYTES
    with pytest.raises(Invalid, match=str(SECRET_BYTES)):
        store.put(bytes(SECRET_BYTES + 1))


def test_says_when_the_directory_cannot_be_used(tmp_path: Path) -> None:
    """A file in the directory's place is an error for the operator."""
    (tmp_path / "secrets").write_text("")
    with pytest.raises(DirectoryUnusable):
        FileSecrets(tmp_path)


def test_says_when_the_directory_is_gone(tmp_path: Path) -> None:
    """Writing into a removed directory is an error for the operator."""
    store = FileSecrets(tmp_path)
    (tmp_path / "secrets").rmdir()
    with pytest.raises(DirectoryUnusable):
        store.put(VALUE)


def test_a_full_disk_is_storage_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space left is told as such, so that the caller tries again later."""
    store = FileSecrets(tmp_path)

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageFull):
        store.put(VALUE)


def test_makes_a_key_once(tmp_path: Path) -> None:
    """The second reader gets the first one's key, in a file of its owner's alone."""
    path = tmp_path / "keys" / "some.key"
    assert read_or_make_key(str(path)) == read_or_make_key(str(path)) == path.read_bytes()
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    assert [file.name for file in path.parent.iterdir()] == ["some.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_refuses_a_key_that_others_may_use(tmp_path: Path, mode: int) -> None:
    """A key that others may have read or written is no key."""
    path = tmp_path / "some.key"
    read_or_make_key(str(path))
    path.chmod(mode)
    with pytest.raises(DirectoryUnusable) as caught:
        read_or_make_key(str(path))
    assert "chmod 600" in caught.value.advice


def make_a_folder(path: Path) -> None:
    path.mkdir()


def make_a_pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def make_a_link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def make_a_short_file(path: Path) -> None:
    path.write_bytes(b"short")
    path.chmod(0o600)


@pytest.mark.parametrize("make", [make_a_folder, make_a_pipe, make_a_link, make_a_short_file])
def test_refuses_what_is_no_key(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Anything but a file of the right size is refused, without blocking."""
    make(tmp_path / "some.key")
    with pytest.raises(DirectoryUnusable) as caught:
        read_or_make_key(str(tmp_path / "some.key"))
    assert isinstance(caught.value, PloinkyError)


def test_a_token_is_url_safe_and_always_the_same(signer: Signer) -> None:
    """A token is 32 characters that need no quoting, for ever the same."""
    token = signer.token("task", "abc")
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", token)
    assert token == signer.token("task", "abc")
    assert signer.is_valid("task", "abc", token)


@pytest.mark.parametrize(
    ("purpose", "subject"), [("task", "abd"), ("other", "abc"), ("taska", "bc"), ("tas", "kabc"), ("", "taskabc")]
)
def test_a_token_is_good_for_one_subject_and_purpose(signer: Signer, purpose: str, subject: str) -> None:
    """No other pair has the same token, also when the two texts run together alike."""
    assert not signer.is_valid(purpose, subject, signer.token("task", "abc"))


@pytest.mark.parametrize("token", ["", "x", "ü" * 32, "\ud800", "A" * 33])
def test_a_wrong_token_is_not_valid(signer: Signer, token: str) -> None:
    """Whatever is sent as a token is compared, and never raises."""
    assert not signer.is_valid("task", "abc", token)


def test_a_token_survives_a_restart_and_not_another_key(tmp_path: Path) -> None:
    """The same directory makes the same tokens, another one others."""
    token = HmacSigner.in_directory(tmp_path).token("task", "abc")
    assert HmacSigner.in_directory(tmp_path).is_valid("task", "abc", token)
    assert not HmacSigner(bytes(KEY_BYTES)).is_valid("task", "abc", token)


def test_refuses_a_short_key() -> None:
    """A key has its full size."""
    with pytest.raises(ValueError, match=str(KEY_BYTES)):
        HmacSigner(b"short")
