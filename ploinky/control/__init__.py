"""The only traffic with the world: effects for open intents, observations, timers, and recovery.

Everything here runs on the event loop and moves blocking work to two small pools. What it finds out becomes commands;
what is decided comes back as committed events and open intents.
"""
