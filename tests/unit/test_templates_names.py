"""First names out of display names, and greetings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.names import first_name, greeting


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("Maria Silva", "Maria"),
        ("Silva, Maria", "Maria"),
        ("MARIA DA SILVA", "Maria"),
        ("SILVA Maria", "Maria"),
        ("maria", "Maria"),
        ("'Maria Silva'", "Maria"),
        ("Maria Silva | Acme", "Maria"),
        ("Maria Silva - Acme", "Maria"),
        ("Maria Silva (Acme)", "Maria"),
        ("Maria Silva, MBA", "Maria"),
        ("Silva Jr., Maria", "Maria"),
        ("Sra. Maria Silva", "Maria"),
        ("Sr. João Lima", "João"),
        ("Dr. Silva", ""),
        ("Sr Silva", ""),
        ("Jean-Pierre Dupont", "Jean-Pierre"),
        ("O'Brien, Sean", "Sean"),
        ("João Neto", "João"),
        ("Иванов Иван Иванович", "Иван"),
        ("Иван Иванович Иванов", "Иван"),
        ("Иван Иванович", "Иван"),
        ("Иванов Иван", "Иван"),
        ("Иван Иванов", "Иван"),
        ("Марина Иванова", "Марина"),
        ("Иванова Марина", "Марина"),
        ("Толстой Лев Николаевич", "Лев"),
        ("Лев Толстой", "Лев"),
        ("Анна Анина", "Анна"),
        ("Ольга Петровна", "Ольга"),
        ("ИП Иванов Иван Иванович", "Иван"),
        ("Иванов И.И.", ""),
        ("J. Smith", ""),
        ("ООО Ромашка", ""),
        ("ООО «Ромашка»", ""),
        ("Padaria Sol", ""),
        ("Acme Ltda", ""),
        ("Compras Acme", ""),
        ("Отдел продаж", ""),
        ("no-reply", ""),
        ("maria@vendas.example", ""),
        ("Maria & Ana", ""),
        ("Maria 2", ""),
        ("²a", ""),
        ("<script>", ""),
        ("王伟", ""),
        ("", ""),
        (" , ", ""),
        ("Jr.", ""),
    ],
)
def test_first_name(name: str, first: str) -> None:
    assert first_name(name) == first


@given(st.text(max_size=60))
def test_a_first_name_is_one_word_of_the_name_or_nothing(name: str) -> None:
    first = first_name(name)
    assert first == "" or (" " not in first and 2 <= len(first) <= 31 and first[0].isalpha())


@pytest.mark.parametrize(
    ("language", "hour", "said"),
    [
        ("pt", 5, "Bom dia"),
        ("pt-BR", 12, "Boa tarde"),
        ("pt", 18, "Boa noite"),
        ("ru", 4, "Добрый вечер"),
        ("ru", 11, "Доброе утро"),
        ("RU", 12, "Добрый день"),
        ("en", 17, "Good afternoon"),
        ("xx", 9, "Good morning"),
    ],
)
def test_greeting(language: str, hour: int, said: str) -> None:
    assert greeting(language, hour) == said
