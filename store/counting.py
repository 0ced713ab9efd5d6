"""Counts over the whole history for reports: one statement each. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from store.coming import CHANNEL as OCCASION
from store.statements import table
from store.tables import Customer, Interaction

_CUSTOMER = table(Customer)
_INTERACTION = table(Interaction)


def by_stage(session: Session) -> dict[tuple[str, str], int]:
    """(stage, owner) -> how many customers, those merged into others left out."""
    names = _CUSTOMER.c.stage, _CUSTOMER.c.owner
    statement = select(*names, func.count()).where(_CUSTOMER.c.merged_into.is_(None)).group_by(*names)
    return {(row[0], row[1]): int(row[2]) for row in session.execute(statement)}


def by_rep(session: Session, since: datetime, until: datetime) -> dict[tuple[str, str, str, str], int]:
    """(rep, channel, kind, direction) -> how many entries of the history in [since, until), without occasions."""
    names = [_INTERACTION.c[name] for name in ("rep", "channel", "kind", "direction")]
    statement = select(*names, func.count()).where(
        _INTERACTION.c.at >= since, _INTERACTION.c.at < until, _INTERACTION.c.channel != OCCASION
    )
    return {(row[0], row[1], row[2], row[3]): int(row[4]) for row in session.execute(statement.group_by(*names))}


@dataclass(frozen=True, slots=True)
class Silent:
    """A customer of whom nobody has heard, and to whom nobody has written, since `last_at`."""

    id: int
    name: str
    stage: str
    owner: str
    last_in_at: datetime | None
    last_out_at: datetime | None
    last_at: datetime


def silent(session: Session, before: datetime, limit: int) -> list[Silent]:
    """Customers whose last mail of either side came before a time, the longest silent first. Who never wrote and was
    never written to is not among them."""
    columns = _CUSTOMER.c
    last_in, last_out = columns.last_in_at, columns.last_out_at
    newest = case(
        (last_in.is_(None), last_out), (last_out.is_(None), last_in), (last_in > last_out, last_in), else_=last_out
    )
    statement = (
        select(columns.id, columns.name, columns.stage, columns.owner, last_in, last_out)
        .where(
            columns.merged_into.is_(None),
            or_(last_in.is_not(None), last_out.is_not(None)),
            or_(last_in.is_(None), last_in < before),
            or_(last_out.is_(None), last_out < before),
        )
        .order_by(newest, columns.id)
        .limit(limit)
    )
    return [Silent(*row, max(filter(None, row[4:6]))) for row in session.execute(statement)]
