"""What stands still: what the admin paused, and everything that reaches people after a burst of actions.

A burst is more than `limits: actions_per_hour` drafts, sends, reminders, notices and starts of sequences by rules
within an hour. Then all that was promised waits, nothing is lost, and the admin is told; `quietcrm release` frees it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import structlog
from sqlmodel import Session

from daemon.office import Office
from store import pauses
from store.tables import OutboxMail, Reminder

log = structlog.get_logger()

HOUR = timedelta(hours=1)


def watch(session: Session, office: Office, now: datetime) -> None:
    """Trip if rules did too much within the last hour, since the last release."""
    limit = office.settings.limits.actions_per_hour
    released = pauses.released_at(session)
    since = max(now - HOUR, released) if released is not None and released <= now else now - HOUR
    rule, count = pauses.busiest(session, since)
    if count <= limit:
        return
    reason = f"rules did {count} things within an hour (limit {limit}), most of them {rule}"
    if pauses.pause(session, pauses.BREAKER, "quietcrm", now, reason):
        log.error("breaker.tripped", actions=count, limit=limit, rule=rule)


def stands_still(stands: Collection[str], *names: str) -> bool:
    """Whether one of these ("rule x", "sequence y") waits for a word."""
    return not {pauses.ALL, pauses.BREAKER, *names}.isdisjoint(stands)


def paused_rules(session: Session, office: Office) -> frozenset[str]:
    """The rules that only watch: those the admin paused, or all of them."""
    stands = pauses.everything(session)
    every = pauses.ALL in stands
    return frozenset(rule.name for rule in office.rules.rules if every or f"rule {rule.name}" in stands)


def owner_of(row: OutboxMail | Reminder) -> str:
    """The rule or sequence by whose pause a promise stands still."""
    return f"{'rule' if row.enrolment_id is None else 'sequence'} {row.rule}"
