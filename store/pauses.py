"""What stands still: by a word of the admin, or by the breaker after a burst. Nothing that waits is lost by it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from store.statements import insert_new, table
from store.tables import ActionDone, Meta, Pause

_PAUSE = table(Pause)
_DONE = table(ActionDone)
_META = table(Meta)
_RELEASED = "breaker.released"
ALL, BREAKER = "all", "breaker"
_OUTWARD = ("draft", "remind%", "start:%", "notify%")
"""Slots of what reaches people. Changes to records can be taken back, so they trip nothing."""


def everything(session: Session) -> dict[str, Pause]:
    """What stands still, by what it is."""
    return {row["what"]: Pause(**row) for row in session.execute(select(_PAUSE).order_by(_PAUSE.c.what)).mappings()}


def pause(session: Session, what: str, actor: str, now: datetime, reason: str = "") -> bool:
    """Let something stand still; False if it does."""
    row = {"what": what, "at": now, "actor": actor, "reason": reason}
    return bool(insert_new(session, _PAUSE, [row], key=("what",)))


def resume(session: Session, what: Collection[str]) -> list[str]:
    """Let these go on; those that stood still."""
    wanted = _PAUSE.c.what.in_(list(what))
    stood = list(session.execute(select(_PAUSE.c.what).where(wanted).order_by(_PAUSE.c.what)).scalars())
    session.execute(delete(_PAUSE).where(wanted))
    return stood


def note_release(session: Session, now: datetime) -> None:
    """The breaker was released: what was done before does not trip it again."""
    session.execute(delete(_META).where(_META.c.key == _RELEASED))
    insert_new(session, _META, [{"key": _RELEASED, "value": now.isoformat()}], key=("key",))


def released_at(session: Session) -> datetime | None:
    """When the breaker was released last."""
    found = session.execute(select(_META.c.value).where(_META.c.key == _RELEASED)).scalar()
    return datetime.fromisoformat(str(found)) if found else None


def busiest(session: Session, since: datetime) -> tuple[str, int]:
    """The rule with the most drafts, sends, reminders, notices and starts since, and how many all rules had together;
    ("", 0) for none."""
    columns = _DONE.c
    statement = (
        select(columns.rule, func.count())
        .where(columns.done_at > since, or_(*(columns.slot.like(one) for one in _OUTWARD)))
        .group_by(columns.rule)
        .order_by(func.count().desc(), columns.rule)
    )
    rows = session.execute(statement).all()
    return (rows[0][0], sum(row[1] for row in rows)) if rows else ("", 0)
