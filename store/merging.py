"""Two customers that are one: everything of the second goes to the first; can be undone."""

from __future__ import annotations

from shlex import quote
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from store import actions, changes, customers, enrolments
from store.customers import Actor
from store.errors import Conflict
from store.statements import insert_new, table
from store.tables import (
    ActionDone,
    Case,
    Contact,
    Customer,
    CustomerDomain,
    CustomerTag,
    Enrolment,
    InteractionCustomer,
    Lead,
    Note,
    Notification,
    Order,
    OutboxMail,
    Reminder,
    Task,
)

_CUSTOMER = table(Customer)
_ENROLMENT = table(Enrolment)
_DONE = table(ActionDone)
_MOVED = (Contact, Task, Lead, Case, Order, Note, OutboxMail, Reminder, Notification, Enrolment)
_SCOPES = ("customer", "deal")
"""What keys of rules.once name a customer by: a deal that is not known yet stands for its customer."""
_JOINED = (CustomerTag, CustomerDomain, InteractionCustomer)


def merge(session: Session, keep: int, gone: int, by: Actor) -> int:
    """Move contacts, domains, tags, history and promises of `gone` to `keep`; number of the change.

    Fields that `keep` lacks are taken over. `gone` stays as a row that points to `keep` and is never matched again.
    What either entered once, or a rule did once for either, counts for `keep`. Raises NotFound, Conflict (the same
    customer twice, one of them was merged before, or both are in sequences of which one allows no other).
    """
    first, second = customers.get(session, keep), customers.get(session, gone)
    ids = (keep, gone)
    merged = session.execute(
        select(_CUSTOMER.c.id).where(_CUSTOMER.c.id.in_(ids), _CUSTOMER.c.merged_into.is_not(None))
    ).scalars()
    if keep == gone or list(merged):
        raise Conflict("these two cannot be merged", hint="name two different customers that still stand alone")
    _refuse_two_sequences(session, first, second)
    joined = _join(session, keep, gone) | _join_turns(session, keep, gone)
    moved = [*_move_entries(session, keep, gone), *_move(session, keep, gone)]
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
    """Rows with a customer of their own change hands: [table, column, ids, old value, new value]."""
    moved: list[list[Any]] = []
    for model in _MOVED:
        target = table(model)
        ids = list(session.execute(select(target.c.id).where(target.c.customer_id == gone)).scalars())
        if ids:
            session.execute(update(target).where(target.c.customer_id == gone).values(customer_id=keep))
            moved.append([target.name, "customer_id", ids, gone, keep])
    return moved


def _refuse_two_sequences(session: Session, first: customers.CustomerRow, second: customers.CustomerRow) -> None:
    """Nobody may come to be in two sequences of which one allows no other: a person says which goes on."""
    mine, theirs = (enrolments.of_customers(session, [one.id]) for one in (first, second))
    for one in mine:
        for other in theirs:
            alone = one.exclusive_for is not None or other.exclusive_for is not None
            if alone or (one.sequence == other.sequence and one.recipient.lower() == other.recipient.lower()):
                raise Conflict(
                    f"{first.name} is in the sequence {one.sequence} and {second.name} in {other.sequence}, and one of "
                    "them allows no other",
                    hint=f"end one of them before: quietcrm sequences stop {quote(second.name)}",
                )


def _move_entries(session: Session, keep: int, gone: int) -> list[list[Any]]:
    """What `gone` entered once (rules.once: "customer 7", "deal 7") counts as entered by `keep`, behind what `keep`
    did; and what allowed `gone` no other allows `keep` no other."""
    moved: list[list[Any]] = []
    columns = _ENROLMENT.c
    for scope in _SCOPES:
        old, new = f"{scope} {gone}", f"{scope} {keep}"
        rows = session.execute(
            select(columns.id, columns.sequence, columns.round)
            .where(columns.entered_for == old)
            .order_by(columns.round)
        ).all()
        for sequence in sorted({row.sequence for row in rows}):
            mine = [row for row in rows if row.sequence == sequence]
            behind = enrolments.next_round(session, sequence, new)
            theirs = (columns.sequence == sequence, columns.entered_for == old)
            changed = {"entered_for": new, "round": columns.round + behind}
            session.execute(update(_ENROLMENT).where(*theirs).values(changed))
            moved.append(["enrolment", "entered_for", [row.id for row in mine], old, new])
            moved += [["enrolment", "round", [row.id], row.round, row.round + behind] for row in mine]
    alone = list(session.execute(select(columns.id).where(columns.exclusive_for == gone)).scalars())
    if alone:
        session.execute(update(_ENROLMENT).where(columns.exclusive_for == gone).values(exclusive_for=keep))
        moved.append(["enrolment", "exclusive_for", alone, gone, keep])
    return moved


def _join_turns(session: Session, keep: int, gone: int) -> dict[str, tuple[list[Any], list[Any]]]:
    """What rules with `once:` did for either of them was done for `keep`; the later time counts."""
    lost, fresh = [], []
    for scope in _SCOPES:
        old, new = (f"{actions.TURN}{scope} {number}" for number in (gone, keep))
        mine = {(row["rule"], row["slot"]): dict(row) for row in _turns(session, new)}
        for row in _turns(session, old):
            before = mine.get((row["rule"], row["slot"]))
            if before is None or before["done_at"] < row["done_at"]:
                lost += [before] if before else []
                fresh.append({**row, "event": new})
    for row in lost:
        session.execute(delete(_DONE).where(*(_DONE.c[key] == row[key] for key in ("event", "rule", "slot"))))
    if fresh:
        insert_new(session, _DONE, fresh, key=("event", "rule", "slot"))
    return {_DONE.name: (lost, fresh)} if fresh else {}


def _turns(session: Session, event: str) -> list[dict[str, Any]]:
    return [dict(row) for row in session.execute(select(_DONE).where(_DONE.c.event == event)).mappings()]


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
