"""The command `hello`."""


def handle(params):
    """Greet the first param. Safe to repeat: it changes nothing."""
    name = params[0] if params else "World"
    return f"Hello, {name}!"
