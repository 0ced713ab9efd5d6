"""The bytes that leave us say exactly what was planned."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.model import Address, Enclosure, OutgoingMail
from connectors.outgoing import HeaderMismatch, content_hash, make_message_id, message_id_of, render

MAIL = OutgoingMail(
    message_id="a1@vendas.example",
    sender=Address("ana@vendas.example", "Ana Conceição"),
    to=(Address("ivan@acme.example", "Иван Петров"),),
    subject="Re: Предложение",
    text="Olá Иван,\n\nsegue a proposta.\n\nAna\n",
    html="<p>Olá</p>",
    date=datetime(2026, 3, 2, 12, 0, tzinfo=UTC),
    in_reply_to="x@acme.example",
    references=("w@acme.example", "x@acme.example"),
    headers=(("Auto-Submitted", "auto-generated"),),
)


def read(raw: bytes) -> email.message.EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)


def test_says_what_was_planned() -> None:
    message = read(render(MAIL))
    assert message["Subject"] == "Re: Предложение"
    assert message["To"].addresses[0].display_name == "Иван Петров"
    assert message["References"] == "<w@acme.example> <x@acme.example>"
    assert message.get_body(("plain",)).get_content().replace("\r\n", "\n") == MAIL.text
    assert message["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    "subject",
    [
        "hello\r\nBcc: all@victim.example",
        "hello\nBcc: all@victim.example",
        "=?utf-8?q?hello=0D=0ABcc:_all@victim.example?=",
        "=?utf-8?q?=3D=3Futf-8=3Fq=3Fa=0ABcc=3A_x=3F=3D?=",
        "a\u2028Bcc: x\x0b\x0c\x1c\x85y",
        "x" * 3000,
        "слово " * 400,
    ],
)
def test_a_subject_never_becomes_another_header(subject: str) -> None:
    try:
        raw = render(replace(MAIL, subject=subject))
    except HeaderMismatch:
        return
    names = [name.lower() for name in read(raw)]
    assert "bcc" not in names
    assert len(names) == len(set(names))
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))


@pytest.mark.parametrize("name", ["X-A\r\nBcc", "Bcc", "To", "x y", "", "Subject"])
def test_extra_headers_cannot_replace_ours(name: str) -> None:
    with pytest.raises(HeaderMismatch):
        render(replace(MAIL, headers=((name, "v"),)))


@pytest.mark.parametrize(
    "address", ["a@b.example>, <c@d.example", "a b@c.example", "x", "a@b.example\r\nBcc: c@d.example"]
)
def test_impossible_recipients_are_held(address: str) -> None:
    with pytest.raises(HeaderMismatch):
        render(replace(MAIL, to=(Address(address),)))


TEXT = st.text(max_size=200)


@settings(max_examples=150, deadline=None)
@given(subject=TEXT, name=TEXT, text=TEXT, html=TEXT)
def test_any_text_survives_or_is_held(subject: str, name: str, text: str, html: str) -> None:
    mail = replace(MAIL, subject=subject, to=(Address("i@acme.example", name),), text=text, html=html)
    raw = render(mail)
    message = email.message_from_bytes(raw)
    assert [key for key in message if key in ("To", "Subject", "From", "Bcc", "Cc")] == ["From", "To", "Subject"]
    assert message_id_of(raw) == mail.message_id


def test_from_lines_and_lone_dots_survive() -> None:
    text = "From here on\n.\n..\nFrom São Paulo\nend \n"
    message = read(render(replace(MAIL, text=text, html="")))
    assert message.get_content().replace("\r\n", "\n") == text


def test_the_hash_outlives_another_way_of_storing() -> None:
    raw = render(MAIL)
    stored = email.message_from_bytes(raw, policy=email.policy.SMTP)
    stored["X-Server"] = "added"
    again = b"Received: from somewhere\r\n" + stored.as_bytes()
    assert again != raw
    assert content_hash(again) == content_hash(raw)


@pytest.mark.parametrize(
    "change",
    [
        {"text": "Olá Иван,\n\nsegue a nossa proposta.\n\nAna\n"},
        {"html": "<p>Olá Иван</p>"},
        {"subject": "Re: Предложение!"},
        {"to": (Address("maria@acme.example"),)},
        {"cc": (Address("maria@acme.example"),)},
    ],
)
def test_the_hash_sees_an_edit(change: dict[str, object]) -> None:
    assert content_hash(render(replace(MAIL, **change))) != content_hash(render(MAIL))  # type: ignore[arg-type]


def test_message_ids_are_new_and_ours() -> None:
    first, second = make_message_id("vendas.example", "q7"), make_message_id("vendas.example", "q7")
    assert first != second
    assert first.startswith("q7.")
    assert first.endswith("@vendas.example")


PDF = Enclosure(name="catálogo каталог.pdf", content_type="application/pdf", content=bytes(range(256)) * 300)
TXT = Enclosure(name='list "a".txt', content_type="text/plain", content=b"From here\r\n.\r\nto there")


@pytest.mark.parametrize("html", ["<p>Olá</p>", ""])
def test_files_go_along_as_they_are(html: str) -> None:
    message = read(render(replace(MAIL, html=html, files=(PDF, TXT))))
    assert message.get_content_type() == "multipart/mixed"
    found = [
        (part.get_filename(), part.get_content_type(), part.get_payload(decode=True))
        for part in message.iter_attachments()
    ]
    assert found == [(one.name, one.content_type, one.content) for one in (PDF, TXT)]
    body = message.get_body(("plain",))
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == MAIL.text
    assert (message.get_body(("html",)) is not None) is bool(html)


@settings(max_examples=80, deadline=None)
@given(name=st.text(max_size=170), content=st.binary(max_size=300))
def test_any_name_of_a_file_survives_or_is_held(name: str, content: bytes) -> None:
    file = Enclosure(name=name, content_type="application/pdf", content=content)
    try:
        raw = render(replace(MAIL, files=(file,)))
    except HeaderMismatch:
        return
    assert [key for key in email.message_from_bytes(raw) if key in ("To", "Subject", "Bcc")] == ["To", "Subject"]
    assert max(map(len, raw.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("kind", ["application/pdf; x=y", "x", "a/b\r\nBcc: x@y.example", ""])
def test_a_content_type_is_nothing_else(kind: str) -> None:
    with pytest.raises(HeaderMismatch):
        render(replace(MAIL, files=(replace(PDF, content_type=kind),)))


def test_the_hash_sees_the_files() -> None:
    with_file = content_hash(render(replace(MAIL, files=(PDF,))))
    assert with_file != content_hash(render(MAIL))
    assert with_file != content_hash(render(replace(MAIL, files=(TXT,))))
    raw = render(replace(MAIL, files=(PDF,)))
    assert content_hash(email.message_from_bytes(raw, policy=email.policy.SMTP).as_bytes()) == with_file
