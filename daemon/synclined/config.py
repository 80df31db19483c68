"""
Read the daemon's settings: once, at the start, and check them all at once.

A setting is its default, else what the TOML file says, else the environment (``SYNCLINE_`` and the
key in capitals, a double underscore for each dot), else a flag.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from syncline.errors import ConfigError
from syncline.schema import ModelSchema, schema_from_config
from synclined.setting_values import read_value, token_problems
from synclined.settings import (
    ENV_FOREIGN,
    ENV_PREFIX,
    KNOWN,
    SECTIONS,
    TABLES,
    Settings,
    Token,
    is_loopback,
)


def load_settings(
    path: str | Path | None = None,
    env: Mapping[str, str] = MappingProxyType({}),
    flags: Mapping[str, Any] = MappingProxyType({}),
) -> Settings:
    """
    Read and check the settings.

    Args:
        path: the TOML file; None for none.
        env: the environment; what does not start with ``SYNCLINE_`` is not looked at.
        flags: by dotted key, as texts or as values; None for a flag that was not given.

    Raises:
        ConfigError: with all that is wrong, one line each: the key, what is wrong with it and
            where it was said.
    """
    return _Loader(path, env, flags).load()


def explain(settings: Settings) -> dict[str, tuple[Any, str]]:
    """Return by dotted key what each setting is and where it came from; secrets are hidden."""
    told: dict[str, tuple[Any, str]] = {}
    for known in KNOWN.values():
        value = value_of(settings, known.key)
        if known.key == "store.url":
            value = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", value)
        told[known.key] = (value, settings.origins_by_key.get(known.key, "default"))
    for model in settings.models:
        if model.name not in settings.schemaless:
            key = f"models.{model.name}"
            told[key] = ("declared", settings.origins_by_key.get(key, "default"))
    for token in settings.tokens:
        key = f"tokens.{token.name}"
        value = {"sha256": "***", "rights": dict(token.rights)}
        told[key] = (value, settings.origins_by_key.get("tokens", "default"))
    return told


def value_of(settings: Settings, key: str) -> Any:
    """Return the value of a setting by its dotted key."""
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


class _Loader:
    """Gathers what all sources say, and all that is wrong with it."""

    def __init__(
        self, path: str | Path | None, env: Mapping[str, str], flags: Mapping[str, Any]
    ) -> None:
        self._path = None if path is None else Path(path)
        self._env = env
        self._flags = flags
        self._text = ""
        self._values: dict[str, Any] = {}
        self._origins: dict[str, str] = {}
        self._problems: list[str] = []
        self._hint = ""

    def load(self) -> Settings:
        tables = self._read_file()
        self._read_env()
        self._read_flags()
        schemas = self._read_models(tables.get("models", {}))
        tokens = self._read_tokens(tables.get("tokens", []))
        if self._path is None and "open_models" not in self._origins:
            self._values["open_models"] = is_loopback(self._value("listen.host"))
        self._check_together(has_tokens=bool(tables.get("tokens")))
        if self._problems:
            count = len(self._problems)
            heading = "a setting is wrong" if count == 1 else f"{count} settings are wrong"
            raise ConfigError("\n  ".join([heading + ":", *self._problems]), hint=self._hint)
        sections = {name: section(**self._part(name)) for name, section in SECTIONS.items()}
        return Settings(
            **self._part(""),
            **sections,
            models=tuple(schemas),
            tokens=tuple(tokens),
            folder=str(self._folder()),
            origins_by_key=MappingProxyType(dict(self._origins)),
        )

    def _folder(self) -> Path:
        return Path.cwd() if self._path is None else self._path.absolute().parent

    def _part(self, section: str) -> dict[str, Any]:
        """Return the values of one section, "" for the top, by name."""
        split = {key: key.rpartition(".") for key in self._values}
        return {split[key][2]: self._values[key] for key in split if split[key][0] == section}

    def _value(self, key: str) -> Any:
        return self._values.get(key, KNOWN[key].default)

    def _problem(self, key: str, what: str, origin: str = "") -> None:
        origin = origin or self._origins.get(key, "default")
        self._problems.append(f"{key}: {what} (from {origin})")

    # The sources

    def _read_file(self) -> dict[str, Any]:
        """Take the settings of the file, and return its tables of models and tokens."""
        if self._path is None:
            return {}
        try:
            self._text = self._path.read_text(encoding="utf-8")
            document = tomllib.loads(self._text)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            self._problems.append(f"{self._path}: {reason}")
            return {}
        tables = {name: document.pop(name) for name in TABLES if name in document}
        for key, value in _flatten(document):
            self._take(key, value, self._place_of(key))
        for name, kind in (("models", dict), ("tokens", list)):
            if not isinstance(tables.get(name, kind()), kind):
                written = "[models.NAME]" if name == "models" else "[[tokens]]"
                self._problem(name, f"must be written as {written}", self._place_of(name))
                del tables[name]
        return tables

    def _read_env(self) -> None:
        for name in sorted(self._env):
            if name.startswith(ENV_PREFIX) and name not in ENV_FOREIGN:
                key = name.removeprefix(ENV_PREFIX).lower().replace("__", ".")
                self._take(key, self._env[name], name, name)

    def _read_flags(self) -> None:
        for key, value in self._flags.items():
            if value is not None:
                self._take(key, value, "flag")

    def _place_of(self, key: str) -> str:
        """Return the file and, where it can be found, the line that a key is on."""
        line = _line_of(self._text, key)
        return f"{self._path}:{line}" if line else str(self._path)

    def _take(self, key: str, value: Any, origin: str, said: str = "") -> None:
        """Take what a source says of a key; what was said before is overruled, right or wrong."""
        known = KNOWN.get(key)
        if known is None:
            self._problem(said or key, _unknown(key, said), "environment" if said else origin)
            return
        self._problems = [p for p in self._problems if not p.startswith(f"{key}: ")]
        self._origins[key] = origin
        try:
            self._values[key] = read_value(known, value)
            if key == "hooks" and (said or origin == "flag"):
                # What is typed is found from where it is typed, what is written from the file.
                self._values[key] = tuple(map(_absolute, self._values[key]))
        except ValueError as error:
            self._values.pop(key, None)
            self._problem(key, str(error))

    # Models, tokens, and what concerns more than one

    def _read_models(self, tables: Mapping[str, Any]) -> Iterator[ModelSchema]:
        schemas: dict[str, ModelSchema] = {}
        declared: list[tuple[str, Any, str]] = [
            (name, {}, "schemaless") for name in self._value("schemaless")
        ]
        declared += [(name, table, f"models.{name}") for name, table in tables.items()]
        for name, table, key in declared:
            if key != "schemaless":
                self._origins[key] = self._place_of(key)
            if not isinstance(table, dict):
                self._problem(key, "must be a table")
            elif name in schemas:
                self._problem(key, f"the model {name} is declared twice")
            else:
                try:
                    schemas[name] = schema_from_config(name, table)
                except ConfigError as error:
                    # It names the key itself.
                    self._problems.append(f"{error} (from {self._origins[key]})")
        return iter(schemas[name] for name in sorted(schemas))

    def _read_tokens(self, tables: list[Any]) -> Iterator[Token]:
        tokens: dict[str, Token] = {}
        if tables:
            self._origins["tokens"] = self._place_of("tokens")
        for number, table in enumerate(tables, 1):
            wrong = token_problems(table)
            name = table.get("name") if isinstance(table, dict) else None
            if isinstance(name, str) and name in tokens:
                wrong.append(f"the name {name} is taken")
            for what in wrong:
                self._problem(f"tokens.{number}", what, self._origins["tokens"])
            if not wrong:
                tokens[table["name"]] = Token(
                    name=table["name"],
                    sha256=table["sha256"].lower(),
                    rights=MappingProxyType(dict(table["rights"])),
                )
        return iter(tokens.values())

    def _check_together(self, *, has_tokens: bool) -> None:
        host = self._value("listen.host")
        if not has_tokens and not is_loopback(host):
            self._problem("listen.host", f"{host} is reached from outside, and there is no token")
            self._hint = "add a [[tokens]] table to the file, or listen on 127.0.0.1"
        if not has_tokens and "*" in self._value("origins"):
            self._problem("origins", '"*" lets in every page of the web, and there is no token')
        for small, large in (
            ("limits.record_bytes_max", "limits.message_bytes_max"),
            ("limits.page_bytes_max", "limits.message_bytes_max"),
            ("limits.page_bytes_max", "limits.window_bytes_max"),
        ):
            if self._value(small) > self._value(large):
                self._problem(small, f"must not exceed {large}, {self._value(large)}")


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and prefix + name not in KNOWN and value:
            yield from _flatten(value, f"{prefix}{name}.")
        elif not (prefix + name in SECTIONS and value == {}):
            yield prefix + name, value


def _absolute(reference: str) -> str:
    """Return a reference to hooks in a file with the file's whole path."""
    return str(Path(reference).absolute()) if ".py" in reference else reference


def _line_of(text: str, key: str) -> int:
    """Return the line of a key or table in a TOML text, or 0: `tomllib` does not tell."""
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([^\]#]+?)\s*\]", line):
            table = re.sub("[\"']", "", header[1]) + "."
            if table == key + ".":
                return number
        elif (named := re.match(r"\s*([\w.\"'-]+)\s*=", line)) and key == table + re.sub(
            "[\"']", "", named[1]
        ):
            return number
    return 0


def _unknown(key: str, said: str) -> str:
    if key in TABLES or key.partition(".")[0] in TABLES:
        return "can be set in the file only"
    if key in SECTIONS:
        return f"must be a table, written [{key}]"
    name = key.rpartition(".")[2]
    in_other_section = [known for known in KNOWN if known.rpartition(".")[2] == name]
    close = in_other_section or difflib.get_close_matches(key, KNOWN, n=1)
    if not close:
        return "there is no such setting"
    return f"there is no such setting; did you mean {KNOWN[close[0]].env if said else close[0]}?"
