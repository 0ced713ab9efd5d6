"""Lines to channels that rules want, from plan to end; see store.tables.NotificationState."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from store.statements import insert_new, table, values_of
from store.tables import Notification, NotificationState

_NOTE = table(Notification)


def plan(session: Session, row: Notification) -> int | None:
    """Insert unless (event, rule, slot) was there before; the id, or None."""
    if not insert_new(session, _NOTE, [values_of(row)], key=("event", "rule", "slot")):
        return None
    key = (_NOTE.c.event == row.event, _NOTE.c.rule == row.rule, _NOTE.c.slot == row.slot)
    return int(session.execute(select(_NOTE.c.id).where(*key)).scalar_one())


def due(session: Session, now: datetime, limit: int) -> list[Notification]:
    """Those to be sent now, the oldest first."""
    waits = or_(_NOTE.c.retry_at.is_(None), _NOTE.c.retry_at <= now)
    statement = select(_NOTE).where(_NOTE.c.state == NotificationState.PLANNED.value, waits)
    return [Notification(**row) for row in session.execute(statement.order_by(_NOTE.c.id).limit(limit)).mappings()]


def begin(session: Session, number: int, now: datetime, retry_at: datetime) -> bool:
    """Note that a try begins, and when the next one may; False if it is settled by now."""
    mine = (_NOTE.c.id == number, _NOTE.c.state == NotificationState.PLANNED.value)
    values = {"attempts": _NOTE.c.attempts + 1, "tried_at": now, "retry_at": retry_at}
    return bool(session.connection().execute(update(_NOTE).where(*mine).values(values)).rowcount)


def settle(session: Session, number: int, state: NotificationState, now: datetime, reason: str = "") -> None:
    """It came to an end."""
    values = {"state": state.value, "settled_at": now, "reason": reason}
    session.execute(update(_NOTE).where(_NOTE.c.id == number).values(values))


def change(session: Session, number: int, **fields: Any) -> None:
    """Set columns without changing the state."""
    session.execute(update(_NOTE).where(_NOTE.c.id == number).values(fields))


def tried_since(session: Session, channel: str, since: datetime) -> int:
    """How many lines to a channel were tried since."""
    statement = select(func.count()).where(_NOTE.c.channel == channel, _NOTE.c.tried_at >= since)
    return int(session.execute(statement).scalar_one())


def of_events(session: Session, events: Collection[str]) -> list[Notification]:
    """All that these events led to, oldest first."""
    statement = select(_NOTE).where(_NOTE.c.event.in_(list(events))).order_by(_NOTE.c.id)
    return [Notification(**row) for row in session.execute(statement).mappings()]


def failed_since(session: Session, since: datetime) -> list[tuple[str, str, int]]:
    """(channel, reason, how many) of what could not be sent since."""
    columns = (_NOTE.c.channel, _NOTE.c.reason)
    failed = (_NOTE.c.state == NotificationState.FAILED.value, _NOTE.c.settled_at >= since)
    statement = select(*columns, func.count()).where(*failed).group_by(*columns).order_by(*columns)
    return [(row[0], row[1], row[2]) for row in session.execute(statement)]
