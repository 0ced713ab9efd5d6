"""Calendars are read again right before something happens because of a meeting: it may have been moved, shortened,
split off its series or called off since.

What is not known cannot be asked: where a calendar does not answer now, what it said last counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from daemon.calendar_poll import CalendarPoller
from daemon.clock import Clock
from daemon.settling import meeting_of
from store import meetings, reminders
from store.engine import Store
from store.tables import ReminderState

FRESH = timedelta(seconds=60)
"""So old what we know of a meeting may be at most when something happens because of it."""
_OPEN = (ReminderState.PLANNED, ReminderState.PLACING, ReminderState.PLACED)


@dataclass(slots=True)
class Freshness:
    """Reads the calendars again in which meetings stand, unless they were read this minute."""

    store: Store
    clock: Clock
    pollers: Mapping[str, CalendarPoller]
    _read_at: dict[str, datetime] = field(default_factory=dict)

    def look_at(self, numbers: Collection[int]) -> None:
        """Read again where these meetings lie. Writes what it finds; hold no transaction and no turn."""
        with self.store.session() as session:
            copies = [one for several in meetings.copies_of(session, numbers).values() for one in several]
        places: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for copy in copies:
            places[copy.account].add((copy.calendar, copy.ref))
        for account, wanted in places.items():
            now, poller = self.clock.now(), self.pollers.get(account)
            read_at = self._read_at.get(account)
            if poller is None or not poller.is_due() or (read_at and timedelta(0) <= now - read_at < FRESH):
                continue
            poller.look_again(sorted(wanted))
            self._read_at[account] = now

    def reminded_of(self, until: datetime) -> set[int]:
        """The meetings of which somebody is to be reminded between now and then."""
        with self.store.session() as session:
            rows = reminders.due_between(session, _OPEN, self.clock.now(), until)
        return {number for row in rows if (number := meeting_of(row.event)) is not None}
