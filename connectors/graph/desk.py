"""Lays our drafts and notices into a mailbox in Microsoft 365, takes them away again, and marks mail for its rep.

Nothing of anybody else is touched: a mail is removed only if our mark or Message-ID is on it and its content is
unchanged, by its id and only in the version that was compared (If-Match). What lies in the trash is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.errors import Misconfigured, Unavailable
from connectors.folders import Purpose
from connectors.graph.client import GraphClient, Json, Lost, Refused
from connectors.graph.folders import named, shown_name
from connectors.graph.mails import mail_path
from connectors.graph.marking import Marking
from connectors.graph.outgoing import arrived, copied, plain_body
from connectors.graph.places import create, create_draft, ours, remove
from connectors.graph.settings import GraphSettings
from connectors.graph.trouble import translated
from connectors.model import Marked, Marks, OutgoingMail, Placed
from connectors.outgoing import content_hash

__all__ = ["GraphDesk"]

_PURPOSES = {"inbox": Purpose.INBOX, "drafts": Purpose.DRAFTS, "sentitems": Purpose.SENT}
_WORDS = {"inbox": "Inbox", "drafts": "Drafts folder", "sentitems": "Sent folder (Sent Items)"}


class GraphDesk:
    """A `Desk` and `Marker` on a mailbox. One thread at a time; `close` it after use, it connects again when asked."""

    def __init__(self, settings: GraphSettings) -> None:
        self._settings = settings
        self._client = GraphClient(settings)
        self._marking = Marking(self._client)
        self._names: dict[str, str] = {}

    def place_draft(self, mail: OutgoingMail) -> Placed:
        """Make a draft; an answer within its conversation where what it answers is in the mailbox."""
        with self._working():
            return self._placed("drafts", create_draft(self._client, mail))

    def place_mail(self, mail: OutgoingMail) -> Placed:
        """Make a mail in the Inbox that is no draft, and unread."""
        with self._working():
            row = self._create("inbox", arrived(mail), mail)
            if row.get("isRead"):
                row = self._client.patch(mail_path(str(row["id"])), {"isRead": False})
            return self._placed("inbox", row)

    def find(self, message_id: str, *, drafts: bool) -> tuple[Placed, ...]:
        """Our mail in Drafts or in the Inbox; () if it is gone."""
        place = "drafts" if drafts else "inbox"
        with self._working():
            self._require(place)
            return self._copies(place, message_id)

    def place_sent(self, mail: OutgoingMail) -> Placed:
        """Make the copy of a mail that left by another way. Raises Misconfigured if there is no Sent folder.

        With the plain text beside the HTML as far as the service keeps both, else with the HTML.
        """
        with self._working():
            made = copied(mail)
            if mail.html:
                placed = self._place_both_bodies(plain_body(made, mail), mail)
                if placed is not None:
                    return placed
            return self._placed("sentitems", self._create("sentitems", made, mail))

    def find_sent(self, message_id: str) -> tuple[Placed, ...]:
        """Copies of our mail in Sent; () if there is none."""
        with self._working():
            return self._copies("sentitems", message_id) if self._name("sentitems") else ()

    def withdraw(self, placed: Placed, message_id: str) -> bool:
        """Remove our mail if it is as we laid it there. True if none is left, False if somebody edited it."""
        with self._working():
            place = next((well for well in _PURPOSES if self._name(well) == placed.folder), "")
            if not place:
                return True
            rows = ours(self._client, message_id, place)
            if any(self._hash(row) != placed.content_hash for row in rows):
                return False
            left = [row for row in rows if not remove(self._client, row)]
            return not left

    def mark(self, folder: str, ref: str, message_id: str, marks: Marks) -> Marked:
        """Categories, flag and folder of a mail, see `connectors.graph.marking`."""
        with self._working():
            return self._marking.mark(folder, ref, message_id, marks)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Errors translated. What was made and not confirmed is looked for at the next try, so it is no outcome to
        worry about."""
        with translated(self._settings.account, self._client.where):
            try:
                yield
            except Lost as error:
                raise Unavailable(
                    self._settings.account,
                    f"{self._client.where} did not say whether it did what it was asked: {error}",
                    hint="nothing to do: it is looked up and tried again",
                ) from error

    # -- folders

    def _name(self, well: str) -> str:
        """The display name of a well-known folder, "" if the mailbox has none."""
        if not self._names.get(well):
            row = named(self._client, well)
            self._names[well] = shown_name(row, _PURPOSES[well]) if row else ""
        return self._names[well]

    def _require(self, well: str) -> str:
        name = self._name(well)
        if not name:
            raise Misconfigured(
                self._settings.account,
                f"the mailbox has no {_WORDS[well]}",
                hint="open the mailbox once in Outlook: it makes its folders",
            )
        return name

    # -- placing and finding

    def _create(self, well: str, made: Json, mail: OutgoingMail) -> Json:
        self._require(well)
        return create(self._client, f"/mailFolders/{well}/messages", made, mail.message_id)

    def _place_both_bodies(self, made: Json, mail: OutgoingMail) -> Placed | None:
        """None where the service does not keep both bodies: then nothing was left behind."""
        try:
            row = self._create("sentitems", made, mail)
        except Refused as error:
            if error.status != 400:
                raise
            return None
        raw = self._client.get_bytes(mail_path(str(row["id"]), "$value"))
        if b"text/html" in raw.lower():
            return Placed(folder=self._name("sentitems"), ref=str(row["id"]), content_hash=content_hash(raw))
        self._client.delete(mail_path(str(row["id"])))
        return None

    def _copies(self, well: str, message_id: str) -> tuple[Placed, ...]:
        return tuple(self._placed(well, row) for row in ours(self._client, message_id, well))

    def _placed(self, well: str, row: Json) -> Placed:
        return Placed(folder=self._require(well), ref=str(row["id"]), content_hash=self._hash(row))

    def _hash(self, row: Json) -> str:
        """Of the mail as the service gives it back: it writes MIME of its own."""
        return content_hash(self._client.get_bytes(mail_path(str(row["id"]), "$value")))
