"""Reminders as events in a calendar of a mailbox.

The service gives each a UID of its own, so ours stands in a property beside it. Nobody is ever invited, so that the
service has nobody to write to.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final
from urllib.parse import quote

from connectors.calendars import OWN_CATEGORY, EventStatus, ItemKind, OwnItem, PlacedItem, When
from connectors.errors import Misconfigured
from connectors.graph.calendars import GraphCalendar, GraphCalendars, event_path
from connectors.graph.client import GraphClient, Json, Lost, Refused
from connectors.graph.events import EXPAND, OWN, PREFER, SELECT, BadEvent, occurrence
from connectors.graph.places import quoted
from connectors.graph.settings import GraphCalendarSettings
from connectors.ical.zones import UTC_ZONE, find_zone

__all__ = ["OwnEvents", "clock_time", "one_line"]

_NAMES: Final = uuid.UUID("7c1b5b3e-52d9-4f0c-8a5e-9b6f6f1d2a40")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


class OwnEvents:
    """Our events in one mailbox. Errors are those of `GraphClient`, and Misconfigured."""

    def __init__(self, settings: GraphCalendarSettings, client: GraphClient) -> None:
        self._settings, self._client = settings, client
        self._calendars = GraphCalendars(settings, client)
        self._zone = find_zone(settings.zone) or UTC_ZONE

    def home(self) -> str:
        """The name of the calendar that they go to. Raises Misconfigured."""
        return self._home(self._takers()).name

    def find(self, uid: str) -> PlacedItem | None:
        """Wherever its owner moved it; of copies that were made of it the oldest is ours."""
        takers = self._takers()
        for calendar in takers:
            rows = sorted(self._search(calendar, uid), key=lambda row: str(row.get("createdDateTime")))
            if rows:
                return self._placed(calendar, uid, rows[0])
        return None

    def create(self, item: OwnItem) -> PlacedItem | None:
        """Make it. None if it is not there afterwards. Raises Lost where nobody knows."""
        path = f"/calendars/{quote(self._home(self._takers()).id, safe='=')}/events"
        name = str(uuid.uuid5(_NAMES, f"{item.uid} {item.sequence}"))
        try:
            self._client.post(path, {**_body(item), "transactionId": name})
        except Lost:
            found = self.find(item.uid)
            if found is None:
                raise
            return found
        except Refused as error:
            if error.status != 409 and error.code.lower() != "errorduplicatetransactionid":
                raise
            if (found := self.find(item.uid)) is not None:
                return found
            self._client.post(path, {**_body(item), "transactionId": str(uuid.uuid4())})  # there once, and deleted
        return self.find(item.uid)

    def change(self, item: OwnItem, placed: PlacedItem) -> None:
        """Change it. Raises Refused with 412 if somebody was quicker."""
        self._client.patch(event_path(placed.ref), _body(item), etag=placed.revision)

    def remove(self, placed: PlacedItem) -> None:
        """Delete it. Raises Refused with 412 if somebody changed it."""
        self._client.delete(event_path(placed.ref), etag=placed.revision)

    def _takers(self) -> list[GraphCalendar]:
        """Calendars that take events, where they go to first."""
        name = self._settings.reminders.lower()
        takers = [one for one in self._calendars.every() if one.writable and (one.own or one.name.lower() == name)]
        return sorted(takers, key=lambda one: one.name.lower() != name)

    def _home(self, takers: list[GraphCalendar]) -> GraphCalendar:
        name = self._settings.reminders
        if takers and (not name or takers[0].name.lower() == name.lower()):
            return takers[0]
        message = f"no calendar called {name!r} takes reminders" if name else "no calendar takes reminders"
        raise Misconfigured(
            self._settings.account, message, hint="make one in Outlook, or correct reminders: in calendars:"
        )

    def _search(self, calendar: GraphCalendar, uid: str) -> Iterator[Json]:
        condition = f"singleValueExtendedProperties/Any(ep: ep/id eq {quoted(OWN)} and ep/value eq {quoted(uid)})"
        params = {"$filter": condition, "$select": f"{SELECT},createdDateTime", "$expand": EXPAND, "$top": "50"}
        return self._client.pages(f"/calendars/{quote(calendar.id, safe='=')}/events", params, prefer=PREFER)

    def _placed(self, calendar: GraphCalendar, uid: str, row: Json) -> PlacedItem:
        """What cannot be read is not ours to touch."""
        ref, revision = str(row.get("id")), str(row.get("@odata.etag") or "")
        try:
            event = occurrence(self._settings.account, calendar.name, ref, row, master=None, zone=self._zone)
        except BadEvent:
            return PlacedItem(
                calendar=calendar.name, ref=ref, revision=revision, uid=uid, kind=ItemKind.EVENT, ours=False
            )
        return PlacedItem(
            calendar=calendar.name,
            ref=ref,
            revision=revision,
            uid=uid,
            kind=ItemKind.EVENT,
            summary=event.summary,
            text=event.text,
            start=event.start,
            end=event.end,
            done=event.status is EventStatus.CANCELLED,
            ours=not row.get("attendees"),
        )


def one_line(text: str) -> str:
    """A text for a heading."""
    return " ".join(_CONTROLS.sub(" ", text).split())


def clock_time(when: When) -> Json:
    """A dateTimeTimeZone; a day begins at midnight, wherever that is."""
    if isinstance(when, datetime):
        return {"dateTime": f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S}", "timeZone": "UTC"}
    return {"dateTime": f"{when:%Y-%m-%d}T00:00:00", "timeZone": "UTC"}


def _body(item: OwnItem) -> Json:
    assert item.start is not None, "an event has a start"
    rings = item.alarm is not None and not item.done
    return {
        "subject": one_line(item.summary),
        "body": {"contentType": "text", "content": _CONTROLS.sub(" ", item.text)},
        "start": clock_time(item.start),
        "end": clock_time(_end(item.start, item.end)),
        "isAllDay": not isinstance(item.start, datetime),
        "categories": [OWN_CATEGORY],
        "showAs": "free",
        "isReminderOn": rings,
        "reminderMinutesBeforeStart": int(item.alarm.total_seconds() // 60) if item.alarm and rings else 0,
        "singleValueExtendedProperties": [{"id": OWN, "value": item.uid}],
    }


def _end(start: date, end: date | None) -> date:
    """A day lasts to the next midnight, a moment for no time at all."""
    if isinstance(start, datetime):
        return end if isinstance(end, datetime) else start
    return max(end or start, start + timedelta(days=1))
