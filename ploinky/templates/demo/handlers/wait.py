"""The command `wait`: something that takes long, to try asynchronous calls and cancelling."""

import time

LONGEST_WAIT_SECONDS = 600


def handle(params, context):
    """Wait for so many seconds (default 5). Safe to repeat."""
    seconds = float(params[0]) if params else 5.0
    if not 0 <= seconds <= LONGEST_WAIT_SECONDS:
        raise ValueError(f"seconds must be between 0 and {LONGEST_WAIT_SECONDS}")
    context.log(f"waiting for {seconds:g} s")
    time.sleep(seconds)
    return f"Waited {seconds:g} s"
