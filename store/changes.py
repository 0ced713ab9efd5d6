"""The numbered list of changes to records, each with what was before, so that it can be reversed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Date, Table, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlmodel import SQLModel

from store import mailbox_marks
from store.columns import UtcTime
from store.errors import Conflict, NotFound
from store.statements import among, table
from store.tables import Change

_CHANGE = table(Change)


def note(
    session: Session,
    *,
    at: datetime,
    actor: str,
    what: str,
    row: tuple[str, int],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    chain: int = 0,
) -> int:
    """Write down a change of `row` (table name, id); its number. See `undo` for what each kind of change comes to, and
    store.tables.Change for `chain`.

    what: "create" (undo deletes), "set" (undo writes `before` back), "rows" (`before` and `after` hold the rows of
    other tables: {table: [row, ...]}; undo deletes `after` and puts `before` back), "merge", "logged" (a mail that
    belonged to nobody came into the history: undo takes it out and puts `before`'s rows back; `after` names under
    "due" the unmatched mails that became due by it), "marked" (a mark in a mailbox, planned; undo cancels it or plans
    the opposite).
    """
    values = {
        "at": at,
        "actor": actor,
        "what": what,
        "table_name": row[0],
        "row_id": row[1],
        "before": plain(before),
        "after": plain(after),
        "chain": chain,
    }
    return int(session.execute(insert(_CHANGE).values(values).returning(_CHANGE.c.id)).scalar_one())


def get(session: Session, number: int) -> Change:
    """One change; NotFound."""
    found = session.execute(select(_CHANGE).where(_CHANGE.c.id == number)).mappings().first()
    if found is None:
        raise NotFound(f"there is no change {number}", hint="the numbers are in: quietcrm log changes")
    return Change(**found)


def of_row(session: Session, table_name: str, row_id: int, limit: int = 50) -> list[Change]:
    """The changes of one record, newest first."""
    statement = (
        select(_CHANGE)
        .where(_CHANGE.c.table_name == table_name, _CHANGE.c.row_id == row_id)
        .order_by(_CHANGE.c.id.desc())
        .limit(limit)
    )
    return [Change(**row) for row in session.execute(statement).mappings()]


def recent(session: Session, since: datetime, limit: int = 100) -> list[Change]:
    """The newest changes of all records."""
    statement = select(_CHANGE).where(_CHANGE.c.at >= since).order_by(_CHANGE.c.id.desc()).limit(limit)
    return [Change(**row) for row in session.execute(statement).mappings()]


def newer(session: Session, number: int) -> list[int]:
    """The numbers of the changes behind this one, newest first: the order in which they can be undone."""
    statement = select(_CHANGE.c.id).where(_CHANGE.c.id > number).order_by(_CHANGE.c.id.desc())
    return list(session.execute(statement).scalars())


def newest(session: Session) -> int:
    """The number of the last change, 0 before the first."""
    return session.execute(select(func.max(_CHANGE.c.id))).scalar() or 0


def undo(session: Session, number: int, now: datetime) -> Change:
    """Reverse a change; Conflict if it was reversed already or the record was changed again since."""
    change = get(session, number)
    if change.undone_at is not None:
        raise Conflict(f"change {number} is undone already", hint="nothing to do")
    target = SQLModel.metadata.tables[change.table_name]
    if change.what == "create":
        _delete(session, target, change.row_id)
    elif change.what == "set":
        _put_back(session, target, change)
    elif change.what == "logged":
        _unlog(session, change)
    elif change.what == "marked":
        mailbox_marks.take_back(session, change.row_id, change.id or 0, now)
    else:
        _exchange(session, change)
    session.execute(update(_CHANGE).where(_CHANGE.c.id == number).values(undone_at=now))
    return change


def _delete(session: Session, target: Table, number: int) -> None:
    try:
        with session.begin_nested():
            session.execute(delete(target).where(target.c.id == number))
    except IntegrityError as error:
        raise Conflict(
            f"{target.name} {number} has mails or records of its own by now",
            hint="undo those first, or remove it with everything: quietcrm customer erase",
        ) from error


_OF_A_MAIL = ("trace", "gesture", "mailbox_mark", "sighting", "participant", "interaction_customer")


def _unlog(session: Session, change: Change) -> None:
    """Take a mail out of the history again: it is one of those that belong to nobody."""
    tables = SQLModel.metadata.tables
    try:
        with session.begin_nested():
            for name in _OF_A_MAIL:
                session.execute(delete(tables[name]).where(tables[name].c.interaction_id == change.row_id))
            session.execute(delete(tables["interaction"]).where(tables["interaction"].c.id == change.row_id))
    except IntegrityError as error:
        raise Conflict(f"mail {change.row_id} has records of its own", hint="undo those first") from error
    for name, rows in change.before.get("rows", {}).items():
        if rows:
            session.execute(insert(tables[name]), [typed(tables[name], row) for row in rows])
    waiting = tables["unmatched"]
    due = among(session, waiting.c.id, change.after.get("due", ()))
    session.execute(update(waiting).where(due).values(due=False))


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as JSON data: times and dates in ISO 8601."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(one) for one in value)
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def typed(target: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON data as column values of `target` again."""
    return {name: _typed(target, name, value) for name, value in values.items()}


def _typed(target: Table, name: str, value: Any) -> Any:
    if isinstance(value, str):
        if isinstance(target.c[name].type, UtcTime):
            return datetime.fromisoformat(value)
        if isinstance(target.c[name].type, Date):
            return date.fromisoformat(value)
    return value


def _put_back(session: Session, target: Table, change: Change) -> None:
    now_there = session.execute(select(target).where(target.c.id == change.row_id)).mappings().first()
    if now_there is None:
        raise Conflict("the record is gone", hint="nothing can be undone")
    for name, value in change.after.items():
        if _plain(now_there[name]) != value:
            hint = "undo the later change first; its number is in: quietcrm log changes"
            raise Conflict(f"{name} was changed again since", hint=hint)
    session.execute(update(target).where(target.c.id == change.row_id).values(typed(target, change.before)))


def _exchange(session: Session, change: Change) -> None:
    """Undo "rows" and "merge": moved references go back, deleted rows return, added rows go."""
    if change.what == "merge":
        customer = SQLModel.metadata.tables["customer"]
        old = typed(customer, change.before["set"])
        session.execute(update(customer).where(customer.c.id == change.row_id).values(old))
        session.execute(update(customer).where(customer.c.id == change.before["gone"]).values(merged_into=None))
    for name, column, numbers, old, *new in change.before.get("moved", ()):
        moved = SQLModel.metadata.tables[name]
        still = [moved.c[column] == value for value in new]  # what went its way since is not drawn back
        session.execute(update(moved).where(among(session, moved.c.id, numbers), *still).values({column: old}))
    for name, rows in change.after.get("rows", {}).items():
        added = SQLModel.metadata.tables[name]
        for row in rows:
            if name == "address":  # the mails of that address became the contact's with it
                people = SQLModel.metadata.tables["participant"]
                theirs = (people.c.contact_id == change.row_id, people.c.key == row["key"])
                session.execute(update(people).where(*theirs).values(contact_id=None))
            session.execute(delete(added).where(*(added.c[key.name] == row[key.name] for key in added.primary_key)))
    for name, rows in change.before.get("rows", {}).items():
        lost = SQLModel.metadata.tables[name]
        if rows:
            session.execute(insert(lost), [typed(lost, row) for row in rows])
