"""What is not kept for ever: quarantine 30 days, traces 90 days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from store import quarantine
from store.statements import table
from store.tables import Trace

QUARANTINE_DAYS = 30
TRACE_DAYS = 90
_TRACE = table(Trace)


@dataclass(frozen=True, slots=True)
class Purged:
    """How many rows went."""

    quarantine: int
    traces: int


def purge(
    session: Session,
    now: datetime,
    *,
    quarantine_for: timedelta = timedelta(days=QUARANTINE_DAYS),
    traces_for: timedelta = timedelta(days=TRACE_DAYS),
) -> Purged:
    """Delete what is older than it may be."""
    traces = session.connection().execute(delete(_TRACE).where(_TRACE.c.at < now - traces_for)).rowcount
    return Purged(quarantine.purge(session, now - quarantine_for), int(traces))
