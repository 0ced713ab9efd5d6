"""Money, numbers and days as people write them: what may be read in two ways is not read."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.amounts import MACHINE, plain_number, read_money, read_number
from rules.formats import format_date, format_money
from rules.written_dates import read_day

MONEY = [
    ("R$ 1.250,00", 125_000, "BRL"),
    ("R$1.250", 125_000, "BRL"),
    ("1.250,00 reais", 125_000, "BRL"),
    ("1 250,00 ₽", 125_000, "RUB"),
    ("1\u00a0250 руб.", 125_000, "RUB"),
    ("1 250 руб. 50 коп.", 125_050, "RUB"),
    ("$1,250.00", 125_000, "USD"),
    ("US$ 1,250", 125_000, "USD"),
    ("EUR 1,234,567.89", 123_456_789, "EUR"),
    ("1'250.00 CHF", 125_000, "CHF"),
    ("€ 12,-", 1_200, "EUR"),
    ("12,5", 1_250, ""),
    ("¥1,250", 1_250, "JPY"),
    ("KWD 1.250", 1_250, "KWD"),
    ("-R$ 5,00", -500, "BRL"),
]


@pytest.mark.parametrize(("text", "minor", "currency"), MONEY)
def test_money(text: str, minor: int, currency: str) -> None:
    money = read_money(text)
    assert money is not None
    assert (money.minor, money.currency) == (minor, currency)


@pytest.mark.parametrize(
    "text",
    ["", "abc", "12.34.56", "1.2345", "1.25.000,00", "R$ 5 EUR", "5 boxes", "1,2,3", "R$", "1" * 70, "1,250.00,5"],
)
def test_no_money(text: str) -> None:
    assert read_money(text) is None


def test_data_has_points_for_decimals_only() -> None:
    assert read_money("1.250", MACHINE) == read_money("1,25")
    assert read_money("1,250", MACHINE) is not None  # a shop that writes for people after all
    assert read_number("1.250", MACHINE) == Decimal("1.25")
    assert read_number("1,250", MACHINE) is None


@given(
    st.decimals(min_value=Decimal("-9999999999.99"), max_value=Decimal("9999999999.99"), places=2),
    st.sampled_from(["pt", "ru", "en", "de", "fr", "es", "xx"]),
    st.sampled_from(["", "BRL", "RUB", "USD", "EUR", "GBP", "CHF"]),
)
def test_what_we_write_we_read(amount: Decimal, language: str, currency: str) -> None:
    money = read_money(format_money(amount, language, currency), language)
    assert money is not None
    assert (money.amount, money.currency) == (amount, currency)


@given(st.text(max_size=40))
def test_any_text_is_money_or_not(text: str) -> None:
    money = read_money(text)
    assert money is None or read_money(money.plain) == money
    number = read_number(text, "pt")
    assert number is None or number.is_finite()
    read_day(text, "en")


@pytest.mark.parametrize(
    ("text", "language", "wanted"),
    [
        ("1.250", "pt", "1250"),
        ("1,250", "pt-BR", "1.25"),
        ("1.250", "en", "1.25"),
        ("1,250", "en", "1250"),
        ("1 250,5", "ru", "1250.5"),
        ("1,250.5", "pt", "1250.5"),
        ("-12", "", "-12"),
        ("007", "", "7"),
        ("12%", "pt", None),
        ("12 boxes", "en", None),
    ],
)
def test_numbers(text: str, language: str, wanted: str | None) -> None:
    number = read_number(text, language)
    assert (None if number is None else plain_number(number)) == wanted


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("24/12/2026", "pt"),
        ("24-12-2026", "pt"),
        ("24.12.2026", "ru"),
        ("24.12.26", "ru"),
        ("24.12.2026 г.", "ru"),
        ("24 декабря 2026", "ru"),
        ("четверг, 24 декабря 2026 г.", "ru"),
        ("24 de dezembro de 2026", "pt"),
        ("quinta-feira, 24 de dez. de 2026", "pt"),
        ("Dec 24, 2026", "en"),
        ("December 24th, 2026", "en"),
        ("Thu, 24 Dec 2026", "en"),
        ("24-Dec-2026", "en"),
        ("12/24/2026", "en"),
        ("24/12/2026", "en"),
        ("2026-12-24", ""),
        ("2026-12-24T10:00:00-03:00", ""),
    ],
)
def test_days(text: str, language: str) -> None:
    assert read_day(text, language) == date(2026, 12, 24)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("05/06/2026", "en"),
        ("31/02/2026", "pt"),
        ("24 de dezembro", "pt"),
        ("december 2026", "en"),
        ("1 2 3", ""),
        ("", ""),
    ],
)
def test_no_day_or_two(text: str, language: str) -> None:
    assert read_day(text, language) is None


@given(
    st.dates(min_value=date(1970, 1, 1), max_value=date(2068, 12, 31)),
    st.sampled_from(["pt", "ru", "en", "de", "fr", "es", "xx"]),
    st.sampled_from(["short", "long"]),
)
def test_days_we_write_we_read(day: date, language: str, style: str) -> None:
    from datetime import UTC

    assert read_day(format_date(day, language, UTC, style), language) == day
