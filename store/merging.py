"""Two customers that are one: everything of the second goes to the first; can be undone."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from store import changes, customers
from store.customers import Actor
from store.errors import Conflict
from store.statements import insert_new, table
from store.tables import (
    Case,
    Contact,
    Customer,
    CustomerDomain,
    CustomerTag,
    Enrolment,
    InteractionCustomer,
    Lead,
    Note,
    Order,
    OutboxMail,
    Reminder,
    Task,
)

_CUSTOMER = table(Customer)
_MOVED = (Contact, Task, Lead, Case, Order, Note, OutboxMail, Reminder, Enrolment)
_JOINED = (CustomerTag, CustomerDomain, InteractionCustomer)


def merge(session: Session, keep: int, gone: int, by: Actor) -> int:
    """Move contacts, domains, tags, history and promises of `gone` to `keep`; number of the change.

    Fields that `keep` lacks are taken over. `gone` stays as a row that points to `keep` and is never matched again.
    Raises NotFound, Conflict (the same customer twice, or one of them was merged before).
    """
    first, second = customers.get(session, keep), customers.get(session, gone)
    ids = (keep, gone)
    merged = session.execute(
        select(_CUSTOMER.c.id).where(_CUSTOMER.c.id.in_(ids), _CUSTOMER.c.merged_into.is_not(None))
    ).scalars()
    if keep == gone or list(merged):
        raise Conflict("these two cannot be merged", hint="name two different customers that still stand alone")
    joined, moved = _join(session, keep, gone), _move(session, keep, gone)
    taken = _take_over(first, second)
    before = {name: getattr(first, name) for name in taken}
    session.execute(update(_CUSTOMER).where(_CUSTOMER.c.id == keep).values(taken))
    session.execute(update(_CUSTOMER).where(_CUSTOMER.c.id == gone).values(merged_into=keep))
    return changes.note(
        session,
        at=by.now,
        actor=by.name,
        what="merge",
        row=("customer", keep),
        before={
            "moved": moved,
            "rows": {name: rows for name, (rows, _) in joined.items()},
            "set": before,
            "gone": gone,
        },
        after={"rows": {name: rows for name, (_, rows) in joined.items()}},
    )


def _take_over(first: customers.CustomerRow, second: customers.CustomerRow) -> dict[str, Any]:
    """What the first gets from the second: values it lacks, its free fields, the newer of the last contacts."""
    names = customers.CUSTOMER_FIELDS
    taken = {name: getattr(second, name) for name in names if not getattr(first, name) and getattr(second, name)}
    taken["fields"] = {**second.fields, **first.fields}
    for name in ("last_in_at", "last_out_at"):
        times = [at for at in (getattr(first, name), getattr(second, name)) if at is not None]
        taken[name] = max(times) if times else None
    return taken


def _move(session: Session, keep: int, gone: int) -> list[list[Any]]:
    """Rows with a customer of their own change hands: [table, column, ids, old value]."""
    moved: list[list[Any]] = []
    for model in _MOVED:
        target = table(model)
        ids = list(session.execute(select(target.c.id).where(target.c.customer_id == gone)).scalars())
        if ids:
            session.execute(update(target).where(target.c.customer_id == gone).values(customer_id=keep))
            moved.append([target.name, "customer_id", ids, gone])
    return moved


def _join(session: Session, keep: int, gone: int) -> dict[str, tuple[list[Any], list[Any]]]:
    """Rows keyed by customer: table -> (rows of `gone` that were deleted, rows that `keep` got and had not)."""
    exchanged: dict[str, tuple[list[Any], list[Any]]] = {}
    for model in _JOINED:
        target = table(model)
        rows = [dict(row) for row in session.execute(select(target).where(target.c.customer_id == gone)).mappings()]
        if not rows:
            continue
        key = tuple(column.name for column in target.primary_key)
        other = next(name for name in key if name != "customer_id")
        has = set(session.execute(select(target.c[other]).where(target.c.customer_id == keep)).scalars())
        fresh = [row | {"customer_id": keep} for row in rows if row[other] not in has]
        insert_new(session, target, fresh, key=key)
        session.execute(delete(target).where(target.c.customer_id == gone))
        exchanged[target.name] = (rows, fresh)
    return exchanged
