"""Money and numbers as people of several languages write them: "R$ 1.250,00", "1 250,00 ₽", "$1,250.00". Pure.

What can be read in two ways is not guessed: it is not read. A point and a comma together leave no doubt; one of them
before three digits ("1.250") groups thousands in money, and in a number means what it means in the language.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

MACHINE = "machine"
"""Stands for the language of data: a point for decimals and nothing else."""
LONGEST = 60
_MOST = Decimal(10) ** 13
_POINT_LANGUAGES = ("en", "zh", "ja", "ko", "th", "he", "hi")
_SPACES = re.compile(r"[\s\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_NUMBER = re.compile(r"\d[\d.,'’ ]*(?<=\d)|\d", re.ASCII)
_PLAIN = re.compile(r"\d+(\.\d+)?", re.ASCII)
_KOPECKS = re.compile(r"(\d[\d ]*) ?(?:руб(?:\.|лей|ля|ль)?|р\.?|₽) ?(\d\d) ?коп(?:\.|еек|ейки|ейка)?", re.IGNORECASE)
_SIGNS: dict[str, str] = {
    "r$": "BRL", "reais": "BRL", "real": "BRL", "us$": "USD", "u$s": "USD", "$": "USD", "dollars": "USD",
    "dólares": "USD", "долларов": "USD", "€": "EUR", "euro": "EUR", "euros": "EUR", "евро": "EUR", "£": "GBP",
    "₽": "RUB", "руб": "RUB", "рублей": "RUB", "рубля": "RUB", "рубль": "RUB", "р": "RUB", "rubles": "RUB",
    "¥": "JPY", "₴": "UAH", "₸": "KZT", "₹": "INR", "₺": "TRY", "zł": "PLN",
}  # fmt: skip
_CODES = frozenset(
    re.findall(
        r"\w+",
        "AED ARS AUD BGN BHD BOB BRL BYN CAD CHF CLP CNY COP CZK DKK EUR GBP GEL HKD HUF IDR ILS INR ISK JOD JPY KRW "
        "KWD KZT MXN MYR NOK NZD OMR PEN PHP PLN PYG RON RSD RUB SAR SEK SGD THB TND TRY TWD UAH USD UYU UZS VND ZAR",
    )
)
_DECIMALS = {
    **dict.fromkeys(("JPY", "KRW", "CLP", "VND", "ISK", "PYG"), 0),
    **dict.fromkeys(("KWD", "BHD", "OMR", "JOD", "TND"), 3),
}


@dataclass(frozen=True, slots=True)
class Money:
    """An amount. `currency` is an ISO 4217 code, "" where the text names none."""

    amount: Decimal
    currency: str = ""

    @property
    def plain(self) -> str:
        """ "1250.00 BRL": as a program would write it."""
        return f"{self.amount:f} {self.currency}".rstrip()

    @classmethod
    def of_minor(cls, amount: int, currency: str) -> Money:
        """The amount that `minor` gives."""
        return cls(Decimal(amount).scaleb(-_DECIMALS.get(currency, 2)), currency)

    @property
    def minor(self) -> int:
        """The amount in minor units of its currency: cents, kopecks; whole yen."""
        return int(self.amount.scaleb(_DECIMALS.get(self.currency, 2)))


def read_money(text: str, language: str = "") -> Money | None:
    """An amount with or without its currency, before or behind it; None for anything else. A minus is read too."""
    plain = _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip()
    if len(plain) > LONGEST:
        return None
    kopecks = _KOPECKS.fullmatch(plain)
    if kopecks:
        whole = _decimal(kopecks[1].strip(), "ru", thousands=True)
        return None if whole is None else _money(whole + Decimal(kopecks[2]).scaleb(-2), "RUB")
    found = _NUMBER.search(plain)
    if not found:
        return None
    before, behind = plain[: found.start()].strip(), _without_dash(plain[found.end() :].strip())
    negative = any(sign in before for sign in "-−")
    currency = _currency(before.replace("-", "").replace("−", "").strip(), behind)
    if currency is None:
        return None
    spoken = "" if language == MACHINE and not _PLAIN.fullmatch(found[0]) else language  # a shop that writes for people
    amount = _decimal(found[0], spoken, thousands=_DECIMALS.get(currency, 2) < 3)
    if amount is None:
        return None
    return _money(-amount if negative else amount, currency)


def read_number(text: str, language: str = "") -> Decimal | None:
    """A number with the separators of a language ("pt": 1.250,5; "en": 1,250.5); None for anything else."""
    plain = _SPACES.sub(" ", text).strip()
    negative = plain[:1] in ("-", "−")
    digits = plain[1:].strip() if plain[:1] in ("-", "−", "+") else plain
    if len(plain) > LONGEST or not _NUMBER.fullmatch(digits):
        return None
    amount = _decimal(digits, language, thousands=_is_grouping(digits, language))
    return None if amount is None else -amount if negative else amount


def plain_number(number: Decimal) -> str:
    """ "1250.5": no separators, no exponent, no zeros at the end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _without_dash(text: str) -> str:
    """The ",-" that stands for no cents."""
    return re.sub(r"^[.,]?[-–—]+", "", text).strip()


def _currency(before: str, behind: str) -> str | None:
    """The currency named on one side, "" for none; None where something else stands there, or on both sides."""
    if before and behind:
        return None
    named = (before or behind).rstrip(".")
    if not named:
        return ""
    return named.upper() if named.upper() in _CODES else _SIGNS.get(named.lower())


def _money(amount: Decimal, currency: str) -> Money | None:
    places = _DECIMALS.get(currency, 2)
    if abs(amount) >= _MOST or amount != round(amount, places):
        return None
    return Money(round(amount, places), currency)


def _decimal(digits: str, language: str, *, thousands: bool) -> Decimal | None:
    """The value of digits with separators. `thousands`: one separator before three digits groups."""
    text = digits.replace("’", "'")
    points, commas = text.count("."), text.count(",")
    if language == MACHINE:
        return Decimal(text) if _PLAIN.fullmatch(text) else None
    if points and commas:
        mark = "." if text.rfind(".") > text.rfind(",") else ","
    elif points + commas == 1 and not (thousands and _groups(text)):
        mark = "." if points else ","
    else:
        mark = ""
    whole, _, rest = text.rpartition(mark) if mark else (text, "", "")
    if (mark and mark in whole) or (rest and not rest.isdecimal()):
        return None
    joined = _joined(whole)
    return Decimal(f"{joined}.{rest or 0}") if joined else None


def _groups(text: str) -> bool:
    """Whether a single separator may be one of thousands."""
    return re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", text, re.ASCII) is not None


def _is_grouping(text: str, language: str) -> bool:
    """Whether the separator is the one that groups in this language."""
    return ("," in text) == (language.lower().partition("-")[0] in _POINT_LANGUAGES)


def _joined(whole: str) -> str:
    """Digits without their separators of thousands, "" where those stand wrongly or are of two kinds."""
    if whole.isdecimal():
        return whole
    found = re.fullmatch(r"\d{1,3}(?P<mark>[.,' ])\d{3}(?:(?P=mark)\d{3})*", whole, re.ASCII)
    return re.sub(r"\D", "", whole) if found else ""
