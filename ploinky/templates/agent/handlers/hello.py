"""The command `hello`: every file in this folder is a command, called by its name."""


def handle(params, context):
    """Greet the first param.

    `params` is the list the caller sent. `context` tells about the task: its `task_id`, `attempt`, `deadline`, who asks
    (`security_context`), and `context.log("...")` writes to the log. What is returned is the answer, sent as JSON; an
    exception is an error for the caller. A task whose outcome was lost is tried again under the same `task_id`, so a
    command that changes something outside should be safe to repeat.
    """
    name = params[0] if params else "World"
    context.log(f"greeting {name}")
    return f"Hello, {name}!"
