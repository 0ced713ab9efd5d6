"""Office hours and holidays: is it open, when does it open, and counting in business days and hours.

Pure; every time that comes or goes is aware, results are UTC. Hours are closed at their end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from config.errors import QuietcrmError
from rules.clock import ClockRange, GrammarError, instant, parse_spans, parse_weekdays, parse_zone, same_clock

_LONGEST_SEARCH = 3660  # days
_DEFAULT_SPAN = ClockRange(9 * 60, 18 * 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficeHours:
    """When the office works. Build it with `build_hours`, which refuses what cannot be.

    week       the opening times of each weekday, Monday first, in order; they may overlap; empty = closed
    holidays   codes of the `holidays` package with an optional "+optional" ("BR-SP", "RU", "PT+optional")
    extra      further days on which nobody works
    """

    week: tuple[tuple[ClockRange, ...], ...]
    zone: ZoneInfo
    holidays: tuple[str, ...] = ()
    extra: frozenset[date] = frozenset()

    def is_holiday(self, day: date) -> bool:
        """Whether `day` is a holiday or one of the office's extra free days."""
        return day in self.extra or any(day in holiday_dates(code, day.year) for code in self.holidays)

    def is_business_day(self, day: date) -> bool:
        """Whether the office opens at all on `day`."""
        return bool(self.week[day.weekday()]) and not self.is_holiday(day)

    def is_open(self, at: datetime) -> bool:
        """Whether the office is open at this instant; at the last minute's end it is closed."""
        today = at.astimezone(self.zone).date()
        return any(start <= at < end for day in _around(today) for start, end in self._openings(day))

    def next_open(self, at: datetime) -> datetime:
        """`at` itself while open, else the next opening."""
        for start, end in self._openings_from(at):
            if at < end:
                return max(start, at.astimezone(UTC))
        raise _never_open()

    def next_business_day(self, after: date, count: int = 1) -> date:
        """The `count`-th business day after the date `after`."""
        day = after
        for _ in range(_LONGEST_SEARCH * 2):
            if count <= 0:
                return day
            day += timedelta(days=1)
            count -= self.is_business_day(day)
        raise _never_open()

    def business_day_before(self, before: date, count: int = 1) -> date:
        """The `count`-th business day before the date `before`."""
        day = before
        for _ in range(_LONGEST_SEARCH * 2):
            if count <= 0:
                return day
            day -= timedelta(days=1)
            count -= self.is_business_day(day)
        raise _never_open()

    def opening(self, day: date, zone: ZoneInfo) -> datetime:
        """When work starts on `day` by the clock of `zone`, also on a free day; summer time as in rules.clock."""
        return instant(day, self.opening_minute(day), zone)

    def add_business_days(self, at: datetime, count: int) -> datetime:
        """The same clock time `count` business days later, moved into the hours (decision 17)."""
        day = self.next_business_day(at.astimezone(self.zone).date(), count)
        return self.next_open(max(same_clock(at, day, self.zone), at.astimezone(UTC)))

    def add_business_hours(self, at: datetime, hours: float) -> datetime:
        """The instant by which the office was open for `hours` hours since `at`.

        If that is the very end of a span, the next opening: the result is always inside the hours.
        """
        left = timedelta(hours=hours)
        for start, end in self._openings_from(at):
            start = max(start, at.astimezone(UTC))
            if start + left < end:
                return start + left
            left -= max(end - start, timedelta())
        raise _never_open()

    def opening_minute(self, day: date) -> int:
        """When work starts on that weekday, in minutes from midnight; on a free weekday as on the first working one."""
        return next((spans[0].start for spans in (self.week[day.weekday()], *self.week) if spans), _DEFAULT_SPAN.start)

    def in_zone(self, zone: ZoneInfo) -> OfficeHours:
        """The same week by the clock of another place, for a contact who lives there."""
        return replace(self, zone=zone)

    def _openings(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        """The openings of one day as UTC instants, in order and apart; one that summer time swallows is left out."""
        if not self.is_business_day(day):
            return
        closed = instant(day, 0, self.zone)
        for span in self.week[day.weekday()]:
            start, end = max(instant(day, span.start, self.zone), closed), instant(day, span.end, self.zone)
            if start < end:
                yield start, end
                closed = end

    def _openings_from(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Every opening that is not over at `at`, in order, for the next ten years."""
        first = at.astimezone(self.zone).date() - timedelta(days=1)
        for step in range(_LONGEST_SEARCH):
            for start, end in self._openings(first + timedelta(days=step)):
                if at < end:
                    yield start, end


def build_hours(
    days: Mapping[str, str], *, zone: str, holidays: Iterable[str] = (), extra: Iterable[date] = ()
) -> OfficeHours:
    """Office hours from settings: {"mon-fri": "09:00-12:00, 13:00-18:00", "sat": "09:00-13:00"}.

    Raises GrammarError, with the remedy in `hint`, for anything not understood, for a weekday named twice and for a
    week without any hours. Holiday codes are checked by `check_holiday_code`.
    """
    week: dict[int, tuple[ClockRange, ...]] = {}
    for names, spans in days.items():
        for day in parse_weekdays(names):
            if day in week:
                raise GrammarError(f'"{names}" names a weekday that has its hours already', hint="name each day once")
            week[day] = parse_spans(spans)
    if not week:
        raise GrammarError("the office never opens", hint='write for example "mon-fri: 09:00-18:00"')
    codes = tuple(holidays)
    for code in codes:
        check_holiday_code(code)
    return OfficeHours(
        week=tuple(week.get(day, ()) for day in range(7)),
        zone=parse_zone(zone),
        holidays=codes,
        extra=frozenset(extra),
    )


def default_hours(zone: ZoneInfo) -> OfficeHours:
    """Monday to Friday, 09:00 to 18:00, no holidays: for an office that says nothing."""
    return OfficeHours(week=((_DEFAULT_SPAN,),) * 5 + ((), ()), zone=zone)


def check_holiday_code(code: str) -> None:
    """Refuse a code that the `holidays` package does not have. Raises GrammarError with the nearest one.

    This loads the package (about 20 MB), so it is called for what the settings name, and only then.
    """
    import difflib

    from holidays import list_supported_countries

    known = list_supported_countries(include_aliases=False)
    country, _, region = code.removesuffix("+optional").partition("-")
    if country not in known:
        near = difflib.get_close_matches(country.upper(), known, 1, 0.5)
        hint = f'did you mean "{near[0]}"?' if near else 'write the country and its region, for example "BR-SP"'
        raise GrammarError(f'no holidays are known for "{code}"', hint=hint)
    if region and region not in known[country]:
        hint = f"write {country} alone or with one of: {', '.join(known[country]) or 'none'}"
        raise GrammarError(f'"{country}" has no region "{region}"', hint=hint)


@lru_cache(maxsize=64)
def holiday_dates(code: str, year: int) -> frozenset[date]:
    """The free days of one calendar in one year, computed once.

    Some countries keep Carnival in the package's "optional" category although offices close: it counts always.
    The code with "+optional" takes the whole category. Other categories (half_day, unofficial, government) never count.
    """
    from holidays import country_holidays  # lazy: it takes about 20 MB, and many offices name no holidays

    plain = code.removesuffix("+optional")
    country, _, region = plain.partition("-")
    subdivision = region or None
    public = country_holidays(country, subdiv=subdivision, years=year)
    days = {day for day in public if day.year == year}
    if "optional" not in public.supported_categories:
        return frozenset(days)
    language = "en_US" if "en_US" in public.supported_languages else None
    further = country_holidays(country, subdiv=subdivision, years=year, categories=("optional",), language=language)
    optional = {day for day, name in further.items() if plain != code or "Carnival" in name}
    return frozenset(days | {day for day in optional if day.year == year})


@lru_cache(maxsize=1)
def _zones_of_countries() -> dict[str, tuple[str, ...]]:
    """Country code -> its zones, from the table that comes with the tz database."""
    table = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="ascii")
    zones: dict[str, list[str]] = {}
    for line in table.splitlines():
        if line and not line.startswith("#"):
            country, _, name, *_ = line.split("\t")
            zones.setdefault(country, []).append(name)
    return {country: tuple(names) for country, names in zones.items()}


@lru_cache(maxsize=256)
def zone_of_country(country: str) -> str:
    """The one zone of a country (ISO 3166 code, "FR"), "" if its clocks differ or it is not known.

    Germany has two names in the table and one clock, so clocks are compared, twice a month over one year.
    """
    names = _zones_of_countries().get(country.strip().upper(), ())
    days = [datetime(2026, month, day, tzinfo=UTC) for month in range(1, 13) for day in (1, 15)]
    clocks = {tuple(day.astimezone(ZoneInfo(name)).utcoffset() for day in days) for name in names}
    return names[0] if len(clocks) == 1 else ""


def zone_for(own: str, country: str, office: ZoneInfo) -> ZoneInfo:
    """The zone of a contact: its own, else its country's if that has one, else the office's (decision 17)."""
    for name in (own, zone_of_country(country)):
        if name:
            try:
                return parse_zone(name)
            except GrammarError:
                continue  # data of an import; the office's own clock is the safe answer
    return office


def _around(day: date) -> tuple[date, date, date]:
    return day - timedelta(days=1), day, day + timedelta(days=1)


def _never_open() -> QuietcrmError:
    hint = "give hours: at least one weekday, and check holidays and extra"
    return QuietcrmError("the office does not open within ten years", hint=hint)
