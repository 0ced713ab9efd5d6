"""What every desk promises. Subclass `DeskContract` with six hooks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from connectors.errors import Misconfigured
from connectors.model import Address, OutgoingMail
from connectors.outgoing import content_hash, render
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
    """Hooks: make_desk, mails, edit, add_stranger, sent, drop_sent_folder."""

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

    def sent(self) -> list[tuple[bytes, frozenset[str], datetime]]:
        """(bytes, flags, arrival) in the folder of sent mail, which is there from the start."""
        raise NotImplementedError

    def drop_sent_folder(self) -> None:
        """Take the folder of sent mail away, with what lies there."""
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

    def test_the_copy_of_a_mail_that_left_lies_in_sent(self) -> None:
        desk = self.make_desk()
        assert desk.find_sent(MAIL.message_id) == ()
        placed = desk.place_sent(MAIL)
        ((raw, flags, at),) = self.sent()
        assert flags == {"\\Seen"}
        assert at == MAIL.date
        assert placed.content_hash == content_hash(raw) == content_hash(render(MAIL))
        assert raw.replace(b"\r\n", b"\n") == render(MAIL).replace(b"\r\n", b"\n")
        assert not self.mails(drafts=False)
        desk.close()

    def test_a_second_copy_is_prevented_by_looking(self) -> None:
        """After a crash between the copy and its record: who looks first lays no second one."""
        desk = self.make_desk()
        placed = desk.place_sent(MAIL)
        desk.place_sent(replace(MAIL, message_id="q.11@vendas.example"))
        assert desk.find_sent(MAIL.message_id) == (placed,)
        assert desk.find_sent("1@vendas.example") == ()
        assert desk.find(MAIL.message_id, drafts=False) == ()
        desk.close()

    def test_a_copy_in_sent_touches_no_other_mail(self) -> None:
        desk = self.make_desk()
        for drafts in (True, False):
            (desk.place_draft if drafts else desk.place_mail)(replace(MAIL, message_id="q.2@vendas.example"))
            self.add_stranger(drafts=drafts)
        before = [sorted(self.mails(drafts=drafts), key=lambda pair: pair[0]) for drafts in (True, False)]
        desk.place_sent(MAIL)
        desk.place_sent(replace(MAIL, message_id="q.3@vendas.example"))
        assert [sorted(self.mails(drafts=drafts), key=lambda pair: pair[0]) for drafts in (True, False)] == before
        assert len(self.sent()) == 2
        desk.close()

    def test_a_mail_to_an_address_with_other_letters_is_kept_as_it_left(self) -> None:
        mail = replace(MAIL, to=(Address("иван@acme.example", "Иван"),))
        desk = self.make_desk()
        placed = desk.place_sent(mail)
        ((raw, _, _),) = self.sent()
        assert "<иван@acme.example>".encode() in raw
        assert desk.find_sent(mail.message_id) == (placed,)
        desk.close()

    def test_without_a_sent_folder_it_says_what_to_do(self) -> None:
        desk = self.make_desk()
        self.drop_sent_folder()
        assert desk.find_sent(MAIL.message_id) == ()
        with pytest.raises(Misconfigured) as caught:
            desk.place_sent(MAIL)
        assert "sent" in caught.value.message.lower()
        assert caught.value.hint
        desk.close()
