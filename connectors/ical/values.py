"""Values of properties: text, times, durations, addresses (RFC 5545 3.3). Raise BadValue with the reason in words."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote

from connectors.ical.lines import Line
from connectors.model import Address

__all__ = ["BadValue", "Stamp", "parse_address", "parse_duration", "parse_offset", "parse_stamp", "parse_text"]

_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)?(Z?))?", re.IGNORECASE | re.ASCII)
_DURATION = re.compile(
    r"([+-]?)P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,7})H)?(?:(\d{1,8})M)?(?:(\d{1,9})S)?)?", re.IGNORECASE
)
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)(\d\d)?", re.ASCII)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+")
_LONGEST = timedelta(days=366 * 10)


class BadValue(ValueError):
    """A value that cannot be read. The text says which and why."""


class Stamp:
    """A DATE, or a DATE-TIME: floating, in UTC, or in the zone that its property names.

    value   a date, or a naive datetime (UTC where `utc`)
    tzid    the TZID as written; "" if none
    """

    __slots__ = ("tzid", "utc", "value")

    def __init__(self, value: date | datetime, *, utc: bool = False, tzid: str = "") -> None:
        self.value, self.utc, self.tzid = value, utc, tzid


def parse_stamp(text: str, line: Line) -> Stamp:
    """One DATE or DATE-TIME out of a property's value."""
    found = _STAMP.fullmatch(text.strip())
    if not found:
        raise BadValue(f'{line.name} is no date: "{text.strip()[:40]}"')
    year, month, day = int(found[1]), int(found[2]), int(found[3])
    try:
        if found[4] is None:
            return Stamp(date(year, month, day))
        hour, minute, second = int(found[4]), int(found[5]), int(found[6] or 0)
        value = datetime(year, month, day, hour, minute, min(second, 59))  # noqa: DTZ001 - its zone comes from `tzid`
    except ValueError:
        raise BadValue(f'{line.name} is an impossible date: "{text.strip()[:40]}"') from None
    if found[7]:
        return Stamp(value.replace(tzinfo=UTC).replace(tzinfo=None), utc=True)
    return Stamp(value, tzid=line.parameters.get("TZID", "").strip())


def parse_duration(text: str, name: str) -> timedelta:
    """P1DT2H and the like. Raises BadValue, also beyond ten years."""
    found = _DURATION.fullmatch(text.strip())
    if not found or not any(found.groups()[1:]):
        raise BadValue(f'{name} is no length of time: "{text.strip()[:40]}"')
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    if length > _LONGEST:
        raise BadValue(f"{name} is longer than ten years")
    return -length if found[1] == "-" else length


def parse_offset(text: str, name: str) -> timedelta:
    """+0100, -0330, +013000. Raises BadValue."""
    found = _OFFSET.fullmatch(text.strip())
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]), seconds=int(found[4] or 0)) if found else None
    if found is None or offset is None or offset >= timedelta(hours=24):
        raise BadValue(f'{name} is no offset from UTC: "{text.strip()[:20]}"')
    return -offset if found[1] == "-" else offset


def parse_text(value: str, limit: int) -> str:
    """TEXT without its escapes, at most `limit` characters."""
    plain = _ESCAPE.sub(lambda found: "\n" if found[1] in "nN" else found[1], value[: limit * 2])
    return plain.encode("utf-8", "replace").decode("utf-8").strip()[:limit]


def parse_texts(value: str, limit: int) -> list[str]:
    """TEXT values parted by commas (CATEGORIES)."""
    return [text for piece in re.split(r"(?<!\\),", value[:10_000]) if (text := parse_text(piece, limit))]


def parse_address(line: Line) -> Address | None:
    """A calendar user: `mailto:` in any case, or the EMAIL parameter (RFC 7986), with the name in CN. None if no
    mail address is there."""
    return address_of(line.value, line.parameters.get("CN", "")) or address_of(line.parameters.get("EMAIL", ""), "")


def address_of(uri: str, name: str) -> Address | None:
    """The address in `mailto:ana@x.example`, `MAILTO:<ana@x.example>` or the bare address."""
    text = uri.strip()
    if text[:7].lower() == "mailto:":
        text = unquote(text[7:]).partition("?")[0]
    text = text.strip().strip("<>'\"").strip()
    if not _ADDRESS.fullmatch(text) or len(text) > 320:
        return None
    local, _, domain = text.rpartition("@")
    shown = name.strip().strip("'\"").strip()[:200]
    return Address(f"{local}@{domain.lower()}", "" if shown.lower() == text.lower() else shown)
