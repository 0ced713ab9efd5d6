"""Reads one Microsoft 365 mailbox: what is new first, then the past, newest first. Never changes anything there.

What is new comes from the delta query of each folder (Microsoft, "Get incremental changes to messages in a folder"),
which names mails without their text; only those that are new are read. The past is read in pages by receivedDateTime.
Inbox and Sent are asked at each fetch, the other folders and the list of folders at intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from connectors.errors import Misconfigured, OtherMailbox
from connectors.folders import Folder, Purpose, choose_folders, missing_names
from connectors.graph.client import Garbled, GraphClient, Json, Refused, entries
from connectors.graph.cursor import Place, Position, digest_of
from connectors.graph.folders import Listing, list_folders, well_known
from connectors.graph.hashes import Hashes, hash_of
from connectors.graph.mails import BRIEF, remark, second_of
from connectors.graph.reader import PAGE, Harvest, Reader, is_gone
from connectors.graph.settings import GraphSettings
from connectors.graph.trouble import is_expired, translated
from connectors.model import Batch, Cursor, FolderRole, Message, Remark, Unreadable
from connectors.protocols import MOST_JUNK, Parser

__all__ = ["GraphSource"]

_LISTING = 20
"""Pages of a listing, or of changes, that one fetch follows: then its position is worth saving."""
_PER_PAGE = 200
_BATCH_BYTES = 32 << 20
_AUDIT_EVERY = 6 * 3600.0
_ALWAYS = (Purpose.INBOX, Purpose.SENT)


@dataclass(slots=True)
class _News:
    """What the delta queries of one fetch told beside new mail."""

    removed: list[tuple[str, str]] = field(default_factory=list)
    changed: list[Remark] = field(default_factory=list)


class GraphSource:
    """A `Source` on one mailbox in Microsoft 365; see `connectors.protocols` for the promises."""

    def __init__(self, settings: GraphSettings, parser: Parser, *, heard: Callable[[], None] = lambda: None) -> None:
        self._first = f"{settings.since or date(1900, 1, 1)}T00:00:00Z"
        self._settings = settings
        self._client = GraphClient(settings, heard)
        self._parser = parser
        self._reader = Reader(settings, self._client, parser)
        self._purposes: dict[str, Purpose] = {}
        self._listing = Listing((), {})
        self._looked_at: float | None = None
        self._asked_at: dict[str, float] = {}
        self._off: dict[str, int] = {}
        self._audited_at: dict[str, float] = {}
        self._audits: dict[str, float] = {}
        self._newer: dict[str, str] = {}
        self._last: tuple[bytes, Position] = (b"", Position())

    @property
    def account(self) -> str:
        """The account's name in quietcrm.yaml."""
        return self._settings.account

    def check(self) -> tuple[str, ...]:
        """Sign in and list the folders; says what is read and what of the settings fits nothing."""
        with translated(self.account, self._client.where):
            listing = self._list()
        chosen = self._choose(listing)
        count = sum(listing.counts.get(folder.key, 0) for folder in chosen)
        findings = [f"reads {len(chosen)} of {len(listing.folders)} folders, {count} messages"]
        names = (*self._settings.only, *self._settings.skip)
        findings += [f"no folder is called {name!r}" for name in missing_names(listing.folders, names)]
        if not any(folder.role is FolderRole.SENT for folder in chosen):
            findings.append("no folder of sent mail was found: replies from the mail program are not seen")
        return tuple(findings)

    def fetch(self, cursor: Cursor | None, *, limit: int) -> Batch:
        """Read up to `limit` messages: new ones of every folder first, else the next older ones."""
        position = self._position(cursor)
        with translated(self.account, self._client.where):
            try:
                batch = self._fetch(position, max(1, limit))
            except Refused as error:
                if not is_gone(error):
                    raise
                self.look_everywhere()  # a folder was deleted since the last look
                batch = self._fetch(position, max(1, limit))
        self._last = (digest_of(batch.cursor), position)
        self._audited_at.update(self._audits)  # only now is the position kept in which they began
        return batch

    def look_everywhere(self) -> None:
        """Have the next fetch list the folders anew and ask all of them, however lately that was done."""
        self._looked_at = None
        self._asked_at.clear()

    def reread(self, places: Sequence[tuple[str, str]]) -> tuple[Message | Unreadable, ...]:
        """Read the mails at (folder name, id) again; what is no longer there is left out."""
        harvest = Harvest()
        with translated(self.account, self._client.where):
            folders = {folder.name: folder for folder in self._list().folders}
            for name in dict.fromkeys(name for name, _ in places):
                if name in folders:
                    refs = [ref for folder, ref in places if folder == name and _is_ref(ref)]
                    self._reader.fetch(folders[name], refs, harvest)
        harvest.settle()
        return (*harvest.items, *harvest.unreadable)

    def read_junk(self, since: datetime) -> tuple[Message, ...]:
        """What lies in the Junk folder and arrived since then, newest first, header only."""
        with translated(self.account, self._client.where):
            folders = [folder for folder in self._list().folders if folder.purpose is Purpose.JUNK]
            raws = [raw for folder in folders for raw in self._reader.junk(folder, since)]
        found = self._parser.parse(raws) if raws else []
        mails = (item for item in found if isinstance(item, Message))
        return tuple(sorted(mails, key=lambda mail: mail.received_at, reverse=True)[:MOST_JUNK])

    def close(self) -> None:
        """Close the connections. The next fetch connects and looks at everything again."""
        self._client.close()
        self.look_everywhere()

    # -- one look and one window

    def _position(self, cursor: Cursor | None) -> Position:
        """The saved position; the one just returned is at hand and need not be read again."""
        (digest, position), self._last = self._last, (b"", Position())
        return position if cursor is not None and digest == digest_of(cursor) else Position.load(cursor, self.account)

    def _fetch(self, position: Position, limit: int) -> Batch:
        folders = self._look(position)
        news = _News()
        for folder in folders:
            if self._is_due(folder, position.places[folder.key]):
                self._advance(folder, position.places[folder.key], limit, news)
        harvest = self._read_new(folders, position, limit)
        backfill = not harvest.items and not harvest.unreadable and not any(map(_is_listed_still, _places(position)))
        if backfill:
            harvest = self._read_past(folders, position, limit)
        return Batch(
            items=tuple(harvest.items),
            unreadable=tuple(harvest.unreadable),
            cursor=position.save(),
            more=any(place.waiting or place.low or place.midway for place in position.places.values()),
            backfill=backfill and bool(harvest.items or harvest.unreadable),
            folders=tuple(folder.name for folder in folders),
            removed=tuple(news.removed),
            changed=tuple(news.changed),
            progress=position.progress(),
        )

    def _look(self, position: Position) -> list[Folder]:
        """The folders to read, each with its place. Raises OtherMailbox, Misconfigured."""
        now = self._settings.pace.monotonic()
        if self._looked_at is None or now - self._looked_at >= self._settings.folders_every:
            self._listing = self._list()
            self._looked_at = now
            self._audit(position)
        folders = self._choose(self._listing)
        self._recognise(position)
        for key in position.places.keys() - {folder.key for folder in folders}:
            del position.places[key]
        for folder in folders:
            position.places.setdefault(folder.key, Place())
        if not folders:
            raise Misconfigured(self.account, "none of its folders is to be read", hint="correct `folders:`")
        return folders

    def _list(self) -> Listing:
        self._purposes = self._purposes or well_known(self._client)
        return list_folders(self._client, self._purposes)

    def _choose(self, listing: Listing) -> list[Folder]:
        return choose_folders(listing.folders, self._settings.only, self._settings.skip)

    def _recognise(self, position: Position) -> None:
        """Is this the mailbox of the saved position? Ids of folders never change."""
        inbox = next((key for key, purpose in self._purposes.items() if purpose is Purpose.INBOX), "")
        if position.mailbox and inbox != position.mailbox:
            raise OtherMailbox(
                self.account,
                "the sign-in now opens another mailbox than before",
                hint="correct `login:`; if the mailbox was replaced on purpose, give the account a new name",
            )
        position.mailbox = inbox

    # -- changes

    def _audit(self, position: Position) -> None:
        """A mail that was moved out and back may be missing from the changes ever after. Where the service counts
        others than we do, twice and by the same number, the folder is listed again."""
        now = self._settings.pace.monotonic()
        self._audits = {}
        for key, place in position.places.items():
            off = 0 if place.midway else self._listing.counts.get(key, 0) - len(place.known)
            due = now - self._audited_at.get(key, -_AUDIT_EVERY) >= _AUDIT_EVERY
            if off and off == self._off.get(key) and due:
                self._audits[key] = now
                place.begin_again()
            self._off[key] = off

    def _is_due(self, folder: Folder, place: Place) -> bool:
        """Inbox and Sent always; the others at intervals, or in the middle of their changes."""
        now = self._settings.pace.monotonic()
        last = self._asked_at.get(folder.key)
        rests = last is not None and now - last < self._settings.folders_every
        if rests and not place.midway and folder.purpose not in _ALWAYS:
            return False
        self._asked_at[folder.key] = now
        return True

    def _advance(self, folder: Folder, place: Place, limit: int, news: _News) -> None:
        """Follow the changes of a folder, or its listing, for some pages. A link that has died is no trouble."""
        for _ in range(_LISTING):
            if len(place.waiting) >= limit:
                return
            page = self._changes(folder, place)
            if page is None:
                continue
            rows = entries(page)
            self._note(folder, place, rows, news)
            link, end = str(page.get("@odata.nextLink") or ""), str(page.get("@odata.deltaLink") or "")
            if not link and not end:
                raise Garbled("a page of changes without a link")
            if end and not rows and not place.midway:
                self._newer[place.link] = end  # nothing to save: the position stays as it is
                return
            self._newer.pop(place.link, None)
            if end:
                place.note_end(end)
                return
            place.link, place.midway = link, True

    def _changes(self, folder: Folder, place: Place) -> Json | None:
        """The next page; None where the link has died, so that the folder has to be listed again."""
        prefer = (f"odata.maxpagesize={_PER_PAGE}",)
        try:
            if place.link:
                return self._client.get(self._newer.get(place.link, place.link), prefer=prefer)
            return self._client.get(f"/mailFolders/{folder.key}/messages/delta", {"$select": BRIEF}, prefer=prefer)
        except Refused as error:
            if not is_expired(error):
                raise
        self._newer.pop(place.link, None)
        place.begin_again()
        return None

    def _note(self, folder: Folder, place: Place, rows: list[Json], news: _News) -> None:
        """Sort the entries of a page: gone, new, or known and perhaps marked otherwise."""
        for row in rows:
            ref = str(row.get("id"))
            name = hash_of(ref)
            if "@removed" in row:
                self._note_removed(folder, place, ref, name, news)
                continue
            if place.met is not None:
                place.met.add(name)
            if name in place.known:
                news.changed += self._remarks(folder, place, row)
            elif not row.get("isDraft"):
                self._note_new(place, row, ref, name)

    def _note_new(self, place: Place, row: Json, ref: str, name: int) -> None:
        place.known.add(name)
        wanted = not row.get("receivedDateTime") or second_of(row) >= self._first
        if place.fresh:
            place.total += wanted
        elif wanted:
            place.waiting.append(ref)
            if place.low:
                place.late.add(name)

    def _note_removed(self, folder: Folder, place: Place, ref: str, name: int, news: _News) -> None:
        if name in place.known:
            place.known.discard(name)
            place.late.discard(name)
            news.removed.append((folder.name, ref))
        if place.met is not None:
            place.met.discard(name)
        if ref in place.waiting:
            place.waiting.remove(ref)

    def _remarks(self, folder: Folder, place: Place, row: Json) -> Iterator[Remark]:
        """A change may name only what has changed, so what is missing is asked for."""
        if place.met is not None or str(row["id"]) in place.waiting:
            return
        if not {"categories", "flag", "isRead", "internetMessageId"} <= row.keys():
            found = self._reader.marks(str(row["id"]))
            if found is None:
                return
            row = found
        yield remark(folder, row)

    # -- mails

    def _read_new(self, folders: Sequence[Folder], position: Position, limit: int) -> Harvest:
        """What waits, the oldest first, of one folder after the other."""
        harvest = Harvest()
        for folder in folders:
            place = position.places[folder.key]
            while place.waiting and limit and harvest.size < _BATCH_BYTES:
                refs = place.waiting[: min(limit, PAGE)]
                self._reader.fetch(folder, refs, harvest)
                del place.waiting[: len(refs)]
                limit -= len(refs)
        harvest.settle()
        return harvest

    def _read_past(self, folders: Sequence[Folder], position: Position, limit: int) -> Harvest:
        """The next older mails of the folder whose turn it is: the one read least far back."""
        harvest = Harvest()
        waiting = [folder for folder in folders if position.places[folder.key].low]
        for folder in sorted(waiting, key=lambda one: position.places[one.key].low, reverse=True):
            place = position.places[folder.key]
            while place.low and limit and harvest.size < _BATCH_BYTES:
                limit -= self._read_page(folder, place, limit, harvest)
            if harvest.futures or harvest.unreadable:
                break
        harvest.settle()
        return harvest

    def _read_page(self, folder: Folder, place: Place, limit: int, harvest: Harvest) -> int:
        """The next page of a back-fill; how many mails it gave."""
        rows, link = self._reader.page(folder, self._first, place.low, min(PAGE, limit + len(place.ties)))
        taken: list[Json] = []
        while True:
            taken += [row for row in rows if _is_unread(place, row)][: limit - len(taken)]
            if taken or not link:
                break
            rows, link = self._reader.follow(link)  # more mails of one second than a page holds
        self._reader.gather(folder, taken, harvest)
        for row in taken:
            at = second_of(row)
            if at != place.low:
                place.low, place.ties = at, Hashes()
            place.ties.add(hash_of(str(row["id"])))
        place.done += len(taken)
        if not link and not any(_is_unread(place, row) for row in rows):
            place.low, place.total = "", place.done
            place.ties, place.late = Hashes(), Hashes()
        return len(taken)


def _places(position: Position) -> list[Place]:
    return list(position.places.values())


def _is_listed_still(place: Place) -> bool:
    """While any folder's first listing runs nobody knows which mail is the newest."""
    return place.fresh


def _is_unread(place: Place, row: Json) -> bool:
    """Whether the back-fill has still to read this mail: one that came later is new, and read as that."""
    name = hash_of(str(row["id"]))
    done = second_of(row) > place.low or name in place.ties
    return name in place.known and name not in place.late and not done


def _is_ref(text: str) -> bool:
    """Whether this can be an id of the service, which goes into an address."""
    return bool(text) and all(char.isalnum() or char in "-_=" for char in text)
