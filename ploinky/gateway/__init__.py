"""The front that serves deployments: from a raw ASGI request to a task and its answer. The hot path."""
