"""The spy that watches the whole suite sees what it is there to see."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from calendar_contract import event
from servers import spy
from servers.calendars import RadicaleServer, TestCalendar
from servers.smtp_sink import SmtpSink

from connectors import outgoing
from connectors.caldav.settings import CaldavSettings
from connectors.caldav.wire import Wire
from connectors.model import Address, Enclosure, OutgoingMail

OURS = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:quietcrm-1\r\nDTSTART:20261201T100000Z\r\n"
OURS += b"DTSTAMP:20261101T100000Z\r\nSUMMARY:x\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
NEW, ANY = {"If-None-Match": "*"}, {"If-Match": "*"}


@pytest.fixture
def calendar(radicale: RadicaleServer) -> TestCalendar:
    return radicale.make_calendar()


@pytest.fixture
def wire(radicale: RadicaleServer) -> Iterator[Wire]:
    made = Wire(CaldavSettings(account="ana", url=radicale.url, login="ana", password="secret"))
    made.ask("PROPFIND", radicale.url, depth="0")
    yield made
    made.close()


def test_what_is_ours_may_be_written(wire: Wire, calendar: TestCalendar) -> None:
    assert wire.ask("PUT", f"{calendar.url}quietcrm-1.ics", OURS, headers=NEW).status == 201
    assert wire.ask("DELETE", f"{calendar.url}quietcrm-1.ics", headers=ANY).status in (200, 204)
    assert spy.found == []


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (OURS.replace(b"quietcrm-1", b"theirs"), NEW),
        (OURS.replace(b"SUMMARY", b"ATTENDEE:mailto:maria@acme.example\r\nSUMMARY"), NEW),
        (OURS.replace(b"SUMMARY", b"ORGANIZER:mailto:ana@vendas.example\r\nSUMMARY"), NEW),
        (OURS.replace(b"PRODID", b"METHOD:REQUEST\r\nPRODID"), NEW),
        (OURS, {}),
    ],
)
def test_what_may_not_be_laid(wire: Wire, calendar: TestCalendar, data: bytes, headers: dict[str, str]) -> None:
    with spy.expected() as seen:
        wire.ask("PUT", f"{calendar.url}quietcrm-1.ics", data, headers=headers)
    assert seen


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PROPPATCH"])
def test_what_is_theirs_may_not_be_touched(wire: Wire, calendar: TestCalendar, method: str) -> None:
    calendar.put("e1.ics", event("e1"))
    with spy.expected() as seen:
        wire.ask(method, f"{calendar.url}e1.ics", OURS if method == "PUT" else b"", headers=ANY)
    assert any("not ours" in one for one in seen)


def test_invitations_in_mail(smtp_sink: SmtpSink) -> None:
    mail = OutgoingMail(
        message_id="a1@vendas.example", sender=Address("ana@vendas.example"), to=(Address("maria@acme.example"),),
        subject="x", text="x", html="", date=datetime(2026, 11, 1, tzinfo=UTC),
        files=(Enclosure(name="invite.ics", content_type="text/calendar", content=OURS),),
    )  # fmt: skip
    with spy.expected() as seen:
        raw = outgoing.render(mail)
    assert seen
    with spy.expected() as seen, smtplib.SMTP("127.0.0.1", smtp_sink.port) as line:
        line.sendmail("ana@vendas.example", ["maria@acme.example"], raw)
    assert seen
