"""What every desk promises. Subclass `DeskContract` with four hooks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from connectors.model import Address, OutgoingMail
from connectors.outgoing import content_hash
from connectors.protocols import Desk

MAIL = OutgoingMail(
    message_id="q.1@vendas.example",
    sender=Address("ana@vendas.example", "Ana"),
    to=(Address("ivan@acme.example", "Иван"),),
    subject="Re: proposta ✓",
    text="Olá,\n\nFrom now on.\n.\nAna\n",
    html="<p>Olá</p>",
    date=datetime(2026, 3, 2, 12, 0, tzinfo=UTC),
    in_reply_to="x@acme.example",
    references=("x@acme.example",),
)


class DeskContract:
    """Hooks: make_desk, mails, edit, add_stranger."""

    def make_desk(self) -> Desk:
        """A desk on an empty mailbox."""
        raise NotImplementedError

    def mails(self, *, drafts: bool) -> list[tuple[bytes, frozenset[str]]]:
        """(bytes, flags) in Drafts or the Inbox, as another client sees them; flags as in IMAP, without \\Recent."""
        raise NotImplementedError

    def edit(self, *, drafts: bool) -> None:
        """Do as a mail program does when somebody edits our only mail there: replace `Olá` by other words."""
        raise NotImplementedError

    def add_stranger(self, *, drafts: bool) -> None:
        """Lay a mail of somebody else there, marked as \\Deleted."""
        raise NotImplementedError

    def test_a_draft_lies_in_drafts_as_a_draft(self) -> None:
        placed = self.make_desk().place_draft(MAIL)
        ((raw, flags),) = self.mails(drafts=True)
        assert b"In-Reply-To: <x@acme.example>" in raw
        assert flags == {"\\Draft", "\\Seen"}
        assert placed.content_hash == content_hash(raw)
        assert placed.ref
        assert not self.mails(drafts=False)

    def test_a_notice_lies_unseen_in_the_inbox(self) -> None:
        placed = self.make_desk().place_mail(MAIL)
        ((raw, flags),) = self.mails(drafts=False)
        assert flags == set()
        assert placed.content_hash == content_hash(raw)

    def test_what_was_placed_is_found(self) -> None:
        desk = self.make_desk()
        placed = desk.place_draft(MAIL)
        desk.place_draft(replace(MAIL, message_id="q.11@vendas.example"))
        assert desk.find("q.1@vendas.example", drafts=True) == (placed,)
        assert desk.find("q.1@vendas.example", drafts=False) == ()
        assert desk.find("1@vendas.example", drafts=True) == ()

    def test_an_untouched_mail_is_withdrawn_and_nothing_else(self) -> None:
        for drafts in (True, False):
            desk = self.make_desk()
            place = desk.place_draft if drafts else desk.place_mail
            placed = place(MAIL)
            place(replace(MAIL, message_id="q.2@vendas.example"))
            self.add_stranger(drafts=drafts)
            assert desk.withdraw(placed, MAIL.message_id)
            assert desk.find(MAIL.message_id, drafts=drafts) == ()
            left = [raw for raw, _ in self.mails(drafts=drafts)]
            assert len(left) == 2
            assert any(b"q.2@" in raw for raw in left)
            assert any(b"stranger" in raw for raw in left)

    def test_withdrawing_twice_is_fine(self) -> None:
        desk = self.make_desk()
        placed = desk.place_draft(MAIL)
        assert desk.withdraw(placed, MAIL.message_id)
        assert desk.withdraw(placed, MAIL.message_id)

    def test_an_edited_mail_is_left_alone(self) -> None:
        desk = self.make_desk()
        placed = desk.place_draft(MAIL)
        self.edit(drafts=True)
        assert not desk.withdraw(placed, MAIL.message_id)
        assert len(self.mails(drafts=True)) == 1
