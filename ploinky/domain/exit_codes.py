"""What an exit code means, in words: for failed rollouts, the API and the command line alike."""

SIGNAL_OFFSET = 128
"""Shells and engines count an end by a signal as this and the signal's number."""

_WORDS = {
    0: "ended without an error",
    126: "its command cannot be run: not executable, or made for another machine",
    127: "its command was not found",
    129: "hung up on (SIGHUP)",
    130: "interrupted (SIGINT)",
    132: "crashed on an instruction that this processor does not know (SIGILL)",
    134: "gave up with an abort (SIGABRT)",
    135: "crashed on a bad memory access (SIGBUS)",
    136: "crashed on impossible arithmetic (SIGFPE)",
    137: "killed (SIGKILL)",
    139: "crashed with a segmentation fault (SIGSEGV)",
    141: "nobody read its output any more (SIGPIPE)",
    143: "terminated (SIGTERM)",
    152: "used up its time on the processor (SIGXCPU)",
    153: "wrote a file that was too large (SIGXFSZ)",
}
KILLED = 137
LARGEST_SIGNAL = 64


def explain_end(exit_code: int | None, *, is_out_of_memory: bool | None) -> str:
    """Say in a few words how something ended; empty where there is nothing to add to the code itself.

    `is_out_of_memory` is None where the engine cannot tell, which leaves that open for what was killed.
    """
    if is_out_of_memory:
        return "ran out of memory and was killed"
    if exit_code is None:
        return ""
    if exit_code == KILLED and is_out_of_memory is None:
        return f"{_WORDS[KILLED]}, perhaps because it ran out of memory"
    if exit_code in _WORDS:
        return _WORDS[exit_code]
    if SIGNAL_OFFSET < exit_code <= SIGNAL_OFFSET + LARGEST_SIGNAL:
        return f"ended by signal {exit_code - SIGNAL_OFFSET}"
    return ""
