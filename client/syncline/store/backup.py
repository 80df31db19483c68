"""
Copy a database, also while it is written, and put a copy in its place.

A copy is made by SQLite itself from one snapshot, is checked, and has its name only when it is
whole and on the disk.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from syncline.errors import ConfigError, StoreCorrupt, StoreForeign, StoreUnavailable
from syncline.store.contract import Lease
from syncline.store.files import StoreFiles
from syncline.store.folding import end_use
from syncline.store.migrating import read_version, refuse_newer
from syncline.store.ownership import Owner, look_at
from syncline.store.sql_errors import named_errors


class BackedUp(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a copy holds.

    Attributes:
        path: where it is. size_bytes: how long it is. head: the seq of its last change.
        records: how many there are, by model.
        aside: where the database is that it took the place of, or None.
    """

    path: str
    size_bytes: int
    head: int
    records: dict[str, int]
    aside: str | None = None


def back_up(source: Path, target: Path) -> BackedUp:
    """
    Copy a database to a new file; a daemon may serve it meanwhile.

    Raises:
        ConfigError: there is no such database, or something is at the target already.
        StoreError: by name; nothing was made.
    """
    if target.exists():
        raise ConfigError(f"{target} exists already", hint="give each backup a name of its own")
    with _copied(source, target) as (copy, found):
        # Of two at once one loses: a link, unlike a renaming, replaces nothing.
        try:
            os.link(copy, target)
        except FileExistsError:
            raise ConfigError(f"{target} exists already", hint="give it another name") from None
        except OSError:
            copy.rename(target)
        _sync_folder(target.parent)
    return found


def restore(backup: Path, target: Path) -> BackedUp:
    """
    Put a copy of a backup in the place of a database, which is moved aside.

    Raises:
        ConfigError: there is no such backup. StoreForeign: one of the two is another program's.
        StoreUnavailable: the database is in use. StoreError: by name; nothing was changed.
    """
    files = StoreFiles(target)
    if look_at(files).owner is Owner.ANOTHER:
        raise StoreForeign(f"{target} is another program's", hint="name the store to restore")
    with _held(files), _copied(backup, target) as (copy, found):
        aside = None
        if target.exists():
            aside = str(files.put_aside("before-restore"))
        else:
            files.drop_log()
        copy.rename(target)
        _sync_folder(target.parent)
    return msgspec.structs.replace(found, aside=aside)


@contextlib.contextmanager
def _copied(source: Path, target: Path) -> Iterator[tuple[Path, BackedUp]]:
    """Make a whole copy under another name beside the target, gone at the end of the block."""
    if not source.is_file():
        raise ConfigError(f"there is no database {source}")
    owner = look_at(StoreFiles(source)).owner
    if owner is not Owner.OURS:
        raise StoreForeign(f"{source} is no store of syncline's", hint="name a store or a backup")
    copy = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    with named_errors(target):
        mode = source.stat().st_mode & 0o777
        try:
            # For nobody else to read before it has the mode of its source.
            os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            raise StoreUnavailable(f"{copy} can't be made: {error.strerror}") from error
        try:
            _copy(source, copy)
            found = _check(copy, target)
            copy.chmod(mode)
            _sync_file(copy)
            yield copy, found
        finally:
            copy.unlink(missing_ok=True)


def _copy(source: Path, copy: Path) -> None:
    with (
        named_errors(source),
        contextlib.closing(
            sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
        ) as raw,
    ):
        raw.execute("VACUUM INTO ?", (str(copy),))


def _check(copy: Path, target: Path) -> BackedUp:
    """Return what a copy holds, as it would be under its name; raise if it is not sound."""
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as raw:
        refuse_newer(read_version(raw)[0], copy)
        wrong = raw.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if wrong != "ok":
            raise StoreCorrupt(f"what was copied is damaged: {wrong}", hint="try an older backup")
        # It is whole without a log.
        end_use(raw)
        sql = "SELECT model, count(*) FROM syncline_changes WHERE body IS NOT NULL GROUP BY model"
        records = dict(raw.execute(sql).fetchall())
        head = raw.execute(
            "SELECT max((SELECT seq FROM syncline_head), "
            "coalesce((SELECT max(seq) FROM syncline_changes), 0))"
        ).fetchone()[0]
    return BackedUp(
        path=str(target), size_bytes=copy.stat().st_size, head=int(head), records=records
    )


@contextlib.contextmanager
def _held(files: StoreFiles) -> Iterator[None]:
    """Hold a database that nobody has open; its leases keep a daemon and a link from it."""
    in_use = StoreUnavailable(
        f"{files.path} is in use",
        hint="stop the daemon, or the program, that has it open; then restore",
    )
    try:
        for lease in Lease:
            if not files.take_lease(lease):
                raise in_use
        if files.has_content() and _is_open_elsewhere(files.path):
            raise in_use
        yield
    finally:
        for lease in Lease:
            files.release_lease(lease)


def _is_open_elsewhere(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path, timeout=0.0)) as raw:
        try:
            # Before the first look: then it takes the file for itself alone, or fails.
            raw.execute("PRAGMA locking_mode = EXCLUSIVE")
            raw.execute("BEGIN EXCLUSIVE")
            raw.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            return ((error.sqlite_errorcode or 0) & 0xFF) in (
                sqlite3.SQLITE_BUSY,
                sqlite3.SQLITE_LOCKED,
            )
        except sqlite3.DatabaseError:
            return False
    return False


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    # Not every system lets a folder be opened.
    with contextlib.suppress(OSError):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
