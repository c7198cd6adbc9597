"""Run containers and task-running agents on one machine, with a durable, explainable ledger."""


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: reading the installed metadata costs more than starting Python."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - only who asks pays for it

    try:
        return version("ploinky")
    except PackageNotFoundError:  # imported straight from a source tree that was never installed
        return "0+uninstalled"
