"""Mails that belong to nobody yet: where they lie and keyed hashes, no text and no address.

When an address, a domain or a Message-ID becomes known, its hash is looked up here and those mails are read again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from store.statements import among, insert_new, table
from store.tables import Unmatched, UnmatchedKey

_UNMATCHED = table(Unmatched)
_KEY = table(UnmatchedKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUnmatched:
    """A mail to remember. identity: HashKey.identity(Identity.key); hashes: of outside addresses ("a:"), outside
    domains ("d:") and Message-IDs it answers ("m:"). at: arrival."""

    identity: str
    account: str
    folder: str
    ref: str
    at: datetime
    hashes: Collection[str]
    kind: str = ""
    direction: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmatchedRow:
    """A remembered mail. due = to be read again."""

    id: int
    identity: str
    account: str
    folder: str
    ref: str
    at: datetime
    kind: str
    direction: str
    due: bool


def remember(session: Session, rows: Sequence[NewUnmatched]) -> int:
    """Keep mails; a copy that is remembered already gets its new place. How many copies are new."""
    if not rows:
        return 0
    known = _places(session, rows)
    fresh = {(row.account, row.folder, row.identity): row for row in rows}
    moved = [row for place, row in fresh.items() if place in known]
    for row in moved:
        number = known[row.account, row.folder, row.identity]
        session.execute(update(_UNMATCHED).where(_UNMATCHED.c.id == number).values(ref=row.ref))
    new = [row for place, row in fresh.items() if place not in known]
    insert_new(session, _UNMATCHED, [_values(row) for row in new], key=("account", "folder", "identity"))
    numbers = _places(session, new)
    keys = [
        {"unmatched_id": numbers[row.account, row.folder, row.identity], "hash": one}
        for row in new
        for one in dict.fromkeys(row.hashes)
    ]
    insert_new(session, _KEY, keys, key=("unmatched_id", "hash"))
    return len(new)


def known(session: Session, identities: Collection[str]) -> set[str]:
    """Those hashed identities that are remembered (in any mailbox)."""
    if not identities:
        return set()
    column = _UNMATCHED.c.identity
    return set(session.execute(select(column).where(among(session, column, identities))).scalars())


def find_for(session: Session, hashes: Collection[str]) -> list[UnmatchedRow]:
    """The mails that carry one of these hashes, oldest first."""
    if not hashes:
        return []
    carriers = select(_KEY.c.unmatched_id).where(among(session, _KEY.c.hash, hashes))
    return _rows(session, select(_UNMATCHED).where(_UNMATCHED.c.id.in_(carriers)))


def make_due(session: Session, hashes: Collection[str]) -> int:
    """Mark the mails that carry one of these hashes as to be read again; how many were not marked yet."""
    if not hashes:
        return 0
    carriers = select(_KEY.c.unmatched_id).where(among(session, _KEY.c.hash, hashes))
    statement = update(_UNMATCHED).where(_UNMATCHED.c.id.in_(carriers), _UNMATCHED.c.due.is_(False)).values(due=True)
    return int(session.connection().execute(statement).rowcount)


def due(session: Session, account: str | None = None, limit: int = 1000) -> list[UnmatchedRow]:
    """The mails to be read again, oldest first."""
    statement = select(_UNMATCHED).where(_UNMATCHED.c.due.is_(True))
    if account is not None:
        statement = statement.where(_UNMATCHED.c.account == account)
    return _rows(session, statement.limit(limit))


def forget(session: Session, ids: Collection[int]) -> int:
    """Delete remembered mails (they were logged, or are gone) with their hashes; how many."""
    if not ids:
        return 0
    session.execute(delete(_KEY).where(among(session, _KEY.c.unmatched_id, ids)))
    statement = delete(_UNMATCHED).where(among(session, _UNMATCHED.c.id, ids))
    return int(session.connection().execute(statement).rowcount)


def copies_of(session: Session, identities: Collection[str]) -> list[UnmatchedRow]:
    """Every remembered copy of these mails (hashed identities), in any mailbox."""
    if not identities:
        return []
    return _rows(session, select(_UNMATCHED).where(among(session, _UNMATCHED.c.identity, identities)))


def since(session: Session, moment: datetime) -> list[UnmatchedRow]:
    """Every remembered copy that arrived since, oldest first."""
    return _rows(session, select(_UNMATCHED).where(_UNMATCHED.c.at >= moment))


def rows_of(session: Session, identities: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Table -> the very rows that remember the copies of these mails, so that they can be put back."""
    kept = select(_UNMATCHED).where(among(session, _UNMATCHED.c.identity, identities))
    ids = (
        session.execute(select(_UNMATCHED.c.id).where(among(session, _UNMATCHED.c.identity, identities)))
        .scalars()
        .all()
    )
    keys = select(_KEY).where(among(session, _KEY.c.unmatched_id, ids))
    return {
        "unmatched": [dict(row) for row in session.execute(kept).mappings()],
        "unmatched_key": [dict(row) for row in session.execute(keys).mappings()],
    }


def waiting(session: Session) -> set[int]:
    """The numbers of the copies that are to be read again."""
    return set(session.execute(select(_UNMATCHED.c.id).where(_UNMATCHED.c.due.is_(True))).scalars())


def count(session: Session) -> int:
    """How many different mails are remembered."""
    return int(session.execute(select(func.count(_UNMATCHED.c.identity.distinct()))).scalar_one())


def questions(session: Session, since: datetime, *, limit: int = 1000) -> list[UnmatchedRow]:
    """Human mails from outside that arrived since: what "who is this?" is asked about. Newest first."""
    newest = select(_UNMATCHED).where(*_asked(since)).order_by(_UNMATCHED.c.at.desc(), _UNMATCHED.c.id.desc())
    return [_row(row) for row in session.execute(newest.limit(limit)).mappings()]


def _asked(since: datetime) -> tuple[Any, ...]:
    return (_UNMATCHED.c.at >= since, _UNMATCHED.c.kind == "human", _UNMATCHED.c.direction == "in")


def _places(session: Session, rows: Sequence[NewUnmatched]) -> dict[tuple[str, str, str], int]:
    if not rows:
        return {}
    columns = _UNMATCHED.c
    statement = select(columns.account, columns.folder, columns.identity, columns.id)
    statement = statement.where(among(session, columns.identity, {row.identity for row in rows}))
    return {(row[0], row[1], row[2]): row[3] for row in session.execute(statement)}


def _values(row: NewUnmatched) -> dict[str, Any]:
    return {
        "identity": row.identity,
        "account": row.account,
        "folder": row.folder,
        "ref": row.ref,
        "at": row.at,
        "kind": row.kind,
        "direction": row.direction,
        "due": False,
    }


def _rows(session: Session, statement: Any) -> list[UnmatchedRow]:
    ordered = statement.order_by(_UNMATCHED.c.at, _UNMATCHED.c.id)
    return [_row(row) for row in session.execute(ordered).mappings()]


def _row(row: Any) -> UnmatchedRow:
    return UnmatchedRow(**row)
