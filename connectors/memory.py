"""A mailbox that lives in the process: the reference for every other source, and the demo's and the tests' mailbox.

`MemoryMailbox` is the mailbox; a source, a desk and a mailer on it behave as real ones do.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from connectors.folders import Folder, folder_of, give_purposes
from connectors.model import OutgoingMail, Placed
from connectors.outgoing import content_hash, message_id_of, render
from connectors.protocols import Parser
from connectors.shelf import Content, Entry, ShelfSource

__all__ = ["MemoryDesk", "MemoryMailbox", "MemoryMailer", "MemorySource"]


@dataclass(slots=True)
class StoredMail:
    """One mail in a memory mailbox. A `broken` one raises when it is read."""

    ref: str
    raw: bytes
    at: datetime
    flags: list[str] = field(default_factory=list)
    broken: bool = False


class MemoryMailbox:
    """Folders of mails. A `Shelf`, and what a mail program does with it: add, remove, look."""

    def __init__(self, folders: Sequence[str] = ("INBOX", "Sent", "Drafts")) -> None:
        self.mails: dict[str, list[StoredMail]] = {name: [] for name in folders}
        self._serial = itertools.count(1)

    def add(
        self, raw: bytes, *, folder: str = "INBOX", at: datetime | None = None, flags: Sequence[str] = ()
    ) -> StoredMail:
        """Lay a mail into a folder (made if need be). `at` is its arrival, by default the beginning of 2026."""
        mail = StoredMail(str(next(self._serial)), raw, at or datetime(2026, 1, 1, tzinfo=UTC), list(flags))
        self.mails.setdefault(folder, []).append(mail)
        return mail

    def remove(self, folder: str, ref: str) -> None:
        """Take a mail out; harmless if it is not there."""
        self.mails[folder] = [mail for mail in self.mails.get(folder, []) if mail.ref != ref]

    def folders(self) -> list[Folder]:
        """All folders."""
        return give_purposes([folder_of(name, name, "/") for name in self.mails])

    def entries(self, folder: Folder) -> list[Entry]:
        """The mails of a folder."""
        return [Entry(int(mail.at.timestamp()) * 10**9, mail.ref) for mail in self.mails[folder.key]]

    def load(self, folder: Folder, entry: Entry) -> Content | None:
        """One mail; None if it has gone. Raises ValueError for a broken one."""
        for mail in self.mails[folder.key]:
            if mail.ref == entry.ref:
                if mail.broken:
                    raise ValueError("broken on purpose")
                return Content(whole=mail.raw, size=len(mail.raw), flags=tuple(mail.flags))
        return None


class MemorySource(ShelfSource):
    """A `Source` on a memory mailbox."""

    def __init__(
        self,
        account: str,
        mailbox: MemoryMailbox,
        parser: Parser,
        *,
        since: date | None = None,
        only: Sequence[str] = (),
        skip: Sequence[str] = (),
    ) -> None:
        super().__init__(account, mailbox, parser, since=since, only=only, skip=skip)
        self.mailbox = mailbox


class MemoryDesk:
    """A `Desk` on a memory mailbox."""

    def __init__(self, mailbox: MemoryMailbox) -> None:
        self._mailbox = mailbox

    def place_draft(self, mail: OutgoingMail) -> Placed:
        """Lay a draft into Drafts."""
        return self._place(mail, "Drafts", ("\\Draft", "\\Seen"))

    def place_mail(self, mail: OutgoingMail) -> Placed:
        """Lay a mail into the Inbox, unseen."""
        return self._place(mail, "INBOX", ())

    def find(self, message_id: str, *, drafts: bool) -> tuple[Placed, ...]:
        """Our mail in Drafts or in the Inbox; () if gone."""
        folder = "Drafts" if drafts else "INBOX"
        mails = [mail for mail in self._mailbox.mails.get(folder, []) if message_id_of(mail.raw) == message_id]
        return tuple(Placed(folder=folder, ref=mail.ref, content_hash=content_hash(mail.raw)) for mail in mails)

    def withdraw(self, placed: Placed, message_id: str) -> bool:
        """Remove our mail if it is untouched."""
        copies = self.find(message_id, drafts=placed.folder == "Drafts")
        if any(copy.content_hash != placed.content_hash for copy in copies):
            return False
        for copy in copies:
            self._mailbox.remove(copy.folder, copy.ref)
        return True

    def close(self) -> None:
        """Nothing is held open."""

    def _place(self, mail: OutgoingMail, folder: str, flags: Sequence[str]) -> Placed:
        raw = render(mail)
        stored = self._mailbox.add(raw, folder=folder, at=mail.date, flags=flags)
        return Placed(folder=folder, ref=stored.ref, content_hash=content_hash(raw))


class MemoryMailer:
    """A `Mailer` that keeps what it is given: (envelope sender, recipient, mail as bytes)."""

    def __init__(self, account: str) -> None:
        self._account = account
        self.sent: list[tuple[str, str, bytes]] = []

    @property
    def account(self) -> str:
        """The sender's name in quietcrm.yaml."""
        return self._account

    def check(self) -> tuple[str, ...]:
        """Nothing can be wrong with it."""
        return ("keeps mail in memory and sends nothing",)

    def send(self, mail: OutgoingMail, *, envelope_from: str, recipient: str) -> None:
        """Keep the mail."""
        self.sent.append((envelope_from, recipient, render(mail)))

    def close(self) -> None:
        """Nothing is held open."""
