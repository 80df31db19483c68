"""
Take over changed settings while the daemon serves: what SIGHUP asks for.

All or nothing: settings that are wrong, or hooks that can't be loaded, change nothing.
"""

import asyncio
from collections.abc import Callable, Collection

from syncline.errors import ConfigError
from syncline.logs import Logger
from synclined.app import Daemon
from synclined.auth import Tokens, revoked
from synclined.config import value_of
from synclined.hook_loading import load_hooks
from synclined.log import configure_logging
from synclined.settings import KNOWN, Settings


log = Logger("synclined")

TAKEN_OVER = ("origins", "hooks", "log.level", "log.format")
"""Settings that hold from a reload on, beside the tokens; every other needs a restart."""


class Reloading:
    """
    Reads the settings again, and tells a running daemon what of them is new.

    Args:
        tokens: by which the daemon lets people in.
        load: reads the settings from where they were read at the start.
    """

    def __init__(self, daemon: Daemon, tokens: Tokens, load: Callable[[], Settings]) -> None:
        self._daemon = daemon
        self._tokens = tokens
        self._load = load
        # What needs a restart is compared with what the daemon was started with.
        self._started = self._current = tokens.settings

    async def reload(self) -> None:
        """Take over what can be, end the connections of who was revoked, and name the rest."""
        try:
            settings = await asyncio.to_thread(self._load)
            _keep_closed(self._tokens.settings, settings)
            hooks = load_hooks(settings.hooks, folder=settings.folder, anew=True)
        except ConfigError as error:
            log.error(  # noqa: TRY400 - a named refusal, no bug
                "settings.refused",
                reason=str(error),
                hint=error.hint or "nothing was taken over; mend the settings and reload again",
            )
            return
        before, self._current = self._current, settings
        configure_logging(settings.log.level, settings.log.format)
        self._daemon.use_hooks(hooks)
        self._daemon.allow_origins(settings.origins)
        self._tokens.settings = settings
        log.info("settings.reloaded", changed=_changed(before, settings, TAKEN_OVER))
        waiting = _waiting(self._started, settings)
        if waiting:
            log.warning(
                "settings.restart_needed",
                settings=waiting,
                hint="these hold from the next start on",
            )
        names = revoked(before, settings)
        if names:
            await self._daemon.revoke(names)


def _keep_closed(before: Settings, after: Settings) -> None:
    """Refuse to let in everybody for a settings file that is empty, or half written."""
    if before.tokens and not after.tokens:
        raise ConfigError(
            "tokens: there is none left, and anybody on this machine would be let in",
            hint="if that is meant, start the daemon again; else mend the settings and reload",
        )


def _changed(before: Settings, after: Settings, keys: Collection[str]) -> list[str]:
    names = [key for key in keys if value_of(before, key) != value_of(after, key)]
    return [*names, "tokens"] if before.tokens != after.tokens else names


def _waiting(started: Settings, now: Settings) -> list[str]:
    """Return the keys of what was changed and is not taken over."""
    keys = [key for key in KNOWN if key not in TAKEN_OVER]
    names = [key for key in keys if value_of(started, key) != value_of(now, key)]
    # Schemaless models are among the models too, and were named.
    before, after = ({m.name: m for m in each.models} for each in (started, now))
    declared = {*before, *after} - {*started.schemaless, *now.schemaless}
    changed = sorted(name for name in declared if before.get(name) != after.get(name))
    return [*names, *(f"models.{name}" for name in changed)]
