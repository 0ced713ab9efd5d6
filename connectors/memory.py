"""A mailbox that lives in the process: the reference for every other source, and the demo's and the tests' mailbox.

`MemoryMailbox` is the mailbox; a source, a desk and a mailer on it behave as real ones do.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal

from connectors.categories import fold_category, tidy_category
from connectors.errors import Misconfigured, OutcomeUnknown, SendRejected, Unavailable
from connectors.folders import Folder, Purpose, choose_folders, folder_of, give_purposes
from connectors.model import Marked, Marks, OutgoingMail, Placed
from connectors.outgoing import content_hash, message_id_of, render
from connectors.protocols import Parser
from connectors.shelf import Content, Entry, ShelfSource

__all__ = ["MemoryDesk", "MemoryMailbox", "MemoryMailer", "MemorySource", "Turn"]


@dataclass(slots=True)
class StoredMail:
    """One mail in a memory mailbox. A `broken` one raises when it is read."""

    ref: str
    raw: bytes
    at: datetime
    flags: list[str] = field(default_factory=list)
    broken: bool = False
    categories: list[str] = field(default_factory=list)
    due: date | None = None


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

    def marks(self, folder: Folder) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """ref -> (flags, categories)."""
        return {mail.ref: (tuple(mail.flags), tuple(mail.categories)) for mail in self.mails[folder.key]}

    def load(self, folder: Folder, entry: Entry) -> Content | None:
        """One mail; None if it has gone. Raises ValueError for a broken one."""
        for mail in self.mails[folder.key]:
            if mail.ref == entry.ref:
                if mail.broken:
                    raise ValueError("broken on purpose")
                return Content(
                    whole=mail.raw, size=len(mail.raw), flags=tuple(mail.flags), categories=tuple(mail.categories)
                )
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
    """A `Desk` and `Marker` on a memory mailbox, which keeps the day of a flag as Exchange does."""

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
        return self._copies("Drafts" if drafts else "INBOX", message_id)

    def place_sent(self, mail: OutgoingMail) -> Placed:
        """Lay the copy of a mail that left into Sent, seen. Raises Misconfigured if there is no such folder."""
        for folder in self._sent():
            return self._place(mail, folder, ("\\Seen",), utf8=True)
        raise Misconfigured("memory", "the mailbox has no Sent folder", hint="add a folder called Sent")

    def find_sent(self, message_id: str) -> tuple[Placed, ...]:
        """Copies in the folders of sent mail; () if there is none."""
        return tuple(copy for folder in self._sent() for copy in self._copies(folder, message_id))

    def withdraw(self, placed: Placed, message_id: str) -> bool:
        """Remove our mail if it is untouched."""
        copies = self._copies(placed.folder, message_id)
        if any(copy.content_hash != placed.content_hash for copy in copies):
            return False
        for copy in copies:
            self._mailbox.remove(copy.folder, copy.ref)
        return True

    def mark(self, folder: str, ref: str, message_id: str, marks: Marks) -> Marked:
        """Mark and move a mail."""
        found = self._lying(folder, ref, message_id)
        if found is None:
            return Marked()
        place, mail = found
        gone = {fold_category(name) for name in marks.remove}
        mail.categories = [name for name in mail.categories if fold_category(name) not in gone]
        had = {fold_category(name) for name in mail.categories}
        mail.categories += [tidy_category(name) for name in marks.add if fold_category(name) not in had]
        if marks.unflag or marks.flag:
            mail.flags = [flag for flag in mail.flags if flag != "\\Flagged"] + ["\\Flagged"] * (marks.flag is not None)
            mail.due = marks.flag
        if not marks.move or marks.move == place:
            return Marked(folder=place, ref=mail.ref)
        self._mailbox.remove(place, mail.ref)
        moved = self._mailbox.add(mail.raw, folder=marks.move, at=mail.at, flags=mail.flags)
        moved.categories, moved.due = mail.categories, mail.due
        return Marked(folder=marks.move, ref=moved.ref)

    def close(self) -> None:
        """Nothing is held open."""

    def _lying(self, folder: str, ref: str, message_id: str) -> tuple[str, StoredMail] | None:
        for mail in self._mailbox.mails.get(folder, []):
            if mail.ref == ref and (not message_id or message_id_of(mail.raw) == message_id):
                return folder, mail
        for place in choose_folders(self._mailbox.folders()) if message_id else []:
            for mail in self._mailbox.mails[place.key]:
                if message_id_of(mail.raw) == message_id:
                    return place.key, mail
        return None

    def _sent(self) -> list[str]:
        return [folder.key for folder in self._mailbox.folders() if folder.purpose is Purpose.SENT]

    def _copies(self, folder: str, message_id: str) -> tuple[Placed, ...]:
        mails = [mail for mail in self._mailbox.mails.get(folder, []) if message_id_of(mail.raw) == message_id]
        return tuple(Placed(folder=folder, ref=mail.ref, content_hash=content_hash(mail.raw)) for mail in mails)

    def _place(self, mail: OutgoingMail, folder: str, flags: Sequence[str], *, utf8: bool = False) -> Placed:
        raw = render(mail, utf8=utf8)
        stored = self._mailbox.add(raw, folder=folder, at=mail.date, flags=flags)
        return Placed(folder=folder, ref=stored.ref, content_hash=content_hash(raw))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """How one try to send ends, see `MemoryMailer.turns`.

    code        2xx takes the mail, 4xx and 5xx refuse it at `stage` (sender, recipient, mail)
    broken      where the line breaks instead: "connect" or "body" (nothing was sent), "dot" (nobody knows)
    arrives     after a break at the dot: whether the mail was taken all the same
    """

    code: int = 250
    text: str = "2.0.0 kept"
    stage: str = "recipient"
    broken: Literal["", "connect", "body", "dot"] = ""
    arrives: bool = True


class MemoryMailer:
    """A `Mailer` that keeps what it is given: (envelope sender, recipient, mail as bytes).

    `turns` may hold, per recipient ("" for anybody), how the next tries end, one each; then all is well again.
    """

    def __init__(self, account: str) -> None:
        self._account = account
        self.sent: list[tuple[str, str, bytes]] = []
        self.turns: dict[str, list[Turn]] = {}

    @property
    def account(self) -> str:
        """The sender's name in quietcrm.yaml."""
        return self._account

    def check(self) -> tuple[str, ...]:
        """Nothing can be wrong with it."""
        return ("keeps mail in memory and sends nothing",)

    def send(
        self,
        mail: OutgoingMail,
        *,
        envelope_from: str,
        recipient: str,
        committing: Callable[[], None] = lambda: None,
    ) -> str:
        """Keep the mail, or do as the next turn of this recipient says."""
        raw = render(mail, utf8=True)
        waiting = self.turns.get(recipient) or self.turns.get("") or [Turn()]
        turn = waiting.pop(0)
        if turn.broken == "connect":
            raise Unavailable(self._account, "the line broke", hint="nothing to do")
        if turn.stage != "mail":
            self._require(turn)
        committing()
        if turn.broken == "body":
            raise Unavailable(self._account, "the line broke within the mail", hint="nothing to do")
        self._require(turn)
        if turn.arrives or not turn.broken:
            self.sent.append((envelope_from, recipient, raw))
        if turn.broken == "dot":
            raise OutcomeUnknown(self._account, "the last answer did not come", hint="look for the mail in Sent")
        return f"{turn.code} {turn.text}"

    def close(self) -> None:
        """Nothing is held open."""

    def _require(self, turn: Turn) -> None:
        if turn.code >= 400:
            raise SendRejected(
                self._account,
                f"refused: {turn.code} {turn.text}",
                permanent=turn.code >= 500,
                code=turn.code,
                stage=turn.stage,
                hint="correct the address" if turn.code >= 500 else "nothing to do",
            )
