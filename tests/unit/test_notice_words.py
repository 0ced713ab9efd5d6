"""What reps read in notices and reminders: the page as text and HTML, and the words in three languages."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.page import Block, Line, as_html, as_text
from daemon.phrases import LANGUAGES, PHRASES, date_words, day_words, mails_words, phrase
from daemon.reasons import reason_words

AT = datetime(2026, 11, 18, 8, 5, tzinfo=UTC)
TAGS = re.compile(r"</?([a-z0-9!]+)")
OURS = {"!doctype", "html", "head", "meta", "title", "body", "div", "h1", "h2", "b", "code", "p", "br"}


def page(said: str) -> tuple[str, str]:
    line = Line(lead=said, text=said, reason=said, command=said, quote=said)
    blocks = [Block(title=said, lines=[line], tone="act", note=said)]
    return as_text(said, blocks, said), as_html(said, blocks, said)


@given(st.text(max_size=60))
def test_no_text_becomes_markup(said: str) -> None:
    _, html = page(said)
    assert set(TAGS.findall(html)) <= OURS


def test_markup_of_a_stranger_is_shown_as_text() -> None:
    text, html = page("<img src=x onerror=alert(1)>")
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "<img src=x" in text


def test_the_text_page_reads_well() -> None:
    lines = [Line(lead="Padaria Sol", text="Re: Caixas", reason="why", command="one\ntwo", quote="a\nb")]
    shown = as_text("Wednesday", [Block(title="Held", lines=lines, note="remark")], "foot")
    assert shown.splitlines() == [
        "Wednesday",
        "=========",
        "",
        "HELD",
        "- Padaria Sol: Re: Caixas",
        "  why",
        "  > one",
        "  > two",
        "  | a",
        "  | b",
        "  remark",
        "",
        "foot",
    ]


def test_every_phrase_is_in_every_language() -> None:
    assert [name for name, words in PHRASES.items() if set(words) != set(LANGUAGES)] == []
    fields = {name: {text.count("{") for text in words.values()} for name, words in PHRASES.items()}
    assert [name for name, counts in fields.items() if len(counts) != 1] == []


def test_a_language_we_do_not_speak_gets_english() -> None:
    assert phrase("questions", "ja") == "Who is this?"
    assert date_words(AT, "ja") == "Wednesday, 18 November"


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Wednesday, 18 November 08:05"),
        ("pt", "quarta, 18/11 08:05"),
        ("ru", "среда, 18.11 08:05"),
    ],
)
def test_days_as_people_say_them(language: str, said: str) -> None:
    assert day_words(AT, language) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "1 письмо"),
        (3, "3 письма"),
        (5, "5 писем"),
        (11, "11 писем"),
        (12, "12 писем"),
        (21, "21 письмо"),
        (22, "22 письма"),
        (111, "111 писем"),
    ],
)
def test_russian_counts(count: int, said: str) -> None:
    assert mails_words(count, "ru") == said


def test_one_mail_is_no_plural() -> None:
    assert (mails_words(1, "en"), mails_words(2, "en")) == ("1 mail", "2 mails")
    assert (mails_words(1, "pt"), mails_words(2, "pt")) == ("1 e-mail", "2 e-mails")


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (
            "no value for customer.fields.contract: fill it in and then: quietcrm outbox release 9",
            "o cliente ainda não tem “contract” no cadastro",
        ),
        ("no value for contact.first_name, owner.name", "falta o valor de contact.first_name, owner.name"),
        ("nobody touched it in time", "ninguém mexeu nele a tempo"),
        ("a reason nobody put into words", "a reason nobody put into words"),
        (
            'the template "renewal" is gone; write it again or: quietcrm outbox cancel 3',
            "o modelo “renewal” não existe mais",
        ),
        ('"bruno" is not of the team any more; nobody was reminded', "“bruno” não é mais da equipe"),
    ],
)
def test_kept_reasons_are_told_in_the_reps_language(reason: str, said: str) -> None:
    assert reason_words(reason, "pt") == said
