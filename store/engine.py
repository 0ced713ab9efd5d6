"""Opening the store and its transactions.

SQLite has one writer at a time: `writing()` takes the write lock at its beginning (BEGIN IMMEDIATE), `session()` can
only read, so a reader never has to become a writer half-way, which is what makes "database is locked" errors that no
time-out cures. WAL is used only where SQLite has its WAL-reset race mended (3.51.3), elsewhere a TRUNCATE journal.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session

from config.state import locate, state_directory
from store.errors import StoreBusy, StoreDamaged, StoreError, StoreOlder, StoreUnavailable

BUSY_SECONDS = 30
WAL_IS_SAFE = sqlite3.sqlite_version_info >= (3, 51, 3)
_DEAD_SESSION = {"57P01", "57P02", "57P03", "25006"}
"""SQLSTATEs after which a connection is worth nothing: server shut down, crashed, starting, now read-only."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def dump_json(value: Any) -> str:
    """Compact JSON, letters as they are."""
    if value == [] or value == {}:  # most columns of most rows
        return "{}" if isinstance(value, dict) else "[]"
    return _encode(value)


def load_json(text: str) -> Any:
    """The value of a JSON text."""
    return {} if text == "{}" else [] if text == "[]" else json.loads(text)


class Store:
    """An open database. Thread-safe; each session belongs to one thread."""

    def __init__(self, engine: Engine, url: str, *, read_only: bool, folder: Path) -> None:
        self.engine = engine
        self.url = url
        self.read_only = read_only
        self.folder = folder
        self.dialect = engine.dialect.name
        self._reader = engine.execution_options(**_reading(self.dialect))
        self._writer = engine.execution_options(quietcrm_writing=True)
        # Threads of this process queue here: on SQLite instead of polling its file lock, on PostgreSQL so that two
        # accounts that hold the same mail decide about it one after the other.
        self._turn = threading.Lock()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A read-only transaction: one consistent view on SQLite. Keep it short."""
        with translated(), Session(self._reader, autoflush=False, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """The write transaction: committed at the end, rolled back by any exception. No network inside."""
        if self.read_only:
            raise StoreError("this store was opened for reading only", hint="this is a bug: please report it")
        with translated(), self._my_turn(), Session(self._writer, expire_on_commit=False) as session:
            session.connection()  # take the lock now, not at the first write
            yield session
            session.commit()

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=BUSY_SECONDS):
            raise StoreBusy("another thread writes for too long", hint="try again; if it stays, restart quietcrm")
        try:
            yield
        finally:
            self._turn.release()

    def close(self) -> None:
        """Close all connections. The store can not be used afterwards."""
        self.engine.dispose()


def open_store(url: str, *, base: Path, read_only: bool = False) -> Store:
    """Open `sqlite:///PATH` (relative to `base`) or `postgresql://...`; creates folder and file, not the schema.

    Raises StoreUnavailable if the database cannot be opened, StoreError for a URL that cannot be read.
    """
    parsed = parse_url(url, base)
    engine = _sqlite(parsed, read_only=read_only) if parsed.drivername == "sqlite" else _postgresql(parsed)
    folder = Path(parsed.database or "").parent if parsed.drivername == "sqlite" else state_directory(base)
    return Store(engine, parsed.render_as_string(hide_password=False), read_only=read_only, folder=folder)


def parse_url(url: str, base: Path) -> URL:
    """The URL with the driver we use and, for SQLite, an absolute path; StoreError if it names another database."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError("the store's URL cannot be read", hint=_URL_HINT) from error
    if parsed.drivername in {"sqlite", "sqlite+pysqlite"}:
        if not parsed.database or parsed.database == ":memory:":
            raise StoreError("the store's URL names no file", hint=_URL_HINT)
        return parsed.set(drivername="sqlite", database=str(locate(base, parsed.database)))
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    raise StoreError(f"{parsed.drivername} is no database that quietcrm can use", hint=_URL_HINT)


_URL_HINT = "write sqlite:///state/crm.db or postgresql://user@host/database"


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of the drivers into StoreError and its children; anything else passes."""
    try:
        yield
    except (OperationalError, InterfaceError, DBAPIError) as error:
        known = _known(error)
        if known is None:
            raise
        raise known from error


def _known(error: DBAPIError) -> StoreError | None:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    state = getattr(error.orig, "sqlstate", None)
    text = str(error.orig).strip().splitlines()[0] if error.orig and str(error.orig).strip() else "no reason given"
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED} or state in {"55P03", "40P01", "40001"}:
        return StoreBusy("the database is in use", hint="try again in a moment")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB} or state in {"XX001", "XX002"}:
        return StoreDamaged(f"the database is damaged: {text}", hint="restore a backup: quietcrm db restore FILE")
    if code == sqlite3.SQLITE_FULL or state == "53100":
        return StoreUnavailable("the disk is full", hint="make room on the disk; quietcrm goes on by itself")
    if state in _DEAD_SESSION:
        return StoreUnavailable(
            f"the database server is not ready: {text}", hint="wait: quietcrm tries again by itself"
        )
    if state == "42P01" or "no such table" in text or "no such column" in text or state == "42703":
        return StoreOlder("the database lacks a table or column", hint="run: quietcrm db upgrade")
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM}:
        return StoreUnavailable(f"the database file cannot be used: {text}", hint="check the file, its folder and disk")
    if isinstance(error, (OperationalError, InterfaceError)) and not code:
        return StoreUnavailable(f"the database does not answer: {text}", hint="check that the server runs, and the URL")
    return None


def _reading(dialect: str) -> dict[str, Any]:
    return {"postgresql_readonly": True} if dialect == "postgresql" else {}


def _sqlite(url: URL, *, read_only: bool) -> Engine:
    path = Path(url.database or "")
    if not path.exists():
        if read_only:
            raise StoreUnavailable(
                f"there is no database at {path} yet", hint="read the mail first: quietcrm sync --once"
            )
        _create_file(path)
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        json_serializer=dump_json,
        json_deserializer=load_json,
        hide_parameters=True,  # errors go to the log: without subjects, texts and addresses
        pool_size=4,
        max_overflow=-1,
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"cannot create {path}: {error.strerror}", hint=f"make the folder {path.parent} writable"
        ) from error


def _set_up_sqlite(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, in _begin_sqlite
    for setting in (
        f"busy_timeout={BUSY_SECONDS * 1000}",
        f"journal_mode={'WAL' if WAL_IS_SAFE else 'TRUNCATE'}",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",  # what is erased must not stay in free pages
        "temp_store=MEMORY",
        "cache_size=-8192",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {setting}").close()


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("quietcrm_writing", False)
    connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writing else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _postgresql(url: URL) -> Engine:
    try:
        engine = create_engine(
            url.update_query_dict({"target_session_attrs": "read-write"})
            if "target_session_attrs" not in url.query
            else url,
            connect_args={"connect_timeout": 10, "application_name": "quietcrm"},
            json_serializer=dump_json,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=4,
            max_overflow=16,
            pool_recycle=3600,
        )
    except ModuleNotFoundError as error:
        raise StoreUnavailable(
            "the PostgreSQL driver is not installed", hint="install it: pip install 'quietcrm[postgresql]'"
        ) from error
    event.listen(engine, "connect", _set_up_postgresql)
    event.listen(engine, "handle_error", _discard_dead)
    return engine


def _set_up_postgresql(connection: Any, _record: ConnectionPoolEntry) -> None:
    connection.execute("SET TIME ZONE 'UTC'")
    connection.commit()


def _discard_dead(context: Any) -> None:
    if getattr(context.original_exception, "sqlstate", None) in _DEAD_SESSION:
        context.is_disconnect = True  # the whole pool is renewed, not only this connection
