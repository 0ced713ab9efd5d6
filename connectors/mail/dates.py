"""The Date header (RFC 5322, 3.3 and 4.3) and what stands in its place in real mail."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

__all__ = ["MONTHS", "parse_date"]

_NAMES = """
january jan janeiro janvier januar januari enero ene январь января янв jän jänner
february feb fevereiro fev février fevrier fév februar febrero февраль февраля фев
march mar março marco mars märz maerz mär mrz marzo март марта мар
april apr abril abr avril avr апрель апреля апр
may maio mai mayo май мая
june jun junho juin juni junio июнь июня июн
july jul julho juillet juil juli julio июль июля июл
august aug agosto ago août aout ago август августа авг
september sep sept setembro set septembre septiembre setiembre сентябрь сентября сен сент
october oct outubro out octobre oktober okt octubre октябрь октября окт
november nov novembro novembre noviembre ноябрь ноября ноя нояб
december dec dezembro dez décembre decembre déc dezember diciembre dic декабрь декабря дек
"""
MONTHS = {name: number for number, line in enumerate(_NAMES.strip().splitlines(), 1) for name in line.split()}
"""Month names and short forms in en, pt, ru, es, de and fr, in lower case, by number."""

_ZONES = {
    "ut": 0, "gmt": 0, "utc": 0, "z": 0, "wet": 0, "est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420,
    "mdt": -360, "pst": -480, "pdt": -420, "cet": 60, "met": 60, "mez": 60, "cest": 120, "mest": 120, "mesz": 120,
    "eet": 120, "eest": 180, "msk": 180, "msd": 240, "bst": 60, "brt": -180, "brst": -120, "jst": 540, "kst": 540,
    "hst": -600, "akst": -540, "akdt": -480, "ist": 330, "aest": 600, "aedt": 660,
}  # fmt: skip
_TIME = r"(\d{1,2})\s*[:.]\s*(\d{1,2})(?:\s*[:.]\s*(\d{1,2}))?(?:[.,]\d{1,9})?(?:\s*([AaPp])\.?[Mm]\b\.?)?"
_ZONE = r"(?:\s*\(?\s*(?:GMT|UTC)?([+-]\d{1,2}:?\d{2}|[+-]\d{1,2}\b)|\s*\(?\s*([A-Za-z]{1,5})\b)?"
_USUAL = re.compile(
    r"(?<!\d)(\d{1,2})(?:\s+de)?[\s./-]+([^\W\d_]{3,10})(?:\s+de)?[\s.,/-]+(\d{2,4})(?!\d)[\s,]*(?:\s*T?"
    + _TIME
    + _ZONE
    + ")?"
)
_ISO = re.compile(r"(?<!\d)(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[T\s]+" + _TIME + _ZONE + ")?")
_MONTH_FIRST = re.compile(r"([^\W\d_]{3,10})\.?\s+(\d{1,2}),?\s+(\d{4})\b(?:,?\s*(?:at\s+)?" + _TIME + _ZONE + ")?")
_ASCTIME = re.compile(
    r"\b([A-Za-z]{3,9})\s+(\d{1,2}),?\s+" + _TIME + r"(?:\s+([A-Za-z]{1,5}|[+-]\d{4}))?\s+(\d{4})\b" + _ZONE
)


def parse_date(text: str) -> datetime | None:
    """The instant in UTC, None if the value is no date or an impossible one. Without a zone UTC is taken.

    A date in the future stays as stated: identity is made of it and must not depend on when a copy arrived.
    """
    text = text[:200]
    match = _USUAL.search(text)
    if match and (month := find_month(match.group(2))):
        day, _, year, hour, minute, second, half, offset, zone = match.groups()
        return _build(year, month, day, (hour, minute, second, half), offset or zone)
    match = _ISO.search(text)
    if match:
        year, number, day, hour, minute, second, half, offset, zone = match.groups()
        return _build(year, int(number), day, (hour, minute, second, half), offset or zone)
    match = _MONTH_FIRST.search(text)
    if match and (month := find_month(match.group(1))):
        _, day, year, hour, minute, second, half, offset, zone = match.groups()
        return _build(year, month, day, (hour, minute, second, half), offset or zone)
    match = _ASCTIME.search(text)
    if match:
        name, day, hour, minute, second, half, inner, year, offset, zone = match.groups()
        return _build(year, find_month(name), day, (hour, minute, second, half), offset or zone or inner)
    return None


def find_month(name: str) -> int | None:
    """The number of a month by its name or short form in one of our languages."""
    name = name.lower()
    return MONTHS.get(name) or MONTHS.get(name[:3])


def _build(
    year: str,
    month: int | None,
    day: str,
    clock: tuple[str | None, str | None, str | None, str | None],
    zone: str | None,
) -> datetime | None:
    hour, minute, second = (int(part or 0) for part in clock[:3])
    half = (clock[3] or "").lower()
    if half and hour <= 12:
        hour = hour % 12 + (12 if half == "p" else 0)
    number = int(year)
    if len(year) == 2:
        number += 2000 if number < 50 else 1900
    elif len(year) == 3:  # RFC 5322, 4.3
        number += 1900
    if month is None or not 1970 <= number <= 2200:
        return None
    try:
        local = datetime(number, month, int(day), hour, minute, min(second, 59), tzinfo=_find_zone(zone))
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _find_zone(zone: str | None) -> timezone:
    if not zone:
        return UTC
    if zone[0] in "+-":
        digits = zone[1:].replace(":", "")
        hours, minutes = (int(digits), 0) if len(digits) <= 2 else (int(digits[:-2]), int(digits[-2:]))
        offset = hours * 60 + minutes
        if offset > 24 * 60 - 1:
            return UTC
        return timezone(timedelta(minutes=-offset if zone[0] == "-" else offset)) if offset else UTC
    return timezone(timedelta(minutes=_ZONES.get(zone.lower(), 0)))
