"""Marks and moves keep their promises: memory, Maildir, and IMAP on a real Dovecot, with and without extensions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from imapclient import IMAPClient
from marker_contract import DAY, FOLDER, Look, MarkerContract
from plain_parser import PlainParser
from servers.dovecot import DovecotOptions, DovecotServer
from servers.users import ImapUser
from source_contract import mail, read_all
from test_imap_source import BARE, settings_for

from connectors.categories import categories_in, category_of, keyword_of
from connectors.errors import Unavailable
from connectors.folders import encode_name
from connectors.imap.desk import ImapDesk
from connectors.imap.source import ImapSource
from connectors.maildir.desk import MaildirDesk
from connectors.maildir.keywords import read_keywords
from connectors.maildir.maildir import MaildirShelf, unique_name
from connectors.memory import MemoryDesk, MemoryMailbox
from connectors.model import Marks
from connectors.outgoing import message_id_of
from connectors.shelf import ShelfSource


class TestMemoryMarker(MarkerContract):
    keeps_days = True

    def make_marker(self) -> MemoryDesk:
        self.box = MemoryMailbox(("INBOX", "Sent", "Drafts", "Trash"))
        return MemoryDesk(self.box)

    def add(self, raw: bytes, *, folder: str = "INBOX", seen: bool = False, category: str = "") -> str:
        stored = self.box.add(raw, folder=folder, flags=["\\Seen"] if seen else [])
        stored.categories = [category] if category else []
        return stored.ref

    def look(self, folder: str) -> list[Look]:
        return [
            Look(
                message_id=message_id_of(one.raw),
                categories=frozenset(one.categories),
                flagged="\\Flagged" in one.flags,
                due=one.due,
                seen="\\Seen" in one.flags,
            )
            for one in self.box.mails.get(folder, [])
        ]

    def move(self, message_id: str, folder: str) -> None:
        (one,) = [one for one in self.box.mails["INBOX"] if message_id_of(one.raw) == message_id]
        self.delete(message_id)
        self.box.add(one.raw, folder=folder, flags=one.flags)

    def delete(self, message_id: str) -> None:
        self.box.mails["INBOX"] = [one for one in self.box.mails["INBOX"] if message_id_of(one.raw) != message_id]


class TestMaildirMarker(MarkerContract):
    """A Maildir that no Dovecot keeps: there is no place for categories."""

    keeps_categories = False

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.box = tmp_path / "Maildir"
        self.serial = count(1)

    def make_marker(self) -> MaildirDesk:
        for folder in ("", ".Sent", ".Trash"):
            self.make_folder(folder)
        return MaildirDesk("files", self.box)

    def make_folder(self, key: str) -> Path:
        for name in ("cur", "new", "tmp"):
            (self.box / key / name).mkdir(parents=True, exist_ok=True)
        return self.box / key

    def folder(self, name: str) -> Path:
        return self.box / ("" if name == "INBOX" else "." + encode_name(name.replace("/", ".")))

    def add(self, raw: bytes, *, folder: str = "INBOX", seen: bool = False, category: str = "") -> str:
        name = f"{next(self.serial)}.x.host"
        path = self.folder(folder) / (f"cur/{name}:2,S" if seen else f"new/{name}")
        path.write_bytes(raw)
        return name

    def files(self, folder: str) -> list[Path]:
        found = [*self.folder(folder).glob("new/*"), *self.folder(folder).glob("cur/*")]
        return sorted(path for path in found if "T" not in path.name.partition(":2,")[2])

    def look(self, folder: str) -> list[Look]:
        return [self.seen(path) for path in self.files(folder)]

    def seen(self, path: Path) -> Look:
        letters = path.name.partition(":2,")[2]
        words = read_keywords(path.parent.parent)
        return Look(
            message_id=message_id_of(path.read_bytes()),
            categories=frozenset(category_of(words[letter]) for letter in letters if letter in words),
            flagged="F" in letters,
            seen="S" in letters,
        )

    def find(self, message_id: str) -> Path:
        (path,) = [path for path in self.files("INBOX") if message_id_of(path.read_bytes()) == message_id]
        return path

    def move(self, message_id: str, folder: str) -> None:
        path = self.find(message_id)
        place = self.make_folder(self.folder(folder).name)
        path.rename(place / path.parent.name / path.name)

    def delete(self, message_id: str) -> None:
        self.find(message_id).unlink()

    def test_a_mail_nobody_saw_stays_new(self) -> None:
        desk = self.make_marker()
        done = desk.mark("INBOX", self.add(mail(1)), "m1@acme.example", Marks(move=FOLDER))
        assert [path.parent.name for path in self.files(done.folder)] == ["new"]

    def test_letters_of_others_stay(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1), seen=True)
        path = self.find("m1@acme.example")
        path.rename(path.with_name(f"{unique_name(path.name)}:2,PRSbq"))
        desk.mark("INBOX", ref, "m1@acme.example", Marks(flag=DAY))
        assert self.find("m1@acme.example").name.endswith(":2,FPRSbq")

    def test_a_moved_mail_is_the_same_to_the_source(self) -> None:
        desk = self.make_marker()
        source = ShelfSource("files", MaildirShelf("files", self.box), PlainParser())
        ref = self.add(mail(1))
        run = read_all(source)
        done = desk.mark("INBOX", ref, "m1@acme.example", Marks(move=FOLDER))
        (again,) = read_all(source, run.cursor).items
        assert (again.folder, again.ref, again.message_id) == (done.folder, done.ref, "m1@acme.example")


class TestMaildirOfDovecot(TestMaildirMarker):
    """With `dovecot-keywords` beside the mails, categories are kept there."""

    keeps_categories = True

    def make_folder(self, key: str) -> Path:
        place = super().make_folder(key)
        if not (place / "dovecot-keywords").exists():
            (place / "dovecot-keywords").write_text("0 NonJunk\n" if key else "3 Urgente\n")
        return place

    def add(self, raw: bytes, *, folder: str = "INBOX", seen: bool = False, category: str = "") -> str:
        ref = super().add(raw, folder=folder, seen=seen)
        if category:
            (path,) = [path for path in self.files(folder) if unique_name(path.name) == ref]
            path.rename(path.parent.parent / "cur" / f"{ref}:2,{'S' if seen else ''}d")
        return ref

    def test_a_dovecot_that_writes_its_keywords_is_waited_for(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        (self.box / "dovecot-keywords.lock").touch()
        with pytest.raises(Unavailable):
            desk.mark("INBOX", ref, "m1@acme.example", Marks(add=("CRM: lead",)))
        (self.box / "dovecot-keywords.lock").unlink()
        assert desk.mark("INBOX", ref, "m1@acme.example", Marks(add=("CRM: lead",))).missing == ()

    def test_all_letters_are_taken(self) -> None:
        desk = self.make_marker()
        (self.box / "dovecot-keywords").write_text("".join(f"{n} word{n}\n" for n in range(26)))
        done = desk.mark("INBOX", self.add(mail(1)), "m1@acme.example", Marks(add=("CRM: lead",), flag=DAY))
        assert "26" in done.missing[-1]
        assert self.only("INBOX").flagged

    def test_a_category_is_read_back(self) -> None:
        desk = self.make_marker()
        desk.mark("INBOX", self.add(mail(1)), "m1@acme.example", Marks(add=("CRM: reclamação",), move=FOLDER))
        source = ShelfSource("files", MaildirShelf("files", self.box), PlainParser())
        assert [item.categories for item in read_all(source).items] == [("CRM: reclamação",)]


class TestImapMarker(MarkerContract):
    @pytest.fixture(autouse=True)
    def place(self, imap_user: ImapUser) -> Iterator[None]:
        self.user = imap_user
        self.desks: list[ImapDesk] = []
        yield
        for desk in self.desks:
            desk.close()

    def make_marker(self) -> ImapDesk:
        self.desks.append(ImapDesk(settings_for(self.user)))
        return self.desks[-1]

    def client(self) -> IMAPClient:
        client = IMAPClient(self.user.server.host, self.user.server.port, ssl=False)
        client.login(self.user.name, self.user.password)
        return client

    def add(self, raw: bytes, *, folder: str = "INBOX", seen: bool = False, category: str = "") -> str:
        with self.client() as client:
            flags = [*(["\\Seen"] if seen else []), *([keyword_of(category)] if category else [])]
            client.append(folder, raw, flags=flags)
            selected = client.select_folder(folder, readonly=True)
            return f"{selected[b'UIDVALIDITY']}:{max(client.search('ALL'))}"

    def look(self, folder: str) -> list[Look]:
        with self.client() as client:
            if not client.folder_exists(folder):
                return []
            client.select_folder(folder, readonly=True)
            found = client.fetch(client.search("UNDELETED"), ["FLAGS", "BODY.PEEK[HEADER]"])
        return [self.seen([flag.decode() for flag in one[b"FLAGS"]], one[b"BODY[HEADER]"]) for one in found.values()]

    def seen(self, flags: list[str], header: bytes) -> Look:
        return Look(
            message_id=message_id_of(header),
            categories=frozenset(categories_in(flags)),
            flagged="\\Flagged" in flags,
            seen="\\Seen" in flags,
        )

    def find(self, client: IMAPClient, message_id: str) -> int:
        client.select_folder("INBOX")
        (uid,) = client.search(["UNDELETED", "HEADER", "Message-ID", message_id])
        return int(uid)

    def move(self, message_id: str, folder: str) -> None:
        with self.client() as client:
            if not client.folder_exists(folder):
                client.create_folder(folder)
            client.copy([uid := self.find(client, message_id)], folder)
            client.delete_messages([uid])
            client.expunge()

    def delete(self, message_id: str) -> None:
        with self.client() as client:
            client.delete_messages([self.find(client, message_id)])
            client.expunge()

    def test_the_folder_is_subscribed(self) -> None:
        desk = self.make_marker()
        done = desk.mark("INBOX", self.add(mail(1)), "m1@acme.example", Marks(move="CRM/Ação"))
        with self.client() as client:
            assert done.folder in [name for _, _, name in client.list_sub_folders()]

    def test_nobody_elses_deleted_mail_is_expunged(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        self.add(mail(2))
        with self.client() as client:
            client.delete_messages([self.find(client, "m2@acme.example")])
        desk.mark("INBOX", ref, "m1@acme.example", Marks(move=FOLDER, flag=DAY))
        with self.client() as client:
            client.select_folder("INBOX", readonly=True)
            (uid,) = client.search(["HEADER", "Message-ID", "m2@acme.example"])
            assert client.get_flags([uid])[uid] == (b"\\Deleted",)

    def test_a_renumbered_folder(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        desk.mark("INBOX", ref, "m1@acme.example", Marks(flag=DAY))
        self.user.server.new_uidvalidity(self.user.name)
        done = desk.mark("INBOX", ref, "m1@acme.example", Marks(add=("CRM: lead",)))
        assert done.folder == "INBOX"
        assert done.ref != ref
        assert self.only("INBOX").categories == {"CRM: lead"}

    def test_a_name_longer_than_the_server_takes(self) -> None:
        desk = self.make_marker()
        name = "CRM: " + "x" * 70
        done = desk.mark("INBOX", self.add(mail(1)), "m1@acme.example", Marks(add=(name, "CRM: lead")))
        assert done.missing == (f"keeps no category {name}",)
        assert self.only("INBOX").categories == {"CRM: lead"}

    def test_marks_are_read_back_and_a_moved_mail_is_the_same(self) -> None:
        desk = self.make_marker()
        source = ImapSource(settings_for(self.user), PlainParser())
        ref = self.add(mail(1))
        run = read_all(source)
        done = desk.mark("INBOX", ref, "m1@acme.example", Marks(add=("CRM: reclamação",), move="Projects"))
        source.close()
        (again,) = read_all(source, run.cursor).items
        assert (again.folder, again.ref, again.message_id) == (done.folder, done.ref, "m1@acme.example")
        assert again.categories == ("CRM: reclamação",)
        source.close()


@pytest.fixture(scope="module")
def marking_bare_server() -> Iterator[DovecotServer]:
    with DovecotServer(BARE) as server:
        yield server


class TestImapMarkerWithoutExtensions(TestImapMarker):
    """Neither MOVE nor UIDPLUS: a copy, and the old one marked as deleted."""

    @pytest.fixture(autouse=True)
    def place(self, marking_bare_server: DovecotServer) -> Iterator[None]:
        name = f"mark{next(_serial)}"
        marking_bare_server.add_user(name, "secret")
        self.user = ImapUser(marking_bare_server, name, "secret")
        self.desks = []
        yield
        for desk in self.desks:
            desk.close()

    def test_a_move_that_broke_off_makes_no_second_copy(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        done = desk.mark("INBOX", ref, "m1@acme.example", Marks(move=FOLDER))
        with self.client() as client:  # as after a crash between the copy and the mark on the old one
            client.select_folder("INBOX")
            client.remove_flags(client.search("ALL"), ["\\Deleted"])
        assert desk.mark("INBOX", ref, "m1@acme.example", Marks(move=FOLDER)) == done
        assert len(self.look(FOLDER)) == 1
        assert self.look("INBOX") == []


@pytest.fixture(scope="module")
def uidplus_server() -> Iterator[DovecotServer]:
    options = DovecotOptions(separator=".", prefix="INBOX.", extra="imap_capability = IMAP4rev1 UIDPLUS")
    with DovecotServer(options) as server:
        yield server


class TestImapMarkerOnDottedNames(TestImapMarker):
    """UIDPLUS without MOVE, and folders below INBOX with dots between their levels."""

    trash = "INBOX.Trash"

    @pytest.fixture(autouse=True)
    def place(self, uidplus_server: DovecotServer) -> Iterator[None]:
        name = f"dotted{next(_serial)}"
        uidplus_server.add_user(name, "secret")
        self.user = ImapUser(uidplus_server, name, "secret")
        self.desks = []
        yield
        for desk in self.desks:
            desk.close()

    def move(self, message_id: str, folder: str) -> None:
        super().move(message_id, folder if folder.startswith("INBOX.") else f"INBOX.{folder}")

    def test_a_mail_that_a_person_moved_is_found(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        self.move("m1@acme.example", "Projects")
        assert desk.mark("INBOX", ref, "m1@acme.example", Marks(flag=DAY)).folder == "INBOX.Projects"

    def test_marks_are_read_back_and_a_moved_mail_is_the_same(self) -> None:
        desk = self.make_marker()
        done = desk.mark("INBOX", self.add(mail(1)), "m1@acme.example", Marks(move=FOLDER))
        assert done.folder == "INBOX.CRM.Pedidos"
        assert desk.mark("INBOX", "1:1", "m1@acme.example", Marks(move="INBOX.CRM.Pedidos")).ref == done.ref

    def test_a_name_with_the_sign_between_folders(self) -> None:
        desk = self.make_marker()
        ref = self.add(mail(1))
        done = desk.mark("INBOX", ref, "m1@acme.example", Marks(move="CRM/v1.2", flag=DAY))
        assert (done.folder, done.ref) == ("INBOX", ref)
        assert "." in done.missing[0]
        assert self.only("INBOX").flagged


_serial = count(1)
