"""Pieces of SQL that the two databases spell differently."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Text, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session
from sqlalchemy.schema import Table
from sqlmodel import SQLModel

from store.engine import dump_json

FEW = 20
LIKE_ESCAPE = "\\"
_SQLITE = sqlite_dialect(json_serializer=dump_json)


def is_sqlite(session: Session) -> bool:
    """Whether this session talks to SQLite (else PostgreSQL)."""
    return session.get_bind().dialect.name == "sqlite"


def table(model: type[SQLModel]) -> Table:
    """The Core table of a model: the fast way in and out."""
    return SQLModel.metadata.tables[str(model.__tablename__)]


def values_of(row: SQLModel) -> dict[str, Any]:
    """The columns of a model instance as insert values; an id of None is left to the database."""
    values = {column.name: getattr(row, column.name) for column in table(type(row)).columns}
    if values.get("id", 0) is None:
        del values["id"]
    return values


def among(session: Session, column: ColumnElement[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """`column` is one of `values` (text or int); no limit on their number applies.

    Few values are listed, which is the cheapest for a single mail. Many are one bound value, so that one statement
    text serves every batch size.
    """
    if len(values) <= FEW:
        return column.in_(list(values))
    if is_sqlite(session):
        listed = func.json_each(literal(dump_json(list(values)), Text)).table_valued("value")
        return column.in_(select(listed.c.value))
    return column == func.any(bindparam(None, list(values), type_=ARRAY(column.type)))


def insert_new(
    session: Session, into: Table, rows: Sequence[Mapping[str, Any]], *, key: Iterable[str] | None = None
) -> int:
    """Insert the rows whose `key` (default: any unique key) is not there yet; the number really inserted.

    All rows have the same columns.
    """
    if not rows:
        return 0
    keys = tuple(key) if key else None
    if is_sqlite(session):
        return _insert_tuples(session, into, rows, keys, ())
    statement = postgresql_insert(into).on_conflict_do_nothing(index_elements=keys)
    result = session.connection().execute(statement, list(rows), execution_options={"preserve_rowcount": True})
    return int(result.rowcount)


def upsert(
    session: Session, into: Table, rows: Sequence[Mapping[str, Any]], *, key: Sequence[str], change: Sequence[str]
) -> None:
    """Insert rows; where `key` exists already, overwrite the columns `change`. All rows have the same columns."""
    if not rows:
        return
    if is_sqlite(session):
        _insert_tuples(session, into, rows, tuple(key), tuple(change))
        return
    statement = postgresql_insert(into)
    statement = statement.on_conflict_do_update(
        index_elements=list(key), set_={name: statement.excluded[name] for name in change}
    )
    session.connection().execute(statement, list(rows))


def _insert_tuples(
    session: Session,
    into: Table,
    rows: Sequence[Mapping[str, Any]],
    keys: tuple[str, ...] | None,
    change: tuple[str, ...],
) -> int:
    """Insert with the statement compiled once: SQLAlchemy's work for each row costs more than SQLite's own."""
    sql, names, makers = _compiled(into, tuple(rows[0]), keys, change)
    columns = [[row[name] for row in rows] for name in names]
    for index, make in makers:
        columns[index] = [make(value) for value in columns[index]]
    values = list(zip(*columns, strict=True))
    result = session.connection().exec_driver_sql(sql, values, execution_options={"preserve_rowcount": True})
    return int(result.rowcount)


@cache
def _compiled(
    into: Table, names: tuple[str, ...], keys: tuple[str, ...] | None, change: tuple[str, ...]
) -> tuple[str, tuple[str, ...], tuple[tuple[int, Callable[[Any], Any]], ...]]:
    """SQL text, names in the order of its question marks, and (index, what turns that value into SQLite's)."""
    statement = sqlite_insert(into)
    if change:
        wanted = {name: statement.excluded[name] for name in change}
        statement = statement.on_conflict_do_update(index_elements=keys, set_=wanted)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    compiled = statement.compile(dialect=_SQLITE, column_keys=list(names))
    order = tuple(compiled.positiontup or ())
    found = ((index, _maker(into, name)) for index, name in enumerate(order))
    return str(compiled), order, tuple((index, make) for index, make in found if make is not None)


def _maker(into: Table, name: str) -> Callable[[Any], Any] | None:
    return into.c[name].type.dialect_impl(_SQLITE).bind_processor(_SQLITE)


def like(text: str) -> str:
    """`text` with LIKE's own signs made harmless (use with escape=LIKE_ESCAPE)."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
