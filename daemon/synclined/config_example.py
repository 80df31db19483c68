"""The example of a settings file: every setting, with its default and its sentence."""

import textwrap
from collections.abc import Iterator
from typing import Any

import orjson

from synclined.settings import KNOWN, SECTIONS, Known


_EXAMPLE_HEAD = """\
# syncline's daemon: every setting, with its default.
#
# Take the "#" from a line to change it. A setting may also come from the environment, as named
# beside it, and from a flag of the command; a flag overrules the environment, and that this file.
# Check with `syncline config check`; see what holds, and why, with `syncline config show --origin`.
"""

_EXAMPLE_TAIL = """
# A model with a schema: its records are checked. One table for each.
#[models.task]
#properties.title = { type = "string", nullable = false }
#properties.done = "boolean"

# Who is let in. Once there is a token, every client needs one. A token is any long random text; it
# goes to its bearer, and only its hash goes here: printf %s "$TOKEN" | sha256sum. Rights are none,
# read, replicate (what LoopBack's clients need to pull) or write, by model; "*" stands for the
# models that are not named. One table for each.
#[[tokens]]
#name = "phone"
#sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
#rights = { "*" = "read", task = "write" }
"""


def example_toml() -> str:
    """Return a TOML file with every setting, its default and its sentence, all commented out."""
    return "".join(_example_lines())


def _example_lines() -> Iterator[str]:
    yield _EXAMPLE_HEAD
    section = ""
    for known in KNOWN.values():
        prefix, _, name = known.key.rpartition(".")
        if prefix != section:
            section = prefix
            yield f"\n# {SECTIONS[prefix].__doc__}\n[{prefix}]\n"
        yield "\n"
        yield from (
            line + "\n"
            for line in textwrap.wrap(
                _described(known), 100, initial_indent="# ", subsequent_indent="# "
            )
        )
        yield f"#{name} = {_toml(known.default)}\n"
    yield _EXAMPLE_TAIL


def _described(known: Known) -> str:
    setting = known.setting
    parts = [setting.sentence]
    if known.choices:
        parts.append(f"One of {', '.join(known.choices)}.")
    if setting.at_least is not None and setting.at_most is not None:
        unit = f" {setting.unit}" if setting.unit else ""
        parts.append(f"From {setting.at_least} to {setting.at_most}{unit}.")
    return " ".join([*parts, f"({known.env})"])


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return orjson.dumps(value).decode()
