"""Find the hooks that the settings name, and read their code anew while the daemon runs."""

import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from syncline.errors import ConfigError
from syncline.hooks import Hooks


class _Place(NamedTuple):
    """
    Where hooks are.

    Attributes:
        file: that the module must come from; None for wherever it is found.
    """

    module: str
    name: str
    file: Path | None


def load_hooks(
    references: Iterable[str], *, folder: str | Path = "", anew: bool = False
) -> Hooks | None:
    """
    Return the hooks that references lead to, later ones over earlier ones.

    Each is ``module:name``, ``file.py:name``, or ``file.py`` for its ``hooks``, and names a
    `Hooks`, or a function that returns one.

    Args:
        folder: where modules are found too, and where files are looked for.
        anew: read the code again, also of what was imported before: of the module, or of the whole
            package that it is in. When that fails, what was imported before stays.

    Raises:
        ConfigError: it can't be imported, or is something else.
    """
    named = {reference: _place_of(reference, Path(folder)) for reference in references}
    for place in named.values():
        _make_importable(str(place.file.parent if place.file else folder))
    if not anew:
        return _found(named)
    packages = {place.module.partition(".")[0] for place in named.values()}
    # Hooks that come with us, as the demo's: what runs can't be imported anew.
    with _forgotten(packages - {"syncline", "synclined"}):
        return _found(named)


def _place_of(reference: str, folder: Path) -> _Place:
    if in_file := re.fullmatch(r"(.+\.py)(?::(\w+))?", reference):
        file = folder / in_file[1]
        return _Place(file.stem, in_file[2] or "hooks", file)
    module, _, name = reference.partition(":")
    return _Place(module, name, None)


def _make_importable(folder: str) -> None:
    # First, as for a program that is run: the user's own module is meant.
    if folder and folder not in sys.path:
        sys.path.insert(0, folder)


def _found(named: Mapping[str, _Place]) -> Hooks | None:
    found: Hooks | None = None
    for reference, place in named.items():
        try:
            value = getattr(_import(place), place.name)
            hooks = value if isinstance(value, Hooks) else value()
        except Exception as error:
            raise ConfigError(f"hooks: {reference!r} can't be loaded: {error!r}") from error
        if not isinstance(hooks, Hooks):
            raise ConfigError(f"hooks: {reference!r} is no syncline.Hooks, nor returns one")
        found = hooks if found is None else _joined(found, hooks)
    return found


def _import(place: _Place) -> ModuleType:
    if place.file is not None and not place.file.exists():
        raise FileNotFoundError(f"there is no file {place.file}")
    module = importlib.import_module(place.module)
    origin = getattr(module, "__file__", None)
    if place.file is not None and (origin is None or not place.file.samefile(origin)):
        raise ImportError(f"another module is named {place.module}: rename the file")
    return module


@contextmanager
def _forgotten(packages: Iterable[str]) -> Iterator[None]:
    """Import packages anew within; after a failure they are again what they were."""
    tops = set(packages)
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] in tops}
    for name in before:
        del sys.modules[name]
    # A file that was written within the second is otherwise taken for the one that was compiled.
    importlib.invalidate_caches()
    try:
        yield
    except BaseException:
        for name in [name for name in sys.modules if name.split(".")[0] in tops]:
            del sys.modules[name]
        sys.modules.update(before)
        raise


def _joined(one: Hooks, other: Hooks) -> Hooks:
    return Hooks(
        validate={**one.validate, **other.validate},
        on_change=other.on_change or one.on_change,
        on_conflict=other.on_conflict or one.on_conflict,
        on_refused=other.on_refused or one.on_refused,
        handle_change_error=other.handle_change_error or one.handle_change_error,
    )
