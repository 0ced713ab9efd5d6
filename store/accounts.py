"""What is known of each mailbox account: its position, its state, its folders, its progress."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, select, update
from sqlalchemy.orm import Session

from connectors.model import Cursor, Progress
from store.statements import insert_new, table
from store.tables import Account, AccountFolder

_ACCOUNT = table(Account)
_FOLDER = table(AccountFolder)


def begin(session: Session, name: str, now: datetime) -> Account:
    """The account; made if it is new. Then `now` is its baseline: mail received before it is history."""
    insert_new(session, _ACCOUNT, [_new(name, now)], key=("name",))
    row = load(session, name)
    assert row is not None
    return row


def load(session: Session, name: str) -> Account | None:
    """One account; None if nothing was ever stored of it."""
    row = session.execute(select(_ACCOUNT).where(_ACCOUNT.c.name == name)).mappings().first()
    return Account(**row) if row else None


def everything(session: Session) -> list[Account]:
    """All accounts by name."""
    return [Account(**row) for row in session.execute(select(_ACCOUNT).order_by(_ACCOUNT.c.name)).mappings()]


def load_cursor(session: Session, name: str) -> Cursor | None:
    """The saved position; None = read from the beginning."""
    found = session.execute(select(_ACCOUNT.c.cursor).where(_ACCOUNT.c.name == name)).scalar()
    return Cursor(found) if found else None


def save_cursor(session: Session, name: str, cursor: Cursor | None) -> None:
    """Keep the position, in the same transaction as the mails it stands for; None forgets it."""
    change(session, name, cursor=cursor)


def save_progress(session: Session, name: str, progress: Progress) -> None:
    """How far the back-fill is, in messages."""
    change(session, name, backfill_done=progress.done, backfill_total=progress.total)


def succeeded(session: Session, name: str, now: datetime) -> None:
    """A pass worked: no failures any more; state "behind" while the back-fill runs, else "ok"."""
    behind = _ACCOUNT.c.backfill_done < _ACCOUNT.c.backfill_total
    change(
        session,
        name,
        state=case((behind, "behind"), else_="ok"),
        reason="",
        hint="",
        failures=0,
        retry_at=None,
        last_attempt_at=now,
        last_success_at=now,
    )


def failed(
    session: Session, name: str, now: datetime, *, state: str, reason: str, hint: str, retry_at: datetime | None
) -> None:
    """A pass failed: state "failing" (tried again at `retry_at`) or "parked" (a person must mend it). Counts up."""
    change(
        session,
        name,
        state=state,
        reason=reason,
        hint=hint,
        retry_at=retry_at,
        last_attempt_at=now,
        failures=_ACCOUNT.c.failures + 1,
    )


def saw_mail(session: Session, name: str, at: datetime) -> None:
    """Mail that arrived at this time was read; the newest one counts (the silence alarm looks at it)."""
    newer = _ACCOUNT.c.last_mail_at.is_(None) | (_ACCOUNT.c.last_mail_at < at)
    session.execute(update(_ACCOUNT).where(_ACCOUNT.c.name == name, newer).values(last_mail_at=at))


def change(session: Session, name: str, **values: Any) -> None:
    """Set columns of an account."""
    session.execute(update(_ACCOUNT).where(_ACCOUNT.c.name == name).values(**values))


def forget(session: Session, name: str) -> None:
    """Forget position and state of an account; the history it gave stays."""
    session.execute(delete(_FOLDER).where(_FOLDER.c.account == name))
    session.execute(delete(_ACCOUNT).where(_ACCOUNT.c.name == name))


def folder_baselines(
    session: Session, account: str, folders: Collection[str], baseline_at: datetime
) -> dict[str, datetime]:
    """Folder -> the time before which its mail is old, of all folders of the account.

    Folders that are new now get `baseline_at`; at the account's very first pass that is its own baseline.
    """
    statement = select(_FOLDER.c.folder, _FOLDER.c.baseline_at).where(_FOLDER.c.account == account)
    known = {row[0]: row[1] for row in session.execute(statement)}
    fresh = [folder for folder in dict.fromkeys(folders) if folder not in known]
    rows = [{"account": account, "folder": folder, "baseline_at": baseline_at} for folder in fresh]
    insert_new(session, _FOLDER, rows, key=("account", "folder"))
    return known | dict.fromkeys(fresh, baseline_at)


def _new(name: str, baseline_at: datetime) -> dict[str, Any]:
    return {
        "name": name,
        "baseline_at": baseline_at,
        "state": "new",
        "reason": "",
        "hint": "",
        "failures": 0,
        "backfill_done": 0,
        "backfill_total": 0,
    }
