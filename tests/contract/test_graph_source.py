"""A Microsoft 365 mailbox by Graph keeps the promises of every source, and its own."""

from __future__ import annotations

import email
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from graph_world import ANA, Clock, FixedTokens, graph_server, settings_for
from plain_parser import PlainParser
from servers.graph import Call, Fault, Reply
from servers.graph_mailbox import GraphMailbox
from servers.graph_oracle import find_check
from source_contract import FIRST, BreakableContract, Run, mail, read_all

from connectors.errors import AuthRejected, Misconfigured, OtherMailbox, ProtocolViolation, Throttled, Unavailable
from connectors.graph.source import GraphSource
from connectors.model import Kind, Message


class GraphWorld:
    """A service with one mailbox, and sources on it."""

    @pytest.fixture(autouse=True)
    def place(self) -> Iterator[None]:
        self.clock = Clock()
        self.sources: list[GraphSource] = []
        with graph_server(self.clock) as server:
            self.server = server
            self.box: GraphMailbox = server.mailboxes[ANA]
            yield
            for source in self.sources:
                source.close()

    def make_source(
        self,
        parser: PlainParser,
        *,
        since: date | None = None,
        only: Sequence[str] = (),
        skip: Sequence[str] = (),
        **changes: object,
    ) -> GraphSource:
        made = settings_for(self.server, self.clock, since=since, only=tuple(only), skip=tuple(skip), **changes)
        self.sources.append(GraphSource(made, parser))
        return self.sources[-1]

    def add_mail(self, raw: bytes, *, folder: str = "INBOX", at: datetime = FIRST) -> None:
        self.box.deliver(raw, folder=folder, at=at)


class TestGraphSource(GraphWorld, BreakableContract):
    sent = "Sent Items"
    junk = "Junk Email"

    def snapshot(self) -> object:
        return [
            (ref, one.folder, one.mime, sorted(map(str, one.fields.items()))) for ref, one in self.box.mails.items()
        ]

    def break_mail(self, number: int) -> None:
        for one in self.box.mails.values():
            if f"<m{number}@".encode() in one.mime:
                one.broken = True


class TestGraphChanges(GraphWorld):
    """What the delta queries tell, and what becomes of the service's known faults."""

    @pytest.fixture
    def parser(self) -> PlainParser:
        return PlainParser()

    def fill(self, count: int, *, folder: str = "INBOX", first: int = 1) -> None:
        for number in range(first, first + count):
            self.add_mail(mail(number), folder=folder, at=FIRST + timedelta(hours=number))

    def later(self, source: GraphSource, run: Run) -> Run:
        source.look_everywhere()
        return read_all(source, run.cursor)

    def test_an_idle_mailbox_costs_two_requests_and_changes_nothing(self, parser: PlainParser) -> None:
        self.fill(5)
        source = self.make_source(parser)
        run = read_all(source)
        before = len(self.server.calls)
        for _ in range(10):
            self.clock.now += 20
            batch = source.fetch(run.cursor, limit=100)
            assert (batch.cursor, batch.items, batch.changed, batch.more) == (run.cursor, (), (), False)
        assert len(self.server.calls) - before == 20

    def test_other_folders_are_asked_now_and_then_and_when_it_matters(self, parser: PlainParser) -> None:
        self.add_mail(mail(1), folder="Projects")
        source = self.make_source(parser)
        run = read_all(source)
        self.add_mail(mail(2), folder="Projects")
        assert read_all(source, run.cursor).ids == []
        self.clock.now += 301
        assert read_all(source, run.cursor).ids == ["m2"]
        self.add_mail(mail(3), folder="Projects")
        source.look_everywhere()
        assert "m3" in read_all(source, run.cursor).ids

    def test_a_mark_of_a_known_mail_is_a_remark_and_no_new_mail(self, parser: PlainParser) -> None:
        self.fill(2)
        source = self.make_source(parser)
        run = read_all(source)
        one = next(iter(self.box.mails.values()))
        self.box.change(one, {"categories": ["CRM: lead"], "flag": {"flagStatus": "flagged"}})
        later = read_all(source, run.cursor)
        assert later.ids == []
        (remark,) = [remark for batch in later.batches for remark in batch.changed]
        assert (remark.folder, remark.ref, remark.message_id) == ("INBOX", one.id, "m1@acme.example")
        assert (remark.flags, remark.categories) == (("\\Flagged",), ("CRM: lead",))

    def test_a_change_that_names_only_what_changed_is_completed(self, parser: PlainParser) -> None:
        self.server.partial_updates = True
        self.fill(1)
        source = self.make_source(parser)
        run = read_all(source)
        one = next(iter(self.box.mails.values()))
        self.box.change(one, {"categories": ["CRM: lead"]})
        self.box.change(one, {"isRead": True})
        (remark,) = read_all(source, run.cursor).batches[0].changed
        assert (remark.flags, remark.categories) == (("\\Seen",), ("CRM: lead",))

    def test_categories_and_flags_come_with_a_mail(self, parser: PlainParser) -> None:
        self.fill(1)
        one = next(iter(self.box.mails.values()))
        self.box.change(one, {"categories": ["Blue", "CRM: lead"], "isRead": True})
        (found,) = read_all(self.make_source(parser)).items
        assert (found.categories, found.flags) == (("Blue", "CRM: lead"), ("\\Seen",))

    def test_a_moved_mail_is_gone_here_and_a_copy_there(self, parser: PlainParser) -> None:
        self.fill(2)
        self.add_mail(mail(9), folder="Projects")
        source = self.make_source(parser)
        run = read_all(source)
        one = next(iter(self.box.mails.values()))
        self.box.move(one, self.box.folder_called("Projects").id)
        later = self.later(source, run)
        assert [(item.folder, item.ref) for item in later.items] == [("Projects", one.id)]
        assert [gone for batch in later.batches for gone in batch.removed] == [("INBOX", one.id)]

    def test_ids_that_change_on_a_move_lose_nothing(self, parser: PlainParser) -> None:
        self.box.ids_change = True
        self.fill(2)
        self.add_mail(mail(9), folder="Projects")
        source = self.make_source(parser)
        run = read_all(source)
        one = next(iter(self.box.mails.values()))
        self.box.move(one, self.box.folder_called("Projects").id)
        assert [(item.folder, item.message_id) for item in self.later(source, run).items] == [
            ("Projects", "m1@acme.example")
        ]

    def test_a_mail_moved_before_it_was_read_is_read_where_it_lies(self, parser: PlainParser) -> None:
        self.fill(1)
        source = self.make_source(parser)
        run = read_all(source)
        self.fill(3, first=5)
        first = source.fetch(run.cursor, limit=1)
        waiting = [one for one in self.box.mails.values() if one.fields["subject"] == "mail 7"]
        self.box.move(waiting[0], self.box.folder_called("Projects").id)
        source.look_everywhere()
        rest = read_all(source, first.cursor)
        assert sorted([*(item.subject for item in first.items), *(item.subject for item in rest.items)]) == [
            "mail 5", "mail 6", "mail 7",
        ]  # fmt: skip
        assert [item.folder for item in rest.items if item.subject == "mail 7"] == ["Projects"]

    def test_moved_out_and_back_and_forgotten_by_the_service(self, parser: PlainParser) -> None:
        """A known fault: the mail is in the folder and no change ever tells of it. Counting finds it."""
        self.fill(3)
        source = self.make_source(parser)
        run = read_all(source)
        one = next(iter(self.box.mails.values()))
        self.box.move(one, "deleteditems")
        self.box.move(one, "inbox", quietly=True)
        seen: list[Message] = []
        cursor = run.cursor
        for _ in range(4):
            self.clock.now += 301
            later = read_all(source, cursor)
            cursor = later.cursor
            seen += later.items
        assert [item.message_id for item in seen] == ["m1@acme.example"]

    def test_a_count_that_fails_is_taken_again(self, parser: PlainParser) -> None:
        """The fetch in which the folder was to be listed again broke: it is listed at the next, not in six hours."""
        self.fill(3)
        source = self.make_source(parser)
        cursor = read_all(source).cursor
        one = next(iter(self.box.mails.values()))
        self.box.move(one, "deleteditems")
        self.box.move(one, "inbox", quietly=True)
        for _ in range(2):
            self.clock.now += 301
            cursor = read_all(source, cursor).cursor
        self.server.script = [("GET", "messages/delta", Fault(status=429, code="ApplicationThrottled", retry_after=60))]
        self.clock.now += 301
        with pytest.raises(Throttled):
            source.fetch(cursor, limit=10)
        self.clock.now += 301
        assert read_all(source, cursor).ids == ["m1"]

    def test_a_dead_link_is_a_listing_that_reads_nothing_twice(self, parser: PlainParser) -> None:
        self.fill(30)
        source = self.make_source(parser)
        run = read_all(source)
        self.fill(2, first=40)
        self.box.remove(next(iter(self.box.mails)))
        self.box.expire_links()
        later = read_all(source, run.cursor)
        assert sorted(later.ids) == ["m40", "m41"]
        assert not any(batch.backfill for batch in later.batches)
        assert read_all(source, later.cursor).ids == []

    @pytest.mark.parametrize("code", ["SyncStateNotFound", "ResyncRequired"])
    def test_a_link_refused_by_code_is_as_dead(self, parser: PlainParser, code: str) -> None:
        self.fill(2)
        source = self.make_source(parser)
        run = read_all(source)
        self.fill(1, first=9)
        self.server.script = [("GET", "delta", Fault(status=400, code=code))]
        assert read_all(source, run.cursor).ids == ["m9"]

    def test_a_dead_link_in_the_first_listing(self, parser: PlainParser) -> None:
        self.fill(30)
        self.server.page_limit = 4
        expired = iter([False] * 5 + [True] + [False] * 1000)
        self.server.faults = lambda call: (
            Fault(status=410, code="SyncStateNotFound") if "messages/delta" in call.path and next(expired) else None
        )
        assert sorted(read_all(self.make_source(parser), limit=7).ids) == sorted(f"m{n}" for n in range(1, 31))

    def test_pages_given_twice_are_read_once(self, parser: PlainParser) -> None:
        self.fill(10)
        source = self.make_source(parser)
        run = read_all(source)
        self.server.page_limit = 2
        self.fill(9, first=20)
        repeats = iter([True, False, True, True] + [False] * 100)
        self.server.faults = lambda call: (
            Fault(repeat=True) if "messages/delta" in call.path and next(repeats) else None
        )
        assert sorted(read_all(source, run.cursor).ids) == sorted(f"m{n}" for n in range(20, 29))

    def test_a_long_listing_is_saved_on_its_way(self, parser: PlainParser) -> None:
        """Each fetch follows some pages and gives a position from which another process goes on."""
        self.server.page_limit = 2
        self.fill(100)
        batch = self.make_source(parser).fetch(None, limit=10)
        assert (batch.items, batch.more) == ((), True)
        run = read_all(self.make_source(parser), batch.cursor, limit=40)
        assert run.ids == [f"m{n}" for n in range(100, 0, -1)]
        delta = self.server.counts["GET /mailFolders/{id}/messages/delta"]
        assert delta < 100

    def test_many_mails_of_one_second(self, parser: PlainParser) -> None:
        for number in range(120):
            self.add_mail(mail(number), at=FIRST)
        self.add_mail(mail("late"), at=FIRST + timedelta(hours=1))
        self.add_mail(mail("early"), at=FIRST - timedelta(hours=1))
        run = read_all(self.make_source(parser), limit=25)
        assert sorted(run.ids) == sorted([*(f"m{n}" for n in range(120)), "mlate", "mearly"])
        assert (run.ids[0], run.ids[-1]) == ("mlate", "mearly")

    def test_times_with_fractions_of_seconds(self, parser: PlainParser) -> None:
        self.fill(6)
        for number, one in enumerate(self.box.mails.values()):
            one.fields["receivedDateTime"] = (
                f"2026-01-01T12:00:00.{number % 3}23Z" if number else "2026-01-01T12:00:00Z"
            )
        assert sorted(read_all(self.make_source(parser), limit=1).ids) == [f"m{n}" for n in range(1, 7)]

    def test_an_old_mail_that_comes_during_the_back_fill_is_read_once(self, parser: PlainParser) -> None:
        self.fill(9, first=10)
        source = self.make_source(parser)
        first = source.fetch(None, limit=3)
        self.add_mail(mail("old"), at=FIRST - timedelta(days=9))
        rest = read_all(source, first.cursor, limit=3)
        assert rest.ids.count("mold") == 1
        assert rest.ids[0] == "mold"
        assert len(rest.ids) == 7

    def test_a_folder_that_goes_away(self, parser: PlainParser) -> None:
        self.fill(3)
        self.add_mail(mail("p"), folder="Projects")
        source = self.make_source(parser)
        run = read_all(source)
        self.box.drop_folder(self.box.folder_called("Projects").id)
        self.fill(1, first=8)
        self.clock.now += 200  # before the folders are listed again
        source._asked_at.clear()
        assert read_all(source, run.cursor).ids == ["m8"]

    def test_another_mailbox_is_not_mistaken_for_the_old_one(self, parser: PlainParser) -> None:
        self.fill(1)
        run = read_all(self.make_source(parser))
        self.server.add_mailbox("bruno@vendas.example")
        other = self.make_source(parser, tokens=FixedTokens("token-bruno@vendas.example"))
        with pytest.raises(OtherMailbox) as caught:
            other.fetch(run.cursor, limit=5)
        assert caught.value.hint

    def test_a_mailbox_by_its_address(self, parser: PlainParser) -> None:
        self.fill(1)
        self.server.tokens["token-app"] = "*"
        source = self.make_source(parser, tokens=FixedTokens("token-app"), by_address=True)
        assert read_all(source).ids == ["m1"]


class TestGraphMails(GraphWorld):
    """How a mail of the service becomes one of ours."""

    @pytest.fixture
    def parser(self) -> PlainParser:
        return PlainParser()

    def read_one(self, raw: bytes, parser: PlainParser, folder: str = "INBOX") -> Message:
        self.add_mail(raw, folder=folder)
        (found,) = read_all(self.make_source(parser)).items
        return found

    def test_sent_mail_without_headers_keeps_its_thread(self, parser: PlainParser) -> None:
        raw = (
            b"Message-ID: <s1@vendas.example>\r\nFrom: Ana <ana@vendas.example>\r\n"
            b"To: \"Ivan, X\" <ivan@acme.example>\r\nCc: olga@acme.example\r\n"
            b"Subject: =?utf-8?q?Ol=C3=A1?=\r\nDate: Thu, 1 Jan 2026 13:00:05 +0100\r\n"
            b"In-Reply-To: <q2@acme.example>\r\nReferences: <q1@acme.example> <q2@acme.example>\r\n\r\nhi\r\n"
        )  # fmt: skip
        found = self.read_one(raw, parser, "Sent Items")
        assert "internetMessageHeaders" not in str(parser.seen[0].header)
        assert found.sender is not None
        assert (found.message_id, found.sender.name, found.subject) == ("s1@vendas.example", "Ana", "Olá")
        assert [(one.email, one.name) for one in (*found.to, *found.cc)] == [
            ("ivan@acme.example", "Ivan, X"), ("olga@acme.example", ""),
        ]  # fmt: skip
        assert found.in_reply_to == "q2@acme.example"
        assert found.references == ("q1@acme.example", "q2@acme.example")
        assert found.sent_at == datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC)

    def test_attachments_by_name_and_not_downloaded(self, parser: PlainParser) -> None:
        message = email.message_from_bytes(mail(1), policy=email.policy.default)  # type: ignore[arg-type]
        message.add_attachment(b"x" * 5000, maintype="application", subtype="pdf", filename="Oferta.pdf")  # type: ignore[attr-defined]
        found = self.read_one(message.as_bytes(), parser)
        assert [(one.name, one.content_type, one.size) for one in found.attachments] == [
            ("Oferta.pdf", "application/pdf", 5000)
        ]
        assert not any("value" in path or "attachments" in path for _, path in self.server.calls)
        assert self.server.bytes_out < 20_000

    def test_html_is_read_and_quotes_are_cut_off(self, parser: PlainParser) -> None:
        raw = (
            b"Message-ID: <h@acme.example>\r\nFrom: ivan@acme.example\r\nTo: ana@vendas.example\r\nSubject: h\r\n"
            b"Date: Thu, 1 Jan 2026 12:00:00 +0000\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
            b"<p>Sim, <b>vinte</b> caixas.</p><div class=gmail_quote><blockquote>antes</blockquote></div>\r\n"
        )
        found = self.read_one(raw, parser)
        assert found.text == "Sim, vinte caixas."
        assert "antes" in found.quoted

    def test_a_delivery_report_is_read_from_its_parts(self, parser: PlainParser) -> None:
        raw = (
            b"Message-ID: <b@mx.example>\r\nFrom: postmaster@mx.example\r\nTo: ana@vendas.example\r\n"
            b"Subject: Undeliverable: x\r\nDate: Thu, 1 Jan 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nIt failed.\r\n"
            b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
            b"Final-Recipient: rfc822; ivan@acme.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\n"
            b"Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <ours@vendas.example>\r\n\r\n--b--\r\n"
        )
        found = self.read_one(raw, parser)
        assert found.kind is Kind.BOUNCE
        assert found.bounce is not None
        assert (found.bounce.status, found.bounce.hard) == ("5.1.1", True)
        assert found.bounce.original_message_id == "ours@vendas.example"

    def test_an_invitation_is_one(self, parser: PlainParser) -> None:
        message = email.message_from_bytes(mail(1), policy=email.policy.default)  # type: ignore[arg-type]
        calendar = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
        message.add_alternative(calendar, subtype="calendar", params={"method": "REQUEST"})  # type: ignore[attr-defined]
        assert self.read_one(message.as_bytes(), parser).kind is Kind.INVITATION

    def test_a_hostile_property_is_no_header(self, parser: PlainParser) -> None:
        self.add_mail(mail(1), folder="Sent Items")
        one = next(iter(self.box.mails.values()))
        one.fields["subject"] = "a\r\nBcc: all@vendas.example\r\n\r\nbody"
        one.fields["toRecipients"] = [
            {"emailAddress": {"name": 'x" <y@z.example>\r\nX: 1', "address": "i@acme.example"}}
        ]
        (found,) = read_all(self.make_source(parser)).items
        assert [one.email for one in found.to] == ["i@acme.example"]
        assert found.bcc == ()
        assert found.text == "hello 1"


class TestGraphTrouble(GraphWorld):
    """Throttling, broken lines, tokens."""

    @pytest.fixture
    def parser(self) -> PlainParser:
        return PlainParser()

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(status=429, code="ApplicationThrottled", retry_after=3),
            Fault(status=429, code="TooManyRequests"),
            Fault(status=503, code="ServiceNotAvailable", retry_after=2),
            Fault(status=504, code="UnknownError"),
            Fault(status=504, after=True),
            Fault(status=500, code="ErrorInternalServerTransientError"),
            Fault(drop=True),
            Fault(drop=True, after=True),
            Fault(hang_up=True),
        ],
        ids=str,
    )
    def test_a_question_that_fails_is_asked_again(self, parser: PlainParser, fault: Fault) -> None:
        for number in range(5):
            self.add_mail(mail(number), at=FIRST + timedelta(hours=number))
        self.server.script = [("GET", ".*", fault), ("GET", "delta", fault), ("GET", "messages$", fault)]
        assert sorted(read_all(self.make_source(parser)).ids) == [f"m{n}" for n in range(5)]
        assert self.server.script == []

    def test_a_pause_is_kept_to_the_end_and_by_everybody(self, parser: PlainParser) -> None:
        self.add_mail(mail(1))
        source, other = self.make_source(parser), self.make_source(parser)
        self.server.script = [("GET", "delta", Fault(status=429, code="ApplicationThrottled", retry_after=300))]
        with pytest.raises(Throttled) as caught:
            source.fetch(None, limit=5)
        assert caught.value.retry_after == pytest.approx(300, abs=1)
        before = len(self.server.calls)
        for one in (source, other) * 10:
            with pytest.raises(Throttled):
                one.fetch(None, limit=5)
            self.clock.now += 10
        assert len(self.server.calls) == before
        self.clock.now += 101
        assert read_all(other).ids == ["m1"]

    def test_nobody_there(self, parser: PlainParser) -> None:
        self.add_mail(mail(1))
        source = self.make_source(parser)
        run = read_all(source)
        self.server.refuse()
        with pytest.raises(Unavailable) as caught:
            source.fetch(run.cursor, limit=5)
        assert caught.value.hint
        self.server.listen()
        self.add_mail(mail(2))
        assert read_all(source, run.cursor).ids == ["m2"]

    def test_a_service_in_trouble_makes_no_mail_unreadable(self, parser: PlainParser) -> None:
        self.add_mail(mail(1))
        source = self.make_source(parser)
        run = read_all(source)
        self.add_mail(mail(2))
        self.server.faults = lambda call: Fault(status=503) if re_mail(call) else None
        with pytest.raises(Unavailable):
            source.fetch(run.cursor, limit=5)
        self.server.faults = lambda call: None
        assert read_all(source, run.cursor).ids == ["m2"]

    def test_a_token_that_has_ended_is_renewed_once(self, parser: PlainParser) -> None:
        self.add_mail(mail(1))
        tokens = FixedTokens("token-old", f"token-{ANA}")
        assert read_all(self.make_source(parser, tokens=tokens)).ids == ["m1"]
        assert tokens.refused == ["token-old"]
        ended = FixedTokens("token-old")
        with pytest.raises(AuthRejected) as caught:
            self.make_source(parser, tokens=ended).check()
        assert ended.refused == ["token-old"]
        assert "quietcrm auth login ana" in caught.value.hint

    def test_another_persons_mailbox(self, parser: PlainParser) -> None:
        self.server.add_mailbox("bruno@vendas.example")
        with pytest.raises(Misconfigured, match="ErrorAccessDenied") as caught:
            self.make_source(parser, login="bruno@vendas.example", by_address=True).check()
        assert "consent" in caught.value.hint

    def test_a_link_to_another_host_gets_no_token(self, parser: PlainParser) -> None:
        self.add_mail(mail(1))
        source = self.make_source(parser)
        run = read_all(source)
        stolen = run.cursor.replace(f":{self.server.port}/", ":1/")
        with pytest.raises(ProtocolViolation, match="another host"):
            self.make_source(parser).fetch(type(run.cursor)(stolen), limit=5)

    def test_no_folder_to_read(self, parser: PlainParser) -> None:
        with pytest.raises(Misconfigured, match="folders"):
            self.make_source(parser, only=["Nowhere"]).fetch(None, limit=1)


def re_mail(call: Call) -> bool:
    """Whether a request is for one mail."""
    return call.path.startswith("/messages/")


@pytest.mark.skipif(find_check() is None, reason="the published description of Graph is not here")
class TestTheOracle:
    """The check of the fake service finds what is wrong."""

    def test_wrong_requests_and_answers(self) -> None:
        check = find_check()
        assert check is not None
        good = Call(
            method="GET", path="/messages", mailbox="", query={"$select": "id,subject"}, headers={}, body=b"",
            target="/v1.0/me/messages",
        )  # fmt: skip
        answer = Reply(body=b'{"value": [{"id": "x", "subject": "y"}]}')
        assert check(good, answer) == ""
        assert "request" in check(replace(good, query={"$select": "sujet"}), answer)
        assert "request" in check(replace(good, target="/v1.0/me/letters"), answer)
        assert "answer" in check(good, Reply(body=b'{"value": [{"id": "x", "sujet": "y"}]}'))
        assert "answer" in check(good, Reply(status=418, body=b"{}"))


def test_the_description_is_not_part_of_the_project() -> None:
    repository = Path(__file__).resolve().parents[2]
    assert not list(repository.glob("tests/**/openapi*.yaml"))
