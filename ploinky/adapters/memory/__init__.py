"""Every port without the world: for tests and for replaying."""
