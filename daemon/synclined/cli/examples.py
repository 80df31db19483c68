"""The examples below a command's help."""


def examples(*commands: str) -> str:
    """Return an epilog that shows commands, each on a line of its own."""
    # The backspace tells click to leave the lines as they are.
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
