"""Which occasions come true in a span of time: after `since`, until `until` (aware UTC). Pure.

A moment of the calendar is one instant: one that summer time swallows is the next that exists, one that comes twice is
the first of the two (rules.clock). So whoever asks for adjoining spans gets each occasion exactly once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rules.clock import instant, same_clock
from rules.facts import ContactFacts, CustomerFacts
from rules.hours import OfficeHours, zone_for
from rules.moments import parse_age, shifted
from rules.occasion import MeetingFacts, Occasion
from rules.office import Office
from rules.triggers import CLOCK, DATE, SILENT, SOON, Trigger, shown
from rules.written_dates import read_day, read_month_day


@dataclass(frozen=True, slots=True)
class Dated:
    """A date in a record. `year` None: it is written without one, so it comes every year."""

    month: int
    day: int
    year: int | None = None

    def in_year(self, year: int) -> date:
        """The day in that year; 29 February is the 28th where there is none."""
        try:
            return date(year, self.month, self.day)
        except ValueError:
            return date(year, self.month, self.day - 1)


def read_dated(value: object, language: str) -> Dated | None:
    """The date that stands in a field, as people write it; None if it cannot be told."""
    text = str(value)
    day = read_day(text, language)
    if day is not None:
        return Dated(day.month, day.day, day.year)
    found = read_month_day(text, language)
    return Dated(*found) if found else None


# --- a customer fell silent


def silent(trigger: Trigger, customer: CustomerFacts, since: datetime, until: datetime) -> Occasion | None:
    """The moment at which the last mail of either side is so long ago. Never heard of is no silence."""
    last = last_contact(customer)
    if last is None:
        return None
    at = last + silence(trigger)
    if not since < at <= until:
        return None
    return Occasion(
        when=trigger.words,
        event=f"{trigger.words}|customer {customer.id}|{last.isoformat()}",
        at=at,
        seen=f"last contact {last:%Y-%m-%d %H:%M} UTC",
        customer_id=customer.id,
    )


def silence(trigger: Trigger) -> timedelta:
    """How long a customer has to be silent."""
    assert trigger.length is not None
    return parse_age(shown(trigger.length))


def last_contact(customer: CustomerFacts) -> datetime | None:
    """When either side wrote last, as a person."""
    return max((one for one in (customer.last_in_at, customer.last_out_at) if one), default=None)


# --- a date comes


def dated(
    trigger: Trigger,
    customer: CustomerFacts,
    contact: ContactFacts | None,
    office: Office,
    since: datetime,
    until: datetime,
) -> Iterator[Occasion]:
    """The dates in a field that come true, each at the opening of the office that day by the clock of whose it is."""
    owner = contact if trigger.of_a_contact else customer
    value = owner.fields.get(trigger.key) if owner else None
    found = read_dated(value, office.settings.company.language) if value is not None else None
    if owner is None or found is None:
        return
    zone = clock_of(customer, contact, office)
    of_whom = f"contact {owner.id}" if trigger.of_a_contact else f"customer {owner.id}"
    for day in days_of(trigger, found, since, until):
        on = fire_day(trigger, day, office.hours)
        at = office.hours.opening(on, zone)
        if since < at <= until:
            yield Occasion(
                when=trigger.words,
                event=f"{trigger.words}|{of_whom}|{day.isoformat()}",
                at=at,
                seen=f"{trigger.field}: {value}",
                customer_id=customer.id,
                contact_id=contact.id if contact and trigger.of_a_contact else None,
                expires=instant(on, 24 * 60, zone) if is_greeting(trigger, found) else None,
            )


def days_meant(trigger: Trigger, on: date, hours: OfficeHours) -> set[tuple[int, int]]:
    """(month, day) of every date that comes true on the day `on`: the way back, for finding them."""
    length = trigger.length
    assert length is not None
    days = length.count * _IN_DAYS[length.unit]
    reach = range(0, 3 * days + 22) if length.business else range(days - length.count * 4 - 4, days + 5)
    way = 1 if trigger.before else -1
    near = (on + timedelta(days=way * step) for step in reach)
    found = {(day.month, day.day) for day in near if fire_day(trigger, day, hours) == on}
    return found | ({(2, 29)} if (2, 28) in found else set())


def comes_every_year(trigger: Trigger, found: Dated) -> bool:
    """Whether the date has a next year: its field is one of birthdays and the like, or it is written without a year."""
    return trigger.yearly or found.year is None


def is_greeting(trigger: Trigger, found: Dated) -> bool:
    """Whether it is about the day itself, so that it is pointless on the next."""
    assert trigger.length is not None
    return trigger.length.count == 0 and comes_every_year(trigger, found)


def days_of(trigger: Trigger, found: Dated, since: datetime, until: datetime) -> Iterator[date]:
    """The days that a date means, as far as they may come true in the span."""
    assert trigger.length is not None
    years = trigger.length.count * _IN_DAYS[trigger.length.unit] // 200 + 1  # business days take longer
    every_year = comes_every_year(trigger, found)
    # Records mean "never" by 9999-12-31 and "unknown" by 0001-01-01: no day can be counted beyond those.
    for year in range(since.year - years - 1, until.year + years + 2):
        if found.year is None or (year > found.year if every_year else year == found.year):
            yield found.in_year(year)


_IN_DAYS = {"day": 1, "week": 7, "month": 31, "year": 366}


def fire_day(trigger: Trigger, day: date, hours: OfficeHours) -> date:
    """The day on which a date comes true: so long before or after it."""
    length = trigger.length
    assert length is not None
    if length.business:
        count = hours.business_day_before if trigger.before else hours.next_business_day
        return count(day, length.count)
    return shifted(day, -length.count if trigger.before else length.count, length.unit)


def clock_of(customer: CustomerFacts, contact: ContactFacts | None, office: Office) -> ZoneInfo:
    """By whose clock: the contact's, else the customer's, else the office's (decision 17)."""
    zone = (contact.zone if contact else "") or customer.zone
    country = (contact.country if contact else "") or customer.country
    return zone_for(zone, country, office.zone)


# --- the clock strikes


def strikes(trigger: Trigger, zone: ZoneInfo, since: datetime, until: datetime) -> Iterator[datetime]:
    """The moments at which the clock of the office strikes, once on each of its days."""
    day = since.astimezone(zone).date() - timedelta(days=1)
    last = until.astimezone(zone).date()
    while day <= last:
        if day.weekday() in trigger.days:
            at = instant(day, trigger.minute, zone)
            if since < at <= until:
                yield at
        day += timedelta(days=1)


def struck(trigger: Trigger, at: datetime, zone: ZoneInfo, customer: int | None = None) -> Occasion:
    """A stroke of the clock, for the office as a whole or for one customer."""
    whose = f"|customer {customer}" if customer is not None else ""
    local = at.astimezone(zone)
    return Occasion(
        when=trigger.words,
        event=f"{trigger.words}|{local.date().isoformat()}{whose}",
        at=at,
        seen=f"{local:%a %Y-%m-%d %H:%M}",
        customer_id=customer,
    )


# --- around a meeting


def meeting_moment(trigger: Trigger, meeting: MeetingFacts, hours: OfficeHours) -> datetime:
    """When `meeting soon` or `meeting held` comes true: so long before its start, after its end. Days keep the clock
    time; business ones are moved into the hours."""
    length = trigger.length
    assert length is not None
    if trigger.word != SOON:
        return length.after(meeting.end, hours)
    start = meeting.start
    if length.unit in ("minute", "hour") and not length.business:
        return start - parse_age(shown(length))
    day = start.astimezone(hours.zone).date()
    if length.business:
        return hours.next_open(same_clock(start, hours.business_day_before(day, length.count), hours.zone))
    return same_clock(start, shifted(day, -length.count, length.unit), hours.zone)


# --- all of it, for rule tests


def between(
    triggers: Sequence[Trigger],
    customers: Iterable[CustomerFacts],
    contacts: Iterable[ContactFacts],
    office: Office,
    since: datetime,
    until: datetime,
) -> list[Occasion]:
    """Everything that comes true for these customers while time passes, in its order."""
    known, people = list(customers), list(contacts)
    found: list[Occasion] = []
    for trigger in triggers:
        if trigger.word == SILENT:
            found += [one for customer in known if (one := silent(trigger, customer, since, until))]
        elif trigger.word == DATE:
            for customer in known:
                mine: list[Any] = [one for one in people if one.customer_id == customer.id]
                for contact in mine if trigger.of_a_contact else [None]:
                    found += dated(trigger, customer, contact, office, since, until)
        elif trigger.word == CLOCK:
            for at in strikes(trigger, office.zone, since, until):
                found.append(struck(trigger, at, office.zone))
                found += [struck(trigger, at, office.zone, customer.id) for customer in known]
    return sorted(found, key=lambda one: one.at)
