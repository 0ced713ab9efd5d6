"""Days as people write them in mails: 24/12/2026, 24.12.2026, Dec 24, 2026, 24 декабря 2026 г. Pure.

A day without its year is read where one is asked for only, and one that may be two never: 05/06/2026 in English.
"""

from __future__ import annotations

import re
from datetime import date

from rules.text_match import fold_text

LONGEST = 60
_NAMES = (
    "janeiro january enero januar janvier января январь jan янв jänner",
    "fevereiro february febrero februar février февраля февраль fev feb fév фев",
    "março march marzo märz mars марта март mar мар mär",
    "abril april avril апреля апрель abr apr avr апр",
    "maio may mayo mai мая май",
    "junho june junio juni juin июня июнь jun июн",
    "julho july julio juli juillet июля июль jul июл juil",
    "agosto august août августа август ago aug авг",
    "setembro september septiembre septembre сентября сентябрь set sep sept сен сент",
    "outubro october octubre oktober octobre октября октябрь out oct okt окт",
    "novembro november noviembre novembre ноября ноябрь nov ноя нояб",
    "dezembro december diciembre dezember décembre декабря декабрь dez dec dic déc дек",
)
_MONTHS = {fold_text(name): number for number, names in enumerate(_NAMES, 1) for name in names.split()}
_FILLERS = frozenset(
    re.findall(
        r"\S+",
        fold_text(
            "de do del of the le den am dia on г год года seg ter qua qui sex sab dom segunda terca quarta quinta "
            "sexta feira sabado domingo lunes martes miercoles jueves viernes monday tuesday wednesday thursday "
            "friday saturday sunday mon tue tues wed thu thur thurs fri sat sun понедельник вторник среда четверг "
            "пятница суббота воскресенье пн вт ср чт пт сб вс среду пятницу субботу montag dienstag mittwoch "
            "donnerstag freitag samstag sonntag lundi mardi mercredi jeudi vendredi samedi dimanche"
        ),
    )
)
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th|º|°|ª|o|er|-?го|-?е)(?![^\W\d_])", re.IGNORECASE)
_DIGITS = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})", re.ASCII)
_SHORT = re.compile(r"(\d{1,2})([/.-])(\d{1,2})", re.ASCII)
_VCARD = re.compile(r"--(\d{2})-?(\d{2})", re.ASCII)
"""RFC 6350 4.3.1: a date of every year."""
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]\d{1,2}:\d{2}.{0,20})?", re.ASCII)


def read_day(text: str, language: str = "") -> date | None:
    """The day a text names, None if it names none, or may name two."""
    plain = " ".join(text.split()).strip(" ,;.")
    if len(plain) > LONGEST:
        return None
    iso = _ISO.fullmatch(plain)
    if iso:
        return _day(int(iso[1]), int(iso[2]), int(iso[3]))
    bare = re.sub(r"\s*г(?:\.|ода)?$", "", plain)
    found = _DIGITS.fullmatch(bare)
    return _by_digits(found, language) if found else _by_words(plain)


def read_month_day(text: str, language: str = "") -> tuple[int, int] | None:
    """Month and day of a text without a year ("15/03", "--03-15", "15 de março", "March 15"); None as in read_day.

    29 February is a day. Two numbers with a dash between them may be either (03-15, 15-03): read if only one way fits.
    """
    plain = " ".join(text.split()).strip(" ,;.")
    if len(plain) > LONGEST:
        return None
    if found := _VCARD.fullmatch(plain):
        return _of_leap_year(int(found[1]), int(found[2]))
    if found := _SHORT.fullmatch(plain):
        return _short(int(found[1]), found[2], int(found[3]), language)
    words = [word for word in re.findall(r"[^\W\d_]+|\d+", fold_text(_ORDINAL.sub("", plain))) if word not in _FILLERS]
    if len(words) != 2:
        return None
    days = [int(word) for word in words if word.isdecimal() and len(word) < 3]
    months = [_MONTHS[word] for word in words if word in _MONTHS]
    return _of_leap_year(months[0], days[0]) if days and months else None


def _short(first: int, sign: str, second: int, language: str) -> tuple[int, int] | None:
    day_first, month_first = _of_leap_year(second, first), _of_leap_year(first, second)
    if sign == "." or (sign == "/" and language.lower().partition("-")[0] != "en"):
        return day_first
    if day_first and month_first and day_first != month_first:
        return None
    return day_first or month_first


def _of_leap_year(month: int, day: int) -> tuple[int, int] | None:
    return (month, day) if _day(2000, month, day) else None


def _by_digits(found: re.Match[str], language: str) -> date | None:
    first, second, year = int(found[1]), int(found[3]), _year(found[4])
    day_first, month_first = _day(year, second, first), _day(year, first, second)
    if found[2] == "." or language.lower().partition("-")[0] != "en":
        return day_first
    if day_first and month_first and day_first != month_first:
        return None
    return day_first or month_first


def _by_words(text: str) -> date | None:
    """Day and month or month and day, then the year; the year may come first."""
    words = re.findall(r"[^\W\d_]+|\d+", fold_text(_ORDINAL.sub("", text)))
    kept = [word for word in words if word not in _FILLERS]
    if len(kept) != 3:
        return None
    shape = "".join("n" if word.isdecimal() else "m" if word in _MONTHS else "?" for word in kept)
    if shape == "nmn" and len(kept[0]) == 4:
        year, month, day = kept
    elif shape == "nmn":
        day, month, year = kept
    elif shape == "mnn":
        month, day, year = kept
    else:
        return None
    if len(year) not in (2, 4) or len(day) > 2:
        return None
    return _day(_year(year), _MONTHS[month], int(day))


def _year(digits: str) -> int:
    """Two digits are of this century up to 68, as in POSIX."""
    return int(digits) if len(digits) == 4 else int(digits) + (2000 if int(digits) < 69 else 1900)


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
