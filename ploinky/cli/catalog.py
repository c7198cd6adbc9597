"""Every command with the place that holds it and one sentence. Imports nothing, so that help costs nothing."""

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Server": {
        "start": ("start:start", "Run the server in the foreground; with PATH, a stopped deployment."),
        "status": ("server:status", "Show the server, its engines and what runs."),
        "health": ("server:health", "Ask whether the server is well."),
        "init": ("access:init", "Take over a new server: get its first key and keep it."),
        "connect": ("access:connect", "Keep the address and key of a server for later commands."),
        "keys": ("keys:keys", "List, revoke and recover keys."),
        "settings": ("settings:settings", "Show and change settings of the running server."),
        "config": ("config:config", "Show the configuration and where each value comes from."),
        "cleanup": ("cleanup:cleanup", "Remove what no deployment needs any more."),
        "image": ("image:image", "Build the image that agents run in."),
    },
    "Agents": {
        "new": ("new:new", "Make a new agent from a template."),
        "repo": ("repo:repo", "Give names to repositories of agents."),
        "registry": ("registry:registry", "Give passwords for private registries of images."),
        "deploy": ("deploy:deploy", "Deploy an agent at a path, or again with what is new."),
        "undeploy": ("deploy:undeploy", "Remove a deployment."),
        "deployments": ("listings:deployments", "List deployments, or show one."),
        "update": ("changes:update", "Deploy the newest commit, or with other settings."),
        "rollback": ("changes:rollback", "Bring an earlier release back."),
        "history": ("changes:history", "List the releases that can be brought back."),
        "scale": ("changes:scale", "Change how many instances serve."),
        "stop": ("changes:stop", "Stop a deployment and keep its route; `start PATH` runs it again."),
        "restart": ("changes:restart", "Replace a deployment's instances."),
        "agent": ("agent:agent", "List what can be deployed; start, stop, restart, update."),
        "instances": ("listings:instances", "List what runs for the deployments."),
        "routes": ("listings:routes", "List which deployment answers where."),
        "exec": ("operations:exec_command", "Run a command inside an instance."),
        "stats": ("operations:stats", "Show what instances take of the machine."),
        "logs": ("logs:logs", "Show what a deployment's instances wrote."),
    },
    "Work": {
        "call": ("call:call", "Call an agent and print its answer."),
        "task": ("tasks:task", "Show, await or cancel a task."),
        "tasks": ("tasks:tasks", "List tasks."),
        "events": ("events:events", "Show what happened, or follow it."),
    },
    "This program": {
        "version": ("about:version", "Show the version."),
        "completion": ("about:completion", "Print the completion script for a shell."),
    },
}

COMMANDS = {name: place for section in SECTIONS.values() for name, place in section.items()}

ALIASES = {
    "cloud": "The same commands, as `p-cli cloud deploy ...`.",
    "client": "The same commands, as `p-cli client call ...`.",
}
ALIAS_PROGRAM = "p-cli"

GLOBAL_OPTIONS = {
    "--url URL": "The server. [PLOINKY_URL, else the profile's, else http://127.0.0.1:8000]",
    "--key KEY": "The API key; others on this machine see it here. [PLOINKY_KEY, else the profile's]",
    "--profile FILE": "Where address and key are kept. [PLOINKY_PROFILE, else ~/.ploinky/profile.json]",
    "--json": "Print the API's JSON instead of a table.",
    "--help": "Show what a command takes.",
}

EXIT_CODES = (
    "Exit codes: 0 ok, 1 general, 2 no connection, 3 not allowed, 4 container or deploy failed, 5 configuration,\n"
    "6 not found or conflict, 64 usage, 130 interrupted."
)


def program_help(program: str) -> str:
    """Write the help of the whole program."""
    lines = [f"Usage: {program} [OPTIONS] COMMAND [ARGUMENTS]", "", "Run containers and task-running agents.", ""]
    for title, commands in SECTIONS.items():
        lines += [f"{title}:", *(_entry(name, sentence) for name, (_, sentence) in commands.items()), ""]
    if program == ALIAS_PROGRAM:
        lines += ["Groups:", *(_entry(name, sentence) for name, sentence in ALIASES.items()), ""]
    lines += ["Options, before or after the command:"]
    lines += [f"  {name:<16}{sentence}" for name, sentence in GLOBAL_OPTIONS.items()]
    return "\n".join([*lines, "", f"`{program} COMMAND --help` tells more about a command.", "", EXIT_CODES])


def completion_variable(program: str) -> str:
    """Name the environment variable by which a shell asks for completions."""
    return f"_{program.upper().replace('-', '_')}_COMPLETE"


def _entry(name: str, sentence: str) -> str:
    return f"  {name:<14}{sentence}"
