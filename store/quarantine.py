"""Mails that could not be read: what was fetched, at most 1 MB, for 30 days."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from connectors.model import Unreadable
from store.gate import storable
from store.statements import among, insert_new, table
from store.tables import Quarantine

_QUARANTINE = table(Quarantine)
MAX_RAW = 1_000_000


def put(session: Session, mail: Unreadable, now: datetime) -> int:
    """Keep an unreadable mail, or count one more attempt of one that is kept; the number of attempts so far.

    A mail that was settled and fails again is open again.
    """
    place = _at(mail.account, mail.folder, mail.ref)
    if insert_new(session, _QUARANTINE, [_values(mail, now)], key=("account", "folder", "ref")):
        return 1
    again: dict[str, Any] = {"stage": mail.stage, "reason": storable(mail.reason), "settled_at": None}
    if mail.raw:
        again["raw"] = mail.raw[:MAX_RAW]
    session.execute(update(_QUARANTINE).where(*place).values(**again, attempts=_QUARANTINE.c.attempts + 1))
    return int(session.execute(select(_QUARANTINE.c.attempts).where(*place)).scalar_one())


def attempts(session: Session, account: str, folder: str, ref: str) -> int:
    """How often reading this copy failed; 0 = never."""
    found = session.execute(select(_QUARANTINE.c.attempts).where(*_at(account, folder, ref))).scalar()
    return int(found or 0)


def settle(session: Session, account: str, folder: str, refs: Collection[str], now: datetime) -> None:
    """These copies could be read after all (or were dealt with): not open any more."""
    if refs:
        session.execute(
            update(_QUARANTINE)
            .where(_QUARANTINE.c.account == account, _QUARANTINE.c.folder == folder, _QUARANTINE.c.settled_at.is_(None))
            .where(among(session, _QUARANTINE.c.ref, refs))
            .values(settled_at=now)
        )


def pending(session: Session, limit: int = 100, *, since: datetime | None = None) -> list[Quarantine]:
    """Open ones, newest first, without their bytes (see raw)."""
    columns = [column for column in _QUARANTINE.c if column.name != "raw"]
    statement = select(*columns).where(_QUARANTINE.c.settled_at.is_(None))
    if since is not None:
        statement = statement.where(_QUARANTINE.c.created_at >= since)
    statement = statement.order_by(_QUARANTINE.c.created_at.desc(), _QUARANTINE.c.id.desc()).limit(limit)
    return [Quarantine(**row, raw=b"") for row in session.execute(statement).mappings()]


def raw(session: Session, number: int) -> bytes | None:
    """What was fetched of a mail in quarantine; None if there is no such row."""
    found = session.execute(select(_QUARANTINE.c.raw).where(_QUARANTINE.c.id == number)).scalar()
    return None if found is None else bytes(found)


def since(session: Session, accounts: Collection[str], at: datetime) -> list[tuple[str, bytes]]:
    """Open ones of these accounts that came, or that we met, after a time: (account, the first 64 KB)."""
    columns = _QUARANTINE.c
    statement = select(columns.account, func.substr(columns.raw, 1, 64 << 10)).where(
        columns.account.in_(list(accounts)),
        columns.settled_at.is_(None),
        func.coalesce(columns.received_at, columns.created_at) > at,
    )
    return [(account, bytes(raw)) for account, raw in session.execute(statement)]


def count(session: Session) -> int:
    """How many are open."""
    statement = select(func.count()).select_from(_QUARANTINE).where(_QUARANTINE.c.settled_at.is_(None))
    return int(session.execute(statement).scalar_one())


def purge(session: Session, before: datetime) -> int:
    """Delete what was put in before a time, open or not; how many."""
    return int(session.connection().execute(delete(_QUARANTINE).where(_QUARANTINE.c.created_at < before)).rowcount)


def _at(account: str, folder: str, ref: str) -> tuple[Any, ...]:
    return (_QUARANTINE.c.account == account, _QUARANTINE.c.folder == folder, _QUARANTINE.c.ref == ref)


def _values(mail: Unreadable, now: datetime) -> dict[str, Any]:
    return {
        "account": mail.account,
        "folder": mail.folder,
        "ref": mail.ref,
        "stage": mail.stage,
        "reason": storable(mail.reason),
        "attempts": 1,
        "raw": mail.raw[:MAX_RAW],
        "size": mail.size,
        "message_id": storable(mail.message_id),
        "received_at": mail.received_at,
        "created_at": now,
    }
