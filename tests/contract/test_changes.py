"""Sources that tell what is marked otherwise: memory, Maildir, IMAP on a real Dovecot with and without CONDSTORE."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import test_file_sources
import test_memory_source
from change_contract import ChangeContract
from imapclient import IMAPClient
from servers.dovecot import DovecotServer
from servers.users import ImapUser
from test_imap_source import BARE, ImapHooks

from connectors.categories import keyword_of
from connectors.maildir.keywords import take_letter
from connectors.memory import MemoryMailbox

Maildir, Memory = test_file_sources.TestMaildirSource, test_memory_source.TestMemorySource


class TestMemoryChanges(ChangeContract):
    @pytest.fixture(autouse=True)
    def mailbox(self) -> None:
        self.hooks = memory = Memory()
        memory.box = self.box = MemoryMailbox()

    def mark(self, number: int, *, flag: bool | None = None, seen: bool = False, category: str = "") -> None:
        (one,) = [one for one in self.box.mails["INBOX"] if f"<m{number}@".encode() in one.raw]
        if flag is not None:
            one.flags = ["\\Flagged"] if flag else []
        one.flags += ["\\Seen"] if seen else []
        one.categories += [category] if category else []


class TestMaildirChanges(ChangeContract):
    @pytest.fixture(autouse=True)
    def mailbox(self, tmp_path: Path) -> None:
        self.hooks = maildir = Maildir()
        maildir.root = self.root = tmp_path / "mail"
        maildir.serial = count(1)
        maildir.prepare()
        (self.root / "dovecot-keywords").write_text("0 Other\n")

    def mark(self, number: int, *, flag: bool | None = None, seen: bool = False, category: str = "") -> None:
        (path,) = [
            path
            for path in [*self.root.glob("new/*"), *self.root.glob("cur/*")]
            if f"<m{number}@".encode() in path.read_bytes()
        ]
        letters = set(path.name.partition(":2,")[2])
        if flag is not None:
            letters = letters | {"F"} if flag else letters - {"F"}
        letters |= {"S"} if seen else set()
        letters |= {take_letter(self.root, keyword_of(category))} if category else set()
        path.rename(self.root / "cur" / f"{path.name.partition(':')[0]}:2,{''.join(sorted(letters))}")


class TestImapChanges(ChangeContract):
    @pytest.fixture(autouse=True)
    def mailbox(self, imap_user: ImapUser) -> None:
        self.use(imap_user)

    def use(self, user: ImapUser) -> None:
        self.hooks = imap = ImapHooks()
        imap.user = self.user = user

    def mark(self, number: int, *, flag: bool | None = None, seen: bool = False, category: str = "") -> None:
        server, name, password = self.user.server, self.user.name, self.user.password
        with IMAPClient(server.host, server.port, ssl=False) as client:
            client.login(name, password)
            client.select_folder("INBOX")
            uids = client.search(["HEADER", "Message-ID", f"m{number}@acme.example"])
            if flag is not None:
                (client.add_flags if flag else client.remove_flags)(uids, ["\\Flagged"])
            if seen:
                client.add_flags(uids, ["\\Seen"])
            if category:
                client.add_flags(uids, [keyword_of(category)])


@pytest.fixture(scope="module")
def without_condstore() -> Iterator[DovecotServer]:
    with DovecotServer(BARE) as server:
        yield server


_serial = count(1)


class TestImapChangesWithoutCondstore(TestImapChanges):
    @pytest.fixture(autouse=True)
    def mailbox(self, without_condstore: DovecotServer) -> None:
        name = f"changes{next(_serial)}"
        without_condstore.add_user(name, "secret")
        self.use(ImapUser(without_condstore, name, "secret"))
