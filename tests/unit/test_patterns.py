"""Patterns on RE2: what Unicode means, what is refused and with which remedy, and that no pattern can hang us."""

from __future__ import annotations

import re
import unicodedata

import pytest
import re2
from campaigns.evil import EVIL
from campaigns.patterns import HEAVY
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.patterns import MOST_PATTERN, Pattern, PatternError, Searchable, compile_pattern
from rules.text_match import TEXT_LIMIT


def finds(source: str, text: str) -> bool:
    return compile_pattern(source).search(Searchable(text))


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("AÇÃO", "uma ação", True),
        ("acao", "uma ação", False),
        ("счёт", "СЧЁТ", True),
        ("счёт", "счет", False),
        (r"\bação\b", "a ação x", True),
        (r"\bação\b", "reação", False),
        (r"\bação\b", "ação", True),
        (r"\bé", "isso é bom", True),
        (r"\bсчёт\b", "ваш СЧЁТ!", True),
        (r"preço\b.*\bvalor", "preço valor", True),
        (r"\bfoo$", "a foo", True),
        (r"^\bfoo\b$", "foo", True),
        (r"foo\b|\bbar", "xbar foo", True),
        (r"foo\b|\bbar", "xbar food", False),
        (r"\b\bfoo", "foo", True),
        (r"\b(?:orç|cot)\w*\b.{0,3}\d{2,}", "cotações 123", True),
        (r"\ba.c\b", "a c", True),
        (r"\bx[^a]b", "xab", False),
        (r"\Aab\Z", "ab", True),
        (r"\b\Aab\Z\b", "ab", True),
        (r"\b-?\b", "a", True),
        (r"\w+", "ção", True),
        (r"^\w+$", "наценка", True),
        (r"\W", "ação", False),
        (r"[^\w]", "ação", False),
        (r"\s", "a\u00a0b", True),
        ("pedido nº", "pedido\u202fnº", True),
        ("pedido\u00a0nº", "pedido nº", True),
        (r"[\s\S]+z", "a\nz", True),
        (r"[\w.]+@x", "joão.s@x", True),
        (r"[[:alpha:]]+1", "a1", True),
        (r"[]a]", "x]", True),
        (r"R\$\s*([\d.]+,\d{2})", "R$ 1.250,00", True),
        (r"(?i)x", "X", True),
        (r"ab{2,3}", "abb", True),
        (r"\p{Cyrillic}", "ж", True),
        ("orçamento", "orc\u0327amento", True),
        ("a\\.b", "a.b", True),
    ],
)
def test_finds(source: str, text: str, expected: bool) -> None:
    assert finds(source, text) is expected


@pytest.mark.parametrize(
    ("source", "message", "offset"),
    [
        (r"(a)\1", "back-reference", 3),
        (r"(?P<x>a)(?P=x)", "back-reference", 8),
        ("x(?=a)", "look-ahead", 1),
        ("(?!a)", "negative look-ahead", 0),
        ("x(?<=a)b", "look-behind", 1),
        ("(?<!a)b", "negative look-behind", 0),
        ("(?>a)", "atomic group", 0),
        ("a(?(1)b)", "conditional group", 1),
        (r"x\Bx", r"\B", 1),
        (r"[\Wa]", r"\W inside [ ]", 0),
        ("a{1001}", "invalid repetition size", 1),
        ("(a", "missing )", 0),
        ("a)", "unexpected )", 0),
        ("[a", "missing ]", 0),
        ("a\\", "trailing \\", 0),
        ("*a", "no argument for repetition operator", 0),
        (r"\hx", "invalid escape sequence", 0),
        ("x" * (MOST_PATTERN + 1), "longer than", 0),
    ],
)
def test_refuses(source: str, message: str, offset: int) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(source)
    assert message in caught.value.message
    assert caught.value.offset == offset
    assert caught.value.hint


def test_found_text_has_no_marks() -> None:
    assert compile_pattern(r"\bpedido\b.\w+").found(Searchable("um Pedido novo")) == "Pedido novo"
    assert compile_pattern("x").found(Searchable("y")) == ""


def test_text_is_clipped() -> None:
    assert not finds("z", "a" * TEXT_LIMIT + "z")
    assert finds("z", "a" * (TEXT_LIMIT - 1) + "z")


@pytest.mark.parametrize(("source", "pump", "tail"), EVIL, ids=[row[0] for row in EVIL])
def test_what_hangs_re_is_answered_whatever_the_text(source: str, pump: str, tail: str) -> None:
    """Linear by its engine, and light enough for the longest text: times are measured by `campaigns.patterns`."""
    pattern = compile_pattern(source)
    assert isinstance(pattern.program, type(re2.compile("a")))
    for size in (64, TEXT_LIMIT // 16):
        text = Searchable((pump * size)[: size - len(tail)] + tail)
        assert isinstance(pattern.search(text), bool)
        assert pattern.capture(text) is None or pattern.search(text)


def test_there_are_fifty_of_them() -> None:
    assert len({source for source, *_ in EVIL}) >= 50


@pytest.mark.parametrize(
    ("source", "offset"),
    [
        (r"(a{1,30}){1,30}b", 9),
        (r"a.{0,200}b", 2),
        (r"x\w{26}", 3),
        (r"(.{1,50}|b){1,3}", 11),
        ("a" + "." * 101, 0),
        (r"[^a]" * 101, 0),
    ],
)
def test_what_is_linear_and_yet_slow_is_refused(source: str, offset: int) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(source)
    assert caught.value.message == "the pattern repeats too much"
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    "source", [r"\w{25}", "a" * 500, r"(abc|def){16}", r"\d{1,3}(\.\d{3})*,\d{2}", r"x{100}", *HEAVY]
)
def test_what_is_light_enough_is_taken(source: str) -> None:
    assert compile_pattern(source)


PIECES = ["ação", "счёт", "nº 12", "Ё", "e", "\u00a0", " ", "-", "é", "и", "Й", "10"]
sources = st.lists(
    st.sampled_from(
        ["ação", "счёт", r"\bсчёт\b", r"\w+", r"\s", r"\b", "ё", "е", "nº\u00a0", "[а-яё]+", "é", ".", "й"]
    ),
    min_size=1,
    max_size=4,
).map("".join)
spoken_texts = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


@settings(deadline=None)
@given(sources.filter(lambda source: source.count(r"\b") <= 3), spoken_texts)
def test_portuguese_and_russian_mean_what_unicode_means(source: str, text: str) -> None:
    plain = text.replace("\u00a0", " ")
    expected = re.search(source.replace("\u00a0", " "), plain, re.IGNORECASE) is not None
    for written in (text, plain, unicodedata.normalize("NFD", text), text.swapcase()):
        assert finds(source, written) is expected
    assert finds(unicodedata.normalize("NFD", source), text) is expected


def test_accents_count_in_patterns_and_do_not_in_words() -> None:
    assert not finds("счет", "счёт")
    assert finds("сч[её]т", "СЧЁТ")
    assert not finds("orcamento", "orçamento")
    assert finds(r"\bн[её]бо\b", "над НЕБО\u00a0мной")
    assert not finds(r"\bнеб\b", "небо")


@settings(deadline=None)
@given(st.text(alphabet=r"ab é1\bwsWSd[](){}|*+?^$.,-<>=!:PBZx" + "\x01", max_size=14), st.text(max_size=30))
def test_never_raises_anything_else(source: str, text: str) -> None:
    try:
        pattern = compile_pattern(source)
    except PatternError:
        return
    assert isinstance(pattern, Pattern)
    assert bool(pattern.found(Searchable(text))) <= pattern.search(Searchable(text))


plain = st.sampled_from(["a", "é", "ж", "1", " ", "-", r"\w", r"\W", r"\s", r"\b", ".", "[ab]", "[^a]"])
quantified = st.builds(str.__add__, plain.filter(lambda one: one != r"\b"), st.sampled_from(["", "", "+", "*", "?"]))
parts = st.lists(quantified | st.just(r"\b"), min_size=1, max_size=6).map("".join)
texts = st.text(alphabet="aéжÉ1 -\n", max_size=12)


@settings(deadline=None)
@given(parts.filter(lambda source: source.count(r"\b") <= 3), texts)
def test_translation_means_what_unicode_means(source: str, text: str) -> None:
    """Against Python's own engine, which is Unicode-aware (and may hang, which is why it is not used)."""
    assert finds(source, text) is (re.search(source, text, re.IGNORECASE) is not None)
