"""The office as rules need it: who is one of us, what is never logged, when it is open. Built once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from zoneinfo import ZoneInfo

from config.office import Hours
from config.settings import Settings
from config.values import ascii_domain, mail_key
from connectors.model import Address
from rules.addresses import AddressSet, address_set
from rules.clock import ClockRange
from rules.hours import OfficeHours
from rules.public_domains import PUBLIC_DOMAINS


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Office:
    """Everything fixed between two mails. `team`: address key -> short name of the person."""

    settings: Settings
    zone: ZoneInfo
    hours: OfficeHours
    team: dict[str, str]
    internal: AddressSet
    never_log: AddressSet
    public: frozenset[str]
    rungs: frozenset[str]

    def is_internal(self, key: str) -> bool:
        """Whether an address key is one of us."""
        return key in self.team or self.internal.covers(key)

    def is_ours(self, address: Address | None) -> bool:
        """Whether the address is one of us; False for none."""
        return address is not None and self.is_internal(address.email.lower())

    def rep_of(self, address: Address | None) -> str:
        """The person with this address, "" if it is nobody of the team."""
        return self.team.get(address.email.lower(), "") if address else ""

    def is_public(self, domain: str) -> bool:
        """Whether a mail domain is a provider's, which says nothing about the company."""
        return domain in self.public


def build_office(settings: Settings) -> Office:
    """Make the settings ready for many mails."""
    people = settings.team.items()
    return Office(
        settings=settings,
        zone=settings.zone,
        hours=build_office_hours(settings.hours, settings.office_zone),
        team={mail_key(mail): name for name, one in people for mail in (one.mail, *one.aliases)},
        internal=address_set(settings.internal),
        never_log=address_set(settings.never_log),
        public=PUBLIC_DOMAINS | {ascii_domain(domain.lstrip("@")) for domain in settings.public_domains},
        rungs=frozenset(settings.match),
    )


def office_of(settings: Settings) -> Office:
    """The office of these settings, built at the first call. Settings are replaced whole, never changed."""
    global _last
    if _last is None or _last.settings is not settings:
        _last = build_office(settings)
    return _last


_last: Office | None = None


def build_office_hours(hours: Hours, zone: ZoneInfo) -> OfficeHours:
    """Opening times in the form that counts business days."""
    week = tuple(
        tuple(ClockRange(_minute(start), _minute(end)) for start, end in hours.week.get(day, ())) for day in range(7)
    )
    return OfficeHours(week=week, zone=zone, holidays=tuple(hours.holidays), extra=frozenset(hours.extra))


def _minute(clock: time) -> int:
    return 24 * 60 if clock == time.max else clock.hour * 60 + clock.minute
