"""Delivery reports: RFC 3464, and the words of the usual mail servers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mail.bounce_texts import cut_original, find_recipients, select_diagnostic
from connectors.mail.mime import parse_mail
from connectors.mail.notifications import read_notification
from connectors.mail.reasons import find_status, judge
from connectors.mail.reports import read_delivery_status
from connectors.model import Bounce, Kind, Message, RawMail, RawPart

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ORIGINAL = (
    "Return-Path: <rui@vendas.example>\nMessage-ID: <sent1@vendas.example>\nFrom: rui@vendas.example\nTo: "
    "{to}\nSubject: Offer\n"
)


def read(data: str) -> Message:
    return parse_mail(RawMail(account="a", folder="f", ref="1", received_at=NOON, whole=data.encode()))


def report(groups: str, *, text: str = "The mail could not be delivered.", to: str = "ana@padaria.example") -> Message:
    return read(
        "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example\nTo: rui@vendas.example\nSubject: Undelivered Mail\n"
        "MIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n--b\n\n{text}\n'
        f"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n{groups}\n"
        f"--b\nContent-Type: message/rfc822\n\n{ORIGINAL.format(to=to)}\nbody\n--b--\n"
    )


def test_standard_report() -> None:
    mail = report(
        "Final-Recipient: rfc822; ana@padaria.example\nAction: failed\nStatus: 5.1.1\n"
        "Diagnostic-Code: smtp; 550 5.1.1 <ana@padaria.example>: User unknown"
    )
    assert mail.kind is Kind.BOUNCE
    assert mail.bounce == Bounce(
        recipients=("ana@padaria.example",),
        hard=True,
        reason="user_unknown",
        status="5.1.1",
        original_message_id="sent1@vendas.example",
    )


def test_delayed_report_is_soft() -> None:
    mail = report("Final-Recipient: rfc822; ana@padaria.example\nAction: delayed\nStatus: 4.4.1\n")
    assert mail.bounce is not None
    assert (mail.bounce.hard, mail.bounce.reason) == (False, "delayed")


def test_delivered_report_is_no_bounce() -> None:
    mail = report("Final-Recipient: rfc822; ana@padaria.example\nAction: delivered\nStatus: 2.0.0\n")
    assert (mail.kind, mail.bounce) == (Kind.NOTICE, None)


def test_recipients_of_several_groups() -> None:
    mail = report(
        "Action: failed\nStatus: 5.1.1\nFinal-Recipient: rfc822; a@x.example\n\n"
        "Final-Recipient: rfc822;<b@x.example>\nAction: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; mailbox full\n\n"
        "Final-Recipient: rfc822; c@x.example\nAction: relayed\nStatus: 2.1.5"
    )
    assert mail.bounce is not None
    assert mail.bounce.recipients == ("a@x.example", "b@x.example")
    assert mail.bounce.hard is None


DAEMON = (
    "Return-Path: <>\nFrom: Mail Delivery System <MAILER-DAEMON@mx.example>\nTo: rui@vendas.example\nSubject: "
    "{subject}\n\n"
)
QMAIL = (
    "Hi. This is the qmail-send program at mx.example.\nI'm afraid I wasn't able to deliver your message to the "
    "following addresses.\n"
    "This is a permanent error; I've given up.\n\n<ana@padaria.example>:\n192.0.2.1 does not like recipient.\n"
    "Remote host said: 550 5.1.1 User unknown\n\n--- Below this line is a copy of the message.\n\n"
)
EXIM = (
    "A message that you sent could not be delivered to one or more of its\nrecipients. The following address(es) "
    "failed:\n\n"
    "  ana@padaria.example\n    SMTP error from remote mail server after RCPT TO:<ana@padaria.example>:\n"
    "    host mx [192.0.2.1]: 552 5.2.2 mailbox full\n\n------ This is a copy of the message, including all the "
    "headers. ------\n\n"
)
POSTFIX = (
    "I'm sorry to have to inform you that your message could not\nbe delivered to one or more recipients.\n\n"
    "<ana@padaria.example>: host mx.example[192.0.2.1] said: 550 5.7.1 blocked using\n    zen.spamhaus.example (in "
    "reply to RCPT TO command)\n\n"
)
GMAIL = (
    "Delivery to the following recipient failed permanently:\n\n     ana@padaria.example\n\nTechnical details of "
    "permanent failure:\n"
    "DNS Error: Domain name not found\n\n----- Original message -----\n\n"
)
SENDMAIL = (
    "   ----- The following addresses had permanent fatal errors -----\n<ana@padaria.example>\n    (reason: 550 "
    "5.1.1 User unknown)\n\n"
    "   ----- Transcript of session follows -----\n>>> RCPT To:<ana@padaria.example>\n<<< 550 5.1.1 User unknown\n\n"
)
WARNING = (
    "THIS IS A WARNING MESSAGE ONLY.\nYOU DO NOT NEED TO RESEND YOUR MESSAGE.\n\nDelivery to the following "
    "recipient has been delayed:\n\n"
    "     ana@padaria.example\n\nMessage will be retried for 2 more day(s)\n\n----- Original message -----\n\n"
)


@pytest.mark.parametrize(
    ("subject", "text", "reason", "hard"),
    [
        ("failure notice", QMAIL, "user_unknown", True),
        ("Mail delivery failed: returning message to sender", EXIM, "mailbox_full", False),
        ("Undelivered Mail Returned to Sender", POSTFIX, "blocked", False),
        ("Delivery Status Notification (Failure)", GMAIL, "host_unknown", True),
        ("Returned mail: see transcript for details", SENDMAIL, "user_unknown", True),
        ("Delivery Status Notification (Delay)", WARNING, "delayed", False),
    ],
)
@pytest.mark.parametrize("returned", ["", ORIGINAL.format(to="ana@padaria.example")])
def test_words_of_mail_servers(subject: str, text: str, reason: str, hard: bool, returned: str) -> None:
    mail = read(DAEMON.format(subject=subject) + text + returned)
    assert mail.kind is Kind.BOUNCE
    assert mail.bounce is not None
    assert mail.bounce.recipients == ("ana@padaria.example",)
    assert (mail.bounce.reason, mail.bounce.hard) == (reason, hard)
    assert mail.bounce.original_message_id == ("sent1@vendas.example" if returned else "")


def test_failed_recipients_header() -> None:
    mail = read(
        "From: Mail System <postmaster@mx.example>\nTo: rui@vendas.example\nX-Failed-Recipients: a@x.example, "
        "b@x.example\n"
        "Subject: Mail delivery failed\n\nSome words only.\n"
    )
    assert mail.bounce is not None
    assert mail.bounce.recipients == ("a@x.example", "b@x.example")


@pytest.mark.parametrize(
    ("status", "words", "reason", "hard"),
    [
        ("5.1.1", "", "user_unknown", True),
        ("5.1.2", "", "host_unknown", True),
        ("5.2.2", "over quota", "mailbox_full", False),
        ("5.3.4", "message too big", "too_big", False),
        ("5.7.1", "message rejected as spam", "spam", False),
        ("5.7.26", "DMARC policy", "policy", False),
        ("4.4.7", "delivery time expired", "expired", False),
        ("5.4.6", "too many hops", "loop", False),
        ("5.2.1", "account is disabled", "suspended", False),
        ("5.1.10", "RESOLVER.ADR.RecipientNotFound; not found", "user_unknown", True),
        ("", "caixa postal do usuário está cheia", "mailbox_full", False),
        ("", "Почтовый ящик не существует", "user_unknown", True),
        ("4.1.1", "user unknown", "user_unknown", False),
    ],
)
def test_reasons(status: str, words: str, reason: str, hard: bool) -> None:
    assert judge(status, words) == (reason, hard)


def test_status_is_not_an_ip_address() -> None:
    assert find_status("host 5.1.1.7 said 550 5.2.2 full") == "5.2.2"


def test_ses_notification() -> None:
    text = (
        '{"notificationType":"Bounce","bounce":{"bounceType":"Permanent","bouncedRecipients":[{"emailAddress":"ana@padaria.example",'
        '"status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 user unknown"}]},"mail":{"messageId":"m1"}}\n--\nbye'
    )
    kind, bounce = read_notification(text)
    assert kind == "bounce"
    assert bounce == Bounce(
        recipients=("ana@padaria.example",), hard=True, reason="user_unknown", status="5.1.1", original_message_id="m1"
    )
    assert read_notification('{"notificationType":"Bounce","bounce":[]}') == ("bounce", None)
    assert read_notification("hello") == ("", None)


_WORDS = st.lists(
    st.sampled_from(
        [
            "<a@x.example>",
            "a@x.example",
            "550 5.1.1",
            "Final-Recipient: rfc822; b@y.example",
            "Action: failed",
            "\n",
            "\n\n",
            ":",
            "To:",
            "delivered to",
            "(expanded from",
        ]
    ),
    max_size=40,
).map(" ".join)


@given(_WORDS | st.text(max_size=300))
def test_bounce_texts_never_raise(text: str) -> None:
    human, rest = cut_original(text)
    assert len(human) + len(rest) <= len(text) + 1
    for address in find_recipients(human, ["a@x.example"], []):
        assert "@" in address
        select_diagnostic(human, address)
    for outcome in read_delivery_status(text):
        assert outcome.recipient


def test_report_in_parts_as_imap_gives_them() -> None:
    raw = RawMail(
        account="a",
        folder="f",
        ref="1",
        received_at=NOON,
        header=(
            b"From: postmaster@mx.example\r\nTo: rui@vendas.example\r\nSubject: Undeliverable: Offer\r\n"
            b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        ),
        parts=(
            RawPart(content_type="text/plain", body=b"Your message could not be delivered.\r\n"),
            RawPart(
                content_type="message/delivery-status",
                body=b"Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; ana@padaria.example\r\nAction: "
                b"failed\r\nStatus: 5.1.1\r\n",
            ),
            RawPart(
                content_type="message/rfc822", body=b"Message-ID: <sent1@vendas.example>\r\nTo: x@y.example\r\n\r\n"
            ),
        ),
    )
    mail = parse_mail(raw)
    assert mail.bounce == Bounce(
        recipients=("ana@padaria.example",),
        hard=True,
        reason="user_unknown",
        status="5.1.1",
        original_message_id="sent1@vendas.example",
    )


# Words of many servers, each with one address that failed. The subject alone is a bounce's in all of them.
PHRASES = [
    "Here is your list of failed recipients:\n\n<%s>\n  550 unknown\n\nHere is your returned mail:\nFrom: me@x.example",
    "Failed addresses follow:\n  %s\nMessage text follows:\nhello",
    "Undeliverable Address: %s\nOriginal message attached\n",
    "The email below could not be delivered to the following user:\n\n<%s>\n\nOld message:\nbla",
    "Delivery to the following recipients was aborted after 2 days:\n\n  * %s\n\nbla",
    "Your message\n\n  Subject: Hello\n\nwas not delivered to:\n\n  %s\n\nbecause:\n\n  not listed in Domino "
    "Directory\n",
    "Sorry, unable to deliver your message to %s for the following reason:\n\n550 Unknown user\n",
    "Your message\n  To: team@x.example\n\ndid not reach the following recipient(s):\n\n%s on Thu, 2 Jan 2020 "
    "10:11:12\n",
    "Message could not be delivered to some recipients.\n\nRecipient: [SMTP:%s]\nReason: Unknown\n",
    "** Address not found **\n\nYour message wasn't delivered to %s because the address couldn't be found.\n",
    "Não foi possível entregar a mensagem para os seguintes destinatários:\n\n%s\n\n550 usuário inexistente",
    "Сообщение не может быть доставлено следующим получателям:\n\n%s\n\nящик не существует\n",
    "Ihre Nachricht konnte nicht zugestellt werden.\n\nEmpfänger: %s\nGrund: Postfach voll\n",
    "Votre message n'a pas pu être délivré à %s\n\nboîte pleine",
    "No se ha podido entregar el mensaje a los siguientes destinatarios:\n%s\nbuzón lleno",
    "Failed to deliver to '%s'\nSMTP module(domain padaria.example) reports:\n host unknown\n",
]


@pytest.mark.parametrize("phrase", PHRASES)
@pytest.mark.parametrize("sender", ["MAILER-DAEMON@mx.example", "Postmaster <postmaster@padaria.example>"])
def test_phrases(phrase: str, sender: str) -> None:
    mail = read(
        f"From: {sender}\nTo: rui@vendas.example\nSubject: Delivery failure\n"
        "Content-Type: text/plain; charset=utf-8\n\n" + phrase % "ana@padaria.example"
    )
    assert mail.bounce is not None
    assert mail.bounce.recipients == ("ana@padaria.example",)
