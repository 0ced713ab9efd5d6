"""Reads one Exchange mailbox: what is new first, then the past, newest first. Never changes anything there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connectors.errors import ConnectorError, CursorExpired, Misconfigured, OtherMailbox, Throttled, Unavailable
from connectors.exchange.cursor import FINISHED, Place, Position, mark_of
from connectors.exchange.finding import arrived, find, find_arrivals
from connectors.exchange.folders import Directory, Glance
from connectors.exchange.link import Link
from connectors.exchange.reader import Harvest, Reader
from connectors.exchange.settings import ExchangeSettings
from connectors.exchange.stream import Stream
from connectors.exchange.sync import MOST_CHANGES, Page, sync_page
from connectors.folders import Folder, Purpose, choose_folders, missing_names
from connectors.model import Batch, Cursor, FolderRole, Message, Remark, Unreadable
from connectors.protocols import MOST_JUNK, Parser

__all__ = ["ExchangeSource"]

_A_MOMENT = 5.0
_BASELINE_PAGES = 20
"""Pages of 512 ids that one fetch takes of a folder it does not know yet, so that a kill costs little."""


@dataclass(slots=True)
class _Found:
    """What one fetch brought so far. `trouble` came after some of it: the next fetch tells."""

    items: list[Message] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    removed: list[tuple[str, str]] = field(default_factory=list)
    changed: list[Remark] = field(default_factory=list)
    count: int = 0
    backfill: bool = False
    trouble: ConnectorError | None = None

    def add(self, harvest: Harvest) -> None:
        """Take in what a run of the reader brought."""
        self.items += harvest.items
        self.unreadable += harvest.unreadable
        self.count += len(harvest.reached)
        self.trouble = harvest.trouble


class ExchangeSource:
    """A `Source` and `Wakeable` on one mailbox of an Exchange Server; see `connectors.protocols` for the promises."""

    def __init__(
        self,
        settings: ExchangeSettings,
        parser: Parser,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._link = Link(settings, heard)
        self._parser = parser
        self._reader = Reader(self._link, parser)
        since = settings.since
        self._since = int(datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp()) if since else 0
        self._trouble: ConnectorError | None = None
        self._troubled_at = 0.0
        self._stream: Stream | None = None
        self._wake = threading.Event()
        self._interrupted = False
        self._monotonic = monotonic
        self._forget()

    def _forget(self) -> None:
        self._directory = Directory(self._link)
        self._all: list[Folder] = []
        self._folders: list[Folder] = []
        self._glances: dict[str, Glance] = {}
        self._synced: dict[str, tuple[str, str]] = {}
        self._listed_at = 0.0

    @property
    def account(self) -> str:
        """The account's name in quietcrm.yaml."""
        return self._settings.account

    def check(self) -> tuple[str, ...]:
        """Log in and list the folders; says what is read and what of the settings fits nothing."""
        everything = self._directory.refresh()
        chosen = choose_folders(everything, self._settings.only, self._settings.skip)
        counts = self._directory.glance([folder.key for folder in chosen])
        total = sum(one.total for one in counts.values())
        findings = [f"reads {len(chosen)} of {len(everything)} folders, {total} messages"]
        for name in missing_names(everything, (*self._settings.only, *self._settings.skip)):
            findings.append(f"no folder is called {name!r}")
        if not any(folder.role is FolderRole.SENT for folder in chosen):
            findings.append("no folder of sent mail was found: replies from the mail program are not seen")
        return tuple(findings)

    def fetch(self, cursor: Cursor | None, *, limit: int) -> Batch:
        """Read up to `limit` messages: new ones of every folder first, else the next older ones."""
        self._raise_what_is_left()
        position = Position.load(cursor, self.account)
        self._look(position)
        before = position.save()
        found = _Found()
        try:
            self._read(position, found, max(1, limit))
        except ConnectorError as error:  # what was read before it need not be read again
            found.trouble = error
        after = position.save()
        if found.trouble and after == before:
            raise found.trouble
        self._trouble, self._troubled_at = found.trouble, self._monotonic()
        return Batch(
            items=tuple(found.items),
            unreadable=tuple(found.unreadable),
            cursor=after,
            more=found.trouble is not None or (after != before and self._has_more(position)),
            backfill=found.backfill,
            folders=tuple(folder.name for folder in self._folders),
            removed=tuple(found.removed),
            changed=tuple(found.changed),
            progress=position.progress(),
        )

    def _raise_what_is_left(self) -> None:
        """Trouble of a moment ago, from the end of a fetch that brought something. A server that asked for a pause is
        not asked again within it."""
        trouble, self._trouble = self._trouble, None
        if trouble is None:
            return
        ago = self._monotonic() - self._troubled_at
        if isinstance(trouble, Throttled) and ago < trouble.retry_after:
            hint = trouble.hint
            raise Throttled(self.account, trouble.message, retry_after=trouble.retry_after - ago, hint=hint)
        if ago < _A_MOMENT:
            raise trouble

    def look_everywhere(self) -> None:
        """Have the next fetch list all folders anew and ask each of them, whatever they say of themselves."""
        self._folders = []
        self._synced.clear()

    def reread(self, places: Sequence[tuple[str, str]]) -> tuple[Message | Unreadable, ...]:
        """Read the items at (folder name, id) again; what is no longer there is left out."""
        folders = {folder.name: folder for folder in self._directory.refresh()}
        found: list[Message | Unreadable] = []
        for name in dict.fromkeys(name for name, _ in places):
            refs = [ref for folder, ref in places if folder == name] if name in folders else []
            while refs:
                harvest = self._reader.read(folders[name], refs, any_age=True)
                if harvest.trouble:
                    raise harvest.trouble
                found += [*harvest.items, *harvest.unreadable]
                refs = refs[len(harvest.reached) :]
        return tuple(found)

    def read_junk(self, since: datetime) -> tuple[Message, ...]:
        """What lies in the folders of junk and arrived since then, newest first, header only."""
        found: list[Message] = []
        for folder in self._directory.refresh():
            if folder.purpose is Purpose.JUNK:
                newest, _ = find(
                    self._link, folder.key, arrived("IsGreaterThanOrEqualTo", int(since.timestamp())), limit=MOST_JUNK
                )
                harvest = self._reader.read(folder, [ref for ref, _ in newest], any_age=True, head_only=True)
                if harvest.trouble:
                    raise harvest.trouble
                found += harvest.items
        return tuple(sorted(found, key=lambda mail: mail.received_at, reverse=True)[:MOST_JUNK])

    def wait(self, timeout: float) -> bool:
        """Wait on a second connection until something changes. False after `timeout` seconds, or where the server does
        not tell."""
        if self._stream is None:
            self._stream = Stream(self._settings, self._wake.set)
            self._stream.start()
        told = self._wake.wait(timeout) and not self._interrupted
        self._interrupted = False
        self._wake.clear()
        return told

    def interrupt(self) -> None:
        """Make a running `wait` return now. From any thread."""
        self._interrupted = True
        self._wake.set()

    def close(self) -> None:
        """Let go of the connections. The source connects again when asked."""
        stream, self._stream = self._stream, None
        if stream:
            stream.stop()
        self._link.drop()
        self._forget()

    # -- one look

    def _has_more(self, position: Position) -> bool:
        return any(
            place.has_past or not place.based or not self._is_quiet(key, place)
            for key, place in position.places.items()
        )

    def _is_quiet(self, key: str, place: Place) -> bool:
        """Whether a folder says that nothing changed since it was read up to this very state."""
        glance = self._glances.get(key)
        return glance is not None and bool(glance.changed) and self._synced.get(key) == (place.state, glance.changed)

    def _look(self, position: Position) -> None:
        """Which folders are there, and which of them changed?"""
        now = self._monotonic()
        if not self._folders or now - self._listed_at >= self._settings.folders_every:
            self._all = self._directory.refresh()
            self._folders = choose_folders(self._all, self._settings.only, self._settings.skip)
            self._listed_at = now
            if not self._folders:
                raise Misconfigured(self.account, "none of its folders is to be read", hint="correct `folders:`")
        self._recognise(position)
        self._glances = self._directory.glance([folder.key for folder in self._folders])
        self._settle(position)

    def _recognise(self, position: Position) -> None:
        """Is this the mailbox of the saved position? Raises OtherMailbox, or CursorExpired where the same mailbox has
        new ids: after a move to another organisation, say."""
        inbox = next((folder.key for folder in self._all if folder.purpose is Purpose.INBOX), "")
        known, position.inbox = position.inbox, inbox
        address, position.mailbox = position.mailbox, self._settings.mailbox.lower()
        if not known or known == inbox:
            return
        if address != position.mailbox:
            raise OtherMailbox(
                self.account,
                f"this account now opens another mailbox than before ({self._settings.mailbox})",
                hint="correct `mailbox:`; if the mailbox was replaced on purpose, give the account a new name",
            )
        raise CursorExpired(
            self.account, "the mailbox has new ids on its server", hint="nothing to do: the account is read again"
        )

    def _settle(self, position: Position) -> None:
        """Every watched folder has its place, and no other has one."""
        keys = {folder.key for folder in self._folders}
        for key in position.places.keys() - keys:
            del position.places[key]
        for key in keys & self._glances.keys():
            if key not in position.places:
                position.places[key] = Place(total=self._glances[key].total)
        self._folders = [folder for folder in self._folders if folder.key in position.places]
        inbox = next((folder for folder in self._all if folder.purpose is Purpose.INBOX), None)
        if not self._folders or (inbox and inbox.key in keys and inbox.key not in self._glances):
            raise Unavailable(
                self.account, "the Inbox cannot be opened", hint="look at the rights of this login on the mailbox"
            )

    # -- reading

    def _read(self, position: Position, found: _Found, limit: int) -> None:
        """Live mail, else the past. Raises ConnectorError, which leaves what was read before it in `found`."""
        for folder in self._folders:
            self._read_live(folder, position.places[folder.key], found, limit)
            if found.count >= limit:
                return
        if not found.count:
            self._read_past(position, found, limit)

    def _read_live(self, folder: Folder, place: Place, found: _Found, limit: int) -> None:
        """Everything that changed in a folder since its state, or as much of it as fits. A folder that is new to us
        gets its baseline: all that is there now is past."""
        if not place.based:
            self._take_baseline(folder, place)
        changed = self._glances[folder.key].changed
        while found.count < limit and place.based and not self._is_quiet(folder.key, place):
            page = sync_page(self._link, folder.key, place.state, limit - found.count)
            if page is None:
                place.start_over()
                self._take_baseline(folder, place)
                return
            self._read_page(folder, place, page, found)
            if not page.is_empty:
                place.state = page.state
            if page.is_last:
                self._synced[folder.key] = place.state, changed
                return

    def _read_page(self, folder: Folder, place: Place, page: Page, found: _Found) -> None:
        """The new items of a page. Raises ConnectorError; what was read before is noted as read ahead of the state."""
        left = [ref for ref in page.created if mark_of(ref) not in place.ahead]
        while left:
            harvest = self._reader.read(folder, left)
            found.add(harvest)
            place.note(harvest.arrived)
            place.ahead |= set(map(mark_of, harvest.reached))
            if harvest.trouble:
                raise harvest.trouble
            left = left[len(harvest.reached) :]
        if page.changed:
            found.changed += self._reader.remarks(folder, page.changed)
        found.removed += [(folder.name, ref) for ref in page.removed]
        place.ahead.clear()

    def _take_baseline(self, folder: Folder, place: Place) -> None:
        """Walk to the end of what is there, by ids and arrivals alone: from then on the state tells what is new."""
        for _ in range(_BASELINE_PAGES):
            page = sync_page(self._link, folder.key, place.state, MOST_CHANGES, arrivals=True)
            if page is None:
                place.state = ""
                continue
            place.state, place.newest = page.state, max(place.newest, page.newest)
            if page.is_last:
                place.based, place.total = True, self._glances[folder.key].total
                place.low = place.newest if place.total else FINISHED
                self._synced[folder.key] = place.state, self._glances[folder.key].changed
                return

    def _read_past(self, position: Position, found: _Found, limit: int) -> None:
        """The next older mails of the folder whose turn it is: the one read least far back. Some may be new all the
        same, see `Place.news_above`."""
        waiting = [one for one in self._folders if (place := position.places[one.key]).based and place.has_past]
        waiting.sort(key=lambda one: -position.places[one.key].low)
        for folder in waiting:
            place = position.places[folder.key]
            skip = place.tied | place.late
            window = find_arrivals(
                self._link, folder.key, since=self._since, before=place.low + 1, limit=limit, skip=skip
            )
            if not window:
                place.finish()
                continue
            news = [one for one in window if one[1] > place.news_above] if place.news_above else []
            chosen = news or window
            harvest = self._reader.read(folder, [ref for ref, _ in chosen])
            found.add(harvest)
            found.backfill = not news
            place.advance(chosen[: len(harvest.reached)])
            if len(window) < limit and len(harvest.reached) == len(window):
                place.finish()
            return
