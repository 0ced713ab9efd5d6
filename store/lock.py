"""One writer for each store: a lock on a file beside an SQLite database, an advisory lock on PostgreSQL.

Both end with the process that holds them, so nothing is left behind by a crash.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, text

from store.engine import Store, translated
from store.errors import AlreadyRunning, StoreUnavailable

_ADVISORY = 7264000
"""Any number, the same in every release: the advisory lock of a quietcrm store (each database has its own)."""


class WriterLock:
    """`acquire()` before writing, `release()` at the end; or use it in a `with` block."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._file: int | None = None
        self._connection: Connection | None = None

    def acquire(self) -> None:
        """Take the lock or raise AlreadyRunning at once."""
        if self._store.dialect == "sqlite":
            self._acquire_file(self._store.folder / "quietcrm.lock")
        else:
            self._acquire_advisory()

    def release(self) -> None:
        """Give the lock back; harmless if it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._connection is not None:
            self._connection.invalidate()  # closing the session is what frees the lock, whatever state it is in
            self._connection.close()
            self._connection = None

    def check(self) -> None:
        """See that the lock is still ours: PostgreSQL gives it back when it ends our session, as it does in a restart.
        Taken again where it is free. Raises AlreadyRunning if somebody else has it now, StoreUnavailable."""
        if self._file is not None:
            return
        if self._connection is not None:
            try:
                with translated():
                    self._connection.execute(text("SELECT 1"))
                return
            except StoreUnavailable:
                self.release()
        self.acquire()

    def __enter__(self) -> WriterLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _acquire_file(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(
                f"cannot open {path}: {error.strerror}", hint=f"make the folder {path.parent} writable"
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(file, 20, 0).decode("ascii", "replace").strip()
            os.close(file)
            raise _running(f"process {holder}" if holder else "another process") from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def _acquire_advisory(self) -> None:
        with translated():
            connection = self._store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            got: Any = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _ADVISORY}).scalar()
        if not got:
            connection.close()
            raise _running("another process")
        self._connection = connection


def _running(who: str) -> AlreadyRunning:
    return AlreadyRunning(
        f"{who} already writes to this store",
        hint="let the running quietcrm do it, or stop it first (systemctl stop quietcrm, or Ctrl-C where it runs)",
    )
