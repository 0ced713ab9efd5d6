"""Encoded words, parameters, addresses, dates, ids and charsets; property tests for each."""

from __future__ import annotations

import base64
import codecs
import quopri
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.mail.addresses import parse_addresses
from connectors.mail.charsets import decode, find_codec
from connectors.mail.dates import parse_date
from connectors.mail.identifiers import merge_references, parse_identifier, parse_identifiers
from connectors.mail.parameters import parse_parameters
from connectors.mail.words import decode_value, decode_words


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("=?utf-8?q?caf=C3=A9?=", "café"),
        ("=?UTF-8*en?Q?caf=C3=A9?= x", "café x"),
        ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
        ("=?utf-8?b?w6?= =?utf-8?b?k=?=", "é"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
        ("=?gb2312?b?xOO6ww==?=", "你好"),
        ("=?koi8-r?b?8NLJ18XU?=", "Привет"),
        ("=?x-unknown?q?caf=E9?=", "café"),
        ("=?iso-8859-1?q?caf=C3=A9?=", "café"),
        ("=?utf-8?q?What??=", "What?"),
        ("=?utf-8?q?=3D=3Futf-8=3Fq=3Fcaf=3DC3=3DA9=3F=3D?=", "café"),
        ("=?utf-8?q?a=0D=0ABcc:_x?=", "a Bcc: x"),
        ("=?utf-8?z?x?=", "=?utf-8?z?x?="),
        ("=?utf-8?q?open", "=?utf-8?q?open"),
        ("plain =? text", "plain =? text"),
    ],
)
def test_encoded_words(raw: str, text: str) -> None:
    assert decode_words(raw) == text


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1),
    st.integers(1, 40),
    st.booleans(),
)
def test_words_cut_anywhere_come_back(text: str, step: int, quoted: bool) -> None:
    data = text.encode()
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    if quoted:
        words = [
            "=?utf-8?q?"
            + quopri.encodestring(piece, quotetabs=True, header=True).decode().replace("=\n", "").replace("?", "=3F")
            + "?="
            for piece in pieces
        ]
    else:
        words = ["=?utf-8?b?" + base64.b64encode(piece).decode() + "?=" for piece in pieces]
    once = decode_words(" ".join(words))
    assert once == (text if "=?" not in text else decode_words(text))


@given(st.binary(max_size=300))
def test_any_value_is_one_clean_line(value: bytes) -> None:
    text = decode_value(value)
    assert not any(char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in text)


@given(st.binary(max_size=300))
def test_parameters_never_raise(value: bytes) -> None:
    name, parameters = parse_parameters(value)
    assert all(isinstance(item, str) for item in (name, *parameters, *parameters.values()))


@pytest.mark.parametrize(
    ("raw", "pairs"),
    [
        ("Ana <a@b.example>", [("a@b.example", "Ana")]),
        ("a@b.example (Ana (the) boss)", [("a@b.example", "Ana (the) boss")]),
        ('"Lima, Ana" <a@B.Example>, c@d.example', [("a@b.example", "Lima, Ana"), ("c@d.example", "")]),
        ("Lima, Ana <a@b.example>; Rui <r@s.example>", [("a@b.example", "Lima, Ana"), ("r@s.example", "Rui")]),
        ("Undisclosed recipients:;", []),
        (
            "Team: a@b.example, R <r@s.example>;, x@y.example",
            [("a@b.example", ""), ("r@s.example", "R"), ("x@y.example", "")],
        ),
        ('"Ana <a@b.example>', [("a@b.example", "Ana")]),
        ('"', []),
        ("(c):", []),
        ("=?utf-8?q?Lima=2C_Ana?= <a@b.example>", [("a@b.example", "Lima, Ana")]),
        ("=?utf-8?b?QW5hIDxhQGIuZXhhbXBsZT4=?=", [("a@b.example", "Ana")]),
        ('"=?utf-8?q?J=C3=BA?=" <a@b.example>', [("a@b.example", "Jú")]),
        ("<@r.example,@s.example:a@b.example>", [("a@b.example", "")]),
        ("Иван <i@пример.рф>", [("i@xn--e1afmkfd.xn--p1ai", "Иван")]),
        ('"a b"@c.example', [('"a b"@c.example', "")]),
        ("MAILER-DAEMON (Mail System)", [("MAILER-DAEMON", "Mail System")]),
        ("Ana a@b.example", [("a@b.example", "Ana")]),
        ("a@b.example, , c@d.example", [("a@b.example", ""), ("c@d.example", "")]),
        ("<mailto:a@b.example>", [("a@b.example", "")]),
        ("", []),
    ],
)
def test_addresses(raw: str, pairs: list[tuple[str, str]]) -> None:
    assert [(item.email, item.name) for item in parse_addresses(raw.encode())[0]] == pairs


_LOCAL = st.text("abcdefgh.+-_0123", min_size=1, max_size=12)
_NAME = st.text(alphabet=st.characters(categories=["Lu", "Ll"], include_characters=" ,.;:()<>"), max_size=20)


@given(st.lists(st.tuples(_LOCAL, _NAME), min_size=1, max_size=8))
def test_quoted_names_come_back(people: list[tuple[str, str]]) -> None:
    raw = ", ".join(f'"{name}" <{local}@x.example>' for local, name in people)
    found = parse_addresses(raw.encode())[0]
    assert [item.email for item in found] == [f"{local}@x.example" for local, _ in people]
    assert [item.name for item in found] == [" ".join(name.split()) for _, name in people]


@given(st.binary(max_size=400) | st.text('<>@,;:"()\\ab.= ?', max_size=200).map(str.encode))
def test_addresses_never_raise(value: bytes) -> None:
    for item in parse_addresses(value)[0]:
        assert item.email
        assert not any(char < " " for char in item.email + item.name)


@pytest.mark.parametrize(
    ("raw", "stated"),
    [
        ("Wed, 17 May 2000 19:08:29 -0400", datetime(2000, 5, 17, 23, 8, 29, tzinfo=UTC)),
        ("12 Jun 2013 02:21 GMT", datetime(2013, 6, 12, 2, 21, tzinfo=UTC)),
        ("Tue, 11 Jun 24 18:09:35 EST", datetime(2024, 6, 11, 23, 9, 35, tzinfo=UTC)),
        ("Tue, 11 Jun 124 18:09:35 Z", datetime(2024, 6, 11, 18, 9, 35, tzinfo=UTC)),
        ("Wed Jan  2 03:04:05 2020", datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("Wed Jan  2 03:04:05 EST 2020", datetime(2020, 1, 2, 8, 4, 5, tzinfo=UTC)),
        ("2020-01-02T03:04:05+01:00", datetime(2020, 1, 2, 2, 4, 5, tzinfo=UTC)),
        ("seg, 3 de fev de 2020 10:11:12 -0300", datetime(2020, 2, 3, 13, 11, 12, tzinfo=UTC)),
        ("Пн, 3 фев 2020 10:11:12 +0300", datetime(2020, 2, 3, 7, 11, 12, tzinfo=UTC)),
        ("Mo, 3 Mär 2020 10.11.12 MEZ", datetime(2020, 3, 3, 9, 11, 12, tzinfo=UTC)),
        ("Fri, 1 Jan 2021 10:00:00", datetime(2021, 1, 1, 10, tzinfo=UTC)),
        ("5-Nov-2020 03:04:05 PM", datetime(2020, 11, 5, 15, 4, 5, tzinfo=UTC)),
        ("Thu, 30 Feb 2020 01:02:03 +0000", None),
        ("Mon, 1 Jan 0000 00:00:00 +0000", None),
        ("Mon, 1 Jan 20266 00:00:00 +0000", None),
        ("Mon, 1 Jan 2020 25:61:00 +0000", None),
        ("Thu, Jan 28, 2016 at 4:00 PM", datetime(2016, 1, 28, 16, tzinfo=UTC)),
        ("yesterday", None),
    ],
)
def test_dates(raw: str, stated: datetime | None) -> None:
    assert parse_date(raw) == stated


@given(st.integers(31_536_000, 7_000_000_000), st.integers(-720, 840))
def test_standard_dates_come_back(instant: int, minutes: int) -> None:
    local = datetime.fromtimestamp(instant, timezone(timedelta(minutes=minutes)))
    assert parse_date(format_datetime(local)) == local


@given(st.text(max_size=60))
def test_dates_never_raise(text: str) -> None:
    assert parse_date(text) is None or parse_date(text)


def test_identifiers() -> None:
    assert parse_identifier(b" <a@b>") == "a@b"
    assert parse_identifier(b"<[0f@b]>") == "0f@b"
    assert parse_identifier(b"a@b (x)") == "a@b"
    assert parse_identifier(b"<a\r\n b@c>") == "ab@c"
    assert parse_identifier(b"") == ""
    assert parse_identifiers(b'Your mail of "x" <a@b>, <c@d>') == ["a@b", "c@d"]
    assert merge_references(["a", "b", "a"], ["b", "c"]) == ("a", "b", "c")
    many = merge_references([str(n) for n in range(1000)], [])
    assert (len(many), many[0], many[-1]) == (200, "0", "999")


INVENTED = [
    f"{head}{tail}"
    for head in ("x-", "iso-8859-", "windows-", "cp", "", "utf", "\xff", "hex", "idna-", "unicode_")
    for tail in range(30)
]
PYTHON = sorted(
    {
        *codecs.__dict__,
        *__import__("encodings.aliases").aliases.aliases,
        "idna",
        "punycode",
        "undefined",
        "hex",
        "rot13",
        "zlib",
    }
)


def test_no_charset_name_raises() -> None:
    data = bytes(range(256)) + "Привет".encode("koi8-r") + b"\x1b$B$3" + b"+AGE-"
    for name in (*INVENTED, *PYTHON):
        text, _ = decode(data, name)
        assert "\x00" not in text


@given(
    st.binary(max_size=200),
    st.sampled_from(
        ["", "utf-8", "koi8-r", "gb2312", "iso-2022-jp", "utf-7", "utf-16", "big5", "x", "hz", "euc-kr", "johab"]
    ),
)
@settings(max_examples=300)
def test_decoded_text_is_clean(data: bytes, charset: str) -> None:
    text, _ = decode(data, charset)
    assert not any((char < " " and char not in "\t\n") or "\ud800" <= char <= "\udfff" for char in text)


ALIASES = (
    "windows-874=cp874 koi8r=koi8_r ANSI_X3.110=ascii cp-850=cp850 x-sjis=cp932 utf8mb4=utf_8 iso-8859-8-i=iso8859_8 "
    "unicode-1-1-utf-7=utf_7 3Dutf-8=utf_8 x-unknown= hex= idna= GB2312=gb18030 ks_c_5601-1987=cp949 latin1=cp1252"
)


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        *(pair.split("=", 1) for pair in ALIASES.split()),
        ('"UTF-8"', "utf_8"),
        ("charset=utf-8", "utf_8"),
    ],
)
def test_aliases(declared: str, codec: str) -> None:
    assert find_codec(declared) == codec


RUSSIAN = "Добрый день, Анна. Мы получили ваше предложение и готовы обсудить условия поставки."


@pytest.mark.parametrize("codec", ["koi8-r", "cp1251", "iso8859-5", "cp866"])
@pytest.mark.parametrize("declared", ["", "us-ascii", "iso-8859-1", "windows-1251", "koi8-r", "x-unknown"])
def test_russian_is_found_whatever_is_declared(codec: str, declared: str) -> None:
    assert decode(RUSSIAN.encode(codec), declared)[0] == RUSSIAN


@pytest.mark.parametrize(
    "text",
    ["Olá João, não há preço", "Müller, Größe, ÜBER", "Ça été très élevé, à côté", "ação", "Señor Ibáñez, ¿qué tal?"],
)
def test_latin_is_not_taken_for_cyrillic(text: str) -> None:
    assert decode(text.encode("latin-1"), "")[0] == text
    assert decode(text.encode("latin-1"), "utf-8")[0] == text
    assert decode(text.encode(), "iso-8859-1")[0] == text


def test_other_charsets() -> None:
    assert decode("日本語のメールです。よろしく".encode("iso-2022-jp"), "")[0] == "日本語のメールです。よろしく"
    assert decode("日本語のメールです。よろしく".encode("shift_jis"), "")[0] == "日本語のメールです。よろしく"
    assert decode("你好，我们收到了您的报价单".encode("gb18030"), "gb2312")[0] == "你好，我们收到了您的报价单"
    assert decode("привет".encode("utf-16"), "utf-16")[0] == "привет"
    assert decode(b"caf\xe9 \x93x\x94", "iso-8859-1")[0] == "café “x”"
    assert decode(b"ok \xc3", "utf-8")[1] != ""
