"""Lays our drafts and notices into a rep's own mailbox and takes them away again, on a connection of its own.

Nothing of anybody else is touched: a mail is removed only if its Message-ID is ours and its content is unchanged,
by its UID. A bare EXPUNGE, which would remove every mail marked as deleted, is never sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from connectors.errors import Misconfigured, Unavailable
from connectors.folders import Folder, Purpose
from connectors.imap.connection import Connection
from connectors.imap.link import Link
from connectors.imap.marking import Marking
from connectors.imap.settings import ImapSettings
from connectors.imap.trouble import translated
from connectors.imap.wire import Garbled, Refused, compact, quote, tokens
from connectors.model import Marked, Marks, OutgoingMail, Placed
from connectors.outgoing import content_hash, message_id_of, render

__all__ = ["ImapDesk"]

_REMEDIES = {
    Purpose.INBOX: ("Inbox", "look at the rights of this login"),
    Purpose.DRAFTS: ("Drafts folder", "save one draft in the mail program: it makes the folder"),
    Purpose.SENT: (
        "Sent folder",
        "send one mail in the mail program: it makes the folder; or set `sent_copy: server` if the server keeps copies",
    ),
}
_LARGEST = 4 << 20
_MOST_COPIES = 50


class ImapDesk:
    """A `Desk` and `Marker` on an IMAP mailbox. One thread at a time; `close` it after use, it connects again when
    asked."""

    def __init__(self, settings: ImapSettings) -> None:
        self._settings = settings
        self._link = Link(settings)
        self._folders: list[Folder] = []

    def place_draft(self, mail: OutgoingMail) -> Placed:
        """APPEND to Drafts with \\Draft and \\Seen. Raises Misconfigured if there is no Drafts folder."""
        return self._place(mail, Purpose.DRAFTS, ("\\Draft", "\\Seen"))

    def place_mail(self, mail: OutgoingMail) -> Placed:
        """APPEND to the Inbox without any flag, so it looks as if it had just arrived."""
        return self._place(mail, Purpose.INBOX, ())

    def find(self, message_id: str, *, drafts: bool) -> tuple[Placed, ...]:
        """Our mail in Drafts or in the Inbox, by Message-ID; () if it is gone."""
        with self._working():
            folder = self._folder(Purpose.DRAFTS if drafts else Purpose.INBOX)
            return tuple(placed for placed, _ in self._copies(folder, message_id))

    def place_sent(self, mail: OutgoingMail) -> Placed:
        """APPEND to the Sent folder with \\Seen and the mail's date. Raises Misconfigured if there is none."""
        return self._place(mail, Purpose.SENT, ("\\Seen",), at=mail.date)

    def find_sent(self, message_id: str) -> tuple[Placed, ...]:
        """Copies in the folders of sent mail, of which a mailbox may have several; () if there is none."""
        with self._working():
            folders = self._folders_for(Purpose.SENT)
            return tuple(placed for folder in folders for placed, _ in self._copies(folder, message_id))

    def withdraw(self, placed: Placed, message_id: str) -> bool:
        """Remove our mail if it is as we laid it there. True if none is left, False if somebody edited it."""
        with self._working():
            folder = self._folder_called(placed.folder)
            if folder is None:
                return True
            copies = self._copies(folder, message_id)
            if any(copy.content_hash != placed.content_hash for copy, _ in copies):
                return False
            if copies:
                self._remove(folder, copies[0][0].ref.partition(":")[0], [uid for _, uid in copies])
            return True

    def mark(self, folder: str, ref: str, message_id: str, marks: Marks) -> Marked:
        """Keywords, \\Flagged, and MOVE or what stands for it, see `connectors.imap.marking`."""
        with self._working():
            self._folders = []  # a folder may have been made or renamed since the last look
            return Marking(self._link.connection(), self._settings.account, self._listed()).mark(
                folder, ref, message_id, marks
            )

    def close(self) -> None:
        """Let go of the connection."""
        self._link.drop()

    @contextmanager
    def _working(self) -> Iterator[None]:
        """On a line that answers: hours lie between two uses, and servers close idle connections. Errors translated."""
        try:
            self._revive()
            with translated(self._settings.account, self._link.where):
                yield
        except BaseException:
            self._link.abandon()  # what is on the line now belongs to no question
            raise

    def _revive(self) -> None:
        self._link.renew()
        if self._link.is_up:
            try:
                self._link.connection().noop()
            except (OSError, Garbled, Refused):
                self._link.abandon()

    # -- folders

    def _listed(self) -> list[Folder]:
        if not self._folders or not self._link.is_up:
            self._folders = self._link.connection().list_folders()[0]
        return self._folders

    def _folders_for(self, purpose: Purpose) -> list[Folder]:
        return [folder for folder in self._listed() if folder.purpose is purpose and folder.selectable]

    def _folder(self, purpose: Purpose) -> Folder:
        for folder in self._folders_for(purpose):
            return folder
        name, hint = _REMEDIES[purpose]
        raise Misconfigured(self._settings.account, f"the mailbox has no {name}", hint=hint)

    def _folder_called(self, name: str) -> Folder | None:
        return next((folder for folder in self._listed() if folder.name == name), None)

    # -- placing and finding

    def _place(
        self, mail: OutgoingMail, purpose: Purpose, flags: Sequence[str], *, at: datetime | None = None
    ) -> Placed:
        raw = render(mail, utf8=purpose is Purpose.SENT)  # what has left is kept as it was
        with self._working():
            folder = self._folder(purpose)
            connection = self._link.connection()
            connection.append(folder.key, raw, flags, at)
            copies = self._copies(folder, mail.message_id)
            # Hashed as the server gives it back: some rewrite what they store.
            return copies[-1][0] if copies else Placed(folder=folder.name, ref="", content_hash=content_hash(raw))

    def _copies(self, folder: Folder, message_id: str) -> list[tuple[Placed, int]]:
        """(copy, UID) of every mail with this Message-ID that is not marked as deleted, oldest first."""
        connection = self._link.connection()
        standing = connection.examine(folder.key)
        uids = connection.uids(1, criteria=b"UNDELETED HEADER Message-ID " + quote(message_id))
        found = []
        for uid in uids[:_MOST_COPIES]:
            raw = self._whole(connection, uid)
            if message_id_of(raw) == message_id:  # HEADER matches substrings
                ref = f"{standing.uidvalidity}:{uid}"
                found.append((Placed(folder=folder.name, ref=ref, content_hash=content_hash(raw)), uid))
        return found

    def _whole(self, connection: Connection, uid: int) -> bytes:
        answer = connection.wire.say(b"UID FETCH %d (UID BODY.PEEK[]<0.%d>)" % (uid, _LARGEST))
        for line in map(tokens, answer.untagged):
            if len(line) > 2 and isinstance(line[2], list):
                pairs = dict(zip(line[2][::2], line[2][1::2], strict=False))
                for key, value in pairs.items():
                    if isinstance(key, bytes) and key.startswith(b"BODY[]") and isinstance(value, bytes):
                        return value
        return b""

    def _remove(self, folder: Folder, uidvalidity: str, uids: list[int]) -> None:
        """Delete these UIDs and no other. A mail's content never changes under its UID (RFC 3501 2.3.1.1), so what was
        compared is what is deleted. Without UIDPLUS it is only marked as deleted: mail programs hide it, and the
        server or the user clears it away."""
        connection = self._link.connection()
        wanted = compact(uids)
        try:
            if str(connection.select(folder.key).uidvalidity) != uidvalidity:
                raise Unavailable(self._settings.account, "a folder was renumbered this moment", hint="nothing to do")
            connection.wire.say(b"UID STORE %s +FLAGS.SILENT (\\Deleted)" % wanted)
            if "UIDPLUS" in connection.capabilities:
                connection.wire.say(b"UID EXPUNGE " + wanted)
        finally:
            connection.leave()
