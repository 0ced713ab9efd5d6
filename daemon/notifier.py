"""Sends the lines that rules have for channels (`notify`). Each try is written down before it is made: after a crash in
between the line is sent again, so it may come twice and is never lost without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from config.errors import QuietcrmError
from config.secrets import SecretRef
from connectors.errors import Misconfigured
from connectors.notifying import notify
from daemon.clock import Clock
from daemon.office import Office
from daemon.watchdog import Watchdog
from store import notifications
from store.engine import Store
from store.tables import Notification, NotificationState

log = structlog.get_logger()

AT_ONCE = 20
HOUR = timedelta(hours=1)
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=30)
GIVE_UP = timedelta(hours=24)
"""After so long nobody on duty is helped by it any more."""
STEP = 60.0


@dataclass(slots=True, kw_only=True)
class Notifier:
    """Blocking, on a tick of its own: a service that keeps us waiting holds up no mail."""

    store: Store
    office: Office
    clock: Clock
    watchdog: Watchdog
    secret: Callable[[SecretRef], str]

    def send_due(self) -> int:
        """Send what is due; how many lines were settled."""
        with self.store.session() as session:
            rows = notifications.due(session, self.clock.now(), AT_ONCE)
        return sum(self._guard(row) for row in rows)

    def _guard(self, row: Notification) -> bool:
        assert row.id is not None
        now = self.clock.now()
        try:
            return self._send(row, now)
        except Misconfigured as error:
            return self._end(row, NotificationState.FAILED, f"{error.message}; {error.hint}")
        except QuietcrmError as error:
            reason = error.message
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            log.error("notify.failed", channel=row.channel, row=row.id, exc_info=error)
            reason = f"unexpected {type(error).__name__}"
        if now - row.created_at >= GIVE_UP:
            return self._end(row, NotificationState.FAILED, reason)
        if not row.attempts:
            log.warning("notify.waits", channel=row.channel, reason=reason)
        with self.store.writing() as session:
            notifications.change(session, row.id, reason=reason)
        return False

    def _send(self, row: Notification, now: datetime) -> bool:
        assert row.id is not None
        ref = self.office.settings.channels.get(row.channel)
        if ref is None:
            hint = "add it below `channels:` in quietcrm.yaml"
            raise Misconfigured(row.channel, "there is no such channel any more", hint=hint)
        with self.store.writing() as session:
            if self._is_over_limit(session, row, now):
                return False
            if not notifications.begin(session, row.id, now, now + _pause(row.attempts)):
                return False
        with self.watchdog.step(f"notify {row.channel}", STEP):
            notify(row.channel, self.secret(ref), row.text)
        return self._end(row, NotificationState.SENT)

    def _is_over_limit(self, session: Session, row: Notification, now: datetime) -> bool:
        """Whether the channel had its share of this hour; then the line waits."""
        assert row.id is not None
        limit = self.office.settings.limits.notifications_per_hour
        if row.attempts or notifications.tried_since(session, row.channel, now - HOUR) < limit:
            return False
        reason = f"the channel had {limit} lines within an hour"
        if now - row.created_at >= GIVE_UP:
            notifications.settle(session, row.id, NotificationState.FAILED, now, reason)
        else:
            notifications.change(session, row.id, retry_at=now + HOUR / 6, reason=reason)
        return True

    def _end(self, row: Notification, state: NotificationState, reason: str = "") -> bool:
        assert row.id is not None
        with self.store.writing() as session:
            notifications.settle(session, row.id, state, self.clock.now(), reason)
        level = log.info if state is NotificationState.SENT else log.warning
        level(f"notify.{state}", rule=row.rule, channel=row.channel, reason=reason)
        return True


def _pause(attempts: int) -> timedelta:
    return min(FIRST_PAUSE * (1 << min(attempts, 10)), LONGEST_PAUSE)


def notification_line(row: Notification) -> str:
    """One line to a channel, how it stands, by which rule."""
    stands = {NotificationState.PLANNED: "waiting", NotificationState.SENT: "sent", NotificationState.FAILED: "failed"}
    why = f" ({row.reason})" if row.reason else ""
    return f"{row.channel}, {row.text!r}: {stands[NotificationState(row.state)]}{why}, by rule {row.rule}"
