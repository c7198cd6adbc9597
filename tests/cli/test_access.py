"""A key is kept where only its owner reads it, and is sent to its own server only."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ploinky.cli.failures import CommandFailed
from ploinky.cli.profile import Profile, read_profile, write_profile
from tests.cli.conftest import CommandLine
from tests.cli.documents import deployment, health
from tests.cli.stub_server import Reply, StubServer, page_of, refusal

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = "plk_1_secret_sum"


@pytest.fixture
def fresh(local: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Give a command line that knows the address of a new server."""
    monkeypatch.setenv("PLOINKY_URL", stub.url)
    stub.answer("POST", "~/init", Reply(201, {"key": KEY, "keyId": "k1"}))
    stub.answer("GET", "~/health", Reply(200, health()))
    stub.answer("GET", "~/deployments", Reply(200, page_of(deployment())))
    return local


def test_keeps_and_prints_the_first_key(fresh: CommandLine, stub: StubServer) -> None:
    """The key is printed whole once, and kept with the address in a file of mode 0600."""
    ran = fresh("init")
    assert (ran.code, ran.out) == (0, f"{KEY}\n")
    assert str(fresh.profile) in ran.err
    assert json.loads(fresh.profile.read_text()) == {"url": stub.url, "key": KEY}
    assert stat.S_IMODE(fresh.profile.stat().st_mode) == 0o600
    assert stat.S_IMODE(fresh.profile.parent.stat().st_mode) == 0o700
    assert "x-api-key" not in stub.requests[0].headers


def test_prints_the_first_key_as_json(fresh: CommandLine) -> None:
    """With --json it is the API's document."""
    assert json.loads(fresh.succeeds("init", "--json")) == {"key": KEY, "keyId": "k1"}


def test_uses_the_profile_afterwards(fresh: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later commands need no address and no key."""
    fresh.succeeds("init")
    monkeypatch.delenv("PLOINKY_URL")
    fresh.succeeds("deployments")
    assert stub.requests[-1].headers["x-api-key"] == KEY


def test_is_refused_the_second_time(fresh: CommandLine, stub: StubServer) -> None:
    """A server gives its first key once; the profile stays."""
    fresh.succeeds("init")
    stub.answer("POST", "~/init", refusal(409, "ALREADY_INITIALISED", hint="`ploinky keys recover`"))
    ran = fresh("init")
    assert ran.code == 6
    assert "keys recover" in ran.err
    assert json.loads(fresh.profile.read_text())["key"] == KEY


def test_asks_for_no_key_it_could_not_keep(fresh: CommandLine, stub: StubServer) -> None:
    """Where the profile cannot be written the server is not asked: its only key would be lost."""
    (fresh.home / ".ploinky").write_text("a file where the folder should be")
    assert fresh("init").code == 5
    assert not stub.requests


def test_does_not_forget_another_key(fresh: CommandLine, stub: StubServer) -> None:
    """A profile with the key to another server is replaced only when told so."""
    write_profile(fresh.profile, Profile("http://other.test", "plk_other"))
    for command in (("init",), ("connect", stub.url, "--key", KEY)):
        ran = fresh(*command)
        assert ran.code == 5
        assert "other.test" in ran.err
        assert "--replace" in ran.err
    assert json.loads(fresh.profile.read_text())["key"] == "plk_other"
    assert not stub.asked("POST", "~/init")
    fresh.succeeds("init", "--replace")
    assert json.loads(fresh.profile.read_text())["key"] == KEY


def test_refuses_an_answer_without_a_key(fresh: CommandLine, stub: StubServer) -> None:
    """A server that gives no key does not make a profile."""
    stub.answer("POST", "~/init", Reply(201, {"key": 5}))
    assert "sent no key" in fresh("init").err
    assert not fresh.profile.exists()


def test_connects(fresh: CommandLine, stub: StubServer) -> None:
    """Address and key are kept once they have been seen to work."""
    assert stub.url in fresh.succeeds("connect", f"{stub.url}/", "--key", KEY)
    assert json.loads(fresh.profile.read_text()) == {"url": stub.url, "key": KEY}
    document = json.loads(fresh.succeeds("connect", stub.url, "--key", KEY, "--json"))
    assert document["health"]["status"] == "ok"


def test_connects_without_a_key(fresh: CommandLine, stub: StubServer) -> None:
    """Public deployments can be called without one; nobody is asked where nobody can answer."""
    assert "without a key" in fresh.succeeds("connect", stub.url)
    assert json.loads(fresh.profile.read_text()) == {"url": stub.url, "key": None}


@pytest.mark.parametrize(("status", "code"), [(401, 3), (403, 0)])
def test_keeps_a_key_that_is_known(fresh: CommandLine, stub: StubServer, status: int, code: int) -> None:
    """A key that is unknown is not kept; one that may not list deployments is."""
    stub.answer("GET", "~/deployments", refusal(status, "REFUSED"))
    assert fresh("connect", stub.url, "--key", KEY).code == code
    assert fresh.profile.exists() == (code == 0)


def test_does_not_keep_an_address_without_an_answer(fresh: CommandLine) -> None:
    """An address where nothing listens is exit 2 and leaves no profile."""
    assert fresh("connect", "http://127.0.0.1:1", "--key", KEY).code == 2
    assert not fresh.profile.exists()


def test_sends_no_key_to_another_server(local: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile's key goes to the profile's server, not to whatever --url says."""
    write_profile(local.profile, Profile("http://other.test", KEY))
    stub.answer("GET", "~/deployments", Reply(200, page_of()))
    local.succeeds("deployments", "--url", stub.url)
    monkeypatch.setenv("PLOINKY_URL", stub.url)
    local.succeeds("deployments")
    assert all("x-api-key" not in request.headers for request in stub.requests)
    local.succeeds("deployments", "--key", "plk_given")
    assert stub.requests[-1].headers["x-api-key"] == "plk_given"


def test_prefers_what_is_said_last(
    local: CommandLine, stub: StubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Options win over the environment and the environment over the profile; after the command over before it."""
    profile = tmp_path / "other.json"
    write_profile(profile, Profile(stub.url, "plk_profile"))
    monkeypatch.setenv("PLOINKY_PROFILE", str(profile))
    stub.answer("GET", "~/routes", Reply(200, page_of()))
    local.succeeds("routes")
    monkeypatch.setenv("PLOINKY_KEY", " plk_environment\n")
    local.succeeds("routes")
    local.succeeds("--key", "plk_before", "routes")
    local.succeeds("--key", "plk_before", "routes", "--key", "plk_after")
    keys = [request.headers["x-api-key"] for request in stub.requests]
    assert keys == ["plk_profile", "plk_environment", "plk_before", "plk_after"]


def test_does_not_read_a_profile_it_does_not_need(local: CommandLine, stub: StubServer) -> None:
    """With address and key given, a broken profile is no concern."""
    local.profile.parent.mkdir()
    local.profile.write_text("broken")
    stub.answer("GET", "~/routes", Reply(200, page_of()))
    local.succeeds("routes", "--url", stub.url, "--key", KEY)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777, 0o620])
def test_refuses_a_profile_that_others_can_use(local: CommandLine, mode: int) -> None:
    """A key that others read or replace is not used; the hint repairs it."""
    write_profile(local.profile, Profile("http://127.0.0.1:1", KEY))
    local.profile.chmod(mode)
    ran = local("deployments")
    assert ran.code == 5
    assert f"mode {mode:04o}" in ran.err
    assert f"hint: chmod 600 {local.profile}" in ran.err
    assert KEY not in ran.err


BROKEN = {
    "no JSON": b"{",
    "no UTF-8": b"\xff\xfe{",
    "no object": b"[]",
    "no url": b'{"key": "x"}',
    "a wrong url": b'{"url": 1, "key": null}',
    "a wrong key": b'{"url": "http://x", "key": 1}',
    "too much": b" " * 70_000,
    "endless nesting": b"[" * 60_000,
}


@pytest.mark.parametrize("what", BROKEN)
def test_refuses_a_profile_with(local: CommandLine, what: str) -> None:
    """A profile that is none is a configuration error that names the file."""
    local.profile.parent.mkdir()
    local.profile.write_bytes(BROKEN[what])
    local.profile.chmod(0o600)
    ran = local("deployments")
    assert ran.code == 5
    assert str(local.profile) in ran.err


def test_refuses_a_profile_that_is_no_file(local: CommandLine, tmp_path: Path) -> None:
    """A folder or a pipe is refused and not waited for."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path, tmp_path / "pipe"):
        assert local("deployments", "--profile", str(path)).code == 5


def test_refuses_a_profile_that_was_asked_for_and_is_not_there(local: CommandLine, tmp_path: Path) -> None:
    """A named profile has to exist; the usual one need not."""
    ran = local("deployments", "--profile", str(tmp_path / "absent.json"))
    assert ran.code == 5
    assert "ploinky connect" in ran.err
    assert read_profile(local.profile, is_required=False) is None


def test_replaces_the_target_of_a_link(tmp_path: Path) -> None:
    """A profile that is a link stays one, and no temporary file is left."""
    (tmp_path / "real").mkdir()
    link = tmp_path / "profile.json"
    link.symlink_to(tmp_path / "real" / "kept.json")
    write_profile(link, Profile("http://x.test", None))
    assert link.is_symlink()
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["kept.json"]


def test_leaves_nothing_when_it_cannot_write(tmp_path: Path) -> None:
    """A profile that cannot take its place leaves no copy of the key behind."""
    (tmp_path / "taken").mkdir()
    with pytest.raises(CommandFailed):
        write_profile(tmp_path / "taken", Profile("http://x.test", KEY))
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize(("option", "value"), [("--url", "ftp://x"), ("--key", "with space")])
def test_refuses_an_address_that_cannot_be(local: CommandLine, option: str, value: str) -> None:
    """A URL or key that cannot be used is a configuration error."""
    assert local("deployments", option, value).code == 5


def test_asks_a_person_for_the_key(fresh: CommandLine, stub: StubServer) -> None:
    """On a terminal the key is asked for and not shown while it is typed."""
    controller, terminal = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "ploinky.cli.main", "connect", stub.url],
        cwd=ROOT,
        env={**os.environ, "PLOINKY_URL": ""},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        start_new_session=True,  # without a terminal of its own, so that it asks on stdin
    ) as process:
        os.close(terminal)
        seen = b""
        while b"Key" not in seen:
            seen += os.read(controller, 1000)
        os.write(controller, f"{KEY}\n".encode())
        out, _ = process.communicate(timeout=30)
        shown = seen + os.read(controller, 1000)
    os.close(controller)
    assert process.returncode == 0
    assert b"connected" in out
    assert KEY.encode() not in shown
    assert json.loads(fresh.profile.read_text())["key"] == KEY
