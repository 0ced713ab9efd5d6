"""The occurrences of one UID: rule, dates added and taken out, single ones changed (RFC 5545 3.8.4.4, 3.8.5).

All in the event's own zone, so that a meeting at nine stays at nine when the clocks change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice

from connectors.calendars import When, Window
from connectors.ical.lines import Component, Line
from connectors.ical.rule import Budget, Rule, expand, parse_rule
from connectors.ical.values import BadValue, Stamp, parse_duration, parse_stamp
from connectors.ical.zones import UTC_ZONE, Zone, Zones

__all__ = ["Span", "Version", "occurrences", "read_version"]

OPEN_SERIES = timedelta(days=731)
"""How much of a series is worked out where no window says."""

_MOST_DATES = 5_000
_FIRST, _LAST = datetime(1, 1, 2), datetime(9999, 12, 1)  # noqa: DTZ001 - bounds of wall-clock times


@dataclass(frozen=True, slots=True)
class Version:
    """One component of a UID: the series itself (`original` None), or one occurrence changed.

    start, length   naive wall clock in `zone`; all-day at midnight. `start` None: it states none
    original        the wall-clock time, in the zone of this component, of the occurrence it replaces
    onward          it replaces the later ones too (RANGE=THISANDFUTURE)
    """

    component: Component
    zones: Zones
    zone: Zone
    start: datetime | None
    length: timedelta
    all_day: bool
    original: When | None
    onward: bool
    rank: tuple[int, str]


@dataclass(frozen=True, slots=True)
class Span:
    """One occurrence. `version` is the component that describes it."""

    version: Version
    start: When
    end: When
    original: When | None
    exception: bool


def read_version(component: Component, zones: Zones) -> Version:
    """Times of a VEVENT or VTODO. Raises BadValue."""
    start_line, end_line = component.first("DTSTART"), component.first("DTEND") or component.first("DUE")
    if start_line is None and component.name == "VTODO":
        start_line = end_line
    zone, start, all_day = zones.assumed, None, False
    if start_line is not None:
        stamp = parse_stamp(start_line.value, start_line)
        zone, start = _zone_of(stamp, zones), _wall(stamp)
        all_day = not isinstance(stamp.value, datetime)
    elif (dates := component.first("RDATE")) is not None:
        stamp = parse_stamp(dates.value.split(",")[0].partition("/")[0], dates)
        zone, all_day = _zone_of(stamp, zones), not isinstance(stamp.value, datetime)
    return Version(
        component=component,
        zones=zones,
        zone=zone,
        start=start,
        length=_length(component, start, zone, end_line, all_day, zones),
        all_day=all_day,
        original=_original(component, zones),
        onward="THISANDFUTURE" in (component.first("RECURRENCE-ID") or _NOTHING).parameters.get("RANGE", "").upper(),
        rank=(_sequence(component), component.value("DTSTAMP")),
    )


_NOTHING = Line("", {}, "")


def _sequence(component: Component) -> int:
    text = component.value("SEQUENCE")[:9]
    return int(text) if text.isdecimal() else 0


def _zone_of(stamp: Stamp, zones: Zones) -> Zone:
    """The zone a time is meant in: dates have none, floating times the assumed one."""
    if stamp.utc:
        return zones.of("UTC")
    if isinstance(stamp.value, datetime):
        return zones.of(stamp.tzid) if stamp.tzid else zones.floating
    return zones.assumed


def _wall(stamp: Stamp) -> datetime:
    value = stamp.value
    return value if isinstance(value, datetime) else datetime.combine(value, time())


def _original(component: Component, zones: Zones) -> When | None:
    line = component.first("RECURRENCE-ID")
    if line is None:
        return None
    stamp = parse_stamp(line.value, line)
    return _zone_of(stamp, zones).at(stamp.value) if isinstance(stamp.value, datetime) else stamp.value


def _length(
    component: Component, start: datetime | None, zone: Zone, end_line: Line | None, all_day: bool, zones: Zones
) -> timedelta:
    """How long it takes, by the wall clock; an end before the start counts as none. Raises BadValue."""
    missing = timedelta(days=1) if all_day else timedelta()
    if start is not None and end_line is not None and component.name == "VEVENT":
        stamp = parse_stamp(end_line.value, end_line)
        end = _wall(stamp)
        if isinstance(stamp.value, datetime) and not all_day:  # it may be stated in another zone
            end = zone.show(_zone_of(stamp, zones).at(end)).replace(tzinfo=None)
        return end - start if end > start else missing
    line = component.first("DURATION")
    if line is not None and component.name == "VEVENT":
        length = parse_duration(line.value, "DURATION")
        if all_day:
            length = timedelta(days=max(length.days, 1))
        return max(length, timedelta())
    return missing


def occurrences(
    versions: Sequence[Version], window: Window | None, *, most: int, budget: Budget, notes: list[str]
) -> Iterator[Span]:
    """All that overlap the window, of the newest versions, `most` at most. Changed ones come first. Raises BadValue
    and BadRule for the series as a whole."""
    series, changed = _newest(versions)
    later = sorted((one for one in changed if one.onward), key=lambda one: _instant(one.original, one.zone))
    taken: set[str] = set()
    for one in changed:
        taken.add(_key(one.original, series or one))
        span = Span(one, *_bounds(one, one.start or _wall_of(one.original, one)), one.original, exception=True)
        if _overlaps(span, window, one.zone):
            yield span
    if series is None:
        return
    found, single = 0, not _repeats(series.component)
    for start, length in _starts(series, window, most, budget, later):
        original = None if single else _shown(series, start)
        if not single and (_key(original, series) in taken or f"d{start:%Y%m%d}" in taken):
            continue
        span = _span(series, start, length, original, later)
        if _overlaps(span, window, series.zone):
            found += 1
            if found > most:
                notes.append(f"more than {most} occurrences: the later ones were left out")
                return
            yield span


def _newest(versions: Sequence[Version]) -> tuple[Version | None, list[Version]]:
    """The series, and its changed occurrences: of each the one with the highest SEQUENCE and DTSTAMP."""
    newest: dict[str, Version] = {}
    for one in versions:
        key = _key(one.original, one)
        if key not in newest or one.rank >= newest[key].rank:
            newest[key] = one
    series = newest.pop("", None)
    return series, list(newest.values())


def _key(original: When | None, series: Version) -> str:
    """Tells occurrences of one series apart: the instant, or the day where one of the two has only that."""
    if original is None:
        return ""
    if series.all_day or not isinstance(original, datetime):
        return (series.zone.show(original) if isinstance(original, datetime) else original).strftime("d%Y%m%d")
    return str(int(original.timestamp()))


def _instant(original: When | None, zone: Zone) -> datetime:
    if isinstance(original, datetime):
        return original
    return zone.at(datetime.combine(original or date.min, time()))


def _wall_of(original: When | None, version: Version) -> datetime:
    """Where a changed occurrence without a start of its own begins."""
    if original is None:
        raise BadValue("no start (DTSTART)")
    if isinstance(original, datetime):
        return version.zone.show(original).replace(tzinfo=None)
    return datetime.combine(original, time())


def _repeats(component: Component) -> bool:
    return any(component.first(name) for name in ("RRULE", "RDATE"))


def _shown(version: Version, wall: datetime) -> When:
    return wall.date() if version.all_day else version.zone.at(wall)


def _bounds(version: Version, wall: datetime, length: timedelta | None = None) -> tuple[When, When]:
    length = version.length if length is None else length
    try:
        return _shown(version, wall), _shown(version, wall + length)
    except OverflowError:
        raise BadValue("an end that no calendar has") from None


def _span(
    series: Version, wall: datetime, length: timedelta | None, original: When | None, later: Sequence[Version]
) -> Span:
    """An occurrence as the series has it, or as the last "this and future" change before it."""
    version = series
    if original is not None and later:
        at = _instant(original, series.zone)
        version = next((one for one in reversed(later) if _instant(one.original, one.zone) <= at), series)
    if version is series:
        return Span(series, *_bounds(series, wall, length), original, exception=False)
    moved = (version.start - _wall_of(version.original, version)) if version.start else timedelta()
    return Span(version, *_bounds(version, wall + moved), original, exception=False)


def _overlaps(span: Span, window: Window | None, zone: Zone) -> bool:
    if window is None:
        return True
    start, end = _edge(span.start, zone), _edge(span.end, zone)
    return start < window.end and (end > window.start or (start == end and start >= window.start))


def _edge(when: When, zone: Zone) -> datetime:
    return when if isinstance(when, datetime) else zone.at(datetime.combine(when, time()))


# -- the recurrence set


def _starts(
    series: Version, window: Window | None, most: int, budget: Budget, later: Sequence[Version]
) -> Iterator[tuple[datetime, timedelta | None]]:
    """Wall-clock starts of the whole set with the length where it is another one, those near the window, ascending.
    Raises BadRule, BadValue."""
    component = series.component
    added = _added(series)
    begin = series.start or min(added, default=None)
    if begin is None:
        raise BadValue("no start (DTSTART)")
    low, high = _reach(series, begin, window, later)
    rules = [parse_rule(line.value) for line in component.all("RRULE")[:10]]
    found = {start: length for start, length in added.items() if low <= start <= high}
    if series.start and low <= series.start <= high:
        found.setdefault(series.start, None)
    out = set(_dates(component, "EXDATE", series))
    out_days = _days_out(component)
    for rule in (parse_rule(line.value) for line in component.all("EXRULE")[:10]):
        until = _until(rule, series)
        out.update(expand(rule, begin, low=low, high=high, until=until, budget=budget, anchored=False))
    for rule in rules:
        worked_out = expand(rule, begin, low=low, high=high, until=_until(rule, series), budget=budget)
        found |= dict.fromkeys(islice(worked_out, most + len(out) + 100), None) | found
    for start in sorted(found):
        if start not in out and start.date() not in out_days:
            yield start, found[start]


def _reach(
    series: Version, begin: datetime, window: Window | None, later: Sequence[Version]
) -> tuple[datetime, datetime]:
    """Which starts may matter: those of the window and as far before it as an occurrence is long or was moved."""
    if window is None:
        return _FIRST, min(begin, _LAST - OPEN_SERIES) + OPEN_SERIES
    moved = [abs(one.start - _wall_of(one.original, one)) for one in later if one.start]
    margin = max([series.length, *(one.length for one in later)]) + max(moved, default=timedelta()) + timedelta(days=1)
    low, high = (series.zone.show(edge).replace(tzinfo=None) for edge in (window.start, window.end))
    margin = min(margin, low - _FIRST, _LAST - high)
    return low - margin, high + margin


def _until(rule: Rule, series: Version) -> datetime | None:
    """UNTIL as wall clock of the series. A mere day means all of that day. Raises BadValue."""
    if not rule.until:
        return None
    stamp = parse_stamp(rule.until, Line("UNTIL", {}, rule.until))
    if not isinstance(stamp.value, datetime):
        return datetime.combine(stamp.value, time(23, 59, 59))
    if not stamp.utc or series.all_day:
        return stamp.value
    return series.zone.show(UTC_ZONE.at(stamp.value)).replace(tzinfo=None)


def _dates(component: Component, name: str, series: Version) -> Iterator[datetime]:
    """The times that EXDATE lists, as wall clock of the series. Raises BadValue."""
    for line, text in _listed(component, name):
        stamp = parse_stamp(text.partition("/")[0], line)
        if isinstance(stamp.value, datetime) and not series.all_day:
            yield _in_series(stamp, series)
        elif series.all_day:
            yield datetime.combine(_wall(stamp).date(), time())


def _days_out(component: Component) -> set[date]:
    """Days that EXDATE takes out as such, of a series with times too: some programs write it so."""
    return {
        stamp.value
        for line, text in _listed(component, "EXDATE")
        if not isinstance((stamp := parse_stamp(text, line)).value, datetime)
    }


def _added(series: Version) -> dict[datetime, timedelta | None]:
    """What RDATE adds: wall-clock starts, with the length of a PERIOD. Raises BadValue."""
    found: dict[datetime, timedelta | None] = {}
    for line, text in _listed(series.component, "RDATE"):
        first, _, end = text.partition("/")
        start = _in_series(parse_stamp(first, line), series)
        length = None
        if end:
            is_length = end.strip()[:1].upper() in ("P", "+", "-")
            length = parse_duration(end, "RDATE") if is_length else _in_series(parse_stamp(end, line), series) - start
        found[start] = length
    return found


def _listed(component: Component, name: str) -> list[tuple[Line, str]]:
    found = [(line, text) for line in component.all(name) for text in line.value.split(",") if text.strip()]
    if len(found) > _MOST_DATES:
        raise BadValue(f"more than {_MOST_DATES} dates in {name}")
    return found


def _in_series(stamp: Stamp, series: Version) -> datetime:
    """A time as wall clock of the series; a day of a series with times is its time of day on that day."""
    if not isinstance(stamp.value, datetime):
        return datetime.combine(stamp.value, series.start.time() if series.start else time())
    if stamp.utc or stamp.tzid:
        instant = _zone_of(stamp, series.zones).at(stamp.value)
        return series.zone.show(instant).replace(tzinfo=None)
    return stamp.value
