"""The desks keep their promises: memory, Maildir, and IMAP on a real Dovecot."""

from __future__ import annotations

import email
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from desk_contract import MAIL, DeskContract
from imapclient import IMAPClient
from servers.dovecot import DovecotServer
from servers.faults import FaultProxy
from servers.users import ImapUser
from test_imap_source import BARE, settings_for

from connectors.errors import Misconfigured, Unavailable
from connectors.imap.desk import ImapDesk
from connectors.maildir.desk import MaildirDesk
from connectors.maildir.maildir import FLAGS
from connectors.memory import MemoryDesk, MemoryMailbox
from connectors.outgoing import content_hash, render

STRANGER = b"Message-ID: <stranger@acme.example>\r\nSubject: stranger\r\n\r\nhands off\r\n"


def edited(raw: bytes) -> bytes:
    message = email.message_from_bytes(raw)
    for part in message.walk():
        if part.get_content_type() == "text/plain":
            part.set_payload("Bom dia\n")
            del part["Content-Transfer-Encoding"]
    return message.as_bytes()


class TestMemoryDesk(DeskContract):
    def make_desk(self) -> MemoryDesk:
        self.box = MemoryMailbox()
        return MemoryDesk(self.box)

    def folder(self, drafts: bool) -> str:
        return "Drafts" if drafts else "INBOX"

    def mails(self, *, drafts: bool) -> list[tuple[bytes, frozenset[str]]]:
        return [(mail.raw, frozenset(mail.flags)) for mail in self.box.mails[self.folder(drafts)]]

    def edit(self, *, drafts: bool) -> None:
        (mail,) = self.box.mails[self.folder(drafts)]
        mail.raw = edited(mail.raw)

    def add_stranger(self, *, drafts: bool) -> None:
        self.box.add(STRANGER, folder=self.folder(drafts), flags=["\\Deleted"])

    def sent(self) -> list[tuple[bytes, frozenset[str], datetime]]:
        return [(mail.raw, frozenset(mail.flags), mail.at) for mail in self.box.mails["Sent"]]

    def drop_sent_folder(self) -> None:
        del self.box.mails["Sent"]

    def test_a_copy_in_a_second_folder_of_sent_mail_is_found(self) -> None:
        desk = self.make_desk()
        self.box.add(render(MAIL), folder="Enviados")
        assert [copy.folder for copy in desk.find_sent(MAIL.message_id)] == ["Enviados"]


class TestMaildirDesk(DeskContract):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.root = tmp_path
        self.count = 0

    def make_desk(self) -> MaildirDesk:
        self.count += 1
        self.box = self.root / f"box{self.count}"
        for folder in (self.box, self.box / ".Sent"):
            for name in ("cur", "new", "tmp"):
                (folder / name).mkdir(parents=True)
        return MaildirDesk("files", self.box)

    def files(self, drafts: bool) -> list[Path]:
        folder = self.box / ".Drafts" if drafts else self.box
        return sorted([*folder.glob("cur/*"), *folder.glob("new/*")])

    def mails(self, *, drafts: bool) -> list[tuple[bytes, frozenset[str]]]:
        return [
            (path.read_bytes(), frozenset(FLAGS[letter] for letter in path.name.partition(":2,")[2]))
            for path in self.files(drafts)
        ]

    def edit(self, *, drafts: bool) -> None:
        (path,) = self.files(drafts)
        path.write_bytes(edited(path.read_bytes()))

    def add_stranger(self, *, drafts: bool) -> None:
        folder = self.box / ".Drafts" if drafts else self.box
        (folder / "cur" / "1.stranger:2,T").write_bytes(STRANGER)

    def sent(self) -> list[tuple[bytes, frozenset[str], datetime]]:
        return [
            (
                path.read_bytes(),
                frozenset(FLAGS[letter] for letter in path.name.partition(":2,")[2]),
                datetime.fromtimestamp(path.stat().st_mtime, UTC),
            )
            for path in [*self.box.glob(".Sent/cur/*"), *self.box.glob(".Sent/new/*")]
        ]

    def drop_sent_folder(self) -> None:
        shutil.rmtree(self.box / ".Sent")

    def test_two_desks_of_one_process_never_overwrite_each_other(self) -> None:
        self.make_desk()
        for _ in range(5):
            MaildirDesk("files", self.box).place_sent(MAIL)
        assert len(self.sent()) == 5


class TestImapDesk(DeskContract):
    @pytest.fixture(autouse=True)
    def place(self, imap_user: ImapUser) -> Iterator[None]:
        self.user = imap_user
        self.desks: list[ImapDesk] = []
        yield
        for desk in self.desks:
            desk.close()

    def make_desk(self) -> ImapDesk:
        self.user.server.doveadm("expunge", "-u", self.user.name, "mailbox", "*", "ALL")
        self.desks.append(ImapDesk(settings_for(self.user)))
        return self.desks[-1]

    def client(self, drafts: bool) -> IMAPClient:
        client = IMAPClient(self.user.server.host, self.user.server.port, ssl=False)
        client.login(self.user.name, self.user.password)
        client.select_folder("Drafts" if drafts else "INBOX", readonly=False)
        return client

    def mails(self, *, drafts: bool) -> list[tuple[bytes, frozenset[str]]]:
        with self.client(drafts) as client:
            found = client.fetch(client.search("ALL"), ["FLAGS", "BODY.PEEK[]"])
        return [
            (one[b"BODY[]"], frozenset(flag.decode() for flag in one[b"FLAGS"] if flag != b"\\Recent"))
            for one in found.values()
        ]

    def edit(self, *, drafts: bool) -> None:
        with self.client(drafts) as client:
            (uid,) = client.search("ALL")
            raw = client.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"]
            client.append("Drafts" if drafts else "INBOX", edited(raw), flags=["\\Draft"])
            client.delete_messages([uid])
            client.expunge()

    def add_stranger(self, *, drafts: bool) -> None:
        with self.client(drafts) as client:
            client.append("Drafts" if drafts else "INBOX", STRANGER, flags=["\\Deleted"])

    def sent(self) -> list[tuple[bytes, frozenset[str], datetime]]:
        with self.client(True) as client:
            client.normalise_times = False
            client.select_folder("Sent", readonly=True)
            found = client.fetch(client.search("ALL"), ["FLAGS", "BODY.PEEK[]", "INTERNALDATE"])
        return [
            (
                one[b"BODY[]"],
                frozenset(flag.decode() for flag in one[b"FLAGS"] if flag != b"\\Recent"),
                one[b"INTERNALDATE"],
            )
            for one in found.values()
        ]

    def drop_sent_folder(self) -> None:
        self.user.server.doveadm("mailbox", "delete", "-u", self.user.name, "Sent")

    def test_a_connection_that_died_meanwhile_is_no_trouble(self) -> None:
        with FaultProxy(self.user.server.host, self.user.server.port) as proxy:
            desk = ImapDesk(settings_for(self.user, port=proxy.port))
            placed = desk.place_draft(MAIL)
            proxy.drop()
            assert desk.find(MAIL.message_id, drafts=True) == (placed,)
            proxy.refuse()
            proxy.drop()
            with pytest.raises(Unavailable):
                desk.find(MAIL.message_id, drafts=True)
            proxy.refuse(False)
            assert desk.find(MAIL.message_id, drafts=True) == (placed,)
            desk.close()

    def test_without_drafts_it_says_what_to_do(self) -> None:
        desk = self.make_desk()
        self.user.server.doveadm("mailbox", "delete", "-u", self.user.name, "Drafts")
        with pytest.raises(Misconfigured) as caught:
            desk.place_draft(MAIL)
        assert "Drafts" in caught.value.message
        assert caught.value.hint

    def test_the_stored_mail_hashes_like_the_rendered_one(self) -> None:
        placed = self.make_desk().place_draft(MAIL)
        assert placed.content_hash == content_hash(render(MAIL))


@pytest.fixture(scope="module")
def bare_server() -> Iterator[DovecotServer]:
    with DovecotServer(BARE) as server:
        yield server


class TestImapDeskWithoutExtensions(TestImapDesk):
    """No UIDPLUS: a withdrawn mail is marked as deleted, and nobody else's is expunged with it."""

    @pytest.fixture(autouse=True)
    def place(self, bare_server: DovecotServer) -> Iterator[None]:
        name = f"desk{next(_serial)}"
        bare_server.add_user(name, "secret")
        self.user = ImapUser(bare_server, name, "secret")
        self.desks = []
        yield
        for desk in self.desks:
            desk.close()

    def test_an_untouched_mail_is_withdrawn_and_nothing_else(self) -> None:
        desk = self.make_desk()
        placed = desk.place_draft(MAIL)
        self.add_stranger(drafts=True)
        assert desk.withdraw(placed, MAIL.message_id)
        assert desk.find(MAIL.message_id, drafts=True) == ()
        flags = {b"stranger" in raw: flags for raw, flags in self.mails(drafts=True)}
        assert flags == {True: {"\\Deleted"}, False: {"\\Deleted", "\\Draft", "\\Seen"}}


_serial = count(1)
