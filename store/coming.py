"""What rules wait for beside mail, asked of the tables: who fell silent, whose date comes, what was changed since; and
how far each was looked for. Everything goes by an index; nothing reads all customers at once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, insert, or_, select, union
from sqlalchemy.orm import Session

from store.statements import among, insert_new, table, upsert
from store.tables import Change, Contact, Customer, DatedField, Interaction, InteractionCustomer, LookMark, Trace

_MARK = table(LookMark)
_CUSTOMER = table(Customer)
_CONTACT = table(Contact)
_DATED = table(DatedField)
_CHANGE = table(Change)
_INTERACTION = table(Interaction)
_LINK = table(InteractionCustomer)
_TRACE = table(Trace)
OWNERS = ("customer", "contact")
UNREADABLE = 0
CHANNEL = "occasion"


@dataclass(frozen=True, slots=True)
class Mark:
    """How far was looked: until a time, until a numbered change."""

    at: datetime | None = None
    number: int = 0


# --- how far was looked --------------------------------------------------------------------------------------------


def marks(session: Session) -> dict[str, Mark]:
    """Name -> how far was looked."""
    return {row["name"]: Mark(row["at"], row["number"]) for row in session.execute(select(_MARK)).mappings()}


def set_marks(session: Session, found: Mapping[str, Mark]) -> None:
    """Note how far was looked."""
    rows = [{"name": name, "at": one.at, "number": one.number} for name, one in sorted(found.items())]
    upsert(session, _MARK, rows, key=("name",), change=("at", "number"))


def forget_marks(session: Session, names: Collection[str]) -> None:
    """What nobody looks for any more begins anew when somebody does again."""
    if names:
        session.execute(delete(_MARK).where(among(session, _MARK.c.name, names)))


# --- who fell silent -----------------------------------------------------------------------------------------------


def last_heard(session: Session, after: datetime, until: datetime) -> list[int]:
    """The customers whose last mail of either side came in this span: behind `after`, not behind `until`."""
    last_in, last_out = _CUSTOMER.c.last_in_at, _CUSTOMER.c.last_out_at
    parts = [
        select(_CUSTOMER.c.id).where(
            mine > after, mine <= until, or_(other.is_(None), other <= until), _CUSTOMER.c.merged_into.is_(None)
        )
        for mine, other in ((last_in, last_out), (last_out, last_in))
    ]
    return sorted(session.execute(union(*parts)).scalars())


def customers_behind(session: Session, number: int, limit: int, stages: Collection[str] = ()) -> list[int]:
    """The next customers by their numbers, in these stages (none named = in any)."""
    statement = select(_CUSTOMER.c.id).where(_CUSTOMER.c.id > number, _CUSTOMER.c.merged_into.is_(None))
    if stages:
        statement = statement.where(_CUSTOMER.c.stage.in_(sorted(stages)))
    return list(session.execute(statement.order_by(_CUSTOMER.c.id).limit(limit)).scalars())


# --- whose date comes ----------------------------------------------------------------------------------------------


def dated_on(session: Session, owner: str, field: str, month_days: Collection[int]) -> list[tuple[int, int | None]]:
    """(customer, contact or None) whose field holds one of these days of some year."""
    here = (_DATED.c.table_name == owner, _DATED.c.field == field, among(session, _DATED.c.month_day, month_days))
    if owner == "customer":
        statement = select(_CUSTOMER.c.id).join(_DATED, _DATED.c.row_id == _CUSTOMER.c.id)
        found = session.execute(statement.where(*here, _CUSTOMER.c.merged_into.is_(None))).scalars()
        return sorted((number, None) for number in found)
    people = select(_CONTACT.c.customer_id, _CONTACT.c.id).join(_DATED, _DATED.c.row_id == _CONTACT.c.id)
    return sorted((row[0], row[1]) for row in session.execute(people.where(*here)))


def unreadable(session: Session, limit: int = 1000) -> list[tuple[str, str, int, str]]:
    """(table, field, row, customer's name) where a field that a rule takes for a date holds none."""
    found = []
    for owner, link in (("customer", _CUSTOMER.c.id == _DATED.c.row_id), ("contact", _CONTACT.c.id == _DATED.c.row_id)):
        base = _CUSTOMER if owner == "customer" else _CONTACT.join(_CUSTOMER, _CUSTOMER.c.id == _CONTACT.c.customer_id)
        statement = (
            select(_DATED.c.field, _DATED.c.row_id, _CUSTOMER.c.name)
            .select_from(base.join(_DATED, link))
            .where(_DATED.c.table_name == owner, _DATED.c.month_day == UNREADABLE)
            .order_by(_DATED.c.field, _DATED.c.row_id)
            .limit(limit)
        )
        found += [(owner, row[0], row[1], row[2]) for row in session.execute(statement)]
    return found


def fields_behind(session: Session, owner: str, number: int, limit: int) -> list[tuple[int, Mapping[str, Any]]]:
    """The next rows of a table by their numbers, with their free fields."""
    columns = table(Customer if owner == "customer" else Contact).c
    statement = select(columns.id, columns.fields).where(columns.id > number).order_by(columns.id).limit(limit)
    return [(row[0], row[1]) for row in session.execute(statement)]


def fields_of(session: Session, owner: str, numbers: Collection[int]) -> dict[int, Mapping[str, Any]]:
    """Row -> its free fields; rows that are gone are missing."""
    columns = table(Customer if owner == "customer" else Contact).c
    statement = select(columns.id, columns.fields).where(among(session, columns.id, numbers))
    return {row[0]: row[1] for row in session.execute(statement)}


def keep_dates(session: Session, owner: str, fields: Collection[str], found: Mapping[int, Mapping[str, int]]) -> None:
    """Write down what stands in these fields of these rows: row -> field -> day (as DatedField.month_day)."""
    here = (_DATED.c.table_name == owner, among(session, _DATED.c.row_id, found), _DATED.c.field.in_(sorted(fields)))
    session.execute(delete(_DATED).where(*here))
    rows = [
        {"table_name": owner, "row_id": number, "field": field, "month_day": day}
        for number, several in sorted(found.items())
        for field, day in sorted(several.items())
    ]
    if rows:
        session.execute(insert(_DATED), rows)


def forget_dates(session: Session, owner: str, field: str) -> None:
    """No rule takes this field for a date any more."""
    session.execute(delete(_DATED).where(_DATED.c.table_name == owner, _DATED.c.field == field))


# --- what was changed ----------------------------------------------------------------------------------------------


def changes_behind(session: Session, number: int, limit: int, *, of_the_past: bool = True) -> list[Change]:
    """The next changes of customers and contacts, in their order; with or without those of the past (imports)."""
    statement = select(_CHANGE).where(_CHANGE.c.id > number, _CHANGE.c.table_name.in_(OWNERS))
    if not of_the_past:
        statement = statement.where(_CHANGE.c.chain >= 0)
    return [Change(**row) for row in session.execute(statement.order_by(_CHANGE.c.id).limit(limit)).mappings()]


def undone_since(session: Session, at: datetime) -> list[tuple[str, int]]:
    """(table, row) of customers and contacts of which a change was taken back at that time or later."""
    there = and_(_CHANGE.c.undone_at.is_not(None), _CHANGE.c.undone_at >= at, _CHANGE.c.table_name.in_(OWNERS))
    return [(row[0], row[1]) for row in session.execute(select(_CHANGE.c.table_name, _CHANGE.c.row_id).where(there))]


def newest_change(session: Session) -> int:
    """The number of the last change, 0 before the first."""
    return int(session.execute(select(func.max(_CHANGE.c.id))).scalar() or 0)


def change_before(session: Session, at: datetime) -> int:
    """The number of the last change before that time, 0 if there is none."""
    return int(session.execute(select(func.max(_CHANGE.c.id)).where(_CHANGE.c.at < at)).scalar() or 0)


def customers_of(session: Session, contacts: Collection[int]) -> dict[int, int]:
    """Contact -> its customer."""
    statement = select(_CONTACT.c.id, _CONTACT.c.customer_id).where(among(session, _CONTACT.c.id, contacts))
    return {row[0]: row[1] for row in session.execute(statement)}


# --- what came of it -----------------------------------------------------------------------------------------------


def recorded(session: Session, events: Collection[str]) -> set[str]:
    """Those of the events that rules acted on already; of a meeting's also what they did for a customer that was
    merged into this one since."""
    there = _there(session, events)
    earlier = _as_before_merging(session, set(events) - there)
    return there | {earlier[one] for one in _there(session, earlier)} if earlier else there


def _there(session: Session, events: Collection[str]) -> set[str]:
    statement = select(_INTERACTION.c.identity).where(among(session, _INTERACTION.c.identity, events))
    return set(session.execute(statement).scalars())


def _as_before_merging(session: Session, events: Collection[str]) -> dict[str, str]:
    """What an event of a meeting was called for each customer that was merged into its customer -> that event."""
    found = [one for one in map(_OF_MEETING.fullmatch, events) if one]
    merged = _merged_into(session, {int(one[2]) for one in found})
    return {f"{one[1]}{gone}": one[0] for one in found for gone in _below(int(one[2]), merged)}


def _merged_into(session: Session, customers: Collection[int]) -> dict[int, list[int]]:
    """Who was merged into each of them, and into those, and so on."""
    merged: dict[int, list[int]] = defaultdict(list)
    wanted = set(customers)
    while wanted:
        into = among(session, _CUSTOMER.c.merged_into, wanted)
        pairs = session.execute(select(_CUSTOMER.c.merged_into, _CUSTOMER.c.id).where(into)).all()
        for keep, gone in pairs:
            merged[keep].append(gone)
        wanted = {gone for _, gone in pairs} - merged.keys()
    return merged


def _below(customer: int, merged: Mapping[int, Collection[int]]) -> Iterator[int]:
    for gone in merged.get(customer, ()):
        yield gone
        yield from _below(gone, merged)


_OF_MEETING = re.compile(r"(.*\|meeting [0-9]+\|.*\|customer )([0-9]+)", re.DOTALL)


def record(
    session: Session,
    *,
    event: str,
    words: str,
    at: datetime,
    now: datetime,
    customer_id: int | None,
    rung: str,
    rep: str,
    trace: Mapping[str, Any],
    config_hash: str,
    logged_by: str = "",
    degraded: str = "",
) -> int | None:
    """Put an occasion into the history; its number, None if it is there already. `logged_by`: the first rule that
    acted on it."""
    row: dict[str, Any] = {
        **dict.fromkeys(("content_key", "direction", "message_id", "thread", "text", "sender", "sender_name"), ""),
        "identity": event,
        "channel": CHANNEL,
        "kind": CHANNEL,
        "at": at,
        "sent_at": None,
        "subject": words,
        "attachments": [],
        "headers": [],
        "size": -1,
        "rep": rep,
        "logged_by": logged_by,
        "degraded": degraded,
        "backfill": False,
        "created_at": now,
    }
    if not insert_new(session, _INTERACTION, [row], key=("identity",)):
        return None
    number = int(session.execute(select(_INTERACTION.c.id).where(_INTERACTION.c.identity == event)).scalar_one())
    if customer_id is not None:
        link = {"interaction_id": number, "customer_id": customer_id, "at": at, "rung": rung}
        insert_new(session, _LINK, [link])
    kept = {"interaction_id": number, "config_hash": config_hash, "at": now, "data": dict(trace)}
    insert_new(session, _TRACE, [kept])
    return number


def silences(session: Session, length: Any, since: datetime, until: datetime) -> Iterator[tuple[int, datetime]]:
    """(customer, last mail) of every silence of that length that came true in a span of the past, by the history."""
    columns = _INTERACTION.c
    following = func.lead(_LINK.c.at, type_=_LINK.c.at.type).over(partition_by=_LINK.c.customer_id, order_by=_LINK.c.at)
    letters = (
        select(_LINK.c.customer_id, _LINK.c.at.label("at"), following.label("next"))
        .join(_INTERACTION, columns.id == _LINK.c.interaction_id)
        .where(columns.at > since - length, columns.kind == "human")
        .subquery()
    )
    statement = select(letters.c.customer_id, letters.c.at, letters.c.next).where(letters.c.at <= until - length)
    for customer, at, following_at in session.execute(statement.order_by(letters.c.at, letters.c.customer_id)):
        if following_at is None or following_at > at + length:
            yield customer, at
