"""What goes wrong between an Exchange Server and its readers, and what of exchangelib would bite."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from desk_contract import MAIL
from exchange_settings import ANA, settings_for
from exchangelib import Configuration, Credentials
from exchangelib.protocol import Protocol
from plain_parser import PlainParser
from servers.ews import EwsServer
from source_contract import FIRST, mail, read_all

from connectors.errors import CursorExpired, OtherMailbox, Throttled, Unavailable
from connectors.exchange.link import Link
from connectors.exchange.reader import BODIES
from connectors.exchange.source import ExchangeSource
from connectors.exchange.words import M, moment
from connectors.model import Cursor, Kind
from connectors.outgoing import render

DAY = timedelta(days=1)


@pytest.fixture
def server() -> Iterator[EwsServer]:
    with EwsServer() as running:
        yield running
        assert not running.violations


@pytest.fixture
def source(server: EwsServer) -> Iterator[ExchangeSource]:
    made = ExchangeSource(settings_for(server), PlainParser())
    yield made
    made.close()


def fill(server: EwsServer, count: int, *, first: int = 1) -> None:
    for number in range(first, first + count):
        server.deliver(mail(number), received=FIRST + timedelta(hours=number))


def follow(source: ExchangeSource, cursor: Cursor | None, *, limit: int = 100) -> tuple[list[str], Cursor | None]:
    """Ids read from a cursor on, errors being followed by another try; and the cursor at the end."""
    ids: list[str] = []
    for _ in range(300):
        try:
            batch = source.fetch(cursor, limit=limit)
        except Unavailable:
            continue
        ids += [item.message_id.partition("@")[0] for item in batch.items]
        cursor = batch.cursor
        if not batch.more:
            return ids, cursor
    raise AssertionError("it never ends")


@pytest.mark.parametrize("operation", ["GetFolder", "SyncFolderHierarchy", "SyncFolderItems", "FindItem", "GetItem"])
@pytest.mark.parametrize("fault", ["503", "504", "504-done", "cut", "cut-done", "half-done", "html"])
def test_a_call_that_goes_wrong_costs_no_mail(server: EwsServer, operation: str, fault: str) -> None:
    fill(server, 25)
    source = ExchangeSource(settings_for(server), PlainParser())
    server.faults.script(operation, fault, fault, fault)
    ids, cursor = follow(source, None)
    assert ids == [f"m{number}" for number in range(25, 0, -1)]
    server.faults.script(operation, fault, fault)
    fill(server, 3, first=50)
    assert follow(source, cursor)[0] == ["m50", "m51", "m52"]
    source.close()


@pytest.mark.parametrize("fault", ["busy500", "busy200", "429"])
def test_a_pause_is_the_server_s_and_is_told_to_the_caller(
    server: EwsServer, source: ExchangeSource, fault: str
) -> None:
    server.back_off = 300.0
    server.faults.script("SyncFolderItems", fault)
    fill(server, 3)
    with pytest.raises(Throttled) as caught:
        source.fetch(None, limit=10)
    assert caught.value.retry_after == 300.0
    assert server.early == 0


def test_a_pause_in_the_middle_keeps_what_was_read_and_is_obeyed(server: EwsServer) -> None:
    now = [100.0]
    server.clock = lambda: now[0]
    server.back_off = 300.0
    source = ExchangeSource(settings_for(server), PlainParser(), monotonic=lambda: now[0])
    fill(server, 3 * BODIES)
    server.faults.script("GetItem", "", "", "busy500")
    first = source.fetch(None, limit=100)
    assert len(first.items) == 2 * BODIES
    assert first.more
    now[0] += 100.0
    with pytest.raises(Throttled) as caught:
        source.fetch(first.cursor, limit=100)
    assert caught.value.retry_after == pytest.approx(200.0)
    assert server.early == 0
    now[0] += 201.0
    assert len(source.fetch(first.cursor, limit=100).items) == BODIES
    source.close()


def test_a_connection_that_was_dropped_while_idle_is_no_trouble(server: EwsServer, source: ExchangeSource) -> None:
    fill(server, 2)
    run = read_all(source)
    for number in (10, 11):
        server.drop_connections()
        fill(server, 1, first=number)
        run = read_all(source, run.cursor)
        assert run.ids == [f"m{number}"]


def test_a_server_that_closes_after_each_answer(server: EwsServer, source: ExchangeSource) -> None:
    server.drops_idle = True
    fill(server, 12)
    assert len(read_all(source).ids) == 12


def test_a_server_that_was_away_is_found_again(server: EwsServer, source: ExchangeSource) -> None:
    fill(server, 2)
    run = read_all(source)
    server.stop()
    for _ in range(3):
        with pytest.raises(Unavailable, match="reached"):
            source.fetch(run.cursor, limit=10)
    server.start(server.port)
    fill(server, 1, first=9)
    assert read_all(source, run.cursor).ids == ["m9"]


# -- sync states


@pytest.mark.parametrize("silently", [False, True])
def test_a_lost_sync_state_is_an_ordinary_resync(server: EwsServer, silently: bool) -> None:
    """The server restored a backup: our states mean nothing. New mail is new all the same, old mail is read again."""
    server.takes_any_state = silently
    fill(server, 6)
    source = ExchangeSource(settings_for(server), PlainParser())
    run = read_all(source)
    fill(server, 2, first=50)
    for folder in server.box.folders.values():
        folder.epoch += 1
        folder.commit = server.box.tick()
    again = read_all(source, run.cursor, limit=4)
    assert sorted(again.ids) == sorted([f"m{n}" for n in (1, 2, 3, 4, 5, 6, 50, 51)])
    news = [item.message_id[:3] for batch in again.batches if not batch.backfill for item in batch.items]
    assert {"m50", "m51"} <= set(news)
    assert read_all(source, again.cursor).ids == []
    source.close()


def test_pages_that_come_twice_lose_nothing(server: EwsServer, source: ExchangeSource) -> None:
    fill(server, 3)
    run = read_all(source)
    server.repeats_pages = True
    fill(server, 30, first=100)
    later = read_all(source, run.cursor, limit=10)
    assert set(later.ids) >= {f"m{number}" for number in range(100, 130)}  # what comes twice is known by its identity


def test_a_hundred_deletions_that_are_said_to_be_all(server: EwsServer, source: ExchangeSource) -> None:
    fill(server, 260)
    run = read_all(source, limit=500)
    server.box.deletes_at_once = 100
    inbox = server.box.folder("inbox")
    for item in list(inbox.items.values())[:250]:
        server.box.remove(item)
    later = read_all(source, run.cursor, limit=500)
    assert sum(len(batch.removed) for batch in later.batches) == 250


def test_a_baseline_of_many_pages_goes_on_where_it_was_killed(
    server: EwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.exchange.source._BASELINE_PAGES", 2)
    for number in range(1400):
        server.deliver(b"Message-ID: <x@x.example>\r\n\r\n", received=FIRST + timedelta(seconds=number))
    source = ExchangeSource(settings_for(server), PlainParser())
    first = source.fetch(None, limit=1)
    assert (first.items, first.more) == ((), True)
    source.close()
    other = ExchangeSource(settings_for(server), PlainParser())
    before = server.requests["SyncFolderItems"]
    assert len(other.fetch(first.cursor, limit=1).items) == 1
    assert server.requests["SyncFolderItems"] - before == 2
    other.close()


def test_a_burst_in_one_second_is_read_once(server: EwsServer, source: ExchangeSource) -> None:
    """Migrated mail arrives all at once: the second of arrival tells nobody apart."""
    for number in range(40):
        server.deliver(mail(number), received=FIRST)
    server.deliver(mail("old"), received=FIRST - DAY)
    assert sorted(read_all(source, limit=7).ids) == sorted([*(f"m{n}" for n in range(40)), "mold"])


# -- changes and moves


def test_a_mail_that_moves_out_and_back_has_another_id(server: EwsServer, source: ExchangeSource) -> None:
    fill(server, 2)
    other = server.box.folder_path("Projects")
    run = read_all(source)
    (item, _) = server.box.folder("inbox").items.values()
    old = item.id
    server.box.move(item, other)
    server.box.move(item, server.box.folder("inbox"))
    later = read_all(source, run.cursor)
    assert later.ids == ["m1"]
    assert later.items[0].ref != old
    assert ("INBOX", old) in [place for batch in later.batches for place in batch.removed]


def test_marks_of_the_rep_are_told_and_cost_no_second_reading(server: EwsServer, source: ExchangeSource) -> None:
    fill(server, 3)
    run = read_all(source)
    bodies = server.requests["GetItem"]
    (item, *_) = server.box.folder("inbox").items.values()
    item.categories, item.read = ["Cliente"], True
    item.extended["0x1090", "Integer"] = "2"
    server.box.touch(item)
    later = read_all(source, run.cursor)
    ((remark,),) = [batch.changed for batch in later.batches if batch.changed]
    assert (remark.folder, remark.ref, remark.message_id) == ("INBOX", item.id, "m1@acme.example")
    assert (remark.flags, remark.categories) == (("\\Seen", "\\Flagged"), ("Cliente",))
    assert later.ids == []
    assert server.requests["GetItem"] == bodies + 1


def test_ids_that_differ_in_case_alone_are_two_mails(server: EwsServer, source: ExchangeSource) -> None:
    fill(server, 2)
    inbox = server.box.folder("inbox")
    one, two = list(inbox.items.values())
    for item, id in ((one, "AAMkAbcd"), (two, "AAMkabCD")):
        del inbox.items[item.id]
        item.id = id
        inbox.items[id] = item
    assert sorted(read_all(source).ids) == ["m1", "m2"]


def test_another_mailbox_under_the_account_s_name_stops_it(server: EwsServer, source: ExchangeSource) -> None:
    fill(server, 1)
    run = read_all(source)
    server.add_mailbox("bruno@vendas.example")
    server.users["bruno@vendas.example"] = "secret"
    changes = {"mailbox": "bruno@vendas.example", "login": "bruno@vendas.example"}
    other = ExchangeSource(settings_for(server, **changes), PlainParser())
    with pytest.raises(OtherMailbox, match="another mailbox"):
        other.fetch(run.cursor, limit=5)
    other.close()


def test_a_mailbox_with_new_ids_is_read_again(server: EwsServer, source: ExchangeSource) -> None:
    fill(server, 1)
    run = read_all(source)
    server.boxes.clear()
    server.add_mailbox("other@vendas.example")
    server.boxes.clear()
    box = server.add_mailbox(ANA)
    box.add_folder("Shift", parent=box.root.id)
    source.close()
    if run.cursor and box.folder("inbox").id not in run.cursor:
        with pytest.raises(CursorExpired):
            source.fetch(run.cursor, limit=5)


# -- single mails


def test_a_mail_that_breaks_the_server_is_given_up_alone(server: EwsServer, source: ExchangeSource) -> None:
    fill(server, 5)
    poison = next(item for item in server.box.items() if b"<m3@" in item.raw)
    handle = server.handle

    def break_down(login: str, data: bytes) -> tuple[int, dict[str, str], bytes, str]:
        return (200, {}, b"", "cut") if poison.id.encode() in data and b"GetItem" in data else handle(login, data)

    server.handle = break_down  # type: ignore[method-assign]
    ids: list[str] = []
    bad = []
    cursor: Cursor | None = None
    for _ in range(10):
        try:
            batch = source.fetch(cursor, limit=10)
        except Unavailable:
            continue
        ids += [item.message_id.partition("@")[0] for item in batch.items]
        bad += batch.unreadable
        cursor = batch.cursor
        if not batch.more:
            break
    assert sorted(ids) == ["m1", "m2", "m4", "m5"]
    assert [one.ref for one in bad] == [poison.id]


def test_what_never_travelled_has_a_header_all_the_same(server: EwsServer, source: ExchangeSource) -> None:
    raw = render(MAIL)
    server.deliver(raw, folder="sentitems", transport=False)
    server.deliver(raw, folder="inbox")
    ours, theirs = sorted(read_all(source).items, key=lambda item: item.folder, reverse=True)
    for name in ("message_id", "sent_at", "sender", "to", "subject", "references", "in_reply_to", "text"):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_reports_and_invitations_are_read_in_their_own_form(server: EwsServer, source: ExchangeSource) -> None:
    bounce = (
        b"Message-ID: <b@mx.example>\r\nFrom: mailer-daemon@mx.example\r\nTo: ana@vendas.example\r\n"
        b"Subject: Undeliverable\r\nDate: Thu, 1 Jan 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nNo such user.\r\n"
        b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        b"Final-Recipient: rfc822; ivan@acme.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
    )
    server.deliver(bounce, item_class="REPORT.IPM.Note.NDR")
    (item,) = read_all(source).items
    assert item.kind is Kind.BOUNCE
    assert item.bounce is not None
    assert item.bounce.recipients == ("ivan@acme.example",)


def test_attachments_are_named_and_not_moved(server: EwsServer, source: ExchangeSource) -> None:
    from email.message import EmailMessage

    letter = EmailMessage()
    letter["Message-ID"], letter["From"], letter["Date"] = (
        "<a@acme.example>",
        "i@acme.example",
        "Thu, 1 Jan 2026 12:00:00",
    )
    letter.set_content("see the file")
    letter.add_attachment(b"x" * 500_000, maintype="application", subtype="pdf", filename="preço.pdf")
    server.deliver(letter.as_bytes())
    (item,) = read_all(source).items
    assert [(one.name, one.content_type, one.size) for one in item.attachments] == [
        ("preço.pdf", "application/pdf", 500_000)
    ]
    assert server.bytes_out < 100_000
    assert item.text.strip() == "see the file"


def test_deleted_folders_are_not_read(server: EwsServer, source: ExchangeSource) -> None:
    trash = server.box.folder("deleteditems")
    below = server.box.add_folder("Old project", parent=trash.id)
    server.box.add(mail("gone"), below)
    server.box.add_folder("Kalender 2", parent=server.box.root.id, folder_class="IPF.Appointment")
    fill(server, 1)
    assert read_all(source).ids == ["m1"]


# -- cost


def test_an_idle_poll_is_one_request_however_many_folders(server: EwsServer, source: ExchangeSource) -> None:
    for number in range(40):
        server.box.folder_path(f"Clients/{number}")
    fill(server, 3)
    run = read_all(source)
    before = dict(server.requests)
    batch = source.fetch(run.cursor, limit=100)
    assert batch.cursor == run.cursor
    assert {
        name: count - before.get(name, 0) for name, count in server.requests.items() if count != before.get(name)
    } == {"GetFolder": 1}
    source.look_everywhere()
    source.fetch(run.cursor, limit=100)
    assert server.requests["SyncFolderItems"] - before["SyncFolderItems"] == 43


# -- exchangelib


def test_links_share_no_pool_and_leave_nothing_in_exchangelib(server: EwsServer) -> None:
    """exchangelib keeps one pool per endpoint and credentials for the life of the process, of one connection: here two
    links with the same login work at once, and nothing of them is remembered."""
    one, two = Link(settings_for(server)), Link(settings_for(server))
    assert one.account().protocol is not two.account().protocol
    config = Configuration(
        service_endpoint=server.url, credentials=Credentials(ANA, "secret"), auth_type="basic", max_connections=1
    )
    with pytest.raises(KeyError):
        del Protocol[config]
    assert one.account().protocol.max_connections == 1
    for link in (one, two):
        link.drop()


def test_a_failed_start_is_not_remembered(server: EwsServer) -> None:
    """exchangelib would raise a cached TransportError again for ever."""
    port = server.port
    server.stop()
    link = Link(settings_for(server))
    for _ in range(2):
        with pytest.raises(Unavailable):
            link.ask(M.Unsubscribe(M.SubscriptionId("x")))
        link.drop()
    server.start(port)
    assert link.ask(M.Unsubscribe(M.SubscriptionId("x")))[0].code == "ErrorSubscriptionNotFound"
    link.drop()


def test_nothing_of_a_mail_gets_into_the_log(server: EwsServer, caplog: pytest.LogCaptureFixture) -> None:
    """exchangelib logs a whole request when something unexpected happens."""
    link = Link(settings_for(server))
    link.account().protocol.create_session = lambda: (_ for _ in ()).throw(RuntimeError("unexpected"))
    with caplog.at_level(logging.DEBUG), pytest.raises(RuntimeError):
        link.ask(M.Unsubscribe(M.SubscriptionId("secret text")))
    assert "secret text" not in caplog.text
    link.drop()


def test_threads_with_one_login_do_not_wait_for_each_other(server: EwsServer) -> None:
    fill(server, 5)
    found: list[int] = []

    def work() -> None:
        source = ExchangeSource(settings_for(server), PlainParser())
        found.append(len(read_all(source).ids))
        source.close()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60.0)
    assert found == [5] * 5


def test_offices_without_exchange_pay_nothing() -> None:
    code = (
        "import sys, connectors.factory, daemon.app, daemon.service, daemon.doctor;"
        "print(any(name.split('.')[0] in ('exchangelib', 'lxml', 'requests') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_entities_stay_what_they_are(server: EwsServer, source: ExchangeSource) -> None:
    """Billion laughs: refused in no time, and no file of this machine is read."""
    bomb = (
        b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">'
        + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(10))
        + b"]><s>&k;</s>"
    )
    server.refuse_http = 200, {}, bomb
    began = time.process_time()
    with pytest.raises(Unavailable, match="not EWS"):
        source.check()
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-01T12:00:00Z", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("2026-01-01T12:00:00.1234567Z", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("2026-01-01T12:00:00", datetime(2026, 1, 1, 12, tzinfo=UTC)),
        ("2026-01-01T12:00:00-03:00", datetime(2026, 1, 1, 15, tzinfo=UTC)),
        ("2026-13-01T12:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times(text: str, at: datetime | None) -> None:
    assert moment(text) == at
