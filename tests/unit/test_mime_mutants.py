"""Seeded mutants of our own mails: none may raise, whatever was cut, doubled, swapped or flipped.

QUIETCRM_MUTANTS sets how many (default 20,000).
"""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime

from connectors.mail.mime import build_message, read_mail
from connectors.model import RawMail

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
COUNT = int(os.environ.get("QUIETCRM_MUTANTS", "20000"))

HEAD = (
    b"Return-Path: <>\r\nReceived: from a by b; Mon, 2 Nov 2026 10:11:12 -0300\r\nFrom: =?utf-8?q?Ana_J=C3=BAlia?= "
    b"<ana@padaria.example>\r\n"
    b'To: "Souza, Rui" <rui@vendas.example>, Team: a@b.example;\r\nSubject: =?koi8-r?b?8NLJ18XU?= =?utf-8?b?w6k=?=\r\n'
    b"Date: Mon, 02 Nov 2026 10:11:10 -0300 (BRT)\r\nMessage-ID: <[x1@padaria.example]>\r\nReferences: <r1@x> "
    b"<r2@x>\r\nMIME-Version: 1.0\r\n"
)
SEEDS = (
    HEAD
    + b"Content-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=F0=D2=C9\r\n"
    b"> quoted\r\n-- \r\nAna\r\n",
    HEAD + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: multipart/alternative; '
    b"boundary=c\r\n\r\n--c\r\n\r\nplain\r\n"
    b"--c\r\nContent-Type: text/html; charset=x\r\n\r\n<p>a<br>&amp;&#1234;</p><blockquote>q</blockquote>\r\n--c--\r\n"
    b"--b\r\nContent-Type: application/ms-tnef\r\nContent-Disposition: attachment; filename*0*=utf-8''w%C3%A9; "
    b"filename*1=.dat\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nQUJD\r\n--b--\r\n",
    HEAD
    + b"Auto-Submitted: auto-replied\r\n\r\nI am out of the office until 7 December 2026 and back on 1/15/2027.\r\n",
    HEAD.replace(b"ana@", b"mailer-daemon@")
    + b"\r\nThe following address(es) failed:\r\n\r\n  rui@x.example\r\n    550 5.1.1 user unknown\r\n\r\n"
    b"------ This is a copy of the message ------\r\n\r\nReturn-Path: <a@b.example>\r\nTo: rui@x.example\r\n"
    b"Message-ID: <1@2>\r\nSubject: s\r\n\r\n",
    HEAD
    + b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nfailed\r\n--b\r\n"
    b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; "
    b"a@x.example\r\nAction: failed\r\n"
    b"Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 no\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nTo: "
    b"a@x.example\r\n--b--\r\n",
    HEAD + b"Content-Type: text/calendar; method=REQUEST; charset=utf-16\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n"
    b"END:VCALENDAR\r\n",
    HEAD + b"x-amz-sns-message-id: 1\r\n\r\n"
    b'{"notificationType":"Bounce","bounce":{"bouncedRecipients":[{"emailAddress":"a@x.example"}]}}\r\n',
)
SPICE = (
    *rb'" ( ) < > =? ?= =?utf-8?q? * *0*= % ; , : --b --b-- charset= hex utf-7 + 99999 @ [ \ &# <!--'.split(),
    *(b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\r", b"\n", b"\r\n\r\n", b"\x1b$B", b"\x85"),
)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """One to six changes: cut, double, swap, flip, spice, or a slice of another seed."""
    work = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(work) + 1)
        end = min(len(work), start + chance.choice((1, 2, 5, 20, 100)))
        match chance.randrange(6):
            case 0:
                del work[start:end]
            case 1:
                work[start:start] = work[start:end] * chance.choice((1, 3, 20))
            case 2:
                work[start:end] = chance.choice(SPICE) * chance.choice((1, 1, 2, 50))
            case 3 if end > start:
                work[start] ^= 1 << chance.randrange(8)
            case 4:
                other = chance.choice(SEEDS)
                at = chance.randrange(len(other))
                work[start:start] = other[at : at + 60]
            case _:
                work[start:start] = chance.choice(SPICE)
    return bytes(work)


def test_no_mutant_raises() -> None:
    chance = random.Random(20261122)
    kinds = set()
    for number in range(COUNT):
        data = mutate(SEEDS[number % len(SEEDS)], chance)
        raw = RawMail(account="a", folder="f", ref=str(number), received_at=NOON, whole=data)
        mail = build_message(raw, read_mail(raw))
        kinds.add(mail.kind)
        everything = "\n".join(
            (mail.subject, mail.text, mail.quoted, mail.message_id, *(value for _, value in mail.headers))
        )
        everything += "".join(item.email + item.name for item in mail.people()) + "".join(
            item.name for item in mail.attachments
        )
        assert "\x00" not in everything
        everything.encode("utf-8")  # no lone surrogate
    assert len(kinds) >= 5, "the mutants no longer reach the readers of reports and replies"
