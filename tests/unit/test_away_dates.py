"""Return dates in six languages, and the cases that have no answer."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mail.away import find_return_date

SUNDAY = date(2026, 11, 22)

STATED = [
    ("Estou de férias até 15/12.", date(2026, 12, 15)),
    ("Volto dia 3 de março.", date(2027, 3, 3)),
    ("Estarei fora de 10 a 20 de dezembro.", date(2026, 12, 20)),
    ("Em férias entre 01/12 e 15/12", date(2026, 12, 15)),
    ("A partir de 7/12 estarei de volta.", date(2026, 12, 7)),
    ("estarei de volta no dia 1º de dezembro", date(2026, 12, 1)),
    ("Retorno em 01/12/2026 às 9h", date(2026, 12, 1)),
    ("Я в отпуске, вернусь 12 января.", date(2027, 1, 12)),
    ("Я в отпуске с 10 по 20 декабря.", date(2026, 12, 20)),
    ("буду отсутствовать до 1 декабря включительно", date(2026, 12, 1)),
    ("Буду на работе с 8 декабря.", date(2026, 12, 8)),
    ("с 1.12 по 5.12.2026", date(2026, 12, 5)),
    ("Возвращение: 07.12.2026", date(2026, 12, 7)),
    ("I will be back on Monday, Dec 7.", date(2026, 12, 7)),
    ("away from 1 December to 10 December and will return on December 11th.", date(2026, 12, 11)),
    ("out until Wednesday 25th November, back on Thursday 26th November", date(2026, 11, 26)),
    ("out from Monday, November 23 through Friday, November 27", date(2026, 11, 27)),
    ("I am out until 13/12/2026", date(2026, 12, 13)),
    ("I'll be back 1/15/2027", date(2027, 1, 15)),
    ("Out of office. Return: 2026-12-07", date(2026, 12, 7)),
    ("out of office from 24 Dec 2026 until 2 January 2027.", date(2027, 1, 2)),
    ("back in the office on the 1st of December", date(2026, 12, 1)),
    ("I will be back on Tuesday.", date(2026, 11, 24)),
    ("Ich bin bis einschließlich 12.12.2026 nicht im Büro.", date(2026, 12, 12)),
    ("Ich bin vom 1. bis 11. Dezember im Urlaub.", date(2026, 12, 11)),
    ("Ab dem 14.12. bin ich wieder erreichbar.", date(2026, 12, 14)),
    ("bis zum 4. Dezember im Urlaub", date(2026, 12, 4)),
    ("Wieder da am 30.11.", date(2026, 11, 30)),
    ("Je suis absente jusqu'au 5 décembre 2026.", date(2026, 12, 5)),
    ("absent du 10 au 20 décembre", date(2026, 12, 20)),
    ("de retour le lundi 7 décembre", date(2026, 12, 7)),
    ("Estaré ausente hasta el 9 de diciembre.", date(2026, 12, 9)),
    ("del 10 al 20 de diciembre de 2026", date(2026, 12, 20)),
    ("Regreso el martes 1 de diciembre", date(2026, 12, 1)),
    ("Retornaré el próximo 3 de diciembre", date(2026, 12, 3)),
]


@pytest.mark.parametrize(("text", "day"), STATED)
def test_stated(text: str, day: date) -> None:
    assert find_return_date(text, SUNDAY) == day


@pytest.mark.parametrize(
    "text",
    [
        "I am out of the office until 05/06.",  # two readings
        "I will return on Friday, Dec 7",  # a Monday this year
        "I will be back on 3 December. I will be back on 9 December.",  # two answers
        "I was back on 1 November.",  # just over: an old text
        "Back soon. Call +55 11 5555-0100.",
        "On 3 Dec we met. I will be out.",
        "I will be back on 31 February.",
        "I will be back on Sunday.",  # today
        "until 1.2.3.4",
        "",
    ],
)
def test_no_guess(text: str) -> None:
    assert find_return_date(text, SUNDAY) is None


@given(
    st.dates(date(2026, 11, 23), date(2027, 8, 1)),
    st.sampled_from(
        ["volto em {:%d/%m/%Y}", "вернусь {:%d.%m.%Y}", "back on {:%d %B %Y}", "bis {:%d.%m.}", "hasta el {:%d/%m}"]
    ),
)
def test_any_day_ahead_is_found(day: date, form: str) -> None:
    assert find_return_date(form.format(day), SUNDAY) == day


@given(st.text(max_size=200) | st.text("0123456789/.- untilbackdezDec", max_size=120))
def test_never_raises_and_stays_near(text: str) -> None:
    day = find_return_date(text, SUNDAY)
    assert day is None or isinstance(day, date)


@given(st.dates(date(2020, 1, 1), date(2035, 1, 1)))
def test_a_day_without_a_year_is_ahead(received: date) -> None:
    day = received + timedelta(days=40)
    assert find_return_date(f"volto dia {day.day}/{day.month}", received) == day
