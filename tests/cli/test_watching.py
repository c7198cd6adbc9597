"""Watching deploys a work tree as it is and again on each save, and leaves the user's own git alone."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ploinky.cli.failures import CommandFailed
from ploinky.cli.watching import WATCH_REF, commit_work_tree
from tests.adapters.sources.git_repositories import GitRepository, git
from tests.cli.conftest import CommandLine
from tests.cli.documents import deployment, ended, rolling
from tests.cli.stub_server import Reply, StubServer, refusal
from tests.server.running import RunningServer, environment
from tests.waiting import wait_until

LIMIT_SECONDS = 60.0
# A runner of tests may ignore interrupts, which its children would inherit.
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from ploinky.cli.main import main
sys.exit(main())
"""
PROGRAM = (sys.executable, "-c", INTERRUPTIBLE)
FAILED = ended(2, "failed", step="start", code="INSTANCE_EXITED", message="It ended", exitCode=3)
HANDLER = "def handle(params, context):\n    return {answer!r}\n"


class Watching:
    """A `ploinky deploy --watch` that runs in the background."""

    def __init__(self, home: Path, folder: Path, url: str, key: str, *options: str) -> None:
        self._out, self._err = home / "out", home / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*PROGRAM, "deploy", "localhost", "/demo", "demo", "--repository", str(folder), "--watch", *options],
                cwd=home,
                env=environment(home, {"PLOINKY_URL": url, "PLOINKY_KEY": key}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        wait_until(lambda: self.process.poll() is not None or condition(), timeout_seconds=LIMIT_SECONDS, what=what)
        assert condition(), f"{what}: it ended with {self.process.returncode}: {self.err}"

    def wait_until_it_watches(self) -> None:
        self.wait_for(lambda: "watching " in self.err, "watching")

    def wait_until_ready(self, count: int) -> None:
        self.wait_for(lambda: self.err.count("ready\n") == count, f"rollout {count}")

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(LIMIT_SECONDS)


@contextmanager
def watching(home: Path, folder: Path, url: str, *options: str, key: str = "plk_test") -> Iterator[Watching]:
    started = Watching(home, folder, url, key, *options)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait(LIMIT_SECONDS)


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    """Give a repository with one commit, something staged, something changed and something new."""
    made = GitRepository(tmp_path / "agents")
    made.commit({"demo/manifest.json": "{}", "demo/a.py": "1", ".gitignore": "*.log\n"})
    (made.directory / "demo" / "staged.py").write_text("staged")
    git(made.directory, "add", "demo/staged.py")
    (made.directory / "demo" / "a.py").write_text("2")
    (made.directory / "demo" / "new.py").write_text("new")
    (made.directory / "demo" / "ignored.log").write_text("x")
    return made


@pytest.fixture
def server(stub: StubServer) -> StubServer:
    """Script a server where every rollout succeeds."""
    stub.answer("POST", "~/deployments", Reply(202, rolling(1, "source")))
    stub.answer("GET", "~/deployments/dep1", Reply(200, deployment()))
    return stub


def own_state(repository: GitRepository) -> tuple[str, ...]:
    """Give what belongs to the user: branches, HEAD, status, and the index byte by byte."""
    folder = repository.directory
    index = (folder / ".git" / "index").read_bytes().hex()
    refs = git(folder, "for-each-ref", "refs/heads", "refs/tags", "refs/stash")
    return index, refs, git(folder, "symbolic-ref", "HEAD"), git(folder, "--no-optional-locks", "status", "--porcelain")


def deployed(repository: GitRepository) -> set[str]:
    return set(git(repository.directory, "ls-tree", "-r", "--name-only", WATCH_REF).splitlines())


def save(repository: GitRepository, file: Path, content: str) -> None:
    """Save a file in one instant, as careful editors do: half a save would be one more change."""
    saved = repository.directory.parent / "saved"
    saved.write_text(content)
    saved.replace(file)


def posts(server: StubServer) -> int:
    return len(server.asked("POST", "~/deployments"))


def test_commits_the_work_tree_as_it_is(repository: GitRepository) -> None:
    """What is staged, changed and new is committed above HEAD; what git ignores is not."""
    commit_work_tree(repository.directory)
    assert deployed(repository) == {
        ".gitignore",
        *(f"demo/{n}" for n in ("manifest.json", "a.py", "staged.py", "new.py")),
    }
    assert git(repository.directory, "show", f"{WATCH_REF}:demo/a.py") == "2"
    assert git(repository.directory, "rev-parse", f"{WATCH_REF}^") == git(repository.directory, "rev-parse", "HEAD")


def test_leaves_branch_index_and_status_alone(repository: GitRepository) -> None:
    """The user's branches, index and status are the same before and after, and no hook of theirs runs."""
    hook = repository.directory / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {repository.directory.parent}/hooked\n")
    before = own_state(repository)
    hook.chmod(0o755)
    commit_work_tree(repository.directory)
    assert not (repository.directory.parent / "hooked").exists()
    hook.chmod(0o644)
    assert own_state(repository) == before


def test_commits_nothing_when_nothing_changed(repository: GitRepository) -> None:
    """A tree that is known makes no new commit; a changed one does."""
    tree = commit_work_tree(repository.directory)
    first = git(repository.directory, "rev-parse", WATCH_REF)
    os.utime(repository.directory / "demo" / "a.py")
    assert commit_work_tree(repository.directory, tree) == tree
    assert git(repository.directory, "rev-parse", WATCH_REF) == first
    (repository.directory / "demo" / "a.py").write_text("3")
    assert commit_work_tree(repository.directory, tree) != tree
    assert git(repository.directory, "show", f"{WATCH_REF}:demo/a.py") == "3"


def test_commits_where_nothing_was_committed_yet(tmp_path: Path) -> None:
    """A new repository has neither a commit nor an index, and can be watched all the same."""
    repository = GitRepository(tmp_path / "fresh")
    (repository.directory / "a.py").write_text("1")
    commit_work_tree(repository.directory)
    assert deployed(repository) == {"a.py"}
    assert git(repository.directory, "log", "--format=%an", WATCH_REF)


def test_commits_a_linked_work_tree(repository: GitRepository, tmp_path: Path) -> None:
    """A further work tree of a repository has an index of its own, which is the one that counts."""
    linked = tmp_path / "linked"
    git(repository.directory, "worktree", "add", "-q", "-b", "other", str(linked))
    (linked / "only-here.py").write_text("1")
    commit_work_tree(linked)
    assert "only-here.py" in deployed(repository)
    assert "demo/staged.py" not in deployed(repository)


def test_tells_what_git_refused(repository: GitRepository) -> None:
    """A repository that git cannot read is a failure in git's own words."""
    (repository.directory / ".git" / "index").write_text("no index")
    with pytest.raises(CommandFailed, match=r"git add failed: .*") as failed:
        commit_work_tree(repository.directory)
    assert failed.value.code == "GIT_FAILED"


@pytest.mark.parametrize(
    ("where", "options", "reason"),
    [
        ("https://git.test/agents", (), "a folder of this machine"),
        ("agents-by-name", (), "a folder of this machine"),
        ("{tmp}/absent", (), "a folder of this machine"),
        ("{tmp}", (), "top folder of a git work tree"),
        ("{tmp}/agents/demo", (), "top folder of a git work tree"),
        ("{tmp}/agents/.git", (), "top folder of a git work tree"),
        ("{tmp}/agents", ("--no-wait",), "combined with --no-wait"),
        ("{tmp}/agents", ("--branch", "dev"), "combined with --branch"),
    ],
)
@pytest.mark.usefixtures("repository")
def test_refuses_what_cannot_be_watched(
    ploinky: CommandLine, stub: StubServer, tmp_path: Path, where: str, options: tuple[str, ...], reason: str
) -> None:
    """Only a local work tree can be watched, and only by a command that waits: else it is a usage error."""
    arguments = ("--repository", where.format(tmp=tmp_path), "--watch", *options)
    ran = ploinky("deploy", "localhost", "/demo", "demo", *arguments)
    assert (ran.code, ran.out) == (64, "")
    assert reason in ran.err
    assert "ploinky deploy --help" in ran.err
    assert not stub.requests


def test_says_that_git_is_missing(
    ploinky: CommandLine, repository: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without git nothing is sent, and the error says what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = ploinky("deploy", "localhost", "/demo", "demo", "--repository", str(repository.directory), "--watch")
    assert ran.code == 1
    assert "needs git" in ran.err
    assert "hint: Install git" in ran.err


def test_does_not_watch_what_was_not_deployed(
    ploinky: CommandLine, repository: GitRepository, stub: StubServer
) -> None:
    """A first rollout that fails ends the command as it does without --watch."""
    stub.answer("POST", "~/deployments", Reply(202, rolling(2, "source")))
    stub.answer("GET", "~/deployments/dep1", Reply(200, deployment(state="failed", lastRollout=FAILED)))
    ran = ploinky("deploy", "localhost", "/demo", "demo", "--repository", str(repository.directory), "--watch")
    assert ran.code == 4
    assert "watching" not in ran.err


def test_deploys_once_for_each_change(home: Path, server: StubServer, repository: GitRepository) -> None:
    """A save that changes something is deployed with the same options, any other save is not; Ctrl-C ends with 0."""
    before = own_state(repository)
    source = repository.directory / "demo" / "new.py"
    with watching(home, repository.directory, server.url, "--env", "A=1") as command:
        command.wait_until_it_watches()
        (repository.directory / "demo" / "ignored.log").write_text("more")
        os.utime(source)
        for count in (2, 3):
            save(repository, source, f"change {count}")
            command.wait_until_ready(count)
            assert posts(server) == count
        assert command.interrupt() == 0
    source.write_text("new")
    assert own_state(repository) == before
    assert posts(server) == 3
    assert command.err.splitlines()[-1] == "no longer watching"
    assert command.out == "localhost/demo is ready: http://localhost:8000/demo\n" * 3
    documents = [request.document for request in server.asked("POST", "~/deployments")]
    assert documents[0] == documents[1] == documents[2]
    assert (documents[0]["branch"], documents[0]["env"]) == (WATCH_REF, {"A": "1"})


def test_goes_on_after_a_failure(home: Path, stub: StubServer, repository: GitRepository) -> None:
    """Refusals and failed rollouts are told as at the end of the command, and the next save is deployed."""
    accepted = Reply(202, rolling(2, "source"))
    stub.answer("POST", "~/deployments", accepted, refusal(503, "RUNTIME_UNAVAILABLE"), accepted)
    failed = Reply(200, deployment(state="failed", lastRollout=FAILED))
    good = Reply(200, deployment(lastRollout=ended(2)))
    stub.answer("GET", "~/deployments/dep1", good, failed, good)
    source = repository.directory / "demo" / "new.py"
    with watching(home, repository.directory, stub.url, "--json") as command:
        command.wait_until_it_watches()
        save(repository, source, "refused")
        command.wait_for(lambda: "(RUNTIME_UNAVAILABLE)" in command.err, "the refusal")
        os.utime(source)
        command.wait_for(lambda: "exit code: 3" in command.err, "the failed rollout")
        save(repository, source, "mended")
        command.wait_for(lambda: command.err.count("ready\n") == 2, "the rollout that succeeds")
        assert command.interrupt() == 0
    documents = json.loads("[" + command.out.replace("}\n{", "},\n{") + "]")
    assert [document["id"] for document in documents] == ["dep1"] * 3


@pytest.mark.slow
def test_a_saved_handler_answers(tmp_path: Path) -> None:
    """On a real server the answer is the saved one shortly after, without any commit of the user's."""
    repository = GitRepository(tmp_path / "agents")
    repository.commit({"demo/manifest.json": '{"name": "demo", "access": "public"}'})
    handler = repository.directory / "demo" / "handlers" / "word.py"
    handler.parent.mkdir()
    handler.write_text(HANDLER.format(answer="first"))
    server = RunningServer(tmp_path)

    def answers(word: str) -> bool:
        answer = server.ask("POST", "/demo/word", {"params": []})
        return answer.status == 200 and answer.document == word

    home = tmp_path / "home"
    home.mkdir()
    try:
        with watching(home, repository.directory, server.url, key=server.initialise()) as command:
            command.wait_until_it_watches()
            assert answers("first")
            save(repository, handler, HANDLER.format(answer="second"))
            command.wait_for(lambda: answers("second"), "the saved answer")
            assert command.interrupt() == 0
        assert server.stop() == 0
    finally:
        server.kill()
