"""Lays our drafts and notices into a rep's own Exchange mailbox and takes them away again, on a link of its own.

Nothing of anybody else is touched: a mail is removed only if it is ours (stamp or Message-ID) and unchanged, by its id.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from connectors.errors import Misconfigured
from connectors.exchange import writing
from connectors.exchange.answering import find_original, find_orphan, reply_parts
from connectors.exchange.folders import Directory
from connectors.exchange.link import Link
from connectors.exchange.marking import mark_item
from connectors.exchange.settings import ExchangeSettings
from connectors.folders import Folder, Purpose
from connectors.model import Marked, Marks, OutgoingMail, Placed
from connectors.outgoing import content_hash, render

__all__ = ["ExchangeDesk"]

_NAMES = {Purpose.INBOX: "Inbox", Purpose.DRAFTS: "Drafts folder", Purpose.SENT: "Sent folder"}
_READ, _UNREAD = 1, 0


class ExchangeDesk:
    """A `Desk` and `Marker` on an Exchange mailbox. One thread at a time; it connects again when asked."""

    def __init__(self, settings: ExchangeSettings) -> None:
        self._settings = settings
        self._link = Link(settings)
        self._directory = Directory(self._link)

    def place_draft(self, mail: OutgoingMail) -> Placed:
        """A draft. Where it answers a mail of this mailbox it is a reply to it, else a mail of its own."""
        with self._working():
            folders = self._directory.refresh()
            drafts = self._folder(folders, Purpose.DRAFTS)
            original = find_original(self._link, folders, mail.in_reply_to) if mail.in_reply_to else None
            if original is None:
                ref = writing.create(self._link, drafts.key, render(mail), mail.message_id)
            else:
                ref = find_orphan(self._link, drafts, mail) or writing.reply(
                    self._link, drafts.key, original, **reply_parts(mail)
                )
                ref = writing.stamp(self._link, ref, mail.message_id)
                ref = writing.attach(self._link, ref, mail.files)
            return self._placed(drafts, ref[0], mail)

    def place_mail(self, mail: OutgoingMail) -> Placed:
        """A mail in the Inbox, as if it had just arrived: no draft, unread."""
        return self._place(mail, Purpose.INBOX, _UNREAD, mail.date)

    def find(self, message_id: str, *, drafts: bool) -> tuple[Placed, ...]:
        """Our mail in Drafts or in the Inbox; () if it is gone."""
        with self._working():
            folder = self._folder(self._directory.refresh(), Purpose.DRAFTS if drafts else Purpose.INBOX)
            return tuple(self._copies(folder, message_id))

    def place_sent(self, mail: OutgoingMail) -> Placed:
        """A copy in Sent Items, read, with the mail's date."""
        return self._place(mail, Purpose.SENT, _READ, mail.date)

    def find_sent(self, message_id: str) -> tuple[Placed, ...]:
        """Copies in the folders of sent mail, of which a mailbox may have several; () if there is none."""
        with self._working():
            folders = [folder for folder in self._directory.refresh() if folder.purpose is Purpose.SENT]
            return tuple(copy for folder in folders for copy in self._copies(folder, message_id))

    def withdraw(self, placed: Placed, message_id: str) -> bool:
        """Remove our mail if it is as we laid it there. True if none is left, False if somebody edited it."""
        with self._working():
            folder = next((one for one in self._directory.refresh() if one.name == placed.folder), None)
            if folder is None:
                return True
            copies = list(self._copies(folder, message_id))
            if any(copy.content_hash != placed.content_hash for copy in copies):
                return False
            if copies:
                writing.remove(self._link, [copy.ref for copy in copies])
            return True

    def mark(self, folder: str, ref: str, message_id: str, marks: Marks) -> Marked:
        """Categories, flag and folder of a rep's mail, see `Marker`."""
        with self._working():
            return mark_item(self._link, self._directory, folder, ref, message_id, marks)

    def close(self) -> None:
        """Let go of the connection."""
        self._link.drop()

    @contextmanager
    def _working(self) -> Iterator[None]:
        """After trouble the list of folders is taken anew."""
        try:
            yield
        except BaseException:
            self._link.drop()
            self._directory = Directory(self._link)
            raise

    def _folder(self, folders: list[Folder], purpose: Purpose) -> Folder:
        for folder in folders:
            if folder.purpose is purpose:
                return folder
        raise Misconfigured(
            self._settings.account,
            f"the mailbox has no {_NAMES[purpose]}",
            hint="open the mailbox once in Outlook on the web: that makes the folder",
        )

    def _place(self, mail: OutgoingMail, purpose: Purpose, flags: int, at: datetime) -> Placed:
        raw = render(mail, utf8=purpose is Purpose.SENT)  # what has left is kept as it was
        with self._working():
            folder = self._folder(self._directory.refresh(), purpose)
            ref, _ = writing.create(self._link, folder.key, raw, mail.message_id, flags=flags, at=at)
            return self._placed(folder, ref, mail)

    def _placed(self, folder: Folder, ref: str, mail: OutgoingMail) -> Placed:
        """Hashed as the server gives it back: it writes every mail anew."""
        stored = writing.whole(self._link, ref)
        raw = stored[1] if stored else render(mail, utf8=True)
        return Placed(folder=folder.name, ref=ref, content_hash=content_hash(raw))

    def _copies(self, folder: Folder, message_id: str) -> Iterator[Placed]:
        for (ref, _), raw in writing.find_ours(self._link, folder.key, message_id):
            yield Placed(folder=folder.name, ref=ref, content_hash=content_hash(raw))
