"""What people do to logged mail in their mailboxes, until the rules have had their say."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from store.statements import table, values_of
from store.tables import Gesture

_GESTURE = table(Gesture)


def note(session: Session, several: Sequence[Gesture]) -> None:
    """Write down what was done."""
    if several:
        session.execute(insert(_GESTURE), [values_of(one) for one in several])


def waiting(session: Session, limit: int) -> list[Gesture]:
    """Those whose rules have not run yet, the oldest first."""
    return [Gesture(**row) for row in session.execute(select(_GESTURE).order_by(_GESTURE.c.id).limit(limit)).mappings()]


def tried(session: Session, number: int) -> None:
    """The mail could not be read this time."""
    session.execute(update(_GESTURE).where(_GESTURE.c.id == number).values(attempts=_GESTURE.c.attempts + 1))


def done(session: Session, number: int) -> bool:
    """It is dealt with; whether it was still there."""
    return bool(session.connection().execute(delete(_GESTURE).where(_GESTURE.c.id == number)).rowcount)
