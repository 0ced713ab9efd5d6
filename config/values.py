"""The small types of the settings: lengths of time, address patterns, names, paths. Text in, typed values out."""

from __future__ import annotations

import difflib
import fnmatch
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, time, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from config.secrets import SecretRef, parse_ref

Unit = Literal["second", "minute", "hour", "day", "week", "month", "year", "business day"]
SECONDS: dict[Unit, int] = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "week": 7 * 86400,
    "month": 30 * 86400,
    "year": 365 * 86400,
    "business day": 86400,
}
SHORT: dict[str, Unit] = {"s": "second", "sec": "second", "min": "minute", "m": "minute", "h": "hour", "d": "day"}
LENGTH = re.compile(r"\s*(\d{1,6})\s*([a-z]+(?:\s+[a-z]+)?)\s*", re.IGNORECASE)
CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")
LONGEST_ADDRESS = 320
MAIL = re.compile(r"[^@\s,;<>\"“”„*]+@[^@\s,;<>\"“”„*.]+(\.[^@\s,;<>\"“”„*.]+)*")
DOMAIN = re.compile(r"@(\*\.)?[^@\s,;<>\"“”„*.]+(\.[^@\s,;<>\"“”„*.]+)*")
NAME = re.compile(r"[^\W_][\w.+-]{0,63}")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")


class Section(BaseModel):
    """A part of quietcrm.yaml: unknown keys refused, frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def is_loopback(host: str) -> bool:
    """True if `host` can only be this machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def fault(code: str, message: str, help: str = "") -> PydanticCustomError:
    """An error that the loader turns into a Problem with this code, message and remedy."""
    return PydanticCustomError(cast(Any, code), "{message}", {"message": shorten(message), "help": help})


def shorten(text: str) -> str:
    """At most 200 characters, so that one message stays one line."""
    return text if len(text) <= 200 else f"{text[:150]} … {text[-40:]}"


AS_NEAR = 0.1
"""Two names whose likeness to a misspelt one differs by less are equally near."""


def closest(word: str, known: Iterable[str]) -> str:
    """The known name most like `word`, or "" if none is near."""
    folded = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else ""


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """The help line for a misspelt name: the nearest known one, both if two are as near, else `otherwise`."""
    near = [f'"{name}"' for name in _nearest(word, known)]
    return f"did you mean {' or '.join(near)}?" if near else otherwise


def _nearest(word: str, known: Iterable[str]) -> list[str]:
    """The known name most like `word`, and the next one if it is like it nearly as much."""
    names = list(known)
    first = closest(word, names)
    second = closest(word, [name for name in names if name.lower() != first.lower()]) if first else ""
    alike = [difflib.SequenceMatcher(a=name.lower(), b=word.lower()).ratio() for name in (first, second)]
    return [first, second] if second and alike[0] - alike[1] < AS_NEAR else [first] if first else []


@dataclass(frozen=True, slots=True)
class Length:
    """A length of time as people write it. Business days need office hours to become a date."""

    count: int
    unit: Unit

    @property
    def business(self) -> bool:
        """True if only the office calendar can turn this into a date."""
        return self.unit == "business day"

    def delta(self) -> timedelta:
        """As elapsed time: a month counts 30 days, a year 365, a business day one day."""
        return timedelta(seconds=self.count * SECONDS[self.unit])

    def __str__(self) -> str:
        return f"{self.count} {self.unit}{'s' if self.count != 1 else ''}"


def parse_length(text: object) -> Length:
    """`10 minutes`, `2h`, `5 business days`, `2 years`. Raises a pydantic error (E202) otherwise."""
    if isinstance(text, Length):
        return text
    match = LENGTH.fullmatch(str(text))
    unit = _unit(match[2]) if match else None
    if not match or unit is None:
        number = re.match(r"\s*(\d{1,4})\b", str(text))
        raise fault("E202", f'"{text}" is not a length of time', f"write: {int(number[1]) if number else 5} days")
    if int(match[1]) * SECONDS[unit] > 100 * SECONDS["year"]:
        raise fault("E202", f"{text} is longer than a hundred years", "write: 10 years")
    return Length(int(match[1]), unit)


def _unit(word: str) -> Unit | None:
    word = " ".join(word.lower().split())
    if word in SHORT:
        return SHORT[word]
    singular = word.removesuffix("s")
    return singular if singular in SECONDS else None


def parse_since(value: object) -> date | Length:
    """`2020-01-01`, or a length counted back from today. Raises E203."""
    if isinstance(value, date | Length):
        return value
    text = str(value).strip()
    if not re.match(r"\d+[-/.]", text):
        return parse_length(text)
    return parse_date(text)


def parse_date(value: object) -> date:
    """`2027-02-09`; Raises E203, for 09.02.2027 or 9/2/2027 with the right form in the remedy."""
    if isinstance(value, date):
        return value
    text = str(value).strip()
    turned = re.fullmatch(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})", text)
    iso = f"{turned[3]}-{int(turned[2]):02}-{int(turned[1]):02}" if turned else text
    try:
        parsed = date.fromisoformat(iso)
    except ValueError:
        raise fault("E203", f'"{text}" is not a date', "write: 2026-01-31") from None
    if parsed.isoformat() != text:
        raise fault("E203", f'"{text}" is not a date', f"write: {parsed.isoformat()}")
    return parsed


def parse_clock(value: object) -> time:
    """`08:00` or `8:00`. Raises E203."""
    if isinstance(value, time):
        return value
    text = str(value).strip()
    match = CLOCK.fullmatch(text)
    if not match or int(match[1]) == 24:
        digits = re.match(r"([01]?\d|2[0-3])(?:\D+([0-5]\d))?", text)
        right = f"{int(digits[1]):02}:{digits[2] or '00'}" if digits else "08:00"
        raise fault("E203", f'"{text}" is not a time of day', f"write: {right}")
    return time(int(match[1]), int(match[2]))


AREAS = (
    "Africa/",
    "America/",
    "Antarctica/",
    "Arctic/",
    "Asia/",
    "Atlantic/",
    "Australia/",
    "Europe/",
    "Indian/",
    "Pacific/",
)
"""How the names of zones that are kept up begin. The others are older names for them, and clocks like UTC."""


@cache
def zone_names() -> frozenset[str]:
    """Every time zone this machine knows."""
    return frozenset(available_timezones())


def did_you_mean_zone(text: str, otherwise: str) -> str:
    """The help line for a misspelt time zone: the zone whose name and the one whose city is most like it, by the names
    of today (America/Sao_Paulo for "Brazil/East"), else `otherwise`."""
    cities = {name.rpartition("/")[2]: name for name in sorted(zone_names()) if name.startswith(AREAS)}
    near = (closest(text, zone_names()), cities.get(closest(text.rpartition("/")[2], cities), ""))
    today = [f'"{one if one.startswith(AREAS) else _links().get(one, one)}"' for one in near if one]
    return f"did you mean {' or '.join(dict.fromkeys(today))}?" if today else otherwise


def _links() -> dict[str, str]:
    """Old name -> the zone it means: the lines `L zone old` of the database's own text form (zic(8))."""
    lines = files("tzdata.zoneinfo").joinpath("tzdata.zi").read_text(encoding="utf-8").splitlines()
    links = (line.split() for line in lines if line.startswith("L "))
    return {old: zone for _, zone, old in links if zone.startswith(AREAS)}


def parse_zone(value: object) -> str:
    """A time zone of the IANA database, like America/Sao_Paulo. Raises E204."""
    text = str(value)
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        help = did_you_mean_zone(text, "write: Europe/Lisbon")
        raise fault("E204", f'unknown time zone "{text}"', help) from None
    return text


def parse_mail(value: object) -> str:
    """One plain address. Raises E205."""
    text = str(value).strip()
    if not MAIL.fullmatch(text) or len(text) > LONGEST_ADDRESS:
        inner = MAIL.search(text[:LONGEST_ADDRESS])
        help = f"write: {inner[0]}" if inner else "write: ana@vendas.example"
        raise fault("E205", f'"{text}" is not a mail address', help)
    return text


def parse_pattern(value: object) -> str:
    """`ana@x.example`, `"@x.example"`, `"@*.x.example"` or a glob with an @. Raises E205."""
    text = str(value).strip()
    if MAIL.fullmatch(text) or DOMAIN.fullmatch(text) or ("*" in text and text.count("@") == 1 and " " not in text):
        return text.lower()
    bare = DOMAIN.fullmatch("@" + text)
    help = f'write: "@{text}"' if bare else 'write: "@vendas.example"'
    raise fault("E205", f'"{text}" is neither an address nor "@domain"', help)


def ascii_domain(domain: str) -> str:
    """A domain as it stands in a mail's header (A-labels, lower case); as written if it has no such form."""
    lower = domain.lower()
    if lower.isascii() or len(lower) > LONGEST_ADDRESS:  # the codec is slow on what cannot be a domain anyway
        return lower
    try:
        return lower.encode("idna").decode("ascii")
    except UnicodeError:
        return lower


def mail_key(email: str) -> str:
    """An address in the form it is compared: lower case, its domain in A-labels."""
    if email.isascii():
        return email.strip().lower()
    local, at, domain = email.strip().rpartition("@")
    return f"{local.lower()}{at}{ascii_domain(domain)}" if at else domain.lower()


def address_matches(pattern: str, email: str) -> bool:
    """True if `email` is covered: equal, of the domain "@d", below "@*.d", or by a glob. Case is ignored."""
    pattern, email = mail_key(pattern), mail_key(email)
    if pattern.startswith("@*."):
        return email.rpartition("@")[2].endswith(pattern[2:])
    if pattern.startswith("@"):
        return email.endswith(pattern)
    return fnmatch.fnmatchcase(email, pattern) if "*" in pattern else email == pattern


def parse_name(value: object) -> str:
    """The name of an account, person or list: letters, digits, - _ . +. Raises E212."""
    text = str(value)
    if not NAME.fullmatch(text):
        plainer = re.sub(r"[^\w.+-]+", "-", text).strip("-_.+")
        raise fault("E212", f'"{text}" cannot be used as a name', f'rename to "{plainer or "office"}"')
    return text


def parse_language(value: object) -> str:
    """`pt`, `ru`, `en`, `pt-BR`. Raises E213."""
    text = str(value).strip()
    if not LANGUAGE.fullmatch(text):
        code = LANGUAGE_WORDS.get(text.lower(), text[:2].lower() if text[:2].isascii() and text[:2].isalpha() else "en")
        raise fault("E213", f'"{text}" is not a language code', f"write: {code}")
    return text


LANGUAGE_WORDS = {"português": "pt", "portugues": "pt", "russian": "ru", "русский": "ru", "spanish": "es"} | {
    "german": "de",
    "deutsch": "de",
    "español": "es",
    "français": "fr",
}


def parse_secret(value: object) -> SecretRef:
    """A reference to a secret; a literal one is refused (E302), anything else is E303."""
    ref = parse_ref(value)
    if ref is not None:
        return ref
    if isinstance(value, str):
        raise fault("E302", "the password itself is written here", "write: {env: MAIL_PASSWORD}")
    raise fault(
        "E303",
        "a secret is one of {env: X}, {file: path}, {credential: name}, {keyring: service}",
        "write: {env: MAIL_PASSWORD}",
    )


def one_or_many(value: object) -> object:
    """A single text where a list may stand."""
    return (value,) if isinstance(value, str) else value


def _below_directory(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("directory")
    return base / path.expanduser() if base else path


Duration = Annotated[Length, PlainValidator(parse_length)]
Since = Annotated[date | Length, PlainValidator(parse_since)]
Day = Annotated[date, PlainValidator(parse_date)]
Clock = Annotated[time, PlainValidator(parse_clock)]
Zone = Annotated[str, AfterValidator(parse_zone)]
Mail = Annotated[str, AfterValidator(parse_mail)]
Pattern = Annotated[str, AfterValidator(parse_pattern)]
Name = Annotated[str, AfterValidator(parse_name)]
Language = Annotated[str, AfterValidator(parse_language)]
SecretSetting = Annotated[SecretRef, PlainValidator(parse_secret)]
Location = Annotated[Path, AfterValidator(_below_directory)]
Patterns = Annotated[tuple[Pattern, ...], BeforeValidator(one_or_many)]
Names = Annotated[tuple[Name, ...], BeforeValidator(one_or_many)]
Words = Annotated[tuple[str, ...], BeforeValidator(one_or_many)]
Mails = Annotated[tuple[Mail, ...], BeforeValidator(one_or_many)]
Days = Annotated[tuple[Day, ...], BeforeValidator(one_or_many)]
