"""Templates: loading with every fault at its place, rendering in several languages, holding what lacks a value."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html import unescape
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from config.codes import CODES
from config.errors import Problem
from config.nodes import Place, Scalar
from rules.rendering import MissingValue, render_line
from rules.sandbox import RenderRefused
from rules.templates import STANDARD_NAMES, Template, TemplateNames, check_line, choose_language, load_templates

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
MORNING = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
QUOTE = """---
name: quote
subject: {pt: "Re: {{ mail.subject }}", ru: "Коммерческое предложение", en: "Your quote"}
needs: [contact.first_name, owner.name]
---
--- pt ---
{{ greeting }}, {{ contact.first_name | or("tudo bem") }}! **Até amanhã** envio os valores.

- [catálogo](https://vendas.example/c)
- pedido mínimo: {{ customer.fields.minimum | money("BRL") }}

Abraço,
{{ owner.name }}
--- ru ---
{{ greeting }}, {{ contact.first_name | or("коллеги") }}! Пришлю **завтра**.
--- en ---
{{ greeting }} {{ contact.first_name | or("there") }}, I will send prices **tomorrow**.
"""
VALUES = {
    "mail": {"subject": "Re: RE: Preço"},
    "contact": {"first_name": "Maria"},
    "owner": {"name": "Ana Souza"},
    "customer": {"fields": {"minimum": "1250.5"}},
}


def load(directory: Path, *texts: str, names: TemplateNames | None = None) -> tuple[dict[str, Template], list[Problem]]:
    """The templates in these files, a.md first."""
    for number, text in enumerate(texts):
        (directory / f"{chr(ord('a') + number)}.md").write_text(text, encoding="utf-8")
    problems: list[Problem] = []
    found = load_templates(directory, problems, names=names or TemplateNames(language="pt"))
    return found, problems


@pytest.fixture
def quote(tmp_path: Path) -> Template:
    found, problems = load(tmp_path, QUOTE)
    assert problems == []
    return found["quote"]


def one(directory: Path, body: str, subject: str = "S") -> Template:
    """A template with one Portuguese body."""
    found, problems = load(directory, f'---\nname: one\nsubject: "{subject}"\n---\n{body}\n')
    assert problems == []
    return found["one"]


def test_both_parts_come_from_one_source(quote: Template) -> None:
    mail = quote.render(VALUES, "pt", now=MORNING, zone=SAO_PAULO)
    assert mail.subject == "Re: Preço"
    assert mail.text == (
        "Bom dia, Maria! Até amanhã envio os valores.\n\n- catálogo <https://vendas.example/c>\n"
        "- pedido mínimo: R$\u00a01.250,50\n\nAbraço,\nAna Souza\n"
    )
    assert "<strong>Até amanhã</strong>" in mail.html
    assert '<a href="https://vendas.example/c">catálogo</a>' in mail.html
    assert "Abraço,<br>\nAna Souza" in mail.html
    assert "<style" not in mail.html
    assert '<body style="font-family' in mail.html
    words = unescape(re.sub(r"<[^>]+>", "", mail.html)).split()
    assert words == [word for word in mail.text.split() if word != "-" and not word.startswith("<")]


@pytest.mark.parametrize(("hour", "said"), [(12, "Доброе утро"), (9, "Добрый день")])
def test_greeting_by_the_clock_of_the_zone(quote: Template, hour: int, said: str) -> None:
    zone = SAO_PAULO if hour == 12 else ZoneInfo("Europe/Moscow")
    mail = quote.render(VALUES, "ru", now=datetime(2026, 11, 23, hour, 30, tzinfo=UTC), zone=zone)
    assert mail.text == f"{said}, Maria! Пришлю завтра.\n"


def test_hash_follows_content(quote: Template) -> None:
    first = quote.render(VALUES, "en", now=MORNING)
    again = quote.render(VALUES, "en", now=MORNING)
    other = quote.render({**VALUES, "contact": {"first_name": "Olga"}}, "en", now=MORNING)
    assert first.content_hash == again.content_hash != other.content_hash


@pytest.mark.parametrize("blank", [None, "", "  ", "\t\r\n", "\u200b", "\u00a0", "\u202e", "absent"])
@pytest.mark.parametrize("name", sorted(name for name in STANDARD_NAMES if not name.endswith("*")))
def test_a_blank_value_of_any_name_holds_the_mail(tmp_path: Path, name: str, blank: str | None) -> None:
    template = one(tmp_path, f"Olá {{{{ {name} }}}}!")
    group, _, last = name.rpartition(".")
    given = {} if blank == "absent" else {group: {last: blank}} if group else {last: blank}
    with pytest.raises(MissingValue) as held:
        template.render(given, "pt") if name != "lang" or given else template.render({"lang": None}, "pt")
    assert held.value.names == (name,)


def test_all_missing_names_are_told_at_once(quote: Template) -> None:
    with pytest.raises(MissingValue) as held:
        quote.render({"mail": {"subject": None}}, "pt")
    assert held.value.names == ("mail.subject", "greeting", "customer.fields.minimum", "owner.name")
    assert "owner.name" in held.value.message


def test_needs_holds_unless_the_text_has_an_or(quote: Template) -> None:
    nameless = {**VALUES, "contact": {}}
    assert "tudo bem!" in quote.render(nameless, "pt", now=MORNING).text
    with pytest.raises(MissingValue) as held:
        quote.render({**nameless, "owner": {}}, "ru", now=MORNING)
    assert held.value.names == ("owner.name",)


@pytest.mark.parametrize(
    ("expression", "language", "shown"),
    [
        ("{{ customer.last_contact }}", "pt", "12/11/2026"),
        ("{{ customer.last_contact | date('long') }}", "ru", "12 ноября 2026 г."),
        ("{{ customer.last_contact | date }}", "en", "12 November 2026"),
        ("{{ customer.last_contact | date('time') }}", "de", "12.11.2026 22:30"),
        ("{{ customer.fields.day | date }}", "pt", "05/02/2027"),
        ("{{ customer.fields.total | money }}", "pt", "1.234.567,80"),
        ("{{ customer.fields.total | money('EUR') }}", "de", "1.234.567,80\u00a0€"),
        ("{{ customer.fields.total | money('USD') }}", "en", "US$\u00a01,234,567.80"),
        ("{{ customer.fields.free | money }}", "en", "a lot"),
        ("{{ customer.fields.none | date | or('nunca') }}", "pt", "nunca"),
        ("{{ contact.name | first }}", "pt", "Maria"),
        ("{{ customer.name | first | or('tudo bem') }}", "pt", "tudo bem"),
        ("{% if customer.stage %}a{% else %}b{% endif %}", "pt", "b"),
        ("{% if customer.stage == 'won' %}a{% elif contact.name != 'x' %}b{% endif %}", "pt", "b"),
        ("{{ 'A' if lang == 'ru' else 'B' }}", "ru", "A"),
        ("{% for item in order.items %}{{ item.what }}{% if not loop.last %}, {% endif %}{% endfor %}", "pt", "x, y"),
    ],
)
def test_what_can_be_written(expression: str, language: str, shown: str) -> None:
    values = {
        "customer": {
            "name": "ООО Ромашка",
            "last_contact": datetime(2026, 11, 13, 1, 30, tzinfo=UTC),
            "fields": {"day": "2027-02-05", "total": "1234567.8", "free": "a lot"},
        },
        "contact": {"name": "Silva, Maria"},
        "order": {"items": [{"what": "x"}, {"what": "y"}]},
    }
    names = STANDARD_NAMES | {"order.items"}
    scalar = Scalar(expression, Place(Path("r.yaml"), 1, 1, len(expression)))
    assert check_line(scalar, names)[0] == []
    assert render_line(expression, values, language=language, zone=SAO_PAULO) == shown


def test_a_line_of_a_rule_is_plain_and_may_name_blanks() -> None:
    line = "Call *{{ customer.name }}*, {{ contact.name }}"
    assert render_line(line, {"customer": {"name": "A\r\nB"}}, language="en", blank="?") == "Call *A B*, ?"
    with pytest.raises(MissingValue):
        render_line(line, {"customer": {"name": "A"}}, language="en")


def test_faults_in_a_line_of_a_rule_have_their_column() -> None:
    text = Scalar("Call {{ custmer.name }}", Place(Path("r.yaml"), 7, 30, 25), quoted=True)
    problems, used = check_line(text, STANDARD_NAMES)
    assert [(problem.code, problem.line, problem.column, problem.span) for problem in problems] == [("E509", 7, 39, 12)]
    assert problems[0].help == 'did you mean "customer.name"?'
    assert used == {"custmer.name"}


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        (("ru", "en"), "ru"),
        (("", "EN"), "en"),
        (("pt-BR",), "pt"),
        (("fr", "de", "en-US"), "en"),
        (("fr",), "pt"),
        ((), "pt"),
    ],
)
def test_language_is_the_first_that_is_written(quote: Template, candidates: tuple[str, ...], chosen: str) -> None:
    assert choose_language(quote, *candidates) == chosen


HEAD = '---\nname: x\nsubject: "S"\n---\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Olá", [("E501", 1, 1)]),
        ("---\nname: x\n", [("E501", 1, 1)]),
        ("---\nname: x\n---\nOlá", [("E102", 2, 1)]),
        ("---\nname: x\nsubjet: a\nsubject: b\n---\nOlá", [("E101", 3, 1)]),
        ("---\nname: x y\nsubject: b\n---\nOlá", [("E212", 2, 7)]),
        ("---\nname: x\nsubject: [b]\n---\nOlá", [("E103", 3, 10)]),
        ('---\nname: x\nsubject: ""\n---\nOlá', [("E106", 3, 10)]),
        ('---\nname: x\nsubject: "a {{ lagn }}"\n---\nOlá', [("E509", 3, 16)]),
        ("---\nname: x\nsubject: {pt: a, portuguese: b}\n---\nOlá", [("E213", 3, 18), ("E505", 3, 30)]),
        ("---\nname: x\nsubject: {en: a}\n---\nOlá", [("E503", 3, 1), ("E505", 3, 15)]),
        ("---\nname: x\nsubject: a\nfallback: maybe\n---\nOlá", [("E104", 4, 11)]),
        ("---\nname: x\nsubject: a\nneeds: [owner.nam]\n---\nOlá", [("E509", 4, 9)]),
        ("---\nname: x\nsubject: a\nneeds: {a: b}\n---\nOlá", [("E103", 4, 8)]),
        ("---\nname: x\nsubject: a\nattach: price.pdf\n---\nOlá", [("E516", 4, 9)]),
        ("---\nname: x\nname: y\nsubject: a\n---\nOlá", [("E007", 3, 1)]),
        (HEAD, [("E506", 5, 1)]),
        (HEAD + "hi\n--- pt ---\nOlá", [("E507", 5, 1)]),
        (HEAD + "--- pt ---\n\n--- en ---\nHi", [("E506", 5, 1)]),
        (HEAD + "--- pt ---\nOlá\n--- pt ---\nOlá", [("E504", 7, 1)]),
        (HEAD + "--- pt ---\nOlá\n--- portuguese ---\nOlá", [("E504", 7, 1)]),
        (HEAD + "--- en ---\nHi", [("E505", 6, 1)]),
        (HEAD + "--- pt ---\nOlá\n\n  {{ custmer.name }}", [("E509", 8, 6)]),
        (HEAD + "Olá\n{{ customer }}", [("E509", 6, 4)]),
        (HEAD + "Olá {{ contact.name", [("E508", 5, 5)]),
        (HEAD + "Olá {{ contact.name }\n{{ q }}", [("E508", 5, 5), ("E509", 6, 4)]),
        (HEAD + "{% if lang %}x", [("E508", 5, 1)]),
        (HEAD + "Olá }}", [("E508", 5, 5)]),
        (HEAD + "{% raw %}{{ lang }}{% endraw %}", [("E508", 5, 10), ("E508", 5, 18)]),
        (HEAD + "{{ lang | upper }}", [("E510", 5, 11)]),
        (HEAD + "{{ lang.__class__ }}", [("E511", 5, 4)]),
        (HEAD + "Olá { contact.name }", [("E512", 5, 5)]),
        (HEAD + "[a]({{ mail.from }})", [("E513", 5, 5)]),
        (HEAD + "![a](https://x.example/a.png)", [("E514", 5, 1)]),
        (HEAD + "{{ 'x' * 1000000000 }}", [("E515", 5, 1)]),
        (HEAD + "{% for i in range(9) %}{% endfor %}", [("E515", 5, 1)]),
        (HEAD + "{% for i in l %}{% for j in l %}{% endfor %}{% endfor %}", [("E515", 5, 1)]),
        (HEAD + "{% include 'a' %}", [("E515", 5, 1)]),
        (HEAD + "{% import 'a' as b %}", [("E515", 5, 1)]),
        (HEAD + "{% macro m() %}{% endmacro %}", [("E515", 5, 1)]),
        (HEAD + "{% set a = 1 %}", [("E515", 5, 1)]),
        (HEAD + "{{ lang() }}", [("E515", 5, 1)]),
        (HEAD + "{{ customer['name'] }}", [("E515", 5, 1)]),
        (HEAD + "{{ lang | or(lang) }}", [("E515", 5, 1)]),
        (HEAD + "{{ lang | or }}", [("E515", 5, 1)]),
        (HEAD + "{{ lang ~ lang }}", [("E515", 5, 1)]),
        (HEAD + "{{ lang is defined }}", [("E515", 5, 1)]),
    ],
)
def test_each_fault_is_named_at_its_place(tmp_path: Path, text: str, expected: list[tuple[str, int, int]]) -> None:
    names = TemplateNames(language="pt", extracted=frozenset({"l"}))
    found, problems = load(tmp_path, text, names=names)
    assert [(problem.code, problem.line, problem.column) for problem in problems] == expected
    assert all(problem.help and problem.code in CODES for problem in problems)
    assert ("x" in found) is all(problem.warning for problem in problems)


def test_faults_of_all_files_come_at_once_and_sound_ones_stay(tmp_path: Path) -> None:
    found, problems = load(tmp_path, QUOTE, HEAD + "{{ q }}", "Olá", QUOTE)
    assert list(found) == ["quote"]
    assert [(problem.path.name, problem.code) for problem in problems] == [
        ("b.md", "E509"),
        ("c.md", "E501"),
        ("d.md", "E502"),
    ]


def test_languages_that_must_be_written(tmp_path: Path) -> None:
    names = TemplateNames(language="pt", written=("pt", "ru"))
    found, problems = load(tmp_path, HEAD + "Olá", names=names)
    assert [(problem.code, problem.message) for problem in problems] == [("E505", 'there is no text in "ru"')]
    found, problems = load(tmp_path, HEAD.replace('"S"', '"S"\nfallback: yes') + "Olá", names=names)
    assert problems == []
    assert found["x"].fallback


def test_no_directory_no_templates(tmp_path: Path) -> None:
    problems: list[Problem] = []
    assert load_templates(tmp_path / "none", problems, names=TemplateNames(language="pt")) == {}
    assert problems == []


def test_bytes_that_are_no_text_are_one_problem(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"---\nname: \xff\n---\n")
    _, problems = load(tmp_path)
    assert [problem.code for problem in problems] == ["E018"]


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x' * 10**9 }}",
        "{{ lang * 9 }}",
        "{{ lang.upper() }}",
        "{{ lang[0] }}",
        "{{ contact }}",
        "{{ ''.__class__() }}",
    ],
)
def test_the_sandbox_refuses_even_what_was_not_checked(source: str) -> None:
    with pytest.raises(RenderRefused):
        render_line(source, {"contact": {"name": "x"}}, language="pt")


def test_output_is_capped() -> None:
    items = [{"text": "x" * 60_000}] * 5_000
    with pytest.raises(RenderRefused, match="million"):
        render_line("{% for i in all %}{{ i.text }}{% endfor %}", {"all": items}, language="pt")
    with pytest.raises(RenderRefused):
        render_line("{{ a }}{{ a }}", {"a": "x" * 600_000}, language="pt")


def test_lists_are_cut_at_a_hundred() -> None:
    text = render_line("{% for i in all %}{{ i }}{% endfor %}", {"all": list(range(1000))}, language="pt")
    assert text.endswith("9899")


def test_a_long_subject_is_cut(tmp_path: Path) -> None:
    template = one(tmp_path, "Olá", "{{ mail.subject }}")
    subject = template.render({"mail": {"subject": "ж" * 5_000}}, "pt").subject
    assert len(subject) == 250
    assert subject.endswith("ж…")


def test_today(tmp_path: Path) -> None:
    late = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
    assert one(tmp_path, "{{ today }}").render({}, "pt", now=late, zone=SAO_PAULO).text == "23/11/2026\n"
    assert one(tmp_path, "{{ today }}").render({"today": date(2027, 1, 2)}, "pt").text == "02/01/2027\n"
