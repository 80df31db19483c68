"""
The daemon's settings: one frozen record, read at the start and checked at once.

A setting is its default, else what the TOML file says, else the environment (``SYNCLINE_`` and the
key in capitals, a double underscore for each dot), else a flag. Each is declared once, with its
type, bounds, unit and sentence; checks, messages and the example file all come from there.
"""

import difflib
import ipaddress
import re
import textwrap
import tomllib
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import orjson

from syncline.errors import ConfigError
from syncline.schema import ModelSchema, schema_from_config


KIB = 1024
MIB = 1024 * KIB

ENV_PREFIX = "SYNCLINE_"
ENV_FOREIGN = frozenset({"SYNCLINE_CONFIG", "SYNCLINE_FAILPOINT", "SYNCLINE_TOKEN", "SYNCLINE_URL"})
"""Variables with our prefix that are no settings of the daemon."""

STORE_SCHEMES = ("sqlite", "sqlite+pysqlite")


class Setting(NamedTuple):
    """
    What is known of a setting beside its type and default.

    Attributes:
        sentence: what it does, for the person who sets it.
        unit: of its number, or empty.
        at_least: the smallest value allowed; None for no bound.
        at_most: the greatest value allowed; None for no bound.
        check: returns what is wrong with a value, or an empty text; for a tuple, with one item.
    """

    sentence: str
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    check: Callable[[Any], str] | None = None


def _check_store_url(url: str) -> str:
    if url == "memory:" or url.partition("://")[0] in STORE_SCHEMES:
        return ""
    return "must be memory: or sqlite:///path/to/file"


def _check_origin(origin: str) -> str:
    if origin in {"same", "*"} or re.fullmatch(r"https?://[^/\s?#]+", origin):
        return ""
    return f'"{origin}" is none of "same", "*" and an origin such as "https://app.example"'


def _check_hook(reference: str) -> str:
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", reference):
        return ""
    return f'"{reference}" must be "module:function"'


def _check_model_name(name: str) -> str:
    return "" if name else "a model's name can't be empty"


def _check_host(host: str) -> str:
    return "" if host.strip() else 'must name an address; "0.0.0.0" stands for all'


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where the daemon is reached."""

    host: Annotated[
        str,
        Setting(
            "The address to listen on. Any other than loopback needs a token.", check=_check_host
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int, Setting("The TCP port to listen on; 0 takes a free one.", at_least=0, at_most=65535)
    ] = 8765


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where the records are kept."""

    url: Annotated[
        str,
        Setting(
            'The database: "sqlite:///file.db" (relative to the working directory; four slashes '
            'for an absolute path), or "memory:" for one that ends with the process.',
            check=_check_store_url,
        ),
    ] = "sqlite:///syncline.db"
    synchronous: Annotated[
        Literal["normal", "full"],
        Setting(
            'When SQLite waits for the disk. With "normal" a power cut may lose the last '
            'acknowledged writes, a crash of the process none; with "full" neither does.'
        ),
    ] = "normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one peer may take."""

    record_bytes_max: Annotated[
        int, Setting("The largest record.", unit="bytes", at_least=KIB, at_most=64 * MIB)
    ] = MIB
    message_bytes_max: Annotated[
        int,
        Setting(
            "The largest message accepted from a client, announced to it.",
            unit="bytes",
            at_least=64 * KIB,
            at_most=256 * MIB,
        ),
    ] = 8 * MIB
    page_bytes_max: Annotated[
        int,
        Setting(
            "Where a page of changes is cut; one larger record still makes a page.",
            unit="bytes",
            at_least=4 * KIB,
            at_most=64 * MIB,
        ),
    ] = 512 * KIB
    window_bytes_max: Annotated[
        int,
        Setting(
            "What may wait for a subscriber that does not read, before it is told that it is "
            "behind.",
            unit="bytes",
            at_least=64 * KIB,
            at_most=256 * MIB,
        ),
    ] = 4 * MIB
    push_items_max: Annotated[
        int, Setting("The most records in one push.", at_least=1, at_most=100_000)
    ] = 5000
    connections_max: Annotated[
        int,
        Setting(
            "The most sockets at a time. Each takes a file descriptor and about 30 KiB.",
            at_least=1,
            at_most=1_000_000,
        ),
    ] = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long things may take."""

    heartbeat_s: Annotated[
        float,
        Setting(
            "How often a link says that it lives, in both directions.",
            unit="seconds",
            at_least=0.1,
            at_most=300,
        ),
    ] = 10.0
    ack_timeout_s: Annotated[
        float,
        Setting("How long an acknowledgement may take.", unit="seconds", at_least=0.1, at_most=300),
    ] = 15.0
    drain_timeout_s: Annotated[
        float,
        Setting(
            "How long stopping may take: what is in flight ends, clients are told to come back.",
            unit="seconds",
            at_least=0,
            at_most=600,
        ),
    ] = 10.0
    send_timeout_s: Annotated[
        float,
        Setting(
            "After how long a subscriber that reads nothing at all is cut.",
            unit="seconds",
            at_least=0.1,
            at_most=600,
        ),
    ] = 20.0
    hook_timeout_s: Annotated[
        float,
        Setting(
            "How long a hook may take; then the record is parked.",
            unit="seconds",
            at_least=0.01,
            at_most=300,
        ),
    ] = 5.0
    poll_s: Annotated[
        float,
        Setting(
            "How often the list is looked at without a nudge, in case one was lost.",
            unit="seconds",
            at_least=0.05,
            at_most=3600,
        ),
    ] = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is logged, to stderr."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Setting("The least severe events logged.")
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"],
        Setting('The form of a line; "auto" is "console" on a terminal and "json" elsewhere.'),
    ] = "auto"


RightName = Literal["none", "read", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """
    A token that is accepted.

    Attributes:
        name: what logs call its bearer.
        sha256: the hash of the token, in hex; the token itself is nowhere.
        rights: by model, ``"*"`` for the others.
    """

    name: str
    sha256: str = field(repr=False)
    rights: Mapping[str, RightName]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    Everything the daemon is told; `load_settings` makes one that was checked.

    Attributes:
        models: the models served, `schemaless` ones included, by name.
        tokens: who is let in; empty on loopback for anyone.
        origins_by_key: where each setting that is not a default came from.
    """

    ancestors_max: Annotated[
        int,
        Setting(
            "How many earlier revisions of a record are remembered. With fewer, replicas that "
            "were long away meet more false conflicts.",
            at_least=4,
            at_most=1024,
        ),
    ] = 64
    compression: Annotated[
        bool,
        Setting(
            "Whether WebSocket compression is accepted. It saves half of the bytes and costs "
            "about five times the processor time."
        ),
    ] = False
    origins: Annotated[
        tuple[str, ...],
        Setting(
            'The browser origins let in: "same" for pages from this daemon, others as '
            '"https://app.example", "*" for all (with tokens only).',
            check=_check_origin,
        ),
    ] = ("same",)
    hooks: Annotated[
        tuple[str, ...],
        Setting(
            'Your hooks, as "module:function": each function is called once, when the daemon '
            "starts, and returns a syncline.hooks.Hooks.",
            check=_check_hook,
        ),
    ] = ()
    open_models: Annotated[
        bool,
        Setting(
            "Whether a model that is not declared is made on its first use, schemaless. Without a "
            "file, and on loopback, it is."
        ),
    ] = False
    schemaless: Annotated[
        tuple[str, ...],
        Setting("Models whose records are any JSON objects.", check=_check_model_name),
    ] = ()
    listen: Listen = field(default_factory=Listen)
    store: StoreSettings = field(default_factory=StoreSettings)
    limits: Limits = field(default_factory=Limits)
    timings: Timings = field(default_factory=Timings)
    log: LogSettings = field(default_factory=LogSettings)
    models: tuple[ModelSchema, ...] = ()
    tokens: tuple[Token, ...] = ()
    origins_by_key: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, compare=False
    )


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine only; of names, ``localhost`` is."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
    for known in _KNOWN.values():
        value = _value_of(settings, known.key)
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


def example_toml() -> str:
    """Return a TOML file with every setting, its default and its sentence, all commented out."""
    return "".join(_example_lines())


# What the declarations above say, by dotted key --------------------------------------------------


class _Known(NamedTuple):
    """One setting, as declared."""

    key: str
    kind: Any
    default: Any
    setting: Setting

    @property
    def choices(self) -> tuple[str, ...]:
        """The values allowed, when they are few."""
        return typing.get_args(self.kind) if typing.get_origin(self.kind) is Literal else ()

    @property
    def env(self) -> str:
        """The environment variable that sets it."""
        return ENV_PREFIX + self.key.upper().replace(".", "__")


def _known_settings(section: Any, prefix: str = "") -> Iterator[_Known]:
    hints = typing.get_type_hints(section, include_extras=True)
    for each in fields(section):
        hint = hints[each.name]
        if isinstance(hint, type) and is_dataclass(hint):
            yield from _known_settings(hint, f"{prefix}{each.name}.")
        elif typing.get_origin(hint) is Annotated:
            kind, setting = typing.get_args(hint)
            yield _Known(prefix + each.name, kind, each.default, setting)


_KNOWN: dict[str, _Known] = {known.key: known for known in _known_settings(Settings)}
_SECTIONS: dict[str, Any] = {
    name: hint
    for name, hint in typing.get_type_hints(Settings).items()
    if isinstance(hint, type) and is_dataclass(hint)
}
_TABLES = ("models", "tokens")


def _value_of(settings: Settings, key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value


# Reading ----------------------------------------------------------------------------------------


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
        sections = {name: section(**self._part(name)) for name, section in _SECTIONS.items()}
        return Settings(
            **self._part(""),
            **sections,
            models=tuple(schemas),
            tokens=tuple(tokens),
            origins_by_key=MappingProxyType(dict(self._origins)),
        )

    def _part(self, section: str) -> dict[str, Any]:
        """Return the values of one section, "" for the top, by name."""
        split = {key: key.rpartition(".") for key in self._values}
        return {split[key][2]: self._values[key] for key in split if split[key][0] == section}

    def _value(self, key: str) -> Any:
        return self._values.get(key, _KNOWN[key].default)

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
        tables = {name: document.pop(name) for name in _TABLES if name in document}
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
        known = _KNOWN.get(key)
        if known is None:
            self._problem(said or key, _unknown(key, said), "environment" if said else origin)
            return
        self._problems = [p for p in self._problems if not p.startswith(f"{key}: ")]
        self._origins[key] = origin
        try:
            self._values[key] = _read(known, value)
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
            wrong = _token_problems(table)
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
        if isinstance(value, dict) and prefix + name not in _KNOWN and value:
            yield from _flatten(value, f"{prefix}{name}.")
        elif not (prefix + name in _SECTIONS and value == {}):
            yield prefix + name, value


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
    if key in _TABLES or key.partition(".")[0] in _TABLES:
        return "can be set in the file only"
    if key in _SECTIONS:
        return f"must be a table, written [{key}]"
    name = key.rpartition(".")[2]
    in_other_section = [known for known in _KNOWN if known.rpartition(".")[2] == name]
    close = in_other_section or difflib.get_close_matches(key, _KNOWN, n=1)
    if not close:
        return "there is no such setting"
    return f"there is no such setting; did you mean {_KNOWN[close[0]].env if said else close[0]}?"


# Values -----------------------------------------------------------------------------------------


def _read(known: _Known, value: Any) -> Any:
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
        raise ValueError(f"must be a text, not {_shown(value)}")  # noqa: TRY004  told, not raised
    if known.choices and value not in known.choices:
        raise ValueError(f"must be one of {', '.join(known.choices)}, not {_shown(value)}")
    if setting.check:
        _raise_first([setting.check(value)])
    return value


def _read_list(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):  # From the environment or a flag.
        return tuple(item.strip() for item in value.split(",") if item.strip())
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"must be a list of texts, not {_shown(value)}")
    return tuple(value)


def _read_bool(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in {"true", "false", "1", "0", "yes", "no"}:
        return value.lower() in {"true", "1", "yes"}
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {_shown(value)}")  # noqa: TRY004  as above
    return value


def _read_number(known: _Known, value: Any) -> float:
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
        raise ValueError(f"must be {noun}, not {_shown(value)}")
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


def _token_problems(table: Any) -> list[str]:
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


def _shown(value: Any) -> str:
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= 40 else text[:40] + "…"


# The example ------------------------------------------------------------------------------------

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
# read or write, by model; "*" stands for the models that are not named. One table for each.
#[[tokens]]
#name = "phone"
#sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
#rights = { "*" = "read", task = "write" }
"""


def _example_lines() -> Iterator[str]:
    yield _EXAMPLE_HEAD
    section = ""
    for known in _KNOWN.values():
        prefix, _, name = known.key.rpartition(".")
        if prefix != section:
            section = prefix
            yield f"\n# {_SECTIONS[prefix].__doc__}\n[{prefix}]\n"
        yield "\n"
        yield from (
            line + "\n"
            for line in textwrap.wrap(
                _described(known), 100, initial_indent="# ", subsequent_indent="# "
            )
        )
        yield f"#{name} = {_toml(known.default)}\n"
    yield _EXAMPLE_TAIL


def _described(known: _Known) -> str:
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
