"""Dates and money as people of a language write them. Pure.

Unknown languages get unambiguous forms: 2026-11-20 and 1250.00.
"""

from __future__ import annotations

import re
from datetime import date, datetime, tzinfo
from decimal import Decimal, InvalidOperation

_MONTHS = {
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "en": "January February March April May June July August September October November December",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
_SHORT = {"pt": "%d/%m/%Y", "es": "%d/%m/%Y", "fr": "%d/%m/%Y", "ru": "%d.%m.%Y", "de": "%d.%m.%Y"}
_LONG = {
    "pt": "{d} de {m} de {y}",
    "es": "{d} de {m} de {y}",
    "ru": "{d} {m} {y} г.",
    "de": "{d}. {m} {y}",
}
_SEPARATORS = {"pt": (".", ","), "es": (".", ","), "de": (".", ","), "ru": ("\u00a0", ","), "fr": ("\u202f", ",")}
_SYMBOLS = {"BRL": "R$", "EUR": "€", "USD": "US$", "GBP": "£", "RUB": "₽", "CHF": "CHF"}
DATE_STYLES = ("short", "long", "time")


def format_date(value: date, language: str, zone: tzinfo, style: str = "short") -> str:
    """A date or instant by the clock of `zone`: "20/11/2026", long "20 de novembro de 2026", time "20/11/2026 14:30".

    English has no short form that all read alike: it is "20 November 2026" always. A plain date has no time to show.
    """
    local = value.astimezone(zone) if isinstance(value, datetime) else value
    base = language.partition("-")[0]
    in_words = style == "long" or base == "en"
    shown = _long(local, base) if in_words else local.strftime(_SHORT.get(base, "%Y-%m-%d"))
    return f"{shown} {local:%H:%M}" if style == "time" and isinstance(local, datetime) else shown


def _long(day: date, base: str) -> str:
    if base not in _MONTHS:
        return day.isoformat()[:10]
    return _LONG.get(base, "{d} {m} {y}").format(d=day.day, m=_MONTHS[base].split()[day.month - 1], y=day.year)


def read_date(value: object) -> date | None:
    """A date or datetime as it is, or read from "2026-11-20" or "2026-11-20T14:30:00Z"; None for anything else."""
    if isinstance(value, date):
        return value
    text = str(value).strip()
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return date.fromisoformat(text)
        return datetime.fromisoformat(text) if re.match(r"\d{4}-\d\d-\d\d[T ]", text, re.ASCII) else None
    except ValueError:
        return None


def format_money(amount: Decimal, language: str, currency: str = "") -> str:
    """ "1.250,00", with a currency (ISO 4217) "R$ 1.250,00" or "1 250,00 ₽": the language's separators."""
    base = language.partition("-")[0]
    thousands, point = _SEPARATORS.get(base, (",", ".") if base == "en" else ("", "."))
    digits = f"{amount:,.2f}".replace(",", "\0").replace(".", point).replace("\0", thousands)
    if not currency:
        return digits
    symbol = _SYMBOLS.get(currency.upper(), currency.upper())
    if base == "en" and len(symbol) == 1:
        return f"{symbol}{digits}"
    behind = base in ("ru", "de", "fr") or (base in ("pt", "es") and symbol == "€")
    return f"{digits}\u00a0{symbol}" if behind else f"{symbol}\u00a0{digits}"


def read_amount(value: object) -> Decimal | None:
    """A number, or text such as "1250.00" (a point for decimals, no separators); None for anything else."""
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and abs(amount) < 10**15 else None
