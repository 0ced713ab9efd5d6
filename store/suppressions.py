"""Who gets no mail and who is never logged: by keyed hash only, so it can outlive erasure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from store.statements import among, insert_new, table
from store.tables import Suppression

_SUPPRESSION = table(Suppression)
PURPOSES = ("mail", "log")


def add(session: Session, hashes: Collection[str], purpose: str, reason: str, now: datetime) -> int:
    """Suppress addresses or domains (HashKey.address, HashKey.domain) for "mail" or "log"; how many are new."""
    assert purpose in PURPOSES, purpose
    rows = [{"hash": one, "purpose": purpose, "reason": reason, "created_at": now} for one in dict.fromkeys(hashes)]
    return insert_new(session, _SUPPRESSION, rows, key=("hash", "purpose"))


def lift(session: Session, hashes: Collection[str], purpose: str) -> int:
    """Take suppressions back; how many there were."""
    statement = delete(_SUPPRESSION).where(
        among(session, _SUPPRESSION.c.hash, hashes), _SUPPRESSION.c.purpose == purpose
    )
    return int(session.connection().execute(statement).rowcount)


def which(session: Session, hashes: Collection[str], purpose: str) -> dict[str, str]:
    """Those of the hashes that are suppressed -> the reason."""
    if not hashes:
        return {}
    statement = select(_SUPPRESSION.c.hash, _SUPPRESSION.c.reason).where(
        among(session, _SUPPRESSION.c.hash, hashes), _SUPPRESSION.c.purpose == purpose
    )
    return {row[0]: row[1] for row in session.execute(statement)}


def count(session: Session, purpose: str) -> int:
    """How many hashes are suppressed for a purpose."""
    statement = select(_SUPPRESSION.c.hash).where(_SUPPRESSION.c.purpose == purpose)
    return len(session.execute(statement).all())
