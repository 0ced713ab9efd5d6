"""Lays our drafts and notices into a local Maildir, as a delivery agent does: written to tmp, then renamed."""

from __future__ import annotations

import itertools
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

from connectors.errors import Misconfigured, Unavailable
from connectors.folders import Purpose
from connectors.maildir.files import require_folder
from connectors.maildir.maildir import MaildirShelf, unique_name
from connectors.maildir.marking import MaildirMarking
from connectors.model import Marked, Marks, OutgoingMail, Placed
from connectors.outgoing import content_hash, message_id_of, render

__all__ = ["MaildirDesk"]

_LARGEST = 4 << 20
_HEAD = 64 << 10


class MaildirDesk:
    """A `Desk` and `Marker` on a Maildir. Drafts lie in the folder that is named like one, else in
    `.Drafts`, which is made."""

    def __init__(self, account: str, path: Path) -> None:
        self._account = account
        self._root = path
        self._serial = itertools.count(1)

    def place_draft(self, mail: OutgoingMail) -> Placed:
        """Into Drafts, with the flags D and S."""
        folder = self._drafts()
        for name in ("cur", "new", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        return self._place(mail, folder, "cur", ":2,DS")

    def place_mail(self, mail: OutgoingMail) -> Placed:
        """Into new/ of the Inbox, as if it had just arrived."""
        return self._place(mail, self._root, "new", "")

    def find(self, message_id: str, *, drafts: bool) -> tuple[Placed, ...]:
        """Our mail in Drafts or in the Inbox; () if it is gone."""
        folder = self._drafts() if drafts else self._root
        return tuple(placed for placed, _ in self._copies(folder, message_id))

    def place_sent(self, mail: OutgoingMail) -> Placed:
        """Into the folder of sent mail with the flag S and the mail's date. Raises Misconfigured if there is none."""
        for folder in self._folders(Purpose.SENT):
            return self._place(mail, folder, "cur", ":2,S", sent=True)
        raise Misconfigured(
            self._account, f"{self._root} has no folder of sent mail", hint=f"make {self._root / '.Sent'} (a Maildir)"
        )

    def find_sent(self, message_id: str) -> tuple[Placed, ...]:
        """Copies in the folders of sent mail; () if there is none."""
        folders = self._folders(Purpose.SENT)
        return tuple(placed for folder in folders for placed, _ in self._copies(folder, message_id))

    def withdraw(self, placed: Placed, message_id: str) -> bool:
        """Remove our mail if its file holds what we wrote. True if none is left, False if it was edited."""
        folder = self._root if placed.folder == "INBOX" else self._drafts()
        copies = self._copies(folder, message_id)
        if any(copy.content_hash != placed.content_hash for copy, _ in copies):
            return False
        for _, path in copies:
            path.unlink(missing_ok=True)
        return True

    def mark(self, folder: str, ref: str, message_id: str, marks: Marks) -> Marked:
        """By renaming the file, see `connectors.maildir.marking`."""
        require_folder(self._account, self._root)
        return MaildirMarking(self._account, self._root).mark(folder, ref, message_id, marks)

    def close(self) -> None:
        """Nothing is held open."""

    def _drafts(self) -> Path:
        return next(iter(self._folders(Purpose.DRAFTS)), self._root / ".Drafts")

    def _folders(self, purpose: Purpose) -> list[Path]:
        require_folder(self._account, self._root)
        listed = MaildirShelf(self._account, self._root).folders()
        return [self._root / folder.key for folder in listed if folder.purpose is purpose]

    def _place(self, mail: OutgoingMail, folder: Path, place: str, flags: str, *, sent: bool = False) -> Placed:
        require_folder(self._account, self._root)
        raw = render(mail, utf8=sent).replace(b"\r\n", b"\n")
        # Random too: a rename would overwrite the mail of another desk of this process.
        unique = f"P{os.getpid()}Q{next(self._serial)}R{secrets.token_hex(6)}"
        name = f"{int(mail.date.timestamp())}.{unique}.{socket.gethostname().replace('/', '')}"
        try:
            with (folder / "tmp" / name).open("xb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
                if sent:  # the time of the file is when the mail left
                    os.utime(file.fileno(), (mail.date.timestamp(), mail.date.timestamp()))
            (folder / "tmp" / name).rename(folder / place / f"{name}{flags}")
        except OSError as error:
            raise Unavailable(
                self._account,
                f"{folder} cannot be written: {error.strerror}",
                hint="check its permissions and the disk",
            ) from error
        seen = content_hash(raw[: _HEAD + _LARGEST])  # so much of a mail is looked at later
        return Placed(folder=self._name(folder), ref=unique_name(name), content_hash=seen)

    def _name(self, folder: Path) -> str:
        if folder == self._root:
            return "INBOX"
        listed = MaildirShelf(self._account, self._root).folders()
        return next((one.name for one in listed if self._root / one.key == folder), folder.name.lstrip("."))

    def _copies(self, folder: Path, message_id: str) -> list[tuple[Placed, Path]]:
        found = []
        for path in _files(folder):
            try:
                with path.open("rb") as file:
                    head = file.read(_HEAD)
                    if message_id.encode() not in head:
                        continue
                    raw = head + file.read(_LARGEST)
            except FileNotFoundError:
                continue  # a mail program renamed it this moment
            if message_id_of(raw) == message_id:
                placed = Placed(folder=self._name(folder), ref=unique_name(path.name), content_hash=content_hash(raw))
                found.append((placed, path))
        return found


def _files(folder: Path) -> Iterator[Path]:
    for place in ("new", "cur"):
        if (folder / place).is_dir():
            for path in sorted((folder / place).iterdir()):
                if "T" not in path.name.partition(":2,")[2]:
                    yield path
