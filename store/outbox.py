"""Mail to customers that rules want, from plan to end; see store.tables.OutboxState."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from store.promises import Promises
from store.statements import among, table
from store.tables import OutboxMail, OutboxState, Way

_OUTBOX = table(OutboxMail)
_promises = Promises(OutboxMail)

plan = _promises.plan
get = _promises.get
due = _promises.due
next_due = _promises.next_due
in_states = _promises.in_states
of_customers = _promises.of_customers
customers_in = _promises.customers_in
by_message_ids = _promises.by_message_ids
move = _promises.move
change = _promises.change
counts = _promises.counts
settled_since = _promises.settled_since


_FIXED = ("id", "state", "recipient", "template", "due_at", "message_id")
_SHOWN = (*_FIXED, "way", "obstacle", "retry_at", "rep", "rule", "subject", "reason", "late")


def listing(
    session: Session,
    *,
    states: Collection[str] = (),
    rule: str = "",
    obstacle: str = "",
    limit: int | None = 100,
) -> list[dict[str, Any]]:
    """Newest first, with the fields of `outbox list --json` and what a person needs to decide. "" = any."""
    columns = _OUTBOX.c
    statement = select(*(columns[name] for name in _SHOWN)).order_by(columns.id.desc()).limit(limit)
    if states:
        statement = statement.where(columns.state.in_([str(one) for one in states]))
    for column, wanted in ((columns.rule, rule), (columns.obstacle, obstacle)):
        statement = statement.where(column == wanted) if wanted else statement
    rows = [dict(row) for row in session.execute(statement).mappings()]
    return [_shown(row) for row in rows]


def outcomes(session: Session) -> dict[str, dict[str, int]]:
    """Rule -> state -> how many of its mails came to that."""
    columns = _OUTBOX.c
    found: dict[str, dict[str, int]] = {}
    statement = select(columns.rule, columns.state, func.count()).group_by(columns.rule, columns.state)
    for rule, state, count in session.execute(statement):
        found.setdefault(rule, {})[state] = count
    return found


def find(session: Session, number: int) -> OutboxMail | None:
    """One mail by its number, None if it is gone."""
    row = session.execute(select(_OUTBOX).where(_OUTBOX.c.id == number)).mappings().first()
    return OutboxMail(**row) if row else None


def states_of(session: Session, numbers: Collection[int]) -> dict[int, str]:
    """Number -> state."""
    if not numbers:
        return {}
    statement = select(_OUTBOX.c.id, _OUTBOX.c.state).where(among(session, _OUTBOX.c.id, set(numbers)))
    return {row[0]: row[1] for row in session.execute(statement)}


def count(session: Session, state: OutboxState, way: Way) -> int:
    """How many are in a state, of one way."""
    statement = select(func.count()).where(_OUTBOX.c.state == state.value, _OUTBOX.c.way == way.value)
    return int(session.execute(statement).scalar_one())


def counts_by_way(session: Session) -> dict[tuple[str, str], int]:
    """(state, way) -> how many."""
    columns = _OUTBOX.c
    statement = select(columns.state, columns.way, func.count()).group_by(columns.state, columns.way)
    return {(state, way): count for state, way, count in session.execute(statement)}


def for_people(session: Session, since: datetime) -> list[OutboxMail]:
    """Mail that leaves by itself and that a person should hear of, oldest first: what is held or uncertain, however
    long, and what was sent, refused, cancelled or came back since."""
    columns = _OUTBOX.c
    open_ones = columns.state.in_([OutboxState.HELD.value, OutboxState.UNCERTAIN.value])
    statement = select(_OUTBOX).where(columns.way == Way.SEND, or_(open_ones, columns.settled_at >= since))
    return [OutboxMail(**row) for row in session.execute(statement.order_by(columns.id)).mappings()]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "state": row["state"], "to": row.pop("recipient"), **row}


__all__: Sequence[str] = [
    "by_message_ids",
    "change",
    "count",
    "counts",
    "counts_by_way",
    "customers_in",
    "due",
    "find",
    "for_people",
    "get",
    "in_states",
    "listing",
    "move",
    "next_due",
    "of_customers",
    "plan",
    "settled_since",
    "states_of",
]
