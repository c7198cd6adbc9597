"""What Ploinky asks of the world: one Protocol per file, with the records exchanged.

Nothing here does anything. Adapters make a port real; `tests/contracts/` holds one suite per port, and every adapter,
the in-memory one included, passes the same suite.
"""
