"""The few things the command line runs from the server's own code, on the server's machine, imported on demand."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast


class ServerMain(Protocol):
    """What `ploinky.server.main` offers. All of it **raises** `PloinkyError`."""

    def run(self, overrides: dict[str, object], default_data_directory: str | None, with_demo: bool) -> int:  # noqa: FBT001 - called by position
        """Run the server until it ends and return its exit code. `overrides`: camelCase name -> value."""

    def recover_key(self, overrides: dict[str, object]) -> Any:
        """Make a new administrator's key without asking for one; `{key, keyId}` or the key itself."""

    def build_base_image(self, progress: Callable[[str], None]) -> Any:
        """Build the image that agents run in and return its reference."""

    def init_repository(self, path: str) -> Any:
        """Make the folder a git repository with everything in one commit on branch `main`."""


class Configuration(Protocol):
    """The effective configuration."""

    values: Mapping[str, Any]
    """Name -> value."""
    origins: Mapping[str, str]
    """Name -> the file or variable that the value came from; absent for defaults."""


def server_main() -> ServerMain:
    """Import the server. Takes about a second."""
    return cast("ServerMain", importlib.import_module("ploinky.server.main"))


def effective_configuration() -> Configuration:
    """Read this machine's configuration. **Raises** `ConfigurationInvalid`."""
    return cast("Configuration", importlib.import_module("ploinky.server.config").load())
