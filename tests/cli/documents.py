"""Documents as the API sends them."""

from typing import Any


def deployment(**changes: Any) -> dict[str, Any]:
    """Give a deployment that runs since its first rollout."""
    document: dict[str, Any] = {
        "id": "dep1",
        "domain": "localhost",
        "path": "/demo",
        "url": "http://localhost:8000/demo",
        "agent": "demo",
        "repository": "/srv/agents",
        "branch": "main",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "runtime": "docker",
        "image": "agents:1",
        "access": "authenticated",
        "concurrency": 2,
        "desired": "running",
        "state": "running",
        "generation": 1,
        "rollout": None,
        "lastRollout": ended(1),
        "instances": [
            {
                "id": "dep1.1.0",
                "status": "running",
                "isReady": True,
                "isUnobservable": False,
                "runtime": "docker",
                "name": "x",
            }
        ],
        "tasks": {"waiting": 3, "running": 1},
        "version": 7,
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-01-01T00:00:01Z",
    }
    return {**document, **changes}


def rolling(generation: int, step: str, **changes: Any) -> dict[str, Any]:
    """Give a deployment in the middle of a rollout."""
    rollout = {"generation": generation, "reason": "deploy", "step": step}
    return deployment(**{"state": "deploying", "rollout": rollout, "lastRollout": None, **changes})


def ended(generation: int, outcome: str = "succeeded", **changes: Any) -> dict[str, Any]:
    document = {
        "generation": generation,
        "outcome": outcome,
        "step": None,
        "code": None,
        "message": None,
        "hint": None,
        "exitCode": None,
        "logTail": None,
    }
    return {**document, **changes}


def task(state: str, **changes: Any) -> dict[str, Any]:
    document = {
        "id": "task1",
        "state": state,
        "attempt": 1,
        "command": "hello",
        "deployment": "dep1",
        "submittedAt": "2026-01-01T00:00:00Z",
        "endedAt": None,
    }
    return {**document, **changes}


def event(position: int, **changes: Any) -> dict[str, Any]:
    document = {
        "position": position,
        "stream": "deployment/dep1",
        "version": position,
        "type": "DeploymentRequested",
        "at": "2026-01-01T00:00:00Z",
        "actor": "key:1",
        "correlation": None,
        "causation": None,
        "data": {"domain": "localhost"},
    }
    return {**document, **changes}


def health() -> dict[str, Any]:
    return {
        "status": "ok",
        "version": "0.1.0",
        "journal": {"position": 41, "epoch": 2},
        "runtimes": [
            {"kind": "process", "isUsable": True, "version": None, "reason": None},
            {"kind": "docker", "isUsable": False, "version": None, "reason": "no engine answers"},
        ],
    }
