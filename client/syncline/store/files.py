"""What lies beside a database: the lease of its link, a suspicion, and what was put aside."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO


try:
    import fcntl
except ImportError:  # not a POSIX system: the user keeps to one process a file
    fcntl = None  # type: ignore[assignment]

_LOG_SUFFIXES = ("-wal", "-shm")


class StoreFiles:
    """The files of one database."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lease: TextIO | None = None

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    # ---- the lease ----------------------------------------------------------------------

    def take_lease(self) -> bool:
        """
        Become the one process that holds the link.

        The kernel keeps the lease and drops it with the process, so a crash leaves none behind.
        """
        if self._lease is not None or fcntl is None:
            return True
        lease = self._beside("-link").open("w")
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lease.close()
            return False
        self._lease = lease
        return True

    def release_lease(self) -> None:
        """Let another process hold the link."""
        if self._lease is not None:
            self._lease.close()
            self._lease = None

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
