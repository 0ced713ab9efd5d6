"""Whole mails and parts to messages: bodies, attachments, headers, people."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest

from connectors.mail.mime import parse_mail, read_mail
from connectors.model import Address, Attachment, Kind, Message, RawMail, RawPart

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HEAD = b"From: Ana <ana@vendas.example>\r\nTo: rui@padaria.example\r\nSubject: Pre=C3=A7o\r\n"


def whole(data: bytes) -> Message:
    raw = RawMail(account="ana", folder="INBOX", ref="1:1", received_at=NOON, whole=data)
    read_mail(raw)  # raises what parse_mail would hide
    return parse_mail(raw)


def test_ordinary_mail() -> None:
    mail = whole(
        b"Return-Path: <ana@vendas.example>\r\nReceived: from a by b; Mon, 2 Nov 2026 10:11:12 -0300\r\n"
        b"From: =?utf-8?q?Ana_J=C3=BAlia?= <Ana@Vendas.EXAMPLE>\r\nSender: bot@vendas.example\r\n"
        b'To: "Souza, Rui" <rui@padaria.example>,\r\n\tlia@padaria.example\r\nCc: Equipe: a@b.example, c@d.example;\r\n'
        b"Subject: =?utf-8?b?UHJlw6fD?=\r\n =?utf-8?b?o28=?= novo\r\nDate: Mon, 02 Nov 2026 10:11:10 -0300 (BRT)\r\n"
        b"Message-ID: < x1@vendas.example >\r\nIn-Reply-To: <r2@x.example>\r\nReferences: <r1@x.example>\r\n "
        b"<r2@x.example>\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
        b"quoted-printable\r\n\r\n"
        b"Ol=C3=A1 Rui,\r\nsegue o pre=\r\n=C3=A7o.\r\n"
    )
    assert mail.sender == Address("Ana@vendas.example", "Ana Júlia")
    assert mail.sent_by == Address("bot@vendas.example")
    assert mail.to == (Address("rui@padaria.example", "Souza, Rui"), Address("lia@padaria.example"))
    assert mail.cc == (Address("a@b.example"), Address("c@d.example"))
    assert mail.subject == "Preção novo"
    assert mail.sent_at == datetime(2026, 11, 2, 13, 11, 10, tzinfo=UTC)
    assert mail.message_id == "x1@vendas.example"
    assert mail.references == ("r1@x.example", "r2@x.example")
    assert mail.in_reply_to == "r2@x.example"
    assert mail.text == "Olá Rui,\nsegue o preço."
    assert mail.kind is Kind.HUMAN
    assert mail.degraded == ()
    assert mail.header("subject") == "Preção novo"
    assert mail.header("received") == ""
    assert mail.size > 600


def test_alternative_prefers_plain_text() -> None:
    body = (
        b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n--b--\r\n"
    )
    assert whole(HEAD + body).text == "plain"


@pytest.mark.parametrize("plain", [b"", b"\r\n \r\n", b"This message requires an HTML capable mail client."])
def test_alternative_without_real_plain_text_is_html(plain: bytes) -> None:
    body = (
        b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
        + plain
        + b"\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n<p>from html</p>\r\n--b--\r\n"
    )
    assert whole(HEAD + body).text == "from html"


def test_texts_around_an_attachment_are_joined() -> None:
    mail = whole(
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\r\none\r\n"
        b'--b\r\nContent-Type: application/pdf; name="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\ntwo\r\n--b--\r\nepilogue"
    )
    assert mail.text.split() == ["one", "two"]
    assert mail.attachments == (Attachment(name="a.pdf", content_type="application/pdf", size=4),)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (b'attachment; filename="=?utf-8?q?pre=C3=A7o.pdf?="', "preço.pdf"),
        (b"attachment; filename*=utf-8''pre%C3%A7o.pdf", "preço.pdf"),
        (b"attachment; filename*0*=utf-8''pre%C3; filename*1*=%A7o; filename*2=.pdf", "preço.pdf"),
        (b"attachment; filename=two words.pdf", "two words.pdf"),
        (b'attachment; filename="a\\"b.pdf"', 'a"b.pdf'),
        ("attachment; filename=цена.pdf".encode("koi8-r"), "цена.pdf"),
        (b'attachment; filename="open.pdf', "open.pdf"),
        (b"attachment; filename*0*=x'y; filename*1", "x'y"),
    ],
)
def test_attachment_names(field: bytes, name: str) -> None:
    mail = whole(
        HEAD
        + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: application/pdf\r\n"
        b"Content-Disposition: " + field + b"\r\n\r\nx\r\n--b--\r\n"
    )
    assert [item.name for item in mail.attachments] == [name]
    assert mail.text == "hi"


def test_forwarded_mail_is_an_attachment_and_not_text() -> None:
    mail = whole(
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee below\r\n--b\r\n"
        b"Content-Type: message/rfc822\r\n\r\nFrom: x@y.example\r\nSubject: inner\r\n\r\nsecret\r\n--b--\r\n"
    )
    assert mail.text == "see below"
    assert [item.name for item in mail.attachments] == ["inner.eml"]


def test_winmail_is_named_and_noted() -> None:
    mail = whole(
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\r\n--b\r\n"
        b"Content-Type: application/ms-tnef; name=winmail.dat\r\n\r\nx\r\n--b--\r\n"
    )
    assert [item.name for item in mail.attachments] == ["winmail.dat"]
    assert any(note.startswith("winmail.dat:") for note in mail.degraded)


def test_imap_form_uses_given_parts() -> None:
    raw = RawMail(
        account="ana",
        folder="INBOX",
        ref="1:7",
        received_at=NOON,
        size=9000,
        flags=("\\Seen",),
        header=HEAD + b"Content-Type: multipart/mixed; boundary=zz\r\n\r\n",
        parts=(
            RawPart(
                content_type="TEXT/PLAIN", parameters=(("charset", "koi8-r"),), encoding="BASE64", body=b"8NLJ18XU"
            ),
        ),
        attachments=(Attachment(name="a.pdf", content_type="application/pdf", size=10),),
        notes=("noted",),
    )
    mail = parse_mail(raw)
    assert (mail.text, mail.size, mail.flags) == ("Привет", 9000, ("\\Seen",))
    assert mail.attachments == raw.attachments
    assert mail.degraded == ("noted",)


def test_header_only_row() -> None:
    mail = parse_mail(
        RawMail(account="a", folder="f", ref="1", received_at=NOON, header=HEAD + b"\r\n", notes=("header only",))
    )
    assert (mail.text, mail.degraded) == ("", ("header only",))
    assert mail.sender == Address("ana@vendas.example", "Ana")


FIELDS = (
    b"From: a@b.example",
    b"To: c@d.example",
    b"Subject: s",
    b"Date: Mon, 2 Nov 2026 10:11:12 +0000",
    b"Message-ID: <m@x>",
    b"Content-Type: text/plain",
    b"Cc: e@f.example",
    b"Reply-To: g@h.example",
)


def test_every_subset_of_headers_gives_a_message() -> None:
    for chosen in product((False, True), repeat=len(FIELDS)):
        block = b"".join(line + b"\r\n" for line, wanted in zip(FIELDS, chosen, strict=True) if wanted)
        mail = whole(block + b"\r\nbody")
        assert (mail.sender is not None) is chosen[0]
        assert (mail.message_id == "m@x") is chosen[4]
        assert "body" in mail.text


@pytest.mark.parametrize(
    "data",
    [
        b"From alice Mon Jan  1 00:00:00 2024\nFrom: a@b.example\nSubject: s\n\nhello",
        b"From: a@b.example\rSubject: s\r\rhello",
        b"From: a@b.example\r\r\nSubject: s\r\r\n\r\r\nhello",
        b"garbage line without colon\nFrom: a@b.example\nSubject: s\n\nhello",
        b"From : a@b.example\nSubject\t: s\nno colon here\n\nhello",
        b"\xef\xbb\xbfX: y\nFrom: a@b.example\nSubject: s\n\nhello",
    ],
)
def test_damaged_header_blocks(data: bytes) -> None:
    mail = whole(data)
    assert mail.sender == Address("a@b.example")
    assert mail.subject == "s"
    assert mail.text == "hello"


def test_mail_without_header_block_is_text() -> None:
    assert whole(b"\njust text").text == "just text"
    assert whole(b"").text == ""


def test_multipart_whose_boundary_never_comes_keeps_its_text() -> None:
    mail = whole(HEAD + b"Content-Type: multipart/mixed; boundary=never\r\n\r\nthe text\r\n")
    assert mail.text == "the text"
    assert "multipart without parts" in mail.degraded


def test_text_is_clean() -> None:
    mail = whole(HEAD + b"X-A: a\x00b\x0bc\r\n\r\nnul \x00 esc \x1b[0m vt \x0b end")
    assert "\x00" not in mail.text
    assert "\x1b" not in mail.text
    assert mail.header("x-a") == "a b c"


def test_html_charset_comes_from_meta() -> None:
    body = '<meta charset="windows-1251"><p>Привет, как дела</p>'.encode("cp1251")
    assert whole(HEAD + b"Content-Type: text/html\r\n\r\n" + body).text == "Привет, как дела"


def test_raw_header_bytes_are_read_in_the_charset_of_the_text() -> None:
    head = "From: Иван <i@b.example>\r\nSubject: СЧЁТ\r\n".encode("koi8-r")
    mail = whole(head + b"Content-Type: text/plain; charset=koi8-r\r\n\r\n" + "Добрый день".encode("koi8-r"))
    assert (mail.subject, mail.sender) == ("СЧЁТ", Address("i@b.example", "Иван"))


def test_false_transfer_encoding_loses_nothing() -> None:
    assert whole(HEAD + b"Content-Transfer-Encoding: base64\r\n\r\nThis is plain text, really it is.").text.startswith(
        "This is"
    )
    assert whole(HEAD + b"Content-Transfer-Encoding: 7-bit\r\n\r\nfine").text == "fine"


def nest(depth: int) -> bytes:
    out = HEAD + b"Content-Type: multipart/mixed; boundary=b0\r\n\r\n"
    for level in range(depth):
        out += b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (level, level + 1)
    return out + b"--b%d\r\n\r\nhello\r\n" % depth


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (nest(1000), "deeper than 100"),
        (
            HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100_000,
            "more than 10000 parts",
        ),
        (
            b"To: " + b", ".join(b"u%d@x.example" % n for n in range(100_000)) + b"\r\n" + HEAD,
            "more than 1000 addresses",
        ),
        (
            b"Subject: " + b"\r\n ".join([b"=?utf-8?q?a=C3=A9?="] * 20_000) + b"\r\nFrom: a@b.example\r\n\r\nx",
            "subject cut",
        ),
        (b"".join(b"X-%d: y\r\n" % n for n in range(100_000)) + b"\r\nx", "more than 1000 header fields"),
        (HEAD + b"\r\n" + b"word " * 1_000_000, "text clipped"),
    ],
)
def test_bombs_meet_a_limit_and_give_a_row(data: bytes, note: str) -> None:
    assert any(note in said for said in whole(data).degraded)


@pytest.mark.parametrize(
    ("method", "kind"),
    [("REQUEST", Kind.INVITATION), ("REPLY", Kind.INVITATION), ("CANCEL", Kind.INVITATION), ("PUBLISH", Kind.HUMAN)],
)
def test_calendar_method_makes_an_invitation(method: str, kind: Kind) -> None:
    part = f"Content-Type: text/calendar; charset=utf-8\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:{method}\r\nEND:VCALENDAR\r\n"
    mail = whole(
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\n" + part.encode() + b"--b--"
    )
    assert mail.kind is kind


def test_a_named_body_is_still_the_body() -> None:
    mail = whole(HEAD + b'Content-Type: text/plain; name="body.txt"\r\n\r\nthe words\r\n')
    assert mail.text == "the words"
