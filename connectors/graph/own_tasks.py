"""Reminders as tasks in To Do. Our UID stands in a link to us, which the person sees as where the task comes from.

To Do keeps the day a task is due, and a clock time only for its reminder.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Final
from urllib.parse import quote

from connectors.calendars import OWN_CATEGORY, ItemKind, OwnItem, PlacedItem, When
from connectors.errors import Misconfigured
from connectors.graph.client import GraphClient, Json, Lost, Refused
from connectors.graph.events import BadEvent, day_of, moment_of, plain
from connectors.graph.own_events import clock_time, one_line
from connectors.graph.reader import is_gone
from connectors.graph.settings import GraphCalendarSettings
from connectors.ical.zones import UTC_ZONE, find_zone

__all__ = ["OwnTasks"]

_US: Final = "quietcrm"
_LINKS: Final = {"$expand": "linkedResources"}
_TEXT = 20_000


class OwnTasks:
    """Our tasks in one mailbox. Errors are those of `GraphClient`, and Misconfigured. `_seen`: where a task lay, as (id
    of the list, id of the task), for To Do cannot be asked for links."""

    def __init__(self, settings: GraphCalendarSettings, client: GraphClient) -> None:
        self._settings, self._client = settings, client
        self._zone = find_zone(settings.zone) or UTC_ZONE
        self._seen: dict[str, tuple[str, str]] = {}

    def home(self) -> str:
        """The name of the list that they go to. Raises Misconfigured."""
        return str(self._home()["displayName"])

    def find(self, uid: str) -> PlacedItem | None:
        """Wherever its owner moved it."""
        lists = self._lists()
        found = self._look_at(uid) or self._search(uid, lists)
        if found is None:
            return None
        place, row = found
        name = next((str(one.get("displayName")) for one in lists if one["id"] == place), "")
        return self._placed(name, uid, row)

    def create(self, item: OwnItem) -> PlacedItem | None:
        """Make it. Raises Lost where nobody knows."""
        place = self._home()
        link = {"applicationName": _US, "externalId": item.uid, "displayName": OWN_CATEGORY}
        try:
            row = self._client.post(_path(str(place["id"])), {**self._body(item), "linkedResources": [link]})
        except Lost:
            found = self.find(item.uid)
            if found is None:
                raise
            return found
        self._seen[item.uid] = str(place["id"]), str(row.get("id"))
        return self.find(item.uid)

    def change(self, item: OwnItem, placed: PlacedItem) -> None:
        """Change it. Raises Refused with 412 if somebody was quicker."""
        place, ref = self._seen[item.uid]
        self._client.patch(_path(place, ref), self._body(item), etag=placed.revision)

    def remove(self, placed: PlacedItem) -> None:
        """Delete it. Raises Refused with 412 if somebody changed it."""
        place, ref = self._seen[placed.uid]
        self._client.delete(_path(place, ref), etag=placed.revision)

    def _lists(self) -> list[Json]:
        """Lists of the owner's, where tasks go to first."""
        name = self._settings.tasks.lower()
        rows = [row for row in self._client.pages("/todo/lists", {"$top": "100"}) if row.get("isOwner", True)]
        rows = [row for row in rows if str(row.get("wellknownListName")).lower() != "flaggedemails"]
        if name:
            return sorted(rows, key=lambda row: str(row.get("displayName")).lower() != name)
        return sorted(rows, key=lambda row: str(row.get("wellknownListName")).lower() != "defaultlist")

    def _home(self) -> Json:
        lists, name = self._lists(), self._settings.tasks
        if lists and (not name or str(lists[0].get("displayName")).lower() == name.lower()):
            return lists[0]
        message = f"no list called {name!r} takes tasks" if name else "no list takes tasks"
        raise Misconfigured(self._settings.account, message, hint="make one in To Do, or correct tasks: in calendars:")

    def _look_at(self, uid: str) -> tuple[str, Json] | None:
        if uid not in self._seen:
            return None
        place, ref = self._seen[uid]
        try:
            row = self._client.get(_path(place, ref), _LINKS)
        except Refused as error:
            if not is_gone(error):
                raise
            row = {}
        if uid in _uids(row):
            return place, row
        del self._seen[uid]
        return None

    def _search(self, uid: str, lists: list[Json]) -> tuple[str, Json] | None:
        found = None
        for place in lists:
            for row in self._client.pages(_path(str(place["id"])), {**_LINKS, "$top": "100"}):
                for one in _uids(row):
                    self._seen.setdefault(one, (str(place["id"]), str(row["id"])))
                if uid in _uids(row) and found is None:
                    found = str(place["id"]), row
        return found

    def _placed(self, name: str, uid: str, row: Json) -> PlacedItem:
        start = self._start(row)
        return PlacedItem(
            calendar=name,
            ref=str(row.get("id")),
            revision=str(row.get("@odata.etag") or ""),
            uid=uid,
            kind=ItemKind.TASK,
            summary=plain(row.get("title"), 1_000),
            text=plain((row.get("body") or {}).get("content"), _TEXT),
            start=start,
            end=start,
            done=str(row.get("status")).lower() == "completed",
        )

    def _start(self, row: Json) -> When | None:
        """The reminder where that is on the day it is due; else the later of the two: somebody put one of them off."""
        due, rings = _moment(row, "dueDateTime"), _moment(row, "reminderDateTime")
        day = day_of(due, self._zone) if due else None
        rung = self._zone.show(rings).date() if rings else None
        if rings is None or (day and rung and day > rung):
            return day
        return rings

    def _body(self, item: OwnItem) -> Json:
        moment = item.start if isinstance(item.start, datetime) else None
        day = self._zone.show(moment).date() if moment else item.start
        return {
            "title": one_line(item.summary),
            "body": {"contentType": "text", "content": plain(item.text, _TEXT)},
            "categories": [OWN_CATEGORY],
            "status": "completed" if item.done else "notStarted",
            "dueDateTime": clock_time(date(day.year, day.month, day.day)) if day else None,
            "reminderDateTime": clock_time(moment - (item.alarm or moment - moment)) if moment else None,
            "isReminderOn": moment is not None and item.alarm is not None and not item.done,
        }


def _path(place: str, ref: str = "") -> str:
    tasks = f"/todo/lists/{quote(place, safe='=')}/tasks"
    return f"{tasks}/{quote(ref, safe='=')}" if ref else tasks


def _uids(row: Json) -> Iterator[str]:
    for link in row.get("linkedResources") or ():
        if link.get("applicationName") == _US and link.get("externalId"):
            yield str(link["externalId"])


def _moment(row: Json, name: str) -> datetime | None:
    try:
        return moment_of(row, name).astimezone(UTC) if row.get(name) else None
    except BadEvent:
        return None
