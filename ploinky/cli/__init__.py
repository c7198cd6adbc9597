"""The command line: `ploinky`, and `p-cli` for the same commands."""
