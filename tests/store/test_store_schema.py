"""Migrations, checks, backup and restore."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from servers.postgres import PostgresServer
from sqlalchemy import insert, select, text
from sqlmodel import SQLModel
from store_samples import ADMIN, NOW

from connectors.model import Message, Unreadable
from store import customers, interactions, merging, quarantine, schema
from store.backup import backup, restore, verify
from store.engine import Store, open_store
from store.errors import Conflict, StoreDamaged, StoreError, StoreNewer, StoreUnavailable
from store.hashing import HashKey
from store.identity import identity
from store.interactions import NewInteraction
from store.statements import table
from store.tables import Meta


def fill(store: Store, mail: Callable[..., Message]) -> None:
    """A row in each kind of column: times, dates, bytes, JSON, booleans, references to the same table."""
    with store.writing() as session:
        later = customers.add(session, "Später GmbH", ADMIN, {"stage": "cliente", "renewal": "2027-01-01"})
        first = customers.add(session, "Иванов", ADMIN)
        person = customers.add_contact(session, later, ADMIN, {"name": "Ana", "away_until": NOW.date()})
        customers.add_address(session, person, "ana@acme.example", ADMIN, alias=True)
        merging.merge(session, first, later, ADMIN)
        message = mail(subject="Цена", text="€ ünd\u2028 so")
        interactions.record(
            session,
            [
                NewInteraction(
                    message=message, identity=identity(message), kind="human", direction="in", backfill=True,
                    customers=[(first, "address")], contacts={"ana@acme.example": person}, created_at=NOW,
                )
            ],
        )  # fmt: skip
        quarantine.put(
            session, Unreadable(account="a", folder="f", ref="1", stage="parse", reason="x", raw=b"\0\xff"), NOW
        )


def content(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with store.session() as session:
        return {
            one.name: [tuple(row) for row in session.execute(select(one).order_by(*one.primary_key))]
            for one in SQLModel.metadata.sorted_tables
        }


def test_the_migrations_make_exactly_the_models(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_the_list_of_revisions_is_the_files() -> None:
    files = sorted(
        path.name.partition("_")[0] for path in (Path(schema.__file__).parent / "migrations/versions").glob("*.py")
    )
    assert tuple(files) == schema.REVISIONS


def test_upgrade_makes_a_store_once(database_url: str, tmp_path: Path) -> None:
    first = schema.upgrade(database_url, tmp_path, backup_to=tmp_path / "backups")
    again = schema.upgrade(database_url, tmp_path, backup_to=tmp_path / "backups")
    assert (first.before, first.after, first.backup) == ("", schema.HEAD, None)
    assert (again.before, again.after, again.backup) == (schema.HEAD, schema.HEAD, None)


def test_a_migration_that_fails_changes_nothing(database_url: str, tmp_path: Path) -> None:
    store = open_store(database_url, base=tmp_path)
    with store.writing() as session:
        session.execute(text("CREATE TABLE unmatched_key (in_the_way INTEGER)"))
    with pytest.raises(Exception, match="unmatched_key"):
        schema.migrate(store, schema.HEAD)
    assert schema.current(store) == ""
    with store.writing() as session:
        session.execute(text("DROP TABLE unmatched_key"))
    schema.migrate(store, schema.HEAD)
    assert schema.check(store) == []
    store.close()


def test_an_older_schema_is_saved_before_it_is_upgraded(
    store: Store, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    monkeypatch.setattr(schema, "REVISIONS", ("0000", *schema.REVISIONS))
    with pytest.raises(Exception, match="0000"):  # there is no such migration to go on from
        schema.upgrade(database_url, tmp_path, backup_to=tmp_path / "backups")
    (saved,) = (tmp_path / "backups").iterdir()
    assert verify(saved)["customer"] == 0


def test_check_finds_what_foreign_keys_cannot_say(store: Store, mail: Callable[..., Message]) -> None:
    fill(store, mail)
    assert schema.check(store) == []
    with store.writing() as session:
        session.execute(text("DELETE FROM sighting"))
    assert schema.check(store) == ["1 interactions without a copy in any mailbox"]


def test_backup_and_restore_bring_everything_back(
    store: Store, database_url: str, key: HashKey, mail: Callable[..., Message], tmp_path: Path
) -> None:
    fill(store, mail)
    state = tmp_path / "state"
    (state / "config.good" / "rules").mkdir(parents=True)
    (state / "config.good" / "rules" / "a.yaml").write_text("rules: []")
    before = content(store)
    archive = backup(database_url, tmp_path, tmp_path / "saved" / "one.tar.gz")
    assert archive.stat().st_mode & 0o777 == 0o600
    with store.writing() as session:
        session.execute(insert(table(Meta)).values(key="later", value="lost by the restore"))
    with pytest.raises(Conflict, match="store already") as caught:
        restore(archive, database_url, tmp_path)
    assert "--force" in caught.value.hint
    store.close()
    (state / "hash.key").unlink()
    done = restore(archive, database_url, tmp_path, force=True)
    assert done.rows["interaction"] == 1
    assert HashKey.load(state / "hash.key").id == key.id
    assert (state / "config.good" / "rules" / "a.yaml").read_text() == "rules: []"
    again = open_store(database_url, base=tmp_path)
    assert content(again) == before
    assert schema.check(again) == []
    with again.writing() as session:  # numbers go on behind the restored ones
        assert customers.add(session, "New", ADMIN) == 3
    again.close()


def test_a_backup_moves_between_the_two_databases(
    postgres: PostgresServer, mail: Callable[..., Message], tmp_path: Path
) -> None:
    home, moved, back = tmp_path / "one", tmp_path / "two", tmp_path / "three"
    server = postgres.new_database()
    schema.upgrade("sqlite:///state/crm.db", home, backup_to=home)
    store = open_store("sqlite:///state/crm.db", base=home)
    HashKey.create(home / "state" / "hash.key")
    fill(store, mail)
    before = content(store)
    restore(backup(store.url, home, home / "a.tar.gz"), server, moved)
    restore(backup(server, moved, moved / "b.tar.gz"), "sqlite:///state/crm.db", back)
    for url, base in ((server, moved), ("sqlite:///state/crm.db", back)):
        there = open_store(url, base=base)
        assert content(there) == before
        there.close()
    store.close()
    postgres.drop_database(server)


def test_a_backup_is_refused_when_it_is_not_what_it_says(
    store: Store, database_url: str, mail: Callable[..., Message], tmp_path: Path
) -> None:
    fill(store, mail)
    archive = backup(database_url, tmp_path, tmp_path / "one.tar.gz")
    with pytest.raises(Conflict):
        backup(database_url, tmp_path, archive)
    broken = tmp_path / "cut.tar.gz"
    broken.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(StoreDamaged):
        verify(broken)
    with tarfile.open(archive) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)  # Python 3.11.2 has none
        tar.extractall(tmp_path / "open")
    (tmp_path / "open" / "tables" / "customer.jsonl").write_text("")
    forged = tmp_path / "forged.tar.gz"
    with tarfile.open(forged, "w:gz") as tar:
        tar.add(tmp_path / "open", ".", filter=_plain_name)
    with pytest.raises(StoreDamaged, match="customer"):
        restore(forged, database_url, tmp_path, force=True)
    with pytest.raises(StoreUnavailable):
        verify(tmp_path / "nothing.tar.gz")


def _plain_name(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.name = member.name.removeprefix("./")
    return member


def test_a_backup_of_a_newer_release_is_refused(store: Store, database_url: str, tmp_path: Path) -> None:
    with store.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    archive = backup(database_url, tmp_path, tmp_path / "one.tar.gz")
    with pytest.raises(StoreNewer):
        restore(archive, database_url, tmp_path, force=True)


def test_there_is_nothing_to_save_in_an_empty_database(database_url: str, tmp_path: Path) -> None:
    open_store(database_url, base=tmp_path).close()
    with pytest.raises(StoreError):
        backup(database_url, tmp_path, tmp_path / "one.tar.gz")
