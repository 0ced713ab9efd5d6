"""Takes back what one author changed since a time, newest first, and leaves alone what somebody else changed after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlmodel import SQLModel

from store import changes
from store.errors import Conflict
from store.statements import table
from store.tables import ActionDone, Change, Contact, InteractionCustomer, MailboxMark

_CHANGE = table(Change)
_DONE = table(ActionDone)
_CONTACT = table(Contact)
_LINK = table(InteractionCustomer)
_MARK = table(MailboxMark)
_RECORDS = {"lead": "lead", "case": "case", "task": "task", "note": "note", "sales_order": "order"}
_HEARD = ("last_in_at", "last_out_at")
"""Moved forward by newer mail all the time: left alone then, and that is no obstacle."""


@dataclass(frozen=True, slots=True)
class Reversed:
    """A change that was taken back, or why it was not. `why` "" = it was."""

    change: Change
    why: str = ""


def of(session: Session, actor: str, since: datetime) -> list[Change]:
    """What an author changed since, as far as it still stands, newest first."""
    statement = select(_CHANGE).where(_CHANGE.c.actor == actor, _CHANGE.c.at >= since, _CHANGE.c.undone_at.is_(None))
    return [Change(**row) for row in session.execute(statement.order_by(_CHANGE.c.id.desc())).mappings()]


def reverse(session: Session, actor: str, since: datetime, now: datetime) -> list[Reversed]:
    """Take back what an author changed since, newest first. What belongs together goes together or stays."""
    found: list[Reversed] = []
    for group in _groups(session, of(session, actor, since)):
        why = ""
        try:
            with session.begin_nested():
                for change in group:
                    _take_back(session, change, actor, now)
        except Conflict as error:
            why = error.message
        found += [Reversed(change, why) for change in group]
    return found


def _groups(session: Session, several: Sequence[Change]) -> Iterator[list[Change]]:
    """A customer that was made, with its contacts, addresses, domains and the mail that brought it, is one thing; all
    else stands alone."""
    made = {(one.row_id, one.at): one.id for one in several if one.what == "create" and one.table_name == "customer"}
    parts: dict[int, list[Change]] = {}
    for one in several:
        whole = made.get((customer_of(session, one), one.at))
        if whole is not None:
            parts.setdefault(whole, []).append(one)
    inside = {one.id for group in parts.values() for one in group}
    for one in several:
        if one.id in parts:
            yield parts[one.id]
        elif one.id not in inside:
            yield [one]


def customer_of(session: Session, change: Change) -> int:
    """The customer that a change is about, 0 if none: by the record itself, by its contact, by the mail it made."""
    if change.table_name == "customer":
        return change.row_id
    if change.table_name == "contact":
        statement = select(_CONTACT.c.customer_id).where(_CONTACT.c.id == change.row_id)
    elif change.what == "marked":
        statement = select(_LINK.c.customer_id).join(_MARK, _MARK.c.interaction_id == _LINK.c.interaction_id)
        statement = statement.where(_MARK.c.id == change.row_id).order_by(_LINK.c.customer_id)
    elif change.what == "logged":
        mine = _LINK.c.interaction_id == change.row_id
        statement = select(_LINK.c.customer_id).where(mine, _LINK.c.rung == "created")
    else:
        return 0
    return int(session.execute(statement).scalar() or 0)


def subject_of(session: Session, change: Change) -> int:
    """The customer whose record was changed, 0 if none."""
    target = SQLModel.metadata.tables[change.table_name]
    if change.table_name not in _RECORDS:
        return customer_of(session, change)
    return int(session.execute(select(target.c.customer_id).where(target.c.id == change.row_id)).scalar() or 0)


def _take_back(session: Session, change: Change, actor: str, now: datetime) -> None:
    """Raises Conflict where somebody changed the same thing since, or something else hangs on it."""
    assert change.id is not None
    if change.what == "set":
        _put_back(session, change)
        session.execute(update(_CHANGE).where(_CHANGE.c.id == change.id).values(undone_at=now))
    else:
        if change.what == "create":
            _mind_touched(session, change, actor)
        elif change.what != "marked":
            _mind_rows(session, change)
        try:
            with session.begin_nested():
                changes.undo(session, change.id, now)
        except IntegrityError as error:
            raise Conflict(f"{change.table_name} {change.row_id} has records of its own by now", hint="") from error
    _give_back_claim(session, change, actor)


def _later(session: Session, change: Change) -> list[Change]:
    """What stands of the changes to the same record behind this one, the oldest first."""
    statement = select(_CHANGE).where(
        _CHANGE.c.table_name == change.table_name,
        _CHANGE.c.row_id == change.row_id,
        _CHANGE.c.id > change.id,
        _CHANGE.c.undone_at.is_(None),
    )
    return [Change(**row) for row in session.execute(statement.order_by(_CHANGE.c.id)).mappings()]


def _put_back(session: Session, change: Change) -> None:
    """Write the earlier values back, field by field: one free field does not hold up another."""
    target = SQLModel.metadata.tables[change.table_name]
    row = session.execute(select(target).where(target.c.id == change.row_id)).mappings().first()
    if row is None:
        raise Conflict(f"{change.table_name} {change.row_id} is gone", hint="")
    now_there = changes.plain(dict(row))
    later = _later(session, change)
    values: dict[str, Any] = {}
    for name, after in change.after.items():
        if name == "fields":
            values["fields"] = _fields_put_back(dict(row["fields"]), change, later)
        elif now_there[name] == after:
            values[name] = change.before[name]
        elif name not in _HEARD:
            raise Conflict(_changed(name, (one for one in later if name in one.after)), hint="")
    if values:
        typed = changes.typed(target, values)
        session.execute(update(target).where(target.c.id == change.row_id).values(typed))


def _fields_put_back(now: dict[str, Any], change: Change, later: Sequence[Change]) -> dict[str, Any]:
    before, after = change.before["fields"], change.after["fields"]
    for name in before.keys() | after.keys():
        if before.get(name) == after.get(name):
            continue
        if now.get(name) != after.get(name):
            others = (one for one in later if _differ(one, name))
            raise Conflict(_changed(name, others), hint="")
        if name in before:
            now[name] = before[name]
        else:
            now.pop(name, None)
    return now


def _differ(change: Change, name: str) -> bool:
    before, after = change.before.get("fields", {}), change.after.get("fields", {})
    return bool(before.get(name) != after.get(name))


def _changed(name: str, others: Iterable[Change]) -> str:
    other = next(iter(others), None)
    by = f" by {other.actor} (change {other.id})" if other else ""
    return f"{name} was changed again since{by}"


def _mind_rows(session: Session, change: Change) -> None:
    """Tags, domains, addresses and whose mail it is: whoever changed the same row since wins. Raises Conflict."""
    mine = {(name, str(_key(name, row))) for name, row in _rows(change.before, change.after)}
    for other in _later(session, change):
        same = mine & {(name, str(_key(name, row))) for name, row in _rows(other.before, other.after)}
        if same:
            name = min(same)[0]
            raise Conflict(f"{_WORDS.get(name, name)} {_changed('', [other]).strip()}", hint="")
    for name, row in _rows({}, change.after):
        there = SQLModel.metadata.tables[name]
        keys = (there.c[key.name] == row[key.name] for key in there.primary_key)
        if session.execute(select(*there.primary_key).where(*keys)).first() is None:
            raise Conflict(f"{_WORDS.get(name, name)} was taken away since", hint="")


_WORDS = {
    "customer_tag": "the tag",
    "customer_domain": "the domain",
    "address": "the address",
    "interaction_customer": "whose mail it is",
}


def _rows(*sides: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for side in sides:
        for name, rows in side.get("rows", {}).items():
            if name not in ("unmatched", "unmatched_key"):
                yield from ((name, row) for row in rows)


def _key(name: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key.name] for key in SQLModel.metadata.tables[name].primary_key)


def _mind_touched(session: Session, change: Change, actor: str) -> None:
    """What was made goes only if nobody did anything with it since. Raises Conflict."""
    target = SQLModel.metadata.tables[change.table_name]
    row = session.execute(select(target).where(target.c.id == change.row_id)).mappings().first()
    word = _RECORDS.get(change.table_name, change.table_name)
    if row is None:
        raise Conflict(f"{word} {change.row_id} is gone already", hint="")
    if row.get("state", "open") != "open":
        raise Conflict(f"{word} {change.row_id} is {row['state']} by now", hint="")
    other = next((one for one in _later(session, change) if one.actor != actor), None)
    if other is not None:
        raise Conflict(f"{word} {change.row_id} was changed since by {other.actor} (change {other.id})", hint="")


def _give_back_claim(session: Session, change: Change, actor: str) -> None:
    """The effect did not happen after all: a later look back may propose it again."""
    rule = actor.removeprefix("rule ")
    mine = (_DONE.c.rule == rule, _DONE.c.done_at == change.at)
    word = _RECORDS.get(change.table_name)
    if word and change.what == "create":
        detail = f"{word} {change.row_id}"
        session.execute(delete(_DONE).where(_DONE.c.rule == rule, _DONE.c.detail == detail))
        return
    for slot in _slots(change):
        session.execute(delete(_DONE).where(*mine, _DONE.c.slot == slot))


def _slots(change: Change) -> Iterator[str]:
    """The slots that a change of this kind came from."""
    if change.what == "marked":
        yield str(change.after["slot"])
    if change.what == "set":
        yield from (name for name in ("stage", "segment", "owner") if name in change.after)
        before, after = change.before.get("fields", {}), change.after.get("fields", {})
        kind = "contact." if change.table_name == "contact" else ""
        for name in (*after.keys(), *before.keys(), *change.after):
            yield f"set:{kind}{name}"
    for name, row in _rows(change.before, change.after):
        if name == "customer_tag":
            yield f"tag:{row['tag']}"
        elif name == "interaction_customer":
            yield "file_under"
    if change.what == "create":
        yield f"create:{change.table_name}"
        yield "create:lead"
