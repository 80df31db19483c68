"""Find the hooks that the settings name, and read their code anew while the daemon runs."""

import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from syncline.errors import ConfigError
from syncline.hooks import Hooks


def load_hooks(references: Iterable[str], *, anew: bool = False) -> Hooks | None:
    """
    Return the hooks that ``module:name`` references lead to, later ones over earlier ones.

    Each names a `Hooks`, or a function that returns one.

    Args:
        anew: read the code again, also of what was imported before: of the module, or of the whole
            package that it is in. When that fails, what was imported before stays.

    Raises:
        ConfigError: it can't be imported, or is something else.
    """
    named = list(references)
    if not anew:
        return _found(named)
    packages = {reference.partition(":")[0].partition(".")[0] for reference in named}
    # Hooks that come with us, as the demo's: what runs can't be imported anew.
    with _forgotten(packages - {"syncline", "synclined"}):
        return _found(named)


def _found(references: Iterable[str]) -> Hooks | None:
    found: Hooks | None = None
    for reference in references:
        module, _, name = reference.partition(":")
        try:
            value = getattr(importlib.import_module(module), name)
            hooks = value if isinstance(value, Hooks) else value()
        except Exception as error:
            raise ConfigError(f"hooks: {reference!r} can't be loaded: {error!r}") from error
        if not isinstance(hooks, Hooks):
            raise ConfigError(f"hooks: {reference!r} is no syncline.Hooks, nor returns one")
        found = hooks if found is None else _joined(found, hooks)
    return found


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
