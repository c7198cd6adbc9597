"""Audit and replay tooling: read the journal back, verify it, and re-run decisions without touching the world."""
