"""Our own items in Exchange's words: appointments without attendees, and tasks.

Both carry our UID in a property of our own, by which they can be searched for; EWS does not search by UID, and a task
has none. Of a task's day Exchange keeps no time of day, so the time is kept beside it and counts while the day stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from connectors.calendar_objects import Folder
from connectors.calendars import OWN_CATEGORY, ItemKind, OwnItem, PlacedItem, When
from connectors.exchange.calendars.ids import uid_of, uid_paths
from connectors.exchange.calendars.times import clock_of
from connectors.exchange.words import (
    Element,
    T,
    child,
    extended,
    field,
    item_shape,
    moment,
    named,
    properties,
    text,
    utc,
)
from connectors.ical.zones import Zone

__all__ = ["STAMP", "changes", "creation", "placed", "placed_shape"]

STAMP = "quietcrm-item"
_DUE = "quietcrm-due"
_BODY_BYTES = 64 << 10
_SEEN = {
    ItemKind.EVENT: (
        "item:Subject", "item:Body", "calendar:Start", "calendar:End", "calendar:IsAllDayEvent", "calendar:IsMeeting",
        "calendar:RequiredAttendees", "calendar:OptionalAttendees", "calendar:Resources", "calendar:StartTimeZone",
    ),
    ItemKind.TASK: ("item:Subject", "item:Body", "task:DelegationState", "task:DueDate", "task:Status"),
}  # fmt: skip
_GUESTS = ("RequiredAttendees", "OptionalAttendees", "Resources")

_UNSPEAKABLE = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot say."""

Value = tuple[str | Element, Element]
"""A property: its path, and the element with the value."""


# -- writing


def creation(item: OwnItem, zone: Zone, windows_zone: str) -> Element:
    """The whole item, in the order of the schema."""
    values = {one.tag.rpartition("}")[2]: one for _, one in _values(item, zone, windows_zone)}
    if item.kind is ItemKind.TASK:
        return T.Task(*_item_part(item, values), *_present(values, "DueDate", "Status"))
    return T.CalendarItem(
        *_item_part(item, values),
        T.UID(item.uid),
        *_present(values, "Start", "End", "IsAllDayEvent"),
        T.LegacyFreeBusyStatus("Free"),  # a reminder keeps nobody from being invited at that time
        *_present(values, "StartTimeZone", "EndTimeZone"),
    )


def _item_part(item: OwnItem, values: dict[str, Element]) -> Iterator[Element]:
    yield from _present(values, "Subject", "Body")
    yield T.Categories(T.String(OWN_CATEGORY))
    yield from _present(values, "ReminderDueBy", "ReminderIsSet", "ReminderMinutesBeforeStart")
    yield extended(named(STAMP), item.uid)
    yield from _present(values, "ExtendedProperty")


def _present(values: dict[str, Element], *names: str) -> Iterator[Element]:
    return (values[name] for name in names if name in values)


def changes(item: OwnItem, zone: Zone, windows_zone: str) -> Element:
    """What an update sets. Categories stay as their owner has them."""
    kind = T.Task if item.kind is ItemKind.TASK else T.CalendarItem
    updates = T.Updates()
    for path, value in _values(item, zone, windows_zone):
        where = field(path) if isinstance(path, str) else path
        updates.append(T.SetItemField(where, kind(value)))
    if item.kind is ItemKind.TASK and item.start is None:
        updates.append(T.DeleteItemField(field("task:DueDate")))
    return updates


def _values(item: OwnItem, zone: Zone, windows_zone: str) -> Iterator[Value]:
    yield "item:Subject", T.Subject(_one_line(item.summary))
    yield "item:Body", T.Body(_text(item.text), BodyType="Text")
    yield from _task(item, zone) if item.kind is ItemKind.TASK else _event(item, zone, windows_zone)


def _event(item: OwnItem, zone: Zone, windows_zone: str) -> Iterator[Value]:
    if item.start is None:
        raise ValueError("an event without a start")
    all_day = not isinstance(item.start, datetime)
    end = item.end if item.end is not None else item.start
    if not isinstance(end, datetime):
        end = max(end, item.start + timedelta(days=1)) if all_day else end
    yield "calendar:Start", T.Start(utc(_instant(item.start, zone)))
    yield "calendar:End", T.End(utc(_instant(end, zone)))
    yield "calendar:IsAllDayEvent", T.IsAllDayEvent(_flag(all_day))
    for name in ("StartTimeZone", "EndTimeZone"):  # else a time that is changed later has none
        yield f"calendar:{name}", T(name, Id=windows_zone)
    # Not said, Exchange rings a quarter of an hour before.
    yield "item:ReminderIsSet", T.ReminderIsSet(_flag(item.alarm is not None))
    minutes = int(item.alarm.total_seconds()) // 60 if item.alarm is not None else 0
    yield "item:ReminderMinutesBeforeStart", T.ReminderMinutesBeforeStart(str(max(minutes, 0)))


def _task(item: OwnItem, zone: Zone) -> Iterator[Value]:
    rings = item.alarm is not None and item.start is not None and not item.done
    if rings and item.start is not None and item.alarm is not None:
        yield "item:ReminderDueBy", T.ReminderDueBy(utc(_instant(item.start, zone) - item.alarm))
    yield "item:ReminderIsSet", T.ReminderIsSet(_flag(rings))
    yield named(_DUE), extended(named(_DUE), item.start.isoformat() if item.start is not None else "")
    if item.start is not None:
        yield "task:DueDate", T.DueDate(f"{_day(item.start, zone).isoformat()}T00:00:00Z")
    yield "task:Status", T.Status("Completed" if item.done else "NotStarted")


def _instant(when: When, zone: Zone) -> datetime:
    return when if isinstance(when, datetime) else zone.at(datetime.combine(when, time()))


def _day(when: When, zone: Zone) -> date:
    return zone.show(when).date() if isinstance(when, datetime) else when


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _text(value: str) -> str:
    return _UNSPEAKABLE.sub(" ", value.replace("\r\n", "\n"))


def _one_line(value: str) -> str:
    return " ".join(_text(value).split())


# -- reading back


def placed_shape(kind: ItemKind) -> Element:
    """What has to be asked for to tell how an item lies there."""
    own = [named(_DUE)] if kind is ItemKind.TASK else uid_paths()
    paths = *map(field, _SEEN[kind]), *own, named(STAMP)
    return item_shape(*paths, body_limit=_BODY_BYTES, body_type="Text")


def placed(uid: str, kind: ItemKind, folder: Folder, item: Element, owner: Zone) -> PlacedItem | None:
    """The item as it lies there; None if it is another one. A copy that its owner made has a UID of its own, and is not
    ours."""
    id, told = child(item, "ItemId"), dict(properties(item))
    if id is None or told.get(STAMP) != uid:
        return None
    start, end = _due(item, told, owner) if kind is ItemKind.TASK else _span(item, owner)
    return PlacedItem(
        calendar=folder.name,
        ref=str(id.get("Id", "")),
        revision=str(id.get("ChangeKey", "")),
        uid=uid,
        kind=kind,
        summary=text(item, "Subject"),
        text=text(item, "Body").replace("\r\n", "\n").strip(),
        start=start,
        end=end,
        done=text(item, "Status") == "Completed",
        ours=_is_ours(item) and (kind is ItemKind.TASK or uid_of(item) == uid),
    )


def _is_ours(item: Element) -> bool:
    """Nobody was invited by it, and it was not handed on."""
    guests = any(len(found) for name in _GUESTS if (found := child(item, name)) is not None)
    return not guests and text(item, "IsMeeting") != "true" and text(item, "DelegationState") in ("", "NoMatch")


def _span(item: Element, owner: Zone) -> tuple[When | None, When | None]:
    start, end = moment(text(item, "Start")), moment(text(item, "End"))
    if start is None:
        return None, None
    clock, end = clock_of(item, owner), end or start
    if text(item, "IsAllDayEvent") == "true":
        first, last, _ = clock.days(start, end)
        return first, last
    return clock.show(start), clock.show(end)


def _due(item: Element, told: dict[str, str], owner: Zone) -> tuple[When | None, When | None]:
    """The time we wrote as long as its owner left the day, else the day it was moved to."""
    due = moment(text(item, "DueDate"))
    if due is None:
        return None, None
    day = due.astimezone(UTC).date()
    written = _written(told.get(_DUE, ""))
    when = written if written is not None and _day(written, owner) == day else day
    return when, when


def _written(value: str) -> When | None:
    try:
        if len(value) == 10:
            return date.fromisoformat(value)
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    return when if when.tzinfo else None
