"""Read one setting's value: from TOML as it is, from the environment and flags as text."""

import re
import typing
from typing import Any

import orjson

from synclined.settings import Known, RightName


def read_value(known: Known, value: Any) -> Any:
    """Return a value as its setting's type; raises ValueError with what is wrong."""
    setting = known.setting
    if typing.get_origin(known.kind) is tuple:
        items = _read_list(value)
        _raise_first(setting.check(item) for item in items if setting.check)
        return items
    if known.kind is bool:
        return _read_bool(value)
    if known.kind in {int, float}:
        return _read_number(known, value)
    if not isinstance(value, str):
        raise ValueError(f"must be a text, not {shown(value)}")  # noqa: TRY004  told, not raised
    if known.choices and value not in known.choices:
        raise ValueError(f"must be one of {', '.join(known.choices)}, not {shown(value)}")
    if setting.check:
        _raise_first([setting.check(value)])
    return value


def _read_list(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):  # From the environment or a flag.
        return tuple(item.strip() for item in value.split(",") if item.strip())
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"must be a list of texts, not {shown(value)}")
    return tuple(value)


def _read_bool(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in {"true", "false", "1", "0", "yes", "no"}:
        return value.lower() in {"true", "1", "yes"}
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {shown(value)}")  # noqa: TRY004  as above
    return value


def _read_number(known: Known, value: Any) -> float:
    setting, kind = known.setting, known.kind
    number = value
    if isinstance(value, str):
        try:
            number = kind(value)
        except ValueError:
            number = None
    is_number = isinstance(number, int if kind is int else int | float)
    if not is_number or isinstance(number, bool):
        noun = "a whole number" if kind is int else "a number"
        raise ValueError(f"must be {noun}, not {shown(value)}")
    unit = f" {setting.unit}" if setting.unit else ""
    # Said the positive way, so that not-a-number is refused as well.
    if setting.at_least is not None and not number >= setting.at_least:
        raise ValueError(f"must be at least {setting.at_least}{unit}, not {number}")
    if setting.at_most is not None and not number <= setting.at_most:
        raise ValueError(f"must be at most {setting.at_most}{unit}, not {number}")
    result: float = kind(number)
    return result


def _raise_first(problems: typing.Iterable[str]) -> None:
    for problem in problems:
        if problem:
            raise ValueError(problem)


def token_problems(table: Any) -> list[str]:
    """Return what is wrong with a `[[tokens]]` table."""
    if not isinstance(table, dict):
        return ["must be a table"]
    wrong = [f"unknown key {key}" for key in sorted(table.keys() - {"name", "sha256", "rights"})]
    if not isinstance(table.get("name"), str) or not table["name"]:
        wrong.append("name must be a text")
    sha256 = table.get("sha256")
    if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        # What is there instead may be the token itself: it is not shown.
        wrong.append("sha256 must be the 64 hexadecimal digits of the token's hash")
    rights = table.get("rights")
    allowed = typing.get_args(RightName)
    if not isinstance(rights, dict) or not rights:
        wrong.append('rights must be a table such as { "*" = "read", todo = "write" }')
    else:
        wrong += [
            f"rights.{model} must be one of {', '.join(allowed)}"
            for model, right in rights.items()
            if right not in allowed
        ]
    return wrong


def shown(value: Any) -> str:
    """Return a value as a message shows it."""
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= 40 else text[:40] + "…"
