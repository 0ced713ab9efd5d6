"""Tasks, leads, cases, orders and notes: what rules and reps add to a customer."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session
from sqlmodel import SQLModel

from store import changes
from store.customers import Actor
from store.errors import NotFound
from store.statements import table, values_of
from store.tables import Case, Lead, Note, Order, Task

RECORDS: dict[str, type[SQLModel]] = {"task": Task, "lead": Lead, "case": Case, "order": Order, "note": Note}
"""The word that rules use -> the model."""

Record = TypeVar("Record", Task, Lead, Case, Order, Note)


def add(session: Session, row: Task | Lead | Case | Order | Note) -> int:
    """Insert a record; its id."""
    into = table(type(row))
    return int(session.execute(insert(into).values(values_of(row)).returning(into.c.id)).scalar_one())


def create(session: Session, row: Task | Lead | Case | Order | Note, by: Actor) -> int:
    """Insert a record as a numbered change, so that it can be taken back; its id."""
    number = add(session, row)
    changes.note(
        session, at=by.now, actor=by.name, what="create", row=(str(row.__tablename__), number), before={}, after={}
    )
    return number


def make(what: str, fields: dict[str, Any], **known: Any) -> Task | Lead | Case | Order | Note:
    """A record of kind `what` from a rule's fields; those without a column go into `fields` (not of a note).

    `known`: columns set by us (customer_id, created_at ...), which win. KeyError for an unknown kind.
    """
    model = RECORDS[what]
    columns = set(table(model).columns.keys()) - {"id", "fields"}
    values = {name: value for name, value in fields.items() if name in columns} | known
    rest = {name: value for name, value in fields.items() if name not in columns}
    if rest and "fields" in table(model).columns:
        values["fields"] = rest
    row = model(**values)
    assert isinstance(row, (Task, Lead, Case, Order, Note))
    return row


def get(session: Session, model: type[Record], number: int) -> Record:
    """One record; NotFound."""
    row = session.execute(select(table(model)).where(table(model).c.id == number)).mappings().first()
    if row is None:
        raise NotFound(f"there is no {model.__tablename__} {number}", hint="look at: quietcrm customer show")
    return model(**row)


def of_customer(
    session: Session, model: type[Record], customer_id: int, *, states: Collection[str] = ()
) -> list[Record]:
    """The records of a customer, newest first."""
    columns = table(model).c
    statement = select(table(model)).where(columns.customer_id == customer_id)
    if states:
        statement = statement.where(columns.state.in_(list(states)))
    return [model(**row) for row in session.execute(statement.order_by(columns.id.desc())).mappings()]


def move(session: Session, model: type[Record], number: int, to: str, now: datetime, **fields: Any) -> bool:
    """Change the state ("done", "won", "solved" ...); False if it is in that state already or there is none."""
    columns = table(model).c
    values: dict[str, Any] = {"state": to, **fields}
    if "closed_at" in columns:
        values["closed_at"] = None if to == "open" else now
    statement = update(table(model)).where(columns.id == number, columns.state != to).values(**values)
    return bool(session.connection().execute(statement).rowcount)
