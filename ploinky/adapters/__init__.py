"""Ports made real: one third-party library per file, named `<library>_<port>`."""
