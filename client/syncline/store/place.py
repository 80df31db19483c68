"""
Whether an open database still is where it was opened.

SQLite goes on in a file that was removed or replaced, and what it writes there nobody sees again.
"""

import os
import sqlite3
from pathlib import Path

from syncline.errors import StoreUnavailable


class Place:
    """
    The place of an open database: its file, and the log beside it.

    Args:
        path: absolute.

    Attributes:
        fault: what was done to it, as found at the last look; empty for nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._log_path = f"{path}-wal"
        self._file: tuple[int, int] | None = None
        self._log: tuple[int, int] | None = None
        self._bytes = 0
        self._has_shrunk = False
        self._opened_version = 0
        self.fault = ""

    def note(self, raw: sqlite3.Connection) -> None:
        """Remember the files as they are, right after the opening."""
        found = _stat(self._path)
        self._file = None if found is None else (found.st_dev, found.st_ino)
        self._bytes = 0 if found is None else found.st_size
        self._log = _identity(self._log_path)
        self._has_shrunk = False
        self._opened_version = read_data_version(raw)
        self.fault = ""

    @property
    def number(self) -> str:
        """The inode of the file; empty where the file system gives none."""
        # Not the device: the number of that may be another after a restart of the machine.
        return str(self._file[1]) if self._file is not None and self._file[1] else ""

    def look(self, raw: sqlite3.Connection, *, with_log: bool = False) -> None:
        """
        Look whether all is as it was noted.

        Raises:
            StoreUnavailable: it is not.
        """
        self.fault = self._fault_of_file()
        if self._has_shrunk and not self.fault and not self._is_vacuumed(raw):
            self.fault = "was overwritten"
        if with_log and not self.fault:
            self.fault = self._fault_of_log()
        if self.fault:
            raise self.error()

    def error(self) -> StoreUnavailable:
        """Return the error that names the fault."""
        return StoreUnavailable(
            f"{self._path} {self.fault} while it was open: what is written there now is lost",
            hint="stop, put the file back or restore a backup, and start again",
            place=self._path,
        )

    def has_anothers_log(self) -> bool:
        """Tell whether another program's log lies there now, which closing would remove."""
        found = _identity(self._log_path)
        return self._file is not None and found is not None and found != self._log

    def _fault_of_file(self) -> str:
        # On the way of every commit: one call of the system, and no more.
        try:
            found = os.stat(self._path)  # noqa: PTH116 - a Path costs as much again
        except (FileNotFoundError, NotADirectoryError):
            return "was removed"
        except OSError:
            return ""
        if (found.st_dev, found.st_ino) != self._file:
            return "was replaced"
        # A program that overwrites a file in place makes it shorter first.
        if found.st_size < self._bytes:
            self._has_shrunk = True
        self._bytes = found.st_size
        return ""

    def _is_vacuumed(self, raw: sqlite3.Connection) -> bool:
        """Tell whether another program may have made the file shorter by `VACUUM`."""
        try:
            if read_data_version(raw) == self._opened_version:
                return False
            pages = raw.execute("PRAGMA page_count").fetchone()[0]
            if self._bytes < pages * raw.execute("PRAGMA page_size").fetchone()[0]:
                return False
        except sqlite3.Error:
            return False
        self._has_shrunk = False
        return True

    def _fault_of_log(self) -> str:
        found = _identity(self._log_path)
        if self._log is None:
            # Made by the first write.
            self._log = found
        if found == self._log:
            return ""
        return "lost its log, -wal," if found is None else "got another log, -wal,"


def read_data_version(raw: sqlite3.Connection) -> int:
    """Return SQLite's count of what other connections committed."""
    return int(raw.execute("PRAGMA data_version").fetchone()[0])


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return None


def _identity(path: str) -> tuple[int, int] | None:
    found = _stat(path)
    return None if found is None else (found.st_dev, found.st_ino)
