"""When an event of Exchange is. EWS gives instants, and the name of the zone they were meant in; what else is known of
an event in its own time, above all its days, is worked out from these two."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from connectors.calendars import When
from connectors.exchange.words import Element, child
from connectors.ical.zones import UTC_ZONE, Zone, find_zone

__all__ = ["Clock", "clock_of"]

_HALF_A_DAY = timedelta(hours=12)


class Clock:
    """The wall clock of an event. `owner` is the zone of whoever has the calendar."""

    def __init__(self, zone: Zone, owner: Zone, note: str = "") -> None:
        self.zone, self._owner, self.note = zone, owner, note

    def show(self, instant: datetime) -> datetime:
        """The instant in the event's zone."""
        return self.zone.show(instant)

    def days(self, start: datetime, end: datetime) -> tuple[date, date, str]:
        """The days of an all-day event, the last one not part of it, and what was guessed, "" for nothing.

        They begin at midnight where the event was made. If it names no zone in which that is so, at midnight for its
        owner or in UTC; else at the midnight next to it.
        """
        for zone in (self.zone, self._owner, UTC_ZONE):
            if zone.show(start).time() == time():
                note = "" if zone is self.zone else f"its day is the one in {zone.name or 'UTC'}"
                break
        else:
            zone, note = self.zone, "it begins at no midnight, so its day was guessed"
        first = _nearest_day(zone.show(start))
        return first, max(_nearest_day(zone.show(end)), first + timedelta(days=1)), note

    def original(self, told: datetime, series_start: datetime, *, all_day: bool) -> When:
        """When an occurrence would begin had nobody moved it. Every occurrence of Exchange begins at the series' time
        of day, so that is what counts: EWS is an hour off where the clocks change in between (exchangelib #291)."""
        if all_day:
            return self.days(told, told)[0]
        wall = self.show(series_start).time()
        day = self.show(told).date()
        near = [self.zone.at(datetime.combine(day + timedelta(days=step), wall)) for step in (-1, 0, 1)]
        return min(near, key=lambda one: abs(one.astimezone(UTC) - told)).astimezone(UTC)


def clock_of(element: Element, owner: Zone) -> Clock:
    """By StartTimeZone, which holds Windows' name for the zone. Times of a zone that nobody knows are shown in the
    owner's: the instants are right in any case."""
    told = child(element, "StartTimeZone")
    name = str(told.get("Id", "")) if told is not None else ""
    found = find_zone(name) if name else None
    if found is not None:
        return Clock(found, owner)
    return Clock(owner, owner, f'its zone "{name[:60]}" is not known' if name else "")


def _nearest_day(wall: datetime) -> date:
    return (wall.replace(tzinfo=None) + _HALF_A_DAY).date()
