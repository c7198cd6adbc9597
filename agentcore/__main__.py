"""Start the runner: `python3 -m agentcore`."""

import io
import os
import selectors
import socket
import sys
from typing import NoReturn

from agentcore.inotify import open_watch
from agentcore.manifest import read_manifest
from agentcore.methods import list_methods
from agentcore.parent import Parent
from agentcore.queue_directory import QueueDirectory
from agentcore.settings import read_settings
from agentcore.stop_signals import STOPPED_AT_ONCE_STATUS, StopSignals
from agentcore.worker import Worker, serve
from agentcore.worker_pool import WorkerPool


def main() -> int:
    """Run the agent until it is told to stop; gives the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")  # logs in time, whatever they hold
    settings = read_settings(os.environ)
    manifest = read_manifest(settings.agent_directory)
    queue = QueueDirectory(settings.queue_directory)
    try:
        queue.prepare()
    except OSError as error:
        print(f"agentcore: cannot use the queue directory {settings.queue_directory}: {error}", file=sys.stderr)
        return 1
    user_umask = os.umask(0)  # the server, perhaps another user, removes what is in our claims
    selector = selectors.DefaultSelector()
    watch = open_watch() if settings.is_watching else None
    parent_pid = os.getpid()

    def leave_now() -> None:
        for worker in pool.workers():
            worker.kill()
        os._exit(STOPPED_AT_ONCE_STATUS)

    def serve_in_child(channel: socket.socket) -> NoReturn:
        signals.forget()
        if watch is not None:
            watch.close()
        os.umask(user_umask)
        serve(Worker(queue, settings.agent_directory, manifest), channel, settings.agent_directory, parent_pid)

    signals = StopSignals(leave_now)
    pool = WorkerPool(settings.workers(manifest.concurrency_workers), selector, serve_in_child)
    signals.install()
    selector.register(signals, selectors.EVENT_READ, signals)
    if watch is not None:
        selector.register(watch, selectors.EVENT_READ, watch)
    parent = Parent(queue, pool, selector, signals, watch, settings.drain_seconds)
    method_count = len(list_methods(settings.agent_directory, manifest))
    parent.run(lambda: print(f"agentcore ready: {settings.agent}, {method_count} methods, file mode", flush=True))
    pool.close()
    queue.withdraw_ready()
    return 0


if __name__ == "__main__":
    sys.exit(main())
