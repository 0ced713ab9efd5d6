"""Which zone a TZID means: an IANA name, Windows' name for one, or what the calendar's own VTIMEZONE says.

The IANA database beats a VTIMEZONE of the same name: programs ship old copies of it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from connectors.ical.lines import Component
from connectors.ical.rule import BadRule, Budget, expand, parse_rule
from connectors.ical.values import BadValue, Stamp, parse_offset, parse_stamp
from connectors.ical.windows import WINDOWS_ZONES

__all__ = ["Zone", "Zones", "find_zone"]

_UTC_NAMES = frozenset({"utc", "gmt", "z", "etc/utc", "tzone://microsoft/utc", "coordinated universal time"})
_OFFSET_NAME = re.compile(r"(?:utc|gmt)?\s*([+-])(\d\d?):?(\d\d)?", re.IGNORECASE | re.ASCII)
_NAME = re.compile(r"[A-Z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
_FIRST_YEAR, _LAST_YEAR = 1970, 2100
_STEPS = 20_000
_WINDOWS = {name.lower(): zone for name, zone in WINDOWS_ZONES.items()}


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone: its IANA name, or "" and the rules of a VTIMEZONE. `unclear`: nobody knows, another one was assumed."""

    name: str
    rules: tzinfo
    unclear: bool = False

    def at(self, wall: datetime) -> datetime:
        """The instant of a wall-clock time, aware. In a gap the offset from before it counts, in an overlap the first
        (RFC 5545 3.3.5); so 02:30 in the night it does not exist becomes 03:30."""
        try:
            return self.show(wall.replace(tzinfo=self.rules, fold=0).astimezone(UTC))
        except (OverflowError, ValueError):
            raise BadValue(f"a time that no calendar has: {wall.isoformat()[:10]}") from None

    def show(self, instant: datetime) -> datetime:
        """An instant in this zone."""
        try:
            shown = instant.astimezone(self.rules)
        except (OverflowError, ValueError):
            raise BadValue("a time that no calendar has") from None
        return shown if self.name else shown.replace(tzinfo=timezone(shown.utcoffset() or timedelta()))


@lru_cache(maxsize=64)
def _iana(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


UTC_ZONE = Zone("", UTC)


@lru_cache(maxsize=256)
def find_zone(tzid: str) -> Zone | None:
    """The zone that a name means by itself; None for one that nobody but its calendar knows."""
    name = tzid.strip().strip('"').replace("\\,", ",").strip()
    lower = name.lower()
    if lower in _UTC_NAMES:
        return UTC_ZONE
    if len(name) > 200 or not name:
        return None
    for guess in (name, _WINDOWS.get(lower, ""), _WINDOWS.get(lower.removeprefix("tzone://microsoft/"), "")):
        if guess and _NAME.fullmatch(guess) and (found := _iana(guess)):
            return Zone(guess, found)
    pieces = name.split("/")
    for start in range(1, len(pieces)):  # /freeassociation.sourceforge.net/Tzfile/Europe/Berlin
        guess = "/".join(pieces[start:])
        if "/" in guess and _NAME.fullmatch(guess) and (found := _iana(guess)):
            return Zone(guess, found)
    offset = _OFFSET_NAME.fullmatch(name)
    if offset and int(offset[2]) < 15:
        length = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return Zone("", timezone(-length if offset[1] == "-" else length))
    return None


class Zones:
    """The zones of one calendar. `assumed` stands in where a time floats or its zone is unknown."""

    def __init__(self, components: Sequence[Component], assumed: str, budget: Budget, notes: list[str]) -> None:
        self.budget = budget
        self.own: dict[str, Component] = {}
        for component in components:
            self.own.setdefault(component.value("TZID"), component)
        known = find_zone(assumed) or UTC_ZONE
        self.assumed = known
        self.floating = Zone(known.name, known.rules, unclear=True)
        self.notes = notes
        self._found: dict[str, Zone] = {}

    def of(self, tzid: str) -> Zone:
        """The zone of a TZID; the assumed one, marked unclear, if nothing tells. Never raises."""
        if tzid not in self._found:
            self._found[tzid] = find_zone(tzid) or self._by_rules(tzid) or self._unknown(tzid)
        return self._found[tzid]

    def _by_rules(self, tzid: str) -> Zone | None:
        component = self.own.get(tzid) or self.own.get(tzid.replace(",", "\\,"))
        if component is None or not tzid:
            return None
        if located := find_zone(component.value("X-LIC-LOCATION")):
            return located
        try:
            return Zone("", _Rules(component, Budget(_STEPS, self.budget)))
        except (BadValue, BadRule) as error:
            self.notes.append(f'the rules of zone "{tzid[:60]}" cannot be read: {error}')
            return None

    def _unknown(self, tzid: str) -> Zone:
        shown = f'"{tzid[:60]}"' if tzid else "with an empty name"
        self.notes.append(f"zone {shown} is unknown, {self.assumed.name or 'UTC'} was assumed")
        return self.floating


class _Rules(tzinfo):
    """A VTIMEZONE (RFC 5545 3.6.5): the wall-clock times at which its offset changes, until 2100."""

    def __init__(self, component: Component, budget: Budget) -> None:
        changes: list[tuple[datetime, timedelta, timedelta]] = []
        for part in component.inner:
            if part.name in ("STANDARD", "DAYLIGHT"):
                before = parse_offset(part.value("TZOFFSETFROM"), "TZOFFSETFROM")
                after = parse_offset(part.value("TZOFFSETTO"), "TZOFFSETTO")
                changes += [(at, before, after) for at in _onsets(part, before, budget)]
        if not changes:
            raise BadValue("it has no STANDARD and no DAYLIGHT")
        changes.sort(key=lambda change: change[0] - change[1])
        self.instants = [at - before for at, before, _ in changes]
        self.offsets = [changes[0][1], *(after for _, _, after in changes)]
        """One more than instants: what holds before the first, and from each on."""

    def utcoffset(self, dt: datetime | None) -> timedelta:
        """Of a wall-clock time. One that comes twice takes the earlier, one that never comes the offset before the
        gap; the other one with fold 1 (PEP 495)."""
        if dt is None:
            return self.offsets[0]
        wall = dt.replace(tzinfo=None)
        near = bisect_right(self.instants, wall)
        some = range(max(near - 2, 0), min(near + 2, len(self.instants)) + 1)
        fits = [at for at in some if bisect_right(self.instants, wall - self.offsets[at]) == at]
        if not fits:
            gap = next(at for at in some if self.instants[at] + self.offsets[at + 1] > wall)
            fits = [gap, gap + 1]
        return self.offsets[fits[-1 if dt.fold else 0]]

    def dst(self, dt: datetime | None) -> timedelta | None:
        """Unknown."""
        return None

    def tzname(self, dt: datetime | None) -> str:
        """None is kept."""
        return ""

    def fromutc(self, dt: datetime) -> datetime:
        """From UTC by the instants of change."""
        return dt + self.offsets[bisect_right(self.instants, dt.replace(tzinfo=None))]


def _onsets(part: Component, before: timedelta, budget: Budget) -> Iterator[datetime]:
    """The wall-clock times at which an observance begins."""
    line = part.first("DTSTART")
    if line is None:
        raise BadValue(f"{part.name} has no DTSTART")
    start = _wall(parse_stamp(line.value, line))
    yield start
    for dates in part.all("RDATE"):
        for text in dates.value.split(",")[:500]:
            yield _wall(parse_stamp(text, dates))
    rule_line = part.first("RRULE")
    if rule_line is None:
        return
    rule = parse_rule(rule_line.value)
    until = _wall(parse_stamp(rule.until, rule_line)) if rule.until else None
    if until and rule.until.endswith("Z"):
        until += before
    low = max(start + timedelta(seconds=1), datetime(_FIRST_YEAR, 1, 1))  # noqa: DTZ001 - wall clock
    yield from expand(rule, start, low=low, high=datetime(_LAST_YEAR, 1, 1), until=until, budget=budget)  # noqa: DTZ001


def _wall(stamp: Stamp) -> datetime:
    value = stamp.value
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001
