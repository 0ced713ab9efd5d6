"""Kinds: what programs send is told from what people write, and people are never missed."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from connectors.mail.mime import parse_mail
from connectors.model import Bounce, Kind, Message, RawMail

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def read(header: str, text: str = "Hello", sender: str = "Ana <ana@padaria.example>") -> Message:
    lines = (
        f"From: {sender}\nTo: rui@vendas.example\nContent-Type: text/plain; charset=utf-8\n{header.strip()}\n\n{text}"
    )
    return parse_mail(RawMail(account="a", folder="f", ref="1", received_at=NOON, whole=lines.encode()))


PEOPLE = [
    ("Subject: Re: Proposal", "We accept."),
    ("Subject: Out of office next week?", "Hi, are you out of the office next week? I'd like to visit."),
    ("Subject: Re: Automatic reply: Proposal", "Thanks, I saw you are out of office. Call me on return."),
    ("Subject: Re: Out of Office: Proposal\nIn-Reply-To: <x@y>", "When you are back, please call."),
    ("Subject: Férias coletivas", "Estaremos de férias até 15/01, mas queremos fechar antes. Pode enviar o contrato?"),
    ("Subject: Resposta", "Obrigada pelo seu e-mail. Estou de férias mas meu sócio decide hoje. Qual o prazo?"),
    ("Subject: Undeliverable parcel", "The parcel was not delivered, please check the address."),
    ("Subject: Delivery failed", "Your courier did not deliver our order to the warehouse. What now?"),
    ("Subject: Возврат товара", "Здравствуйте, хотим вернуть товар, коробка была повреждена."),
    ("Subject: Re: Undeliverable: invoice", "My mailbox was full, 550 error, please send it again."),
    (
        "Subject: Question\nList-Id: <sales.vendas.example>\nPrecedence: list\nX-Google-Group-Id: 12\n"
        "List-Post: <mailto:sales@vendas.example>\nList-Unsubscribe: <mailto:x@vendas.example>",
        "What does it cost?",
    ),
    ("Subject: Re: thread\nSender: owner-talk@list.example\nPrecedence: bulk", "I agree with you."),
    ("Subject: Re: offer\nList-Unsubscribe: <mailto:u@crm.example>\nIn-Reply-To: <x@y>", "Sounds good."),
    ("Subject: Hi\nAuto-Submitted: no", "Written by hand."),
    ("Subject: Re: x\nX-Auto-Response-Suppress: OOF, AutoReply", "A person using Outlook."),
    ("Subject: 550 pieces", "We need 550 pieces; the last mail could not be delivered on time to our team."),
    ("Subject: Я в отпуске", "Я сейчас в отпуске, но готов созвониться завтра. Удобно?"),
    ("Subject: Automatic doors", "We need a quote for automatic doors."),
    ("Subject: Auto parts", "Please send the auto parts price list."),
    ("Subject: Vacation home", "We are interested in the vacation home."),
    ("Subject: Отпуск товара со склада", "Прошу подтвердить отпуск товара."),
    ("Subject: Newsletter idea", "Could you put us into your newsletter?"),
    ("Subject: Read: your offer", "I have read it and like it."),
]


@pytest.mark.parametrize(("header", "text"), PEOPLE)
def test_people_are_people(header: str, text: str) -> None:
    assert read(header, text).kind is Kind.HUMAN


AWAY = [
    ("Subject: Automatic reply: Proposal\nAuto-Submitted: auto-generated", "I am out of the office until 7 "
        "December 2026.", date(2026, 12, 7)),
    ("Subject: Re: Proposal\nAuto-Submitted: auto-replied", "I'm on vacation and will be back on Monday, "
        "Dec 7.", date(2026, 12, 7)),
    ("Subject: Resposta automática: Proposta", "Estou de férias até 15/12. Obrigada.", date(2026, 12, 15)),
    ("Subject: Ausência\nX-Autoreply: yes", "Estarei ausente, volto dia 3 de março.", date(2027, 3, 3)),
    ("Subject: Автоматический ответ: Счёт", "Я в отпуске, вернусь 12 января.", date(2027, 1, 12)),
    ("Subject: Автоответ", "Буду отсутствовать с 1 по 20 декабря.", date(2026, 12, 20)),
    ("Subject: Respuesta automática: Oferta", "Estoy de vacaciones hasta el 9 de diciembre.", date(2026, 12, 9)),
    ("Subject: Automatische Antwort: Angebot", "Ich bin bis einschließlich 12.12.2026 nicht "
        "im Büro.", date(2026, 12, 12)),
    ("Subject: Abwesenheitsnotiz", "Ich bin ab dem 14.12. wieder erreichbar.", date(2026, 12, 14)),
    ("Subject: Réponse automatique : Devis", "Je suis en congé jusqu'au 5 décembre 2026.", date(2026, 12, 5)),
    ("Subject: Out of office\nReturn-Path: <>", "I am away from the office. This is an automatic reply.", None),
    ("Subject: Out of Office AutoReply: Offer", "I'm on annual leave. For urgent matters call my colleague.", None),
    ("Subject: Re: Offer\nPrecedence: bulk\nX-Auto-Response-Suppress: All\nIn-Reply-To: <q@w>",
     "Thank you for your message. I am out of office until 05/06 and will answer later.", None),
    ("Subject: Out of office", "Thank you for your email. I am out of the office with limited access to e-mail.", None),
]  # fmt: skip


@pytest.mark.parametrize(("header", "text", "until"), AWAY)
def test_out_of_office(header: str, text: str, until: date | None) -> None:
    mail = read(header, text)
    assert mail.kind is Kind.OUT_OF_OFFICE
    assert mail.away_until == until


OTHERS = [
    (
        "Subject: Recebemos\nAuto-Submitted: auto-replied",
        "Retorno em até 24 horas. Licença de uso 42.",
        "L <l@shop.example>",
        Kind.AUTO_REPLY,
    ),
    (
        "Subject: Ticket 42\nX-Autoreply: yes",
        "The service may be unavailable tonight.",
        "H <h@shop.example>",
        Kind.AUTO_REPLY,
    ),
    (
        "Subject: We got your request\nAuto-Submitted: auto-replied",
        "Ticket 42 is open.",
        "Help <help@shop.example>",
        Kind.AUTO_REPLY,
    ),
    ("Subject: Automatic reply: x", "Thank you, we answer within a day.", "Help <help@shop.example>", Kind.AUTO_REPLY),
    (
        "Subject: News\nList-Unsubscribe: <mailto:u@x>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click",
        "Buy now",
        "Shop <hi@shop.example>",
        Kind.BULK,
    ),
    ("Subject: News\nPrecedence: bulk", "Buy now", "Shop <newsletter@shop.example>", Kind.BULK),
    ("Subject: Order 42 shipped", "On its way.", "Shop <no-reply@shop.example>", Kind.NOTICE),
    ("Subject: Disk full\nAuto-Submitted: auto-generated", "95 %", "Monitor <mon@it.example>", Kind.NOTICE),
    (
        "Subject: Issue\nPrecedence: list\nList-Unsubscribe: <mailto:x@y>\nList-Id: <r.git.example>",
        "x",
        "Dev <notifications@git.example>",
        Kind.BULK,
    ),
    ("Subject: Pedido confirmado", "Obrigado", "Loja <naoresponda@loja.example>", Kind.NOTICE),
]


@pytest.mark.parametrize(("header", "text", "sender", "kind"), OTHERS)
def test_programs(header: str, text: str, sender: str, kind: Kind) -> None:
    assert read(header, text, sender).kind is kind


def test_feedback_report_is_feedback() -> None:
    data = (
        b"From: <fbl@isp.example>\nTo: a@b.example\nSubject: abuse report\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\n\n--b\nContent-Type: '
        b"text/plain\n\nreport\n"
        b"--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\n\n--b\n"
        b"Content-Type: message/rfc822\n\nFrom: a@b.example\nTo: c@d.example\nMessage-ID: <o1@b.example>\n\nx\n--b--\n"
    )
    mail = parse_mail(RawMail(account="a", folder="f", ref="1", received_at=NOON, whole=data))
    complaint = Bounce(recipients=("c@d.example",), hard=None, reason="complaint", original_message_id="o1@b.example")
    assert (mail.kind, mail.bounce) == (Kind.FEEDBACK, complaint)


def test_a_complaint_told_by_ses_names_who_complained() -> None:
    told = (
        '{"notificationType":"Complaint","complaint":{"complainedRecipients":[{"emailAddress":"c@d.example"}]},'
        '"mail":{"messageId":"o1@b.example"}}'
    )
    data = f"From: ses@aws.example\nTo: a@b.example\nSubject: AWS\nX-Amz-Sns-Message-Id: 1\n\n{told}\n".encode()
    mail = parse_mail(RawMail(account="a", folder="f", ref="1", received_at=NOON, whole=data))
    assert mail.kind is Kind.FEEDBACK
    assert mail.bounce is not None
    assert (mail.bounce.recipients, mail.bounce.reason) == (("c@d.example",), "complaint")


def test_read_receipt_is_automatic() -> None:
    data = (
        b"From: Ana <ana@b.example>\nTo: a@b.example\nSubject: Read: Offer\nMIME-Version: 1.0\n"
        b"Content-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n--b\n\nYour message "
        b"was displayed.\n"
        b"--b\nContent-Type: message/disposition-notification\n\nFinal-Recipient: rfc822; ana@b.example\n"
        b"Disposition: manual-action; displayed\n--b--\n"
    )
    assert parse_mail(RawMail(account="a", folder="f", ref="1", received_at=NOON, whole=data)).kind is Kind.AUTO_REPLY
