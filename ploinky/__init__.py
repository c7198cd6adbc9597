"""Run containers and task-running agents on one machine, with a durable, explainable ledger."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ploinky")
except PackageNotFoundError:  # imported straight from a source tree that was never installed
    __version__ = "0+uninstalled"
