"""Opening, transactions, locks, translated errors."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from servers.postgres import PostgresServer
from sqlalchemy import text
from store_samples import NOW

from store import accounts, schema
from store.engine import Store, open_store, parse_url
from store.errors import (
    AlreadyRunning,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreNewer,
    StoreOlder,
    StoreUnavailable,
)
from store.lock import WriterLock


def test_commits_at_the_end_and_rolls_back_on_any_error(store: Store) -> None:
    with store.writing() as session:
        accounts.begin(session, "one", NOW)
    with pytest.raises(ZeroDivisionError):
        _write_and_fail(store)
    with store.session() as session:
        assert [account.name for account in accounts.everything(session)] == ["one"]


def _write_and_fail(store: Store) -> None:
    with store.writing() as session:
        accounts.begin(session, "two", NOW)
        _ = 1 / 0


def test_a_reading_session_cannot_write(store: Store) -> None:
    with (
        pytest.raises(StoreUnavailable, match=r"readonly|read-only|database file cannot be used|not ready"),
        store.session() as session,
    ):
        accounts.begin(session, "one", NOW)
    with store.writing() as session:
        accounts.begin(session, "one", NOW)


def test_a_store_opened_for_reading_refuses_to_write(database_url: str, store: Store, tmp_path: Path) -> None:
    reader = open_store(database_url, base=tmp_path, read_only=True)
    with pytest.raises(StoreError, match="reading only"), reader.writing():
        pass
    reader.close()


def test_times_come_back_aware_and_in_utc(store: Store) -> None:
    with store.writing() as session:
        accounts.begin(session, "one", datetime(2026, 11, 22, 9, 30, 1, 5, tzinfo=UTC))
    with store.session() as session:
        row = accounts.load(session, "one")
    assert row is not None
    assert row.baseline_at == datetime(2026, 11, 22, 9, 30, 1, 5, tzinfo=UTC)
    assert row.baseline_at.tzinfo is UTC


def test_a_naive_time_is_refused(store: Store) -> None:
    with pytest.raises(Exception, match="naive datetime"), store.writing() as session:
        accounts.begin(session, "one", NOW.replace(tzinfo=None))


def test_sqlite_is_private_durable_and_knows_its_foreign_keys(tmp_path: Path) -> None:
    store = open_store("sqlite:///state/crm.db", base=tmp_path)
    with store.session() as session:
        settings = {
            name: session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("foreign_keys", "synchronous", "busy_timeout", "journal_mode")
        }
    store.close()
    wanted = "wal" if sqlite3.sqlite_version_info >= (3, 51, 3) else "truncate"
    assert settings == {"foreign_keys": 1, "synchronous": 2, "busy_timeout": 30_000, "journal_mode": wanted}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "crm.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "nonsense"])
def test_urls_we_cannot_use_are_refused_with_a_hint(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        parse_url(url, tmp_path)
    assert "sqlite:///state/crm.db" in caught.value.hint


@pytest.mark.parametrize("url", ["postgresql://u@h/d", "postgresql+psycopg://u@h/d"])
def test_both_ways_to_write_a_postgresql_url_mean_psycopg(url: str, tmp_path: Path) -> None:
    assert parse_url(url, tmp_path).drivername == "postgresql+psycopg"


def test_no_file_for_a_reader_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no database"):
        open_store("sqlite:///state/crm.db", base=tmp_path, read_only=True)


def test_no_server_is_unavailable(tmp_path: Path) -> None:
    store = open_store("postgresql://nobody@127.0.0.1:1/nothing", base=tmp_path)
    with pytest.raises(StoreUnavailable, match="does not answer") as caught, store.session() as session:
        session.execute(text("SELECT 1"))
    assert caught.value.hint
    store.close()


def test_an_empty_database_wants_an_upgrade(database_url: str, tmp_path: Path) -> None:
    store = open_store(database_url, base=tmp_path)
    with pytest.raises(StoreOlder, match=r"table|schema") as caught, store.session() as session:
        accounts.everything(session)
    assert "db upgrade" in caught.value.hint
    store.close()


def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "crm.db").write_bytes(b"this is no database at all" * 100)
    store = open_store("sqlite:///crm.db", base=tmp_path)
    with pytest.raises(StoreDamaged) as caught, store.session() as session:
        accounts.everything(session)
    assert "db restore" in caught.value.hint
    store.close()


def test_somebody_elses_write_lock_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.engine.BUSY_SECONDS", 0.05)
    schema.upgrade("sqlite:///crm.db", tmp_path, backup_to=tmp_path)
    other = sqlite3.connect(tmp_path / "crm.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store = open_store("sqlite:///crm.db", base=tmp_path)
    with pytest.raises(StoreBusy), store.writing():
        pass
    other.execute("ROLLBACK")
    other.close()
    with store.writing() as session:
        accounts.begin(session, "one", NOW)
    store.close()


_READERS = """
import sys, pathlib, threading
from store import accounts
from store.engine import open_store
def read():
    for _ in range(10):
        store = open_store(sys.argv[1], base=pathlib.Path("/"), read_only=True)
        with store.session() as session:
            accounts.everything(session)
        store.close()
threads = [threading.Thread(target=read) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_eight_readers_in_two_processes_and_a_writer_do_not_disturb_each_other(store: Store, database_url: str) -> None:
    command = [sys.executable, "-W", "error", "-c", _READERS, database_url]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    readers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    written = 0
    while any(reader.poll() is None for reader in readers):
        with store.writing() as session:
            accounts.begin(session, f"account {written % 50}", NOW)
            accounts.change(session, "account 0", failures=written)
        written += 1
    assert [reader.communicate()[1] for reader in readers] == ["", ""]
    with store.session() as session:
        row = accounts.load(session, "account 0")
    assert row is not None
    assert row.failures == written - 1


def test_threads_write_in_turn(store: Store) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(5):
                with store.writing() as session:
                    accounts.begin(session, "shared", NOW)
                    row = accounts.load(session, "shared")
                    assert row is not None
                    accounts.change(session, "shared", failures=row.failures + 1 if store.dialect == "sqlite" else 0)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with store.session() as session:
        row = accounts.load(session, "shared")
    assert row is not None
    assert row.failures == (40 if store.dialect == "sqlite" else 0)


_SECOND = """
import sys, pathlib
from store.engine import open_store
from store.lock import WriterLock
from store_samples import NOW
from store.errors import AlreadyRunning
lock = WriterLock(open_store(sys.argv[1], base=pathlib.Path("/")))
try:
    lock.acquire()
except AlreadyRunning as error:
    print("refused:", error.hint)
else:
    print("got it")
"""


def test_only_one_process_gets_the_writers_lock(store: Store, database_url: str) -> None:
    def second() -> str:
        command = [sys.executable, "-c", _SECOND, database_url]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    lock = WriterLock(store)
    with lock:
        lock.check()
        assert second().startswith("refused: let the running quietcrm")
        with pytest.raises(AlreadyRunning), WriterLock(store):
            pass
    assert second() == "got it\n"


def test_connections_recover_when_the_server_ends_them(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.new_database()
    schema.upgrade(url, tmp_path, backup_to=tmp_path / "backups")
    store = open_store(url, base=tmp_path)
    with store.writing() as session:
        accounts.begin(session, "one", NOW)
    lock = WriterLock(store)
    lock.acquire()
    with store.session() as session:
        session.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"))
    with pytest.raises(StoreUnavailable), store.session() as session:
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    with store.writing() as session:
        accounts.begin(session, "two", NOW)
    lock.check()
    with pytest.raises(AlreadyRunning), WriterLock(store):
        pass
    lock.release()
    store.close()
    postgres.drop_database(url)


def test_a_newer_schema_is_refused(store: Store, database_url: str, tmp_path: Path) -> None:
    with store.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreNewer) as caught:
        schema.upgrade(database_url, tmp_path, backup_to=tmp_path / "backups")
    assert "newer release" in caught.value.hint
    with pytest.raises(StoreNewer):
        schema.ensure_current(store)
