"""Which sections are fetched, and what is attached."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.imap.structure import plan_mail
from connectors.imap.wire import Garbled, tokens

PLAIN = '("text" "plain" ("charset" "utf-8") NIL NIL "quoted-printable" 900 20 NIL NIL NIL NIL)'
HTML = '("TEXT" "HTML" ("charset" "utf-8") NIL NIL "base64" 9000 120 NIL NIL NIL NIL)'
PDF = (
    '("application" "pdf" ("name" "=?utf-8?B?0KHRh9GR0YIucGRm?=") NIL NIL "base64" 80000 NIL '
    '("attachment" ("filename*0*" "utf-8\'\'%D0%A1%D1%87" "filename*1*" "%D1%91%D1%82.pdf")) NIL NIL)'
)
LOGO = '("image" "png" ("name" "logo.png") "<l@x>" NIL "base64" 4000 NIL ("inline" ("filename" "logo.png")) NIL NIL)'
CALENDAR = '("text" "calendar" ("charset" "utf-8" "method" "REQUEST") NIL NIL "8bit" 700 20 NIL NIL NIL NIL)'
ENVELOPE = '("Thu, 1 Jan 2026 12:00:00 +0000" "Your order" NIL NIL NIL NIL NIL NIL NIL "<o@x>")'
ENCLOSED = f'("message" "rfc822" NIL NIL NIL "7bit" 3000 {ENVELOPE} {PLAIN} 60 NIL NIL NIL NIL)'
STATUS = '("message" "delivery-status" NIL NIL NIL "7bit" 300 NIL NIL NIL NIL)'


def multi(kind: str, *parts: str) -> str:
    return f'({"".join(parts)} "{kind}" ("boundary" "b") NIL NIL NIL)'


def plan(text: str, *, returned: bool = False):  # type: ignore[no-untyped-def]
    return plan_mail(tokens([b"* " + text.encode()])[0], returned=lambda: returned)


@pytest.mark.parametrize(
    ("structure", "sections", "attachments"),
    [
        (PLAIN, ["1"], []),
        (HTML, ["1"], []),
        (multi("alternative", PLAIN, HTML), ["1"], []),
        (multi("mixed", multi("alternative", PLAIN, HTML), PDF), ["1.1"], ["Счёт.pdf"]),
        (multi("related", multi("alternative", PLAIN, HTML), LOGO), ["1.1"], ["logo.png"]),
        (multi("alternative", PLAIN, multi("related", HTML, LOGO)), ["1"], ["logo.png"]),
        (multi("mixed", HTML, PDF), ["1"], ["Счёт.pdf"]),
        (multi("mixed", PDF), [], ["Счёт.pdf"]),
        (multi("alternative", PLAIN.replace(" 900 ", " 0 "), HTML), ["2"], []),
        (multi("alternative", PLAIN.replace(" 900 ", " 4 "), HTML), ["1", "2"], []),
        (multi("alternative", PLAIN, HTML, CALENDAR), ["1", "3"], []),
        (multi("report", PLAIN, STATUS, ENCLOSED), ["1", "2", "3.HEADER"], []),
        (multi("mixed", PLAIN, ENCLOSED), ["1"], ["Your order"]),
        (multi("signed", multi("mixed", PLAIN, PDF), '("application" "pgp-signature" NIL NIL NIL "7bit" 800)'),
         ["1.1"], ["Счёт.pdf", ""]),
    ],
)  # fmt: skip
def test_plans(structure: str, sections: list[str], attachments: list[str]) -> None:
    found = plan(structure)
    assert [section.name for section in found.sections] == sections
    assert [attachment.name for attachment in found.attachments] == attachments


def test_a_bounce_without_a_report_gives_the_enclosed_header() -> None:
    found = plan(multi("mixed", PLAIN, ENCLOSED), returned=True)
    assert [section.name for section in found.sections] == ["1", "2.HEADER"]


def test_what_is_known_of_a_section() -> None:
    (section,) = plan(PLAIN).sections
    assert section.content_type == "text/plain"
    assert section.parameters == (("charset", "utf-8"),)
    assert (section.encoding, section.size) == ("quoted-printable", 900)
    assert plan(multi("alternative", PLAIN, HTML)).content_type == "multipart/alternative"


@pytest.mark.parametrize(
    "text", ["NIL", "()", "(())", '("text")', "x", "(" * 80 + ")" * 80, "(NIL NIL NIL NIL NIL NIL 1)"]
)
def test_what_is_no_structure(text: str) -> None:
    try:
        plan(text)
    except Garbled:
        return
    assert text.startswith("(NIL")


VALUE = st.one_of(st.none(), st.binary(max_size=8), st.sampled_from([b"text", b"plain", b"attachment", b"9"]))


@given(st.recursive(VALUE, lambda inner: st.lists(inner, max_size=9), max_leaves=40))
def test_any_answer_is_a_plan_or_garbled(structure: object) -> None:
    with contextlib.suppress(Garbled):
        assert plan_mail(structure) is not None
