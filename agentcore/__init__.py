"""Execute an agent's tasks from its queue directory.

Runs inside the agent: standard library only, Python 3.8 or later, and nothing of the server. `python3 -m agentcore`
starts it.
"""
