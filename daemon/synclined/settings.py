"""
The daemon's settings: what they are, each declared once with its type, bounds, unit and sentence.

Checks, messages and the example file all come from these declarations.
"""

import ipaddress
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

from syncline.address import address_meant, is_address
from syncline.schema import ModelSchema


KIB = 1024
MIB = 1024 * KIB

ENV_PREFIX = "SYNCLINE_"
ENV_FOREIGN = frozenset({"SYNCLINE_CONFIG", "SYNCLINE_FAILPOINT", "SYNCLINE_TOKEN", "SYNCLINE_URL"})
"""Variables with our prefix that are no settings of the daemon."""

STORE_SCHEMES = ("sqlite", "sqlite+pysqlite")
FILE_ORIGINS = frozenset({"file", "null", "file://"})
"""What a page that was opened as a file is called: here, and by browsers."""


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
    meant = url if is_address(url) else address_meant(url)
    if meant is not None:
        return f"names a daemon, {meant}: it must be memory:, a path or sqlite:///path/to/file"
    scheme, has_scheme, _ = url.partition("://")
    if url and (not has_scheme or scheme in STORE_SCHEMES or "/" in scheme):
        return ""
    return "must be memory:, a path or sqlite:///path/to/file"


def _check_origin(origin: str) -> str:
    if origin in {"same", "*", *FILE_ORIGINS} or re.fullmatch(r"https?://[^/\s?#]+", origin):
        return ""
    return f'"{origin}" is none of "same", "file", "*" and an origin such as "https://app.example"'


def _check_hook(reference: str) -> str:
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*|.+\.py(:[A-Za-z_]\w*)?", reference):
        return ""
    return f'"{reference}" must be "module:function", "file.py" or "file.py:function"'


def _check_model_name(name: str) -> str:
    return "" if name else "a model's name can't be empty"


def _check_base_path(path: str) -> str:
    if not path or (re.fullmatch(r"(/[\w.~-]+)+", path) and not path.endswith("/state")):
        return ""
    return f'"{path}" is no path such as "/sync", without a slash at its end'


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
    base_path: Annotated[
        str,
        Setting(
            'What all paths of the daemon lie below, as "/sync", where a proxy hands requests on '
            "with their whole path. A proxy that takes the path off needs nothing here.",
            check=_check_base_path,
        ),
    ] = ""
    pages: Annotated[
        bool,
        Setting(
            "Whether to serve the pages for people, at / and beside it, and the browser replica at "
            "/syncline.js. They hold no data; what they show comes by the rights of who looks."
        ),
    ] = True
    pages_folder: Annotated[
        str,
        Setting(
            "A folder of your own pages, relative to the working directory, served beside the "
            "daemon's to whoever asks: what pages are made of, nothing whose name begins with a "
            'dot. Its index.html takes the place of the dashboard at /. With "" there is none.'
        ),
    ] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where the records are kept."""

    url: Annotated[
        str,
        Setting(
            'The database: a path, "sqlite:///file.db" (relative to the working directory; four '
            'slashes for an absolute path), or "memory:" for one that ends with the process.',
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
            "The most sockets at a time, from their handshake on; more are answered 503. Each "
            "takes a file descriptor and about 30 KiB.",
            at_least=1,
            at_most=1_000_000,
        ),
    ] = 10_000
    connects_per_s: Annotated[
        float,
        Setting(
            "How many clients come in a second. When more come at once, the rest are told when to "
            "come back, spread over as long as it takes; bare listeners wait inside.",
            at_least=1,
            at_most=100_000,
        ),
    ] = 400.0


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
    loop_lag_warn_s: Annotated[
        float,
        Setting(
            "A warning is logged when the event loop, and with it every link, was held longer.",
            unit="seconds",
            at_least=0.05,
            at_most=60,
        ),
    ] = 0.5
    absent_kept_s: Annotated[
        float,
        Setting(
            "How long the daemon's state shows what is last known of a replica that went away.",
            unit="seconds",
            at_least=0,
            at_most=30 * 24 * 3600,
        ),
    ] = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSettings:
    """The change list."""

    tombstones_kept_days: Annotated[
        float,
        Setting(
            "How long the tombstone of a deleted record is kept; 0 for ever. A replica that was "
            "away for longer takes the whole list again.",
            unit="days",
            at_least=0,
            at_most=36500,
        ),
    ] = 0.0
    compact_every_s: Annotated[
        float,
        Setting(
            "How often older tombstones are looked for.",
            unit="seconds",
            at_least=0.1,
            at_most=7 * 24 * 3600,
        ),
    ] = 3600.0


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


RightName = Literal["none", "read", "replicate", "write"]


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
        folder: of the settings file, or of the program without one: where hooks are found.
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
            '"https://app.example", "file" for pages opened as files (browsers say the same of '
            'some pages of the web, so while you try things out), "*" for all (with tokens only).',
            check=_check_origin,
        ),
    ] = ("same",)
    hooks: Annotated[
        tuple[str, ...],
        Setting(
            'Your hooks, as "module:function", "file.py:function" or "file.py" for its "hooks": '
            "each function is called once, when the daemon starts, and returns a "
            "syncline.hooks.Hooks. A file, and a module beside the settings, is found from the "
            "folder of the settings.",
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
    list: ListSettings = field(default_factory=ListSettings)
    log: LogSettings = field(default_factory=LogSettings)
    models: tuple[ModelSchema, ...] = ()
    tokens: tuple[Token, ...] = ()
    folder: str = field(default="", compare=False)
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


class Known(NamedTuple):
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


def _known_settings(section: Any, prefix: str = "") -> Iterator[Known]:
    hints = typing.get_type_hints(section, include_extras=True)
    for each in fields(section):
        hint = hints[each.name]
        if isinstance(hint, type) and is_dataclass(hint):
            yield from _known_settings(hint, f"{prefix}{each.name}.")
        elif typing.get_origin(hint) is Annotated:
            kind, setting = typing.get_args(hint)
            yield Known(prefix + each.name, kind, each.default, setting)


KNOWN: dict[str, Known] = {known.key: known for known in _known_settings(Settings)}
SECTIONS: dict[str, Any] = {
    name: hint
    for name, hint in typing.get_type_hints(Settings).items()
    if isinstance(hint, type) and is_dataclass(hint)
}
TABLES = ("models", "tokens")
