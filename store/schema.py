"""Making, upgrading and checking the schema, by alembic migrations that ship with the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from store.engine import Store, open_store, translated
from store.errors import StoreNewer, StoreOlder

HEAD = "0012"
"""The schema this release works with."""

_MIGRATIONS = Path(__file__).parent / "migrations"
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "0012")
"""All revisions, oldest first; a test holds it to the files in migrations/versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeReport:
    """What an upgrade did. `before` is "" for a new store, `backup` None where there was nothing to save or to do."""

    before: str
    after: str
    backup: Path | None


def upgrade(store_url: str, base: Path, *, backup_to: Path) -> UpgradeReport:
    """Bring the schema to this release, made from nothing if need be; a backup goes to the folder `backup_to` first.

    The caller holds the writer's lock (store.lock). Raises StoreNewer for a schema of a later release; StoreError.
    All or nothing: a migration that fails leaves the store as it was.
    """
    store = open_store(store_url, base=base)
    try:
        before = current(store)
        refuse_newer(before)
        if before == HEAD:
            return UpgradeReport(before=before, after=HEAD, backup=None)
        saved = _save(store, base, backup_to, before) if before else None
        migrate(store, HEAD)
        return UpgradeReport(before=before, after=HEAD, backup=saved)
    finally:
        store.close()


def current(store: Store) -> str:
    """The revision the database says it has; "" for an empty database."""
    with translated(), store.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return ""
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""


def ensure_current(store: Store) -> None:
    """Raise StoreNewer or StoreOlder unless the schema is the one this release works with."""
    found = current(store)
    refuse_newer(found)
    if found != HEAD:
        raise StoreOlder(
            f"the store has schema {found or 'none'}, this release needs {HEAD}", hint="run: quietcrm db upgrade"
        )


def check(store: Store) -> list[str]:
    """Look for damage: what the database itself finds, rows without their owner, schema version. [] = sound."""
    found = current(store)
    problems = [] if found == HEAD else [f"the schema is {found or 'missing'}, this release needs {HEAD}"]
    with store.session() as session:
        connection = session.connection()
        if store.dialect == "sqlite":
            problems += [
                f"integrity: {row[0]}" for row in connection.execute(text("PRAGMA integrity_check")) if row[0] != "ok"
            ]
            problems += [
                f"{row[0]}: row {row[1]} points to a missing row of {row[2]}"
                for row in connection.execute(text("PRAGMA foreign_key_check"))
            ]
        if found == HEAD:
            problems += _orphans(connection)
    return problems


def migrate(store: Store, revision: str, *, connection: Connection | None = None) -> None:
    """Run the migrations up to a revision in one transaction (SQLite and PostgreSQL can undo DDL)."""
    from alembic import command
    from alembic.config import Config

    def run(given: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = given
        command.upgrade(config, revision)

    _in_transaction(store, run, connection)


def _in_transaction(store: Store, run: Callable[[Connection], None], connection: Connection | None) -> None:
    if connection is not None:
        run(connection)
        return
    with translated(), store.engine.execution_options(quietcrm_writing=True).begin() as own:
        run(own)


def tables_of_all_releases() -> tuple[str, ...]:
    """Names of every table that some release made."""
    from sqlmodel import SQLModel

    import store.tables

    assert store.tables
    return tuple(SQLModel.metadata.tables)


def refuse_newer(found: str) -> None:
    """Raise StoreNewer for a revision that this release does not know."""
    if found and found not in REVISIONS:
        raise StoreNewer(
            f"the store was made by a newer quietcrm (schema {found}, this one knows {HEAD})",
            hint="install the newer release again, or restore a backup made by this one",
        )


def _save(store: Store, base: Path, folder: Path, before: str) -> Path:
    from datetime import UTC, datetime

    from store.backup import backup

    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return backup(store.url, base, folder / f"before-{HEAD}-from-{before}-{stamp}.tar.gz")


def _orphans(connection: Connection) -> list[str]:
    """What foreign keys cannot say."""
    counts = {
        "interactions without a copy in any mailbox": "SELECT count(*) FROM interaction i WHERE i.channel = 'mail' AND "
        "NOT EXISTS (SELECT 1 FROM sighting s WHERE s.interaction_id = i.id)",
        "remembered mails without a hash": "SELECT count(*) FROM unmatched u WHERE "
        "NOT EXISTS (SELECT 1 FROM unmatched_key k WHERE k.unmatched_id = u.id)",
        "timeline entries at another time than their interaction": "SELECT count(*) FROM interaction_customer c "
        "JOIN interaction i ON i.id = c.interaction_id WHERE c.at <> i.at",
    }
    found = {what: connection.execute(text(statement)).scalar_one() for what, statement in counts.items()}
    return [f"{number} {what}" for what, number in found.items() if number]
