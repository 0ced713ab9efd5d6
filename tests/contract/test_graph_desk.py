"""The desk in a Microsoft 365 mailbox keeps the promises of every desk and every marker, and its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime

import pytest
from desk_contract import MAIL, DeskContract
from graph_world import ANA, Clock, graph_server, settings_for
from marker_contract import DAY, Look, MarkerContract
from servers.graph import Fault
from servers.graph_mailbox import FakeMail, GraphMailbox
from source_contract import FIRST, mail

from connectors.errors import Misconfigured, ProtocolViolation, Throttled, Unavailable
from connectors.graph.desk import GraphDesk
from connectors.graph.outgoing import MARK
from connectors.model import Enclosure, Marks
from connectors.outgoing import content_hash, render

STRANGER = b"Message-ID: <stranger@acme.example>\r\nFrom: x@acme.example\r\nSubject: stranger\r\n\r\nhands off\r\n"


def pdf(name: str, size: int) -> Enclosure:
    return Enclosure(name=name, content_type="application/pdf", content=b"%" * size)


def flags_of(one: FakeMail) -> frozenset[str]:
    told = (("\\Seen", one.fields["isRead"]), ("\\Draft", one.fields["isDraft"]))
    return frozenset(name for name, holds in told if holds)


class GraphDesks:
    """A service with one mailbox, and desks on it."""

    @pytest.fixture(autouse=True)
    def place(self) -> Iterator[None]:
        self.clock = Clock()
        self.desks: list[GraphDesk] = []
        with graph_server(self.clock) as server:
            self.server = server
            yield
            for desk in self.desks:
                desk.close()

    @property
    def box(self) -> GraphMailbox:
        return self.server.mailboxes[ANA]

    def make_desk(self, **changes: object) -> GraphDesk:
        self.server.add_mailbox(ANA)
        return self.open_desk(**changes)

    def open_desk(self, **changes: object) -> GraphDesk:
        self.desks.append(GraphDesk(settings_for(self.server, self.clock, **changes)))
        return self.desks[-1]

    def lying(self, *, drafts: bool) -> list[FakeMail]:
        return self.box.in_folder("drafts" if drafts else "inbox")

    def mails(self, *, drafts: bool) -> list[tuple[bytes, frozenset[str]]]:
        return [(self.box.mime(one), flags_of(one)) for one in self.lying(drafts=drafts)]

    def edit(self, *, drafts: bool) -> None:
        (one,) = self.lying(drafts=drafts)
        body = one.fields["body"]
        self.box.change(one, {"body": {**body, "content": body["content"].replace("Olá", "Bom dia")}})

    def add_stranger(self, *, drafts: bool) -> None:
        self.box.deliver(STRANGER, folder="Drafts" if drafts else "INBOX")


class TestGraphDesk(GraphDesks, DeskContract):
    def sent(self) -> list[tuple[bytes, frozenset[str], datetime]]:
        return [
            (self.box.mime(one), flags_of(one), datetime.fromisoformat(one.fields["receivedDateTime"]))
            for one in self.box.in_folder("sentitems")
        ]

    def drop_sent_folder(self) -> None:
        self.box.drop_folder("sentitems")


class TestGraphMarker(GraphDesks, MarkerContract):
    keeps_days = True
    trash = "Deleted Items"

    def make_marker(self) -> GraphDesk:
        return self.make_desk()

    def add(self, raw: bytes, *, folder: str = "INBOX", seen: bool = False, category: str = "") -> str:
        one = self.box.deliver(raw, folder=folder, at=FIRST, seen=seen)
        if category:
            self.box.change(one, {"categories": [category]})
        return one.id

    def look(self, folder: str) -> list[Look]:
        place = self.box.folder_called(folder)
        return [self.shown(one) for one in self.box.in_folder(place.id)]

    def shown(self, one: FakeMail) -> Look:
        flag = one.fields["flag"]
        due = flag.get("dueDateTime")
        return Look(
            message_id=str(one.fields["internetMessageId"] or "").strip("<>"),
            categories=frozenset(one.fields["categories"]),
            flagged=flag["flagStatus"] == "flagged",
            due=date.fromisoformat(due["dateTime"][:10]) if due else None,
            seen=one.fields["isRead"],
        )

    def one_called(self, message_id: str) -> FakeMail:
        return next(one for one in self.box.mails.values() if one.fields["internetMessageId"] == f"<{message_id}>")

    def move(self, message_id: str, folder: str) -> None:
        self.box.move(self.one_called(message_id), self.box.folder_called(folder).id)

    def delete(self, message_id: str) -> None:
        self.box.remove(self.one_called(message_id).id)

    def test_a_category_enters_the_list_once(self) -> None:
        desk = self.make_marker()
        for number in (1, 2, 3):
            desk.mark("INBOX", self.add(mail(number)), f"m{number}@acme.example", Marks(add=("CRM: lead", "Crm: Lead")))
        self.open_desk().mark("INBOX", self.add(mail(4)), "m4@acme.example", Marks(add=("CRM: LEAD",)))
        assert [one["displayName"] for one in self.box.categories] == ["CRM: lead"]
        assert self.server.counts["GET /outlook/masterCategories"] == 2

    def test_without_the_right_to_the_list_categories_hold_all_the_same(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        self.server.script = [("GET", "masterCategories", Fault(status=403, code="ErrorAccessDenied"))]
        desk.mark("INBOX", ref, "m1@acme.example", Marks(add=("CRM: lead",)))
        assert self.only("INBOX").categories == {"CRM: lead"}

    def test_a_category_that_the_rep_adds_meanwhile_stays(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        first = [True]

        def rep(call: object) -> None:
            if getattr(call, "method", "") == "PATCH" and first.pop() if first else False:
                self.box.change(self.box.mails[ref], {"categories": ["Urgente"]})

        self.server.faults = rep  # type: ignore[assignment]
        desk.mark("INBOX", ref, "m1@acme.example", Marks(add=("CRM: lead",)))
        assert self.only("INBOX").categories == {"Urgente", "CRM: lead"}

    @pytest.mark.parametrize("fault", [Fault(status=504, after=True), Fault(drop=True, after=True)], ids=str)
    def test_a_move_without_an_answer_is_looked_up(self, fault: Fault) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        self.server.script = [("POST", "/move", fault)]
        done = desk.mark("INBOX", ref, "m1@acme.example", Marks(move="CRM/Pedidos"))
        assert (done.folder, done.ref) == ("CRM/Pedidos", ref)
        assert len(self.look("CRM/Pedidos")) == 1

    def test_ids_that_change_on_a_move(self) -> None:
        desk = self.make_marker()
        self.box.ids_change = True
        ref = self.add(mail(1))
        done = desk.mark("INBOX", ref, "m1@acme.example", Marks(move="CRM/Pedidos"))
        assert done.ref != ref
        again = desk.mark("INBOX", ref, "m1@acme.example", Marks(flag=DAY))
        assert (again.folder, again.ref) == ("CRM/Pedidos", done.ref)

    def test_the_day_is_the_same_in_every_zone_of_business(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        desk.mark("INBOX", ref, "m1@acme.example", Marks(flag=DAY))
        assert self.box.mails[ref].fields["flag"]["dueDateTime"] == {"dateTime": f"{DAY}T12:00:00", "timeZone": "UTC"}


class TestGraphDrafts(GraphDesks):
    """What only this desk does."""

    def test_an_answer_is_made_within_its_conversation(self) -> None:
        desk = self.make_desk()
        question = self.box.deliver(mail(1).replace(b"m1@", b"x@"))
        placed = desk.place_draft(MAIL)
        (one,) = self.lying(drafts=True)
        assert one.fields["conversationId"] == question.fields["conversationId"]
        assert (one.id, one.fields["subject"]) == (placed.ref, MAIL.subject)
        assert [person["emailAddress"]["address"] for person in one.fields["toRecipients"]] == ["ivan@acme.example"]
        assert one.fields["body"]["content"] == MAIL.html
        assert one.properties[MARK] == MAIL.message_id
        assert self.server.counts["POST /messages/{id}/createReply"] == 1
        assert desk.find(MAIL.message_id, drafts=True) == (placed,)
        assert question.fields["isRead"] is False

    def test_what_is_answered_may_have_gone_away_meanwhile(self) -> None:
        desk = self.make_desk()
        self.box.deliver(mail(1).replace(b"m1@", b"x@"))
        self.server.script = [("POST", "createReply", Fault(status=404, code="ErrorItemNotFound"))]
        desk.place_draft(MAIL)
        (one,) = self.lying(drafts=True)
        assert "In-Reply-To: <x@acme.example>" in self.box.mime(one).decode()

    @pytest.mark.parametrize("answers", [True, False])
    @pytest.mark.parametrize("fault", [Fault(status=504, after=True), Fault(drop=True, after=True)], ids=str)
    def test_a_draft_without_an_answer_is_looked_up_and_not_made_twice(self, fault: Fault, answers: bool) -> None:
        desk = self.make_desk()
        if answers:
            self.box.deliver(mail(1).replace(b"m1@", b"x@"))
        self.server.script = [("POST", "/messages", fault)]
        placed = desk.place_draft(MAIL)
        assert [one.id for one in self.lying(drafts=True)] == [placed.ref]

    def test_a_draft_that_was_not_made_is_for_later(self) -> None:
        desk = self.make_desk()
        self.server.script = [("POST", "/messages", Fault(status=504))]
        with pytest.raises(Unavailable):
            desk.place_draft(MAIL)
        assert self.lying(drafts=True) == []
        desk.place_draft(MAIL)
        assert len(self.lying(drafts=True)) == 1

    def test_an_edit_at_the_very_moment_of_taking_it_away(self) -> None:
        desk = self.make_desk()
        placed = desk.place_draft(MAIL)

        def rep(call: object) -> None:
            if getattr(call, "method", "") == "DELETE":
                self.edit(drafts=True)

        self.server.faults = rep  # type: ignore[assignment]
        assert not desk.withdraw(placed, MAIL.message_id)
        assert len(self.lying(drafts=True)) == 1

    def test_on_a_service_that_writes_mime_anew(self) -> None:
        """Exchange makes the text of the alternative of the HTML: what it gives back is what is compared."""
        desk = self.make_desk()
        self.box.rewrites_mime = True
        placed = desk.place_draft(MAIL)
        assert placed.content_hash != content_hash(render(MAIL))
        assert desk.find(MAIL.message_id, drafts=True) == (placed,)
        copy = desk.place_sent(replace(MAIL, message_id="q.5@vendas.example"))
        assert desk.find_sent("q.5@vendas.example") == (copy,)
        self.edit(drafts=True)
        assert not desk.withdraw(placed, MAIL.message_id)

    def test_a_copy_keeps_its_html_where_the_service_takes_no_second_body(self) -> None:
        desk = self.make_desk()
        self.server.script = [("POST", "sentitems", Fault(status=400, code="ErrorInvalidProperty"))]
        desk.place_sent(MAIL)
        (one,) = self.box.in_folder("sentitems")
        assert one.fields["body"] == {"contentType": "html", "content": MAIL.html}

    def test_a_notice_is_unread_and_no_draft_though_the_service_makes_it_read(self) -> None:
        self.make_desk().place_mail(MAIL)
        (one,) = self.lying(drafts=False)
        assert (one.fields["isRead"], one.fields["isDraft"]) == (False, False)

    def test_headers_and_files_go_with_it(self) -> None:
        desk = self.make_desk()
        headers = (("X-Quietcrm", "send"), ("List-Unsubscribe", "<mailto:x@vendas.example>"), ("Auto-Submitted", "x"))
        files = (Enclosure(name="Oferta ✓.pdf", content_type="application/pdf", content=b"%PDF" + b"x" * 3000),)
        desk.place_draft(replace(MAIL, headers=headers, files=files))
        ((raw, _),) = self.mails(drafts=True)
        text = raw.decode("utf-8", "replace")
        assert "X-Quietcrm: send" in text
        assert "List-Unsubscribe: <mailto:x@vendas.example>" in text
        (one,) = self.lying(drafts=True)
        assert [(file["name"], file["size"]) for file in one.attachments] == [("Oferta ✓.pdf", 3004)]

    @pytest.mark.parametrize("answers", [True, False])
    def test_large_files_are_added_one_by_one(self, answers: bool) -> None:
        desk = self.make_desk()
        if answers:
            self.box.deliver(mail(1).replace(b"m1@", b"x@"))
        sizes = {"a.pdf": 9_000_000, "b.pdf": 2_000_000, "c.pdf": 2_000_000}
        files = tuple(
            Enclosure(name=n, content_type="application/pdf", content=b"%" * size) for n, size in sizes.items()
        )
        placed = desk.place_draft(replace(MAIL, files=files))
        (one,) = self.lying(drafts=True)
        assert {file["name"]: file["size"] for file in one.attachments} == sizes
        assert desk.find(MAIL.message_id, drafts=True) == (placed,)
        assert one.properties[MARK] == MAIL.message_id

    def test_half_a_mail_is_not_left_behind(self) -> None:
        desk = self.make_desk()
        self.server.script = [
            ("POST", "createUploadSession", Fault(status=400, code="ErrorAttachmentSizeLimitExceeded"))
        ]
        files = (Enclosure(name="a.pdf", content_type="application/pdf", content=b"%" * 4_000_000),)
        with pytest.raises(ProtocolViolation):
            desk.place_draft(replace(MAIL, files=files))
        assert self.lying(drafts=True) == []

    def test_a_mailbox_without_drafts(self) -> None:
        desk = self.make_desk()
        self.box.drop_folder("drafts")
        with pytest.raises(Misconfigured, match="Drafts"):
            desk.find(MAIL.message_id, drafts=True)

    def test_a_pause_is_told(self) -> None:
        desk = self.make_desk()
        self.server.script = [("POST", "/messages", Fault(status=429, code="ApplicationThrottled", retry_after=90))]
        with pytest.raises(Throttled) as caught:
            desk.place_draft(MAIL)
        assert caught.value.retry_after == 90
