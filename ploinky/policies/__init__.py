"""What follows from what happened: pure functions from (subject, views, now) to commands.

Policies look at the state, not at the event, and their commands decide nothing when repeated. So they need no memory of
their own: after a crash every subject is looked at once, and what was missed is asked for again.
"""
