"""The rules: what can be asked (`commands`), what can happen (`events`), and one decider per aggregate.

Pure: no I/O, no clock, no randomness, no logging. Read `commands` and `events` first.
"""
