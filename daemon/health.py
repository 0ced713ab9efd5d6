"""How quietcrm is doing: for `status`, for systemd, for the admin."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlmodel import Session

from daemon.meeting_times import box_of
from daemon.office import Office
from store import accounts, enrolments, outbox, pauses, quarantine, reminders, unmatched
from store.engine import Store
from store.tables import Account, EnrolmentState, OutboxState, Way

if TYPE_CHECKING:
    from daemon.app import App


def status(office: Office, store: Store, now: datetime) -> dict[str, Any]:
    """The shape of `status --json`, but for whether a daemon runs and what it refused."""
    with store.session() as session:
        rows = {row.name: row for row in accounts.everything(session)}
        stands = pauses.everything(session)
        breaker = stands.get(pauses.BREAKER)
        return {
            "config": office.hash,
            "zone": str(office.settings.zone),
            "accounts": {name: _account(rows.get(name), now) for name in office.settings.accounts},
            "calendars": {name: _calendar(rows.get(box_of(name)), now) for name in office.settings.calendars},
            "outbox": outbox.counts(session),
            "sends": sends(session),
            "reminders": reminders.counts(session),
            "sequences": _sequences(session),
            "paused": [one for one in stands if one != pauses.BREAKER],
            "breaker": breaker.reason if breaker else "",
            "quarantined": quarantine.count(session),
            "unmatched": unmatched.count(session),
        }


def _sequences(session: Session) -> dict[str, int]:
    """Sequence -> how many are in it."""
    counts = enrolments.counts(session)
    return {name: count for (name, state), count in sorted(counts.items()) if state == EnrolmentState.ACTIVE}


def sends(session: Session) -> dict[str, int]:
    """Mail that leaves by itself: how many wait, are held, are uncertain, were refused."""
    counts = outbox.counts_by_way(session)

    def count(*states: OutboxState) -> int:
        return sum(counts.get((state.value, Way.SEND.value), 0) for state in states)

    return {
        "waiting": count(OutboxState.PLANNED, OutboxState.CLAIMED, OutboxState.SENDING),
        "held": count(OutboxState.HELD),
        "uncertain": count(OutboxState.UNCERTAIN),
        "refused": count(OutboxState.REFUSED),
    }


def _account(row: Account | None, now: datetime) -> dict[str, Any]:
    if row is None:
        return {"state": "new", "reason": "", "last_success": None, "lag_seconds": None, "backfill": None}
    lag = (now - row.last_success_at).total_seconds() if row.last_success_at else None
    return {
        "state": row.state,
        "reason": row.reason,
        "hint": row.hint,
        "last_success": row.last_success_at,
        "lag_seconds": round(lag) if lag is not None else None,
        "last_mail": row.last_mail_at,
        "failures": row.failures,
        "retry_at": row.retry_at,
        "backfill": {"done": row.backfill_done, "total": row.backfill_total, "left_seconds": _left(row, now)},
    }


def _calendar(row: Account | None, now: datetime) -> dict[str, Any]:
    """How the calendars of one login are doing."""
    told = _account(row, now)
    return {name: told[name] for name in ("state", "reason", "hint", "last_success", "lag_seconds") if name in told}


def _left(row: Account, now: datetime) -> int | None:
    """Seconds until the back-fill is through at the pace since the account was first seen; None if unknown or done."""
    if not 0 < row.backfill_done < row.backfill_total:
        return None
    pace = row.backfill_done / max((now - row.baseline_at).total_seconds(), 1.0)
    return round((row.backfill_total - row.backfill_done) / pace)


def status_line(app: App) -> str:
    """One line for systemd: "3 accounts: 2 ok, 1 failing; mails: 1 uncertain"."""
    names = set(app.office.settings.accounts)
    boxes = {box_of(name) for name in app.office.settings.calendars}
    with app.store.session() as session:
        rows = accounts.everything(session)
        states = [row.state for row in rows if row.name in names]
        broken = sum(row.state in ("failing", "parked") for row in rows if row.name in boxes)
        mails = sends(session)
        tripped = pauses.BREAKER in pauses.everything(session)
    parts = [
        f"{states.count(state)} {state}" for state in ("ok", "behind", "paused", "failing", "parked") if state in states
    ]
    waiting = [f"{mails[state]} {state}" for state in ("uncertain", "held") if mails[state]]
    stuck = f"; mails: {', '.join(waiting)}" if waiting else ""
    stuck += "; the breaker holds everything: quietcrm release" if tripped else ""
    trouble = "; configuration refused, the last good one runs" if app.config_trouble else ""
    calendars = f"; {broken} of {len(boxes)} calendars cannot be read" if broken else ""
    return f"{len(names)} accounts: {', '.join(parts) or 'starting'}{calendars}{stuck}{trouble}"
