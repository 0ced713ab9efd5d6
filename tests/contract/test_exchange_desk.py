"""Exchange keeps the promises of a desk and of a marker, and what only Exchange does: replies, stamps, categories."""

from __future__ import annotations

import email
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from desk_contract import MAIL, DeskContract
from exchange_settings import settings_for
from marker_contract import DAY, Look, MarkerContract
from servers.ews import EwsServer
from servers.ews_items import FLAG_STATUS
from servers.ews_store import Folder, Item
from source_contract import mail
from test_desks import STRANGER, edited

from connectors.errors import OutcomeUnknown, Unavailable
from connectors.exchange.desk import ExchangeDesk
from connectors.exchange.mailer import ExchangeMailer
from connectors.exchange.marking import with_categories
from connectors.model import Address, Enclosure, Marks
from connectors.outgoing import content_hash

CATEGORIES = (
    b'<?xml version="1.0"?><categories default="Red Category" lastSavedSession="0" '
    b'xmlns="CategoryList.xsd"><category name="Urgente" color="0" keyboardShortcut="0"/></categories>'
)


@pytest.fixture
def server() -> Iterator[EwsServer]:
    with EwsServer() as running:
        yield running
        assert not running.violations


class Hooks:
    """A desk on the server's first mailbox, emptied."""

    server: EwsServer

    @pytest.fixture(autouse=True)
    def place(self, server: EwsServer) -> Iterator[None]:
        self.server = server
        self.desks: list[ExchangeDesk] = []
        yield
        for desk in self.desks:
            desk.close()

    def make_desk(self) -> ExchangeDesk:
        for item in list(self.server.box.items()):
            self.server.box.remove(item)
        self.desks.append(ExchangeDesk(settings_for(self.server)))
        return self.desks[-1]

    def folder(self, name: str) -> Folder:
        return self.server.box.folder("inbox" if name == "INBOX" else name)


class TestExchangeDesk(Hooks, DeskContract):
    def items(self, drafts: bool) -> list[Item]:
        return list(self.folder("drafts" if drafts else "INBOX").items.values())

    def mails(self, *, drafts: bool) -> list[tuple[bytes, frozenset[str]]]:
        return [(item.raw, _flags(item)) for item in self.items(drafts)]

    def edit(self, *, drafts: bool) -> None:
        (item,) = self.items(drafts)
        item.rewrite(edited(item.raw))
        self.server.box.touch(item)

    def add_stranger(self, *, drafts: bool) -> None:
        self.server.deliver(STRANGER, folder="drafts" if drafts else "inbox")

    def sent(self) -> list[tuple[bytes, frozenset[str], datetime]]:
        return [(item.raw, _flags(item), item.received) for item in self.folder("sentitems").items.values()]

    def drop_sent_folder(self) -> None:
        self.server.box.remove_folder(self.folder("sentitems"))
        for desk in self.desks:
            desk.close()


class TestExchangeMarker(Hooks, MarkerContract):
    keeps_days = True
    trash = "Deleted Items"

    def make_marker(self) -> ExchangeDesk:
        return self.make_desk()

    def add(self, raw: bytes, *, folder: str = "INBOX", seen: bool = False, category: str = "") -> str:
        place = "inbox" if folder == "INBOX" else folder
        return self.server.deliver(raw, folder=place, read=seen, categories=[category] if category else []).id

    def look(self, folder: str) -> list[Look]:
        *above, name = folder.split("/")
        box = self.server.box
        try:
            found = self.folder(name)
        except KeyError:
            return []
        assert not above or box.folders[found.parent].name == above[-1]
        return [
            Look(
                message_id=item.text("Message-ID").strip("<>"),
                categories=frozenset(item.categories),
                flagged=item.extended.get(FLAG_STATUS) == "2",
                due=item.due.date() if item.due else None,
                seen=item.read,
            )
            for item in found.items.values()
        ]

    def item(self, message_id: str) -> Item:
        return next(one for one in self.folder("INBOX").items.values() if message_id in one.text("Message-ID"))

    def move(self, message_id: str, folder: str) -> None:
        try:
            target = self.folder(folder)
        except KeyError:
            target = self.server.box.folder_path(folder)
        self.server.box.move(self.item(message_id), target)

    def delete(self, message_id: str) -> None:
        self.server.box.remove(self.item(message_id))


def _flags(item: Item) -> frozenset[str]:
    return frozenset(name for name, is_set in (("\\Draft", item.draft), ("\\Seen", item.read)) if is_set)


@pytest.fixture
def desk(server: EwsServer) -> Iterator[ExchangeDesk]:
    made = ExchangeDesk(settings_for(server))
    yield made
    made.close()


def drafts(server: EwsServer) -> list[Item]:
    return list(server.box.folder("drafts").items.values())


ORIGINAL = mail("question", "how much?")
ANSWER = replace(MAIL, in_reply_to="mquestion@acme.example", references=("mquestion@acme.example",))


@pytest.mark.parametrize("answer", [ANSWER, replace(ANSWER, html="")], ids=["html", "text"])
def test_an_answer_is_a_reply(server: EwsServer, desk: ExchangeDesk, answer: object) -> None:
    server.deliver(ORIGINAL)
    placed = desk.place_draft(answer)  # type: ignore[arg-type]
    (item,) = drafts(server)
    assert item.text("In-Reply-To") == "<mquestion@acme.example>"
    assert (item.text("Subject"), item.text("To")) == (MAIL.subject, "ivan@acme.example")
    assert "Olá" in str(item.mail.get_body(("html", "plain")).get_content())  # type: ignore[union-attr]
    assert "how much?" in str(item.mail.get_body(("html", "plain")).get_content())  # type: ignore[union-attr]
    assert desk.find(MAIL.message_id, drafts=True) == (placed,)
    assert placed.content_hash == content_hash(item.raw)
    assert desk.withdraw(placed, MAIL.message_id)
    assert drafts(server) == []


def test_a_reply_whose_stamp_got_lost_is_taken_up_again(server: EwsServer, desk: ExchangeDesk) -> None:
    """The line breaks after the server made the reply: whoever tries again finds it, and makes no second one."""
    server.deliver(ORIGINAL)
    server.faults.script("CreateItem", "cut-done")
    with pytest.raises(Unavailable):
        desk.place_draft(ANSWER)
    assert len(drafts(server)) == 1
    assert desk.find(MAIL.message_id, drafts=True) == ()
    placed = desk.place_draft(ANSWER)
    assert len(drafts(server)) == 1
    assert desk.find(MAIL.message_id, drafts=True) == (placed,)


def test_a_rep_s_own_reply_is_not_taken_for_ours(server: EwsServer, desk: ExchangeDesk) -> None:
    server.deliver(ORIGINAL)
    server.deliver(
        b"Message-ID: <own@x.example>\r\nIn-Reply-To: <mquestion@acme.example>\r\nSubject: x\r\n\r\nmine\r\n",
        folder="drafts",
    )
    desk.place_draft(ANSWER)
    assert len(drafts(server)) == 2


def test_files_hang_on_a_reply(server: EwsServer, desk: ExchangeDesk) -> None:
    server.deliver(ORIGINAL)
    file = Enclosure(name="preço.pdf", content_type="application/pdf", content=b"%PDF-1.7")
    desk.place_draft(replace(ANSWER, files=(file,)))
    (item,) = drafts(server)
    (part,) = email.message_from_bytes(item.raw).get_payload()[1:]  # type: ignore[union-attr,index]
    assert part.get_payload(decode=True) == b"%PDF-1.7"  # type: ignore[union-attr]


def test_a_category_is_entered_into_the_mailbox_s_list_once(server: EwsServer, desk: ExchangeDesk) -> None:
    server.box.category_list = CATEGORIES
    for number in (1, 2):
        ref = server.deliver(mail(number)).id
        desk.mark("INBOX", ref, f"m{number}@acme.example", Marks(add=("CRM: lead", "urgente")))
    assert server.requests["UpdateUserConfiguration"] == 1
    assert server.box.category_list.count(b"<category ") == 2
    assert with_categories(server.box.category_list, ["CRM: LEAD"]) is None


def test_a_broken_list_of_categories_keeps_no_mark_away(server: EwsServer, desk: ExchangeDesk) -> None:
    server.box.category_list = b"<not closed"
    item = server.deliver(mail(1))
    desk.mark("INBOX", item.id, "m1@acme.example", Marks(add=("CRM: lead",)))
    assert item.categories == ["CRM: lead"]


def test_somebody_else_s_category_of_the_same_moment_is_kept(server: EwsServer, desk: ExchangeDesk) -> None:
    """Outlook writes between our look and our update: the change key tells, and we look again."""
    item = server.deliver(mail(1))
    carry_out = server._carry_out

    def meddle(login: str, request: object, body: object) -> tuple[int, dict[str, str], bytes]:
        if b"UpdateItem" in str(body).encode() and "Outlook" not in item.categories:
            item.categories.append("Outlook")
            server.box.touch(item)
        return carry_out(login, request, body)  # type: ignore[arg-type]

    server._carry_out = meddle  # type: ignore[method-assign,assignment]
    desk.mark("INBOX", item.id, "m1@acme.example", Marks(add=("CRM: lead",), flag=DAY))
    assert item.categories == ["Outlook", "CRM: lead"]


def test_a_full_mailbox_says_so(server: EwsServer, desk: ExchangeDesk) -> None:
    server.quota_reached.add(server.box.address)
    with pytest.raises(Unavailable, match="full") as caught:
        desk.place_draft(MAIL)
    assert "archive" in caught.value.hint


def test_what_left_is_found_by_its_stamp_though_exchange_gave_it_another_id(
    server: EwsServer, desk: ExchangeDesk
) -> None:
    mailer = ExchangeMailer(settings_for(server))
    server.faults.script("SendItem", "504-done")
    with pytest.raises(OutcomeUnknown):
        mailer.send(MAIL, envelope_from="ana@vendas.example", recipient=MAIL.to[0].email)
    (item,) = server.box.folder("sentitems").items.values()
    item.rewrite(item.raw.replace(b"q.1@vendas.example", b"other@exchange.example"))
    assert len(desk.find_sent(MAIL.message_id)) == 1
    mailer.close()


def test_another_s_mailbox_is_named(server: EwsServer) -> None:
    """Delegate: the login has no mailbox of its own here, and works in Ana's."""
    server.users["crm@vendas.example"] = "robot"
    server.delegates.add(("crm@vendas.example", "ana@vendas.example"))
    made = ExchangeDesk(settings_for(server, login="crm@vendas.example", password="robot", access="delegate"))
    placed = made.place_draft(replace(MAIL, to=(Address("ivan@acme.example"),)))
    assert made.find(MAIL.message_id, drafts=True) == (placed,)
    assert len(drafts(server)) == 1
    made.close()


def test_dates_of_placed_mail_are_its_own(server: EwsServer, desk: ExchangeDesk) -> None:
    desk.place_mail(MAIL)
    (item,) = server.box.folder("inbox").items.values()
    assert item.received == datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
