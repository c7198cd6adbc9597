"""Start one agent, wait for its end and write down how it ended: the parent that outlives the server.

Run with `-I -S` by the process runtime, so it uses the standard library only and imports nothing of ours.
It records itself before the agent exists: whoever finds the folder finds the process, however the server ended.

**Files** in the instance's folder: `launch.json` (what to run; read once, then removed, for it holds secrets),
`process.json` (who runs it; made with `link`, so that exactly one shim ever wins), `exit.json` (how it ended).
**Signals**: SIGTERM is passed on to the agent; SIGUSR1 kills the agent and everything it started.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

LAUNCH_FILE = "launch.json"
PROCESS_FILE = "process.json"
EXIT_FILE = "exit.json"

STARTED = "started"
TAKEN = "taken"
REFUSED = "refused: "

EXIT_NOT_EXECUTABLE = 127
SIGNAL_EXIT_OFFSET = 128
FAILURE_TEXT_BYTES = 4096

# From the kernel's include/uapi/linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_ORDERS = (signal.SIGTERM, signal.SIGUSR1)


StartLog = Callable[[str, int, int], Callable[[], None]]


class ProcessStat(NamedTuple):
    """What the kernel says of one process."""

    state: str
    """One letter; `Z` is a zombie."""
    parent_pid: int
    session_id: int
    start_ticks: int
    """Since boot. With the boot id it tells a process from a later one that got the same number."""


def boot_id() -> str:
    """Return the identity of this run of the kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def read_stat(pid: int) -> ProcessStat | None:
    """Look one process up; None when there is none. **Source**: proc(5), `/proc/pid/stat`."""
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name may hold spaces and brackets: fields are counted from the last bracket.
    fields = content[content.rindex(b")") + 2 :].split()
    return ProcessStat(fields[0].decode("ascii"), int(fields[1]), int(fields[3]), int(fields[19]))


def all_pids() -> list[int]:
    """List the numbers of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def write_atomically(path: Path, document: dict[str, Any]) -> None:
    """Write a document under another name, then rename it; readable for the owner only."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(document), "utf-8")
    temporary.rename(path)


def claim(folder: Path) -> bool:
    """Record this process as the one that runs the instance; False when another one is."""
    stat = read_stat(os.getpid())
    temporary = folder / f".{PROCESS_FILE}.{os.getpid()}"
    identity = {"pid": os.getpid(), "start_ticks": stat.start_ticks if stat else 0, "boot_id": boot_id()}
    temporary.write_text(json.dumps(identity), "utf-8")
    try:
        os.link(temporary, folder / PROCESS_FILE)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def become_agent(launch: dict[str, Any], failure: int, shim_pid: int) -> NoReturn:
    """Turn the forked child into the agent; what hinders that goes to the failure pipe."""
    try:
        os.setpgid(0, 0)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != shim_pid:
            os._exit(EXIT_NOT_EXECUTABLE)  # the shim died before the line above could tie us to it
        os.chdir(launch["directory"])
        os.dup2(2, 1)
        for name, bound in launch["limits"].items():
            _limit(getattr(resource, name), bound)
        for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored_by_python, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _execute(launch["command"], launch["environment"])
    except BaseException as error:  # noqa: BLE001 - a forked child may not unwind into its parent's code
        os.write(failure, str(error).encode("utf-8", "replace")[:FAILURE_TEXT_BYTES])
    os._exit(EXIT_NOT_EXECUTABLE)


def spawn(launch: dict[str, Any]) -> tuple[int, str]:
    """Fork the agent; return its pid, and what hindered it from running, empty when nothing did."""
    shim_pid = os.getpid()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        become_agent(launch, writing, shim_pid)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        return pid, pipe.read(FAILURE_TEXT_BYTES).decode("utf-8", "replace")


def await_end(pid: int) -> int:
    """Wait for the agent, obeying the orders; return its exit code as shells count it: 128 + signal."""
    agent = os.pidfd_open(pid)

    def pass_on(order: int, _frame: object) -> None:
        # Through the descriptor: the number may be another's as soon as the agent has been reaped.
        with contextlib.suppress(ProcessLookupError):  # it ended by itself in this moment
            signal.pidfd_send_signal(agent, signal.SIGKILL if order == signal.SIGUSR1 else order)

    for order in _ORDERS:
        signal.signal(order, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ORDERS)
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else SIGNAL_EXIT_OFFSET - code


def end_descendants() -> None:
    """Kill and reap until nothing is left: as a subreaper, this process inherits whatever the agent started."""
    own_pid = os.getpid()
    while True:
        for pid in all_pids():
            stat = read_stat(pid)
            if stat is not None and stat.parent_pid == own_pid:
                os.kill(pid, signal.SIGKILL)  # our own unreaped child: the number cannot be another's
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def main(folder: str, start_log: StartLog) -> int:
    """Run the instance of a folder in this process, which is there for nothing else."""
    # Descriptors that somebody made inheritable in the server are none of the agent's business.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    return run(Path(folder), start_log)


def run(folder: Path, start_log: StartLog) -> int:
    """Run the instance of this folder to its end; return this process's own exit status.

    `start_log` lets standard error lead to a log, and returns what waits until everything in it is written.
    """
    os.chdir("/")
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_BLOCK, _ORDERS)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        launch = json.loads((folder / LAUNCH_FILE).read_bytes())
        is_mine = claim(folder)
    except FileNotFoundError:
        is_mine = False  # removed, or another shim has it already
    if not is_mine:
        _report(TAKEN)
        return 0
    (folder / LAUNCH_FILE).unlink(missing_ok=True)
    try:
        finish_log = start_log(*launch["log"])
    except OSError as error:
        return _give_up(folder, f"the log cannot be written: {error}")
    pid, failure = spawn(launch)
    if failure:
        os.waitpid(pid, 0)
        return _give_up(folder, failure)
    launch.clear()
    _report(STARTED)
    exit_code = await_end(pid)
    end_descendants()
    finish_log()  # whoever sees the end finds everything that was printed
    _record_exit(folder, exit_code)
    return 0


def _execute(command: list[str], environment: dict[str, str]) -> None:
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - no shell is the point
    except OSError as error:
        # The error itself names the last place on PATH only.
        raise OSError(f"{command[0]} cannot be run: {error.strerror}") from error


def _give_up(folder: Path, reason: str) -> int:
    _record_exit(folder, EXIT_NOT_EXECUTABLE)
    _report(REFUSED + reason)
    return 1


def _record_exit(folder: Path, exit_code: int) -> None:
    with contextlib.suppress(FileNotFoundError):  # the instance was removed meanwhile
        write_atomically(folder / EXIT_FILE, {"exit_code": exit_code})


def _report(line: str) -> None:
    """Tell the server, then let go of the pipe, which nobody may read any more."""
    with contextlib.suppress(BrokenPipeError):  # the server has gone; the record stands
        os.write(1, line.encode("utf-8", "replace")[:FAILURE_TEXT_BYTES])
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.close(nothing)


def _limit(resource_id: int, bound: int) -> None:
    """Lower a limit, never beyond the hard limit this process lives under."""
    _soft, hard = resource.getrlimit(resource_id)
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    resource.setrlimit(resource_id, (bound, bound))


def _prctl(option: int, argument: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl failed")
