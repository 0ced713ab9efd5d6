"""What the rest of quietcrm asks of a connector. Contracts, not base classes: match the shape, inherit nothing.

`tests/contract` holds one suite per interface; a connector is done when its subclass of the suite is green.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Protocol, runtime_checkable

from connectors.calendars import CalendarBatch, CalendarReading, ItemKind, OwnItem, PlacedItem, RawCalendar, Window
from connectors.model import Batch, Cursor, Marked, Marks, Message, OutgoingMail, Placed, RawMail, Unreadable

MOST_JUNK = 500
"""How many mails a look into Junk reads at most."""


class Parser(Protocol):
    """Turns bytes into messages, outside the process where it matters.

    One answer a mail, in the same order; never raises for what is in a mail.
    """

    def parse(self, mails: Sequence[RawMail]) -> list[Message | Unreadable]:
        """Parse and wait."""
        ...

    def submit(self, mails: Sequence[RawMail]) -> Future[list[Message | Unreadable]]:
        """Start parsing; the caller may fetch the next mails meanwhile."""
        ...

    def close(self) -> None:
        """End the children. Safe to call twice."""
        ...


@runtime_checkable
class Source(Protocol):
    """Reads one account. Blocking; one thread at a time; never changes a flag, never deletes, never moves.

    Promises: the same cursor twice gives the same items as long as the mailbox stands still; following `cursor`
    while `more` covers everything with no overlap; `None` starts at the configured first date, the live range
    first, then the back-fill newest first; one broken message comes back as `Unreadable` and the rest arrive;
    a position that means nothing any more raises `CursorExpired`; a bad login raises `AuthRejected`.
    """

    @property
    def account(self) -> str:
        """The account's name in quietcrm.yaml."""
        ...

    def check(self) -> tuple[str, ...]:
        """Connect, log in, list folders. Returns findings, one plain sentence each; raises ConnectorError."""
        ...

    def fetch(self, cursor: Cursor | None, *, limit: int) -> Batch:
        """Read at most `limit` messages after `cursor`. Raises ConnectorError."""
        ...

    def close(self) -> None:
        """Let go of connections. Safe to call twice; the source reconnects on the next fetch."""
        ...


@runtime_checkable
class Rereader(Protocol):
    """A source that can read single mails again: for mail that matched nobody, of which nothing was stored."""

    def reread(self, places: Sequence[tuple[str, str]]) -> tuple[Message | Unreadable, ...]:
        """Read the copies at (folder display name, ref). What is no longer there is left out. Raises ConnectorError."""
        ...


@runtime_checkable
class JunkReader(Protocol):
    """A source that can look into Junk, which is never logged: an answer may have landed there."""

    def read_junk(self, since: datetime) -> tuple[Message, ...]:
        """What lies in the Junk folder and arrived since then, newest first, at most 500, header only (`text` is "");
        () where there is no such folder. Raises ConnectorError."""
        ...


@runtime_checkable
class Thorough(Protocol):
    """A source that usually asks quiet folders only now and then."""

    def look_everywhere(self) -> None:
        """Have the next fetch ask every folder: a mail is about to leave that an answer in any of them stops."""
        ...


@runtime_checkable
class Wakeable(Protocol):
    """A source that can be told of new mail instead of asking."""

    def wait(self, timeout: float) -> bool:
        """Block until something changed (True) or `timeout` seconds passed (False). A hint only: poll anyway."""
        ...

    def interrupt(self) -> None:
        """Make a running `wait` return now. Called from another thread."""
        ...


@runtime_checkable
class Desk(Protocol):
    """Lays mail of ours into a rep's own mailbox and looks after it there. Touches nothing that is not ours."""

    def place_draft(self, mail: OutgoingMail) -> Placed:
        """Put a draft into the Drafts folder, marked as a draft and unread marks untouched elsewhere."""
        ...

    def place_mail(self, mail: OutgoingMail) -> Placed:
        """Put a mail into the Inbox as if it had arrived, unseen."""
        ...

    def find(self, message_id: str, *, drafts: bool) -> tuple[Placed, ...]:
        """Copies of our mail in Drafts (`drafts=True`) or in the Inbox, by Message-ID; () if gone."""
        ...

    def place_sent(self, mail: OutgoingMail) -> Placed:
        """Put the copy of a mail that left into the Sent folder, marked as seen. Raises Misconfigured if there is no
        Sent folder."""
        ...

    def find_sent(self, message_id: str) -> tuple[Placed, ...]:
        """Copies of our mail in the Sent folder, by Message-ID; () if there is none."""
        ...

    def withdraw(self, placed: Placed, message_id: str) -> bool:
        """Remove exactly this mail of ours if it is unchanged (content hash equal). True if it is gone now,
        False if it was edited and therefore left alone."""
        ...

    def close(self) -> None:
        """Let go of the connection. Safe to call twice; the desk reconnects when asked."""
        ...


@runtime_checkable
class Mailer(Protocol):
    """Sends one mail to one recipient."""

    @property
    def account(self) -> str:
        """The sender's name in quietcrm.yaml."""
        ...

    def check(self) -> tuple[str, ...]:
        """Connect and log in without sending. Returns findings; raises ConnectorError."""
        ...

    def send(
        self,
        mail: OutgoingMail,
        *,
        envelope_from: str,
        recipient: str,
        committing: Callable[[], None] = lambda: None,
    ) -> str:
        """Hand the mail to the server; its last answer ("250 2.0.0 Ok: queued as 4F2K") once it took responsibility.

        `committing` is called once, right before anything by which the mail could arrive (SMTP: the recipient is
        accepted, DATA comes next). If it raises, nothing is sent and its error comes out. Any other ConnectorError
        than OutcomeUnknown says that nothing was sent, whenever it comes; OutcomeUnknown can only come afterwards.
        """
        ...

    def close(self) -> None:
        """Let go of the connection. Safe to call twice."""
        ...


@runtime_checkable
class Drafting(Protocol):
    """A mailer that makes each mail a draft first, in a mailbox that its person sees."""

    def take_back(self, message_id: str) -> bool:
        """Remove the draft that a try to send this mail left in Drafts. What left, is leaving, or was edited by a
        person stays. True if no draft of it is left. Raises ConnectorError."""
        ...


@runtime_checkable
class Marker(Protocol):
    """A desk that can mark and move a rep's mail, where a rule says so."""

    def mark(self, folder: str, ref: str, message_id: str, marks: Marks) -> Marked:
        """Mark the mail at (folder, ref). If that is not the mail of this Message-ID any more, it is looked up by it in
        the mailbox. Doing it twice changes nothing more; the rep's unread mark stays. Raises ConnectorError."""
        ...


@runtime_checkable
class Tokens(Protocol):
    """Access tokens of one account, renewed as needed. Safe to use from several threads."""

    def bearer(self, *, refused: str = "") -> str:
        """A token that is good now. `refused`: the server would not take this one, so another is got, once.

        Raises AuthRejected if a person has to sign in again, Unavailable if the provider cannot be reached.
        """
        ...


@runtime_checkable
class Expiring(Protocol):
    """Tokens that know when they end: for connections that outlive a token."""

    def lasts(self, token: str) -> bool:
        """Whether this is still the token to use. Asks nobody: quick and safe on any thread."""
        ...


class CalendarParser(Protocol):
    """Turns bytes into events, outside the process where it matters.

    One answer a calendar, in the same order; never raises for what is in a calendar.
    """

    def parse_calendars(self, calendars: Sequence[RawCalendar]) -> list[CalendarReading]:
        """Parse and wait."""
        ...


@runtime_checkable
class CalendarSource(Protocol):
    """Reads the calendars of one account. Blocking; one thread at a time; never changes, accepts or declines anything.

    Promises: `None` as a cursor reads everything in the window; following `cursor` while `more` covers every object
    once; the same cursor and window give the same answer as long as the calendars stand still. An object that
    changed comes again, with all its occurrences in the window. Another window than the cursor's reads everything
    anew, as a protocol that expands series on the server does; so slide it once a day or less. One broken event
    comes back as `Unreadable` and the others arrive, those of its own object too. What is missing is told in
    `removed` and is not a cancellation. A position that means nothing any more to the server is no error: the
    calendar is compared anew. A cursor that cannot be read raises `CursorExpired`; a bad login `AuthRejected`.
    """

    @property
    def account(self) -> str:
        """The account's name in quietcrm.yaml."""
        ...

    def check(self) -> tuple[str, ...]:
        """Connect, log in, list calendars. Returns findings, one plain sentence each; raises ConnectorError."""
        ...

    def fetch(self, cursor: Cursor | None, window: Window, *, limit: int) -> CalendarBatch:
        """Read at most `limit` objects that are new or changed since `cursor`. Raises ConnectorError."""
        ...

    def close(self) -> None:
        """Let go of connections. Safe to call twice; the source reconnects on the next fetch."""
        ...


@runtime_checkable
class EventRereader(Protocol):
    """A calendar source that can read single objects again: right before a reminder fires."""

    def reread(self, places: Sequence[tuple[str, str]], window: Window) -> CalendarBatch:
        """The objects at (calendar, ref) as they are now; those that are gone are in `removed`. The batch's cursor is
        "" and means nothing. Raises ConnectorError."""
        ...


@runtime_checkable
class CalendarDesk(Protocol):
    """Lays reminders into a rep's own calendar and looks after them there. Touches nothing that is not ours: an item
    is ours while its UID begins with `OWN_UID` and nobody is invited by it. Never writes an attendee or an organizer,
    so that no server has anybody to send an invitation or a cancellation to.
    """

    def check(self) -> tuple[str, ...]:
        """Connect and find where items go. Returns findings, one plain sentence each; raises ConnectorError."""
        ...

    def put(self, item: OwnItem, *, revision: str = "") -> PlacedItem:
        """Lay an item there, or change the one at `revision`. Once is enough: if an item with this UID lies there
        already that is not at `revision`, it comes back as it is with `written` False, and nothing is written.
        Raises ValueError for a UID that is not ours, Misconfigured if there is no calendar for items of this kind."""
        ...

    def find(self, uid: str, kind: ItemKind) -> PlacedItem | None:
        """The item as its owner sees it now; None if it is gone. Raises ValueError for a UID that is not ours."""
        ...

    def remove(self, placed: PlacedItem) -> bool:
        """Remove an item of ours. True if it is gone now; False if it is no longer ours, or was changed since it was
        looked at (`placed.revision`), and was left alone."""
        ...

    def close(self) -> None:
        """Let go of the connection. Safe to call twice; the desk reconnects when asked."""
        ...
