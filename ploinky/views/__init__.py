"""What is shown and routed: pure folds over committed events, owned by the event loop.

The rows of a view are the aggregates' own states with where and when they changed. Everything else (routes, open
intents, due times, slots) is derived from rows.
"""
