"""Pieces of SQL that the two databases spell differently."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Text, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session
from sqlalchemy.schema import Table
from sqlmodel import SQLModel

from store.engine import dump_json

LIKE_ESCAPE = "\\"


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
    """`column` is one of `values` (text or int), as one bound value however many there are.

    One statement text serves every batch size, and no limit on the number of parameters applies.
    """
    if is_sqlite(session):
        listed = func.json_each(literal(dump_json(list(values)), Text)).table_valued("value")
        return column.in_(select(listed.c.value))
    return column == func.any(bindparam(None, list(values), type_=ARRAY(column.type)))


def insert_new(
    session: Session, into: Table, rows: Sequence[Mapping[str, Any]], *, key: Iterable[str] | None = None
) -> int:
    """Insert the rows whose `key` (default: any unique key) is not there yet; the number really inserted."""
    if not rows:
        return 0
    make = sqlite_insert if is_sqlite(session) else postgresql_insert
    statement = make(into).on_conflict_do_nothing(index_elements=list(key) if key else None)
    result = session.connection().execute(statement, list(rows), execution_options={"preserve_rowcount": True})
    return int(result.rowcount)


def upsert(
    session: Session, into: Table, rows: Sequence[Mapping[str, Any]], *, key: Sequence[str], change: Sequence[str]
) -> None:
    """Insert rows; where `key` exists already, overwrite the columns `change`."""
    if not rows:
        return
    make = sqlite_insert if is_sqlite(session) else postgresql_insert
    statement = make(into)
    statement = statement.on_conflict_do_update(
        index_elements=list(key), set_={name: statement.excluded[name] for name in change}
    )
    session.connection().execute(statement, list(rows))


def like(text: str) -> str:
    """`text` with LIKE's own signs made harmless (use with escape=LIKE_ESCAPE)."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
