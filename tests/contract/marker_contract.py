"""What every desk promises that can mark mail (`connectors.protocols.Marker`). Subclass with the hooks below.

`keeps_categories` and `keeps_days` say what the server under test can do; what it cannot is told in `Marked.missing`,
and the rest is done all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from source_contract import mail

from connectors.model import Marked, Marks
from connectors.protocols import Marker

DAY = date(2026, 12, 3)
FOLDER = "CRM/Pedidos"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A mail as another client of the mailbox sees it. `due` is None where the server keeps no day."""

    message_id: str
    categories: frozenset[str] = frozenset()
    flagged: bool = False
    due: date | None = None
    seen: bool = False


class MarkerContract:
    """Hooks: make_marker, add, look, move, delete; `keeps_categories`, `keeps_days`, `trash`."""

    keeps_categories = True
    keeps_days = False
    trash = "Trash"

    def make_marker(self) -> Marker:
        """A desk on an empty mailbox."""
        raise NotImplementedError

    def add(self, raw: bytes, *, folder: str = "INBOX", seen: bool = False, category: str = "") -> str:
        """Let a mail arrive, marked by another client; its ref as the source of this account would give it."""
        raise NotImplementedError

    def look(self, folder: str) -> list[Look]:
        """The mails of a folder as another client sees them, those marked as deleted left out; [] without the folder.
        `folder` is the display name that `Marked.folder` and `Message.folder` have."""
        raise NotImplementedError

    def move(self, message_id: str, folder: str) -> None:
        """Another client moves this mail out of the Inbox into a folder, made if need be."""
        raise NotImplementedError

    def delete(self, message_id: str) -> None:
        """Another client removes this mail out of the Inbox for good."""
        raise NotImplementedError

    def only(self, folder: str) -> Look:
        """The one mail of a folder."""
        (found,) = self.look(folder)
        return found

    def names(self, *names: str) -> frozenset[str]:
        """These categories where the server keeps any."""
        return frozenset(names) if self.keeps_categories else frozenset()

    # -- categories

    def test_a_category_is_shown_beside_those_of_others(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1), category="Urgente")
        self.add(mail(2))
        done = desk.mark("INBOX", ref, "m1@acme.example", Marks(add=("CRM: lead",)))
        assert (done.folder, done.ref) == ("INBOX", ref)
        assert bool(done.missing) is not self.keeps_categories
        marked = {one.message_id: one.categories for one in self.look("INBOX")}
        assert marked == {"m1@acme.example": self.names("Urgente", "CRM: lead"), "m2@acme.example": frozenset()}

    def test_names_of_any_letters_are_shown_as_written(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        wanted = ("CRM: reclamação", "CRM: предложение", 'a "b" (c) 100%', "CRM: ✓")
        desk.mark("INBOX", ref, "m1@acme.example", Marks(add=wanted))
        assert self.only("INBOX").categories == self.names(*wanted)

    def test_only_the_named_categories_go(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1), category="Urgente")
        desk.mark("INBOX", ref, "m1@acme.example", Marks(add=("CRM: lead", "CRM: proposta")))
        desk.mark("INBOX", ref, "m1@acme.example", Marks(remove=("crm: LEAD", "CRM: never there")))
        assert self.only("INBOX").categories == self.names("Urgente", "CRM: proposta")

    # -- flags

    def test_a_flag_is_set_and_taken_away(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        done = desk.mark("INBOX", ref, "m1@acme.example", Marks(flag=DAY))
        found = self.only("INBOX")
        assert (found.flagged, found.due) == (True, DAY if self.keeps_days else None)
        assert bool(done.missing) is not self.keeps_days
        assert desk.mark("INBOX", ref, "m1@acme.example", Marks(unflag=True)).missing == ()
        found = self.only("INBOX")
        assert (found.flagged, found.due) == (False, None)

    # -- places

    def test_a_mail_is_moved_into_a_folder_that_is_made(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        self.add(mail(2))
        done = desk.mark("INBOX", ref, "m1@acme.example", Marks(move=FOLDER))
        assert done.ref
        assert [one.message_id for one in self.look(done.folder)] == ["m1@acme.example"]
        assert [one.message_id for one in self.look("INBOX")] == ["m2@acme.example"]
        assert desk.mark(done.folder, done.ref, "m1@acme.example", Marks(flag=DAY)).ref == done.ref
        assert self.only(done.folder).flagged

    def test_a_move_goes_back(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        done = desk.mark("INBOX", ref, "m1@acme.example", Marks(move=FOLDER))
        back = desk.mark(done.folder, done.ref, "m1@acme.example", Marks(move="INBOX"))
        assert back.folder == "INBOX"
        assert self.only("INBOX").message_id == "m1@acme.example"
        assert self.look(done.folder) == []

    def test_folders_with_any_letters_and_those_that_are_there(self) -> None:
        desk = self.make_marker()
        for number in (1, 2):
            ref = self.add(mail(number))
            done = desk.mark("INBOX", ref, f"m{number}@acme.example", Marks(move="CRM/Ação & Заказы"))
        assert len(self.look(done.folder)) == 2

    def test_the_unread_mark_stays_with_the_rep(self) -> None:
        desk = self.make_marker()
        unread, read = self.add(mail(1)), self.add(mail(2), seen=True)
        marks = Marks(add=("CRM: lead",), flag=DAY, move=FOLDER)
        places = {desk.mark("INBOX", ref, f"m{n}@acme.example", marks).folder for n, ref in ((1, unread), (2, read))}
        (folder,) = places
        assert {one.message_id: one.seen for one in self.look(folder)} == {
            "m1@acme.example": False,
            "m2@acme.example": True,
        }
        assert all(one.flagged and one.categories == self.names("CRM: lead") for one in self.look(folder))

    # -- again, gone, elsewhere

    def test_twice_changes_nothing_more(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1), category="Urgente")
        marks = Marks(add=("CRM: lead",), remove=("CRM: old",), flag=DAY, move=FOLDER)
        first = desk.mark("INBOX", ref, "m1@acme.example", marks)
        seen = self.look(first.folder)
        assert desk.mark("INBOX", ref, "m1@acme.example", marks) == first
        assert self.look(first.folder) == seen
        assert self.look("INBOX") == []

    def test_a_mail_that_is_gone(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        self.add(mail(2))
        self.delete("m1@acme.example")
        assert desk.mark("INBOX", ref, "m1@acme.example", Marks(add=("CRM: lead",), move=FOLDER)) == Marked()
        assert desk.mark("No such folder", "7", "m9@acme.example", Marks(flag=DAY)) == Marked()
        assert self.only("INBOX").categories == frozenset()

    def test_a_mail_in_the_trash_is_gone(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        self.move("m1@acme.example", self.trash)
        assert desk.mark("INBOX", ref, "m1@acme.example", Marks(flag=DAY, move=FOLDER)) == Marked()
        assert not self.only(self.trash).flagged

    def test_a_mail_that_a_person_moved_is_found(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        self.move("m1@acme.example", "Projects")
        done = desk.mark("INBOX", ref, "m1@acme.example", Marks(flag=DAY))
        assert done.folder == "Projects"
        assert done.ref
        assert self.only("Projects").flagged

    def test_another_mail_at_the_place_is_left_alone(self) -> None:
        desk = self.make_marker()
        other = self.add(mail(1))
        self.add(mail(2))
        desk.mark("INBOX", other, "m2@acme.example", Marks(flag=DAY))
        assert {one.message_id: one.flagged for one in self.look("INBOX")} == {
            "m1@acme.example": False,
            "m2@acme.example": True,
        }

    def test_a_mail_without_an_id_is_known_by_its_place(self) -> None:
        desk = self.make_marker()
        ref = self.add(b"From: ivan@acme.example\r\nSubject: x\r\n\r\nhello\r\n")
        done = desk.mark("INBOX", ref, "", Marks(flag=DAY, move=FOLDER))
        assert done.ref
        assert self.only(done.folder).flagged
        assert desk.mark("INBOX", ref, "", Marks(flag=DAY)) == Marked()
