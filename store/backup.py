"""Backup and restore: one .tar.gz that either database can be made from again, without any client program.

In it: `manifest.json` (schema, counts, checksums), one `tables/NAME.jsonl` for each table (a JSON array a row),
`hash.key` and the last good configuration. So a backup of SQLite can also be restored into PostgreSQL and back.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import (
    Boolean,
    Connection,
    Date,
    DateTime,
    LargeBinary,
    MetaData,
    Table,
    func,
    insert,
    inspect,
    select,
    text,
)

from config import good
from config.state import state_directory
from store import schema
from store.engine import Store, dump_json, open_store, parse_url, translated
from store.errors import Conflict, StoreDamaged, StoreError, StoreUnavailable

FORMAT = 1
_BATCH = 1000
_KEPT = ("hash.key", good.LINK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore brought back: schema revision of the backup and rows for each table."""

    schema: str
    rows: Mapping[str, int]


def backup(store_url: str, base: Path, target: Path) -> Path:
    """Write everything into `target` (a .tar.gz, mode 0600, appears only when it is complete); returns it.

    Reads one consistent state while others go on writing. Raises Conflict if the file exists, StoreError.
    """
    if target.exists():
        raise Conflict(f"{target} exists already", hint="name another file")
    store = open_store(store_url, base=base, read_only=True)
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as scratch:
            folder = Path(scratch)
            manifest = _dump(store, folder)
            manifest["files"] = _keep(state_directory(base), folder)
            archive = _pack(folder, manifest)
            archive.replace(target)
    except OSError as error:
        raise StoreUnavailable(
            f"cannot write {target}: {error.strerror}", hint="check folder and free space"
        ) from error
    finally:
        store.close()
    return target


def restore(archive: Path, store_url: str, base: Path, *, force: bool = False) -> Restored:
    """Make the store from a backup, then bring it to this release's schema.

    The archive is verified first. Raises Conflict if there is a store already, unless `force`; StoreDamaged if the
    archive does not hold what it says; StoreNewer if a later release made it. The caller holds the writer's lock.
    """
    place = parse_url(store_url, base)
    scratch_home = Path(place.database or "").parent if place.drivername == "sqlite" else state_directory(base)
    scratch_home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=scratch_home, prefix=".restore-") as scratch:
        folder = Path(scratch)
        manifest = _unpack(archive, folder)
        schema.refuse_newer(manifest["schema"])
        if not force:
            _refuse_overwriting(store_url, base, folder)
        if place.drivername == "sqlite":
            rows = _restore_file(Path(place.database or ""), folder, manifest)
        else:
            rows = _restore_server(store_url, base, folder, manifest)
        _bring_back(folder, state_directory(base), manifest["files"])
    return Restored(schema=manifest["schema"], rows=rows)


def verify(archive: Path) -> Mapping[str, int]:
    """Check an archive against its own list; table -> rows. StoreDamaged says what is wrong."""
    with tempfile.TemporaryDirectory(prefix="quietcrm-verify-") as scratch:
        manifest = _unpack(archive, Path(scratch))
    return {name: entry["rows"] for name, entry in manifest["tables"].items()}


# --- writing an archive --------------------------------------------------------------------------------------------


def _dump(store: Store, folder: Path) -> dict[str, Any]:
    (folder / "tables").mkdir()
    options = {} if store.dialect == "sqlite" else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with translated(), store.engine.connect().execution_options(**options) as connection:
        revision = _revision(connection)
        metadata = MetaData()
        metadata.reflect(connection)
        tables = [one for one in metadata.sorted_tables if one.name != "alembic_version"]
        entries = {one.name: _dump_table(connection, one, folder / "tables" / f"{one.name}.jsonl") for one in tables}
    return {
        "format": FORMAT,
        "schema": revision,
        "made_at": datetime.now(UTC).isoformat(),
        "dialect": store.dialect,
        "tables": entries,
    }


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        raise StoreError("there is nothing to save yet", hint="run: quietcrm db upgrade")
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def _dump_table(connection: Connection, table: Table, path: Path) -> dict[str, Any]:
    columns = list(table.columns)
    writers = [_writer(column.type) for column in columns]
    statement = select(*columns).order_by(*table.primary_key.columns)
    result = connection.execution_options(yield_per=_BATCH).execute(statement)
    count, digest = 0, hashlib.sha256()
    with path.open("wb") as file:
        for row in result:
            values = [
                write(value) if write and value is not None else value
                for write, value in zip(writers, row, strict=True)
            ]
            line = dump_json(values).encode("utf-8", "surrogatepass") + b"\n"
            file.write(line)
            digest.update(line)
            count += 1
    names = [column.name for column in columns]
    return {"columns": names, "rows": count, "sha256": digest.hexdigest()}


def _writer(kind: Any) -> Callable[[Any], Any] | None:
    if isinstance(kind, DateTime):
        return _time_text
    if isinstance(kind, Date):
        return date.isoformat
    if isinstance(kind, LargeBinary):
        return lambda value: base64.b64encode(value).decode("ascii")
    return None


def _time_text(value: datetime) -> str:
    return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)).isoformat()


def _keep(state: Path, folder: Path) -> dict[str, str]:
    """Copy the hash key and the last good configuration (a file or a folder); path inside the archive -> checksum."""
    for name in _KEPT:
        source = (state / name).resolve()  # the last good set is a link: copy one set, whatever becomes of the link
        if source.is_dir():
            shutil.copytree(source, folder / "state" / name)
        elif source.is_file():
            (folder / "state").mkdir(exist_ok=True)
            shutil.copyfile(source, folder / "state" / name)
    found = sorted(path for path in (folder / "state").rglob("*") if path.is_file())
    return {path.relative_to(folder / "state").as_posix(): _checksum(path) for path in found}


def _pack(folder: Path, manifest: Mapping[str, Any]) -> Path:
    archive = folder / "archive.tar.gz"
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with (
            gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            tar.add(folder / "manifest.json", "manifest.json")
            for name in manifest["tables"]:
                tar.add(folder / "tables" / f"{name}.jsonl", f"tables/{name}.jsonl")
            for name in manifest["files"]:
                tar.add(folder / "state" / name, f"state/{name}")
        file.flush()
        os.fsync(file.fileno())
    return archive


# --- reading an archive --------------------------------------------------------------------------------------------


def _unpack(archive: Path, folder: Path) -> dict[str, Any]:
    """Extract the listed members and compare every checksum and count."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            manifest: dict[str, Any] = json.loads(_member(tar, "manifest.json").read())
            if manifest["format"] != FORMAT:
                raise StoreDamaged(
                    f"{archive} has an unknown form {manifest['format']}", hint="use the release that made it"
                )
            for name, entry in manifest["tables"].items():
                path = _extract(tar, f"tables/{name}.jsonl", folder)
                if _checksum(path) != entry["sha256"] or sum(1 for _ in _lines(path)) != entry["rows"]:
                    raise StoreDamaged(f"{archive}: the table {name} is not what was saved", hint=_OTHER)
            for name, checksum in manifest["files"].items():
                if _checksum(_extract(tar, f"state/{name}", folder)) != checksum:
                    raise StoreDamaged(f"{archive}: the file {name} is not what was saved", hint=_OTHER)
            return manifest
    except FileNotFoundError as error:
        raise StoreUnavailable(f"there is no file {archive}", hint="name the backup to restore") from error
    except (tarfile.TarError, OSError, EOFError, KeyError, ValueError) as error:
        raise StoreDamaged(f"{archive} cannot be read as a backup: {error}", hint=_OTHER) from error


_OTHER = "use another backup"


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(tar.getmember(name))
    if file is None:
        raise KeyError(name)
    return file


def _extract(tar: tarfile.TarFile, name: str, folder: Path) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name} leads out of the archive")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _member(tar, name) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
    return path


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_overwriting(store_url: str, base: Path, folder: Path) -> None:
    hint = "to replace it, stop quietcrm and add --force"
    key, saved = state_directory(base) / "hash.key", folder / "state" / "hash.key"
    if key.exists() and saved.exists() and key.read_bytes() != saved.read_bytes():
        raise Conflict(f"{key} is another key than the one in the backup", hint=hint)
    place = parse_url(store_url, base)
    if place.drivername == "sqlite" and not Path(place.database or "").exists():
        return
    store = open_store(store_url, base=base, read_only=True)
    try:
        if schema.current(store):
            raise Conflict("there is a store already", hint=hint)
    finally:
        store.close()


def _restore_file(path: Path, folder: Path, manifest: Mapping[str, Any]) -> dict[str, int]:
    """Build the new database beside the old one, then put it in its place in one step."""
    store = open_store(f"sqlite:///{folder / 'new.db'}", base=folder)
    try:
        with translated(), store.engine.execution_options(quietcrm_writing=True).begin() as connection:
            rows = _fill(store, connection, folder, manifest)
        problems = schema.check(store)
    finally:
        store.close()
    if problems:
        raise StoreDamaged(f"the backup is not sound: {problems[0]}", hint=_OTHER)
    for leftover in ("-journal", "-wal", "-shm"):
        path.with_name(path.name + leftover).unlink(missing_ok=True)
    (folder / "new.db").replace(path)
    return rows


def _restore_server(store_url: str, base: Path, folder: Path, manifest: Mapping[str, Any]) -> dict[str, int]:
    """Replace our tables in one transaction; tables of others in that database stay."""
    store = open_store(store_url, base=base)
    try:
        with translated(), store.engine.begin() as connection:
            for name in (*schema.tables_of_all_releases(), "alembic_version"):
                connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name}" CASCADE')
            return _fill(store, connection, folder, manifest)
    finally:
        store.close()


def _fill(store: Store, connection: Connection, folder: Path, manifest: Mapping[str, Any]) -> dict[str, int]:
    schema.migrate(store, manifest["schema"], connection=connection)
    metadata = MetaData()
    metadata.reflect(connection)
    rows = {}
    for table in metadata.sorted_tables:
        if table.name in manifest["tables"]:
            path = folder / "tables" / f"{table.name}.jsonl"
            rows[table.name] = _fill_table(connection, table, manifest["tables"][table.name]["columns"], path)
    if store.dialect == "postgresql":
        _advance_sequences(connection, metadata)
    schema.migrate(store, schema.HEAD, connection=connection)
    return rows


def _fill_table(connection: Connection, table: Table, names: list[str], path: Path) -> int:
    """Insert the rows. References to the same table (merged customers) are set when all rows are there."""
    later = {key.parent.name for key in table.foreign_keys if key.column.table is table}
    readers = {name: _reader(table.c[name].type, connection.dialect.name) for name in names}
    count, batch, references = 0, [], []
    for line in _lines(path):
        row = {
            name: readers[name](value) if value is not None else None
            for name, value in zip(names, json.loads(line), strict=True)
        }
        for name in later:
            if row[name] is not None:
                references.append((name, row[name], row["id"]))
                row[name] = None
        batch.append(row)
        count += 1
        if len(batch) == _BATCH:
            connection.execute(insert(table), batch)
            batch = []
    if batch:
        connection.execute(insert(table), batch)
    for name, value, number in references:
        connection.execute(table.update().where(table.c.id == number).values({name: value}))
    return count


def _reader(kind: Any, dialect: str) -> Callable[[Any], Any]:
    if isinstance(kind, DateTime):
        return _naive_time if dialect == "sqlite" else datetime.fromisoformat
    if isinstance(kind, Date):
        return date.fromisoformat
    if isinstance(kind, LargeBinary):
        return base64.b64decode
    return bool if isinstance(kind, Boolean) else _same


def _naive_time(value: str) -> datetime:
    return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)


def _same(value: Any) -> Any:
    return value


def _advance_sequences(connection: Connection, metadata: MetaData) -> None:
    for table in metadata.sorted_tables:
        if "id" in table.c:
            sequence = func.pg_get_serial_sequence(f'"{table.name}"', "id")
            highest = select(func.max(table.c.id)).scalar_subquery()  # NULL for an empty table: setval does nothing
            connection.execute(select(func.setval(sequence, highest)))


def _bring_back(folder: Path, state: Path, files: Mapping[str, str]) -> None:
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (folder / "state" / good.LINK).is_dir():
        good.bring_back(folder / "state" / good.LINK, state)
    for name in [name for name in files if not name.startswith(f"{good.LINK}/")]:
        target = state / name
        draft = target.with_name(f".{target.name}.restored")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write((folder / "state" / name).read_bytes())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
