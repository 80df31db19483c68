"""What lies beside a database: its log, its leases, a suspicion, and what was put aside."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from syncline.errors import StoreUnavailable
from syncline.store.contract import Lease


try:
    import fcntl
except ImportError:  # not a POSIX system: the user keeps to one process a file
    fcntl = None  # type: ignore[assignment]

_LOG_SUFFIXES = ("-wal", "-shm")


class StoreFiles:
    """The files of one database."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._leases: dict[Lease, TextIO] = {}

    # ---- the file itself ----------------------------------------------------------------

    def has_content(self) -> bool:
        """Tell whether there is a file with anything in it."""
        try:
            return self.path.is_file() and self.path.stat().st_size > 0
        except OSError:
            return False

    def start(self, count: int) -> bytes:
        """Return the first bytes of a file that no database is open on."""
        # Closing a file drops the locks that this process has on it, SQLite's too.
        try:
            with self.path.open("rb") as file:
                return file.read(count)
        except OSError:
            return b""

    def has_log(self) -> bool:
        """Tell whether there is a log beside it, empty or not."""
        return self._beside("-wal").exists()

    def log_bytes(self) -> int:
        """Return how long the log is."""
        try:
            return self._beside("-wal").stat().st_size
        except OSError:
            return 0

    def drop_log(self) -> None:
        """Remove a log whose database is gone; another one must not be given it."""
        for suffix in _LOG_SUFFIXES:
            self._beside(suffix).unlink(missing_ok=True)

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    # ---- the leases ---------------------------------------------------------------------

    def take_lease(self, name: Lease) -> bool:
        """
        Become the one process that does what the lease is for.

        The kernel keeps the lease and drops it with the process, so a crash leaves none behind.
        """
        if name in self._leases or fcntl is None:
            return True
        place = self._beside(f"-{name.value}")
        try:
            lease = place.open("w")
        except OSError as error:
            raise StoreUnavailable(
                f"{place} can't be made: {error.strerror}", hint="check its owner and the folder"
            ) from error
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lease.close()
            return False
        except OSError:
            # A file system without locks, as some mounts are: the user keeps to one process a file.
            lease.close()
            return True
        self._leases[name] = lease
        return True

    def release_lease(self, name: Lease) -> None:
        """Let another process do it."""
        lease = self._leases.pop(name, None)
        if lease is not None:
            lease.close()

    def had_lease(self) -> bool:
        """Tell whether a link was ever opened on it."""
        # Only what follows is ever put aside; a daemon leaves its lease beside what it refused.
        return self._beside(f"-{Lease.LINK.value}").exists()

    # ---- damage -------------------------------------------------------------------------

    def suspect(self) -> None:
        """Remember that the database was found damaged: the next opening looks closely."""
        with contextlib.suppress(OSError):
            self._beside("-suspect").touch()

    def is_suspect(self) -> bool:
        """Tell whether it was found damaged."""
        return self._beside("-suspect").exists()

    def clear(self) -> None:
        """Forget the suspicion."""
        self._beside("-suspect").unlink(missing_ok=True)

    def is_cut_short(self, pages: int, page_bytes: int) -> bool:
        """Tell whether the file ends before its last page, with no log that would hold it."""
        log = self._beside("-wal")
        has_log = log.exists() and log.stat().st_size > 0
        return not has_log and self.path.stat().st_size < pages * page_bytes

    def name_aside(self, label: str) -> Path:
        """Return a free name for a copy, which says when and why."""
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        place = self._beside(f".quarantined-{label}-{moment}")
        for count in range(1, 1000):
            if not place.exists():
                break
            place = self._beside(f".quarantined-{label}-{moment}-{count}")
        return place

    def put_aside(self, label: str) -> Path:
        """Move the database out of the way, its log with it; return where it is now."""
        place = self.name_aside(label)
        self.path.replace(place)
        for suffix in _LOG_SUFFIXES:
            log = self._beside(suffix)
            if log.exists():
                log.replace(place.with_name(place.name + suffix))
        self.clear()
        return place
