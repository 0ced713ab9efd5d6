"""Reads one IMAP account: what is new first, then the past, newest first. Never changes anything there."""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from connectors.errors import Misconfigured, OtherMailbox, Unavailable
from connectors.folders import Folder, Purpose, choose_folders, missing_names
from connectors.imap.changes import Changes
from connectors.imap.connection import Connection, Standing
from connectors.imap.cursor import Place, Position
from connectors.imap.identity import Verdict, is_renumbered, is_shaken, judge, search_day
from connectors.imap.idle import IdleLine
from connectors.imap.junk import read_folder
from connectors.imap.link import Link
from connectors.imap.reader import Harvest, Reader
from connectors.imap.settings import ImapSettings
from connectors.imap.trouble import translated
from connectors.imap.wire import Garbled, Refused
from connectors.model import Batch, Cursor, FolderRole, Message, Remark, Unreadable
from connectors.protocols import MOST_JUNK, Parser

__all__ = ["ImapSource"]

_FEW_FOLDERS = 30


@dataclass(slots=True)
class _Past:
    """UIDs of a folder's back-fill, ascending, complete below `bound`."""

    uidvalidity: int
    bound: int
    uids: array[int]


class ImapSource:
    """A `Source` and `Wakeable` on one IMAP account; see `connectors.protocols` for the promises."""

    def __init__(
        self,
        settings: ImapSettings,
        parser: Parser,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._link = Link(settings, heard)
        self._parser = parser
        self._reader = Reader(self._link, parser)
        self._idle = IdleLine(settings)
        self._monotonic = monotonic
        self._folders: list[Folder] = []
        self._standings: dict[str, Standing] = {}
        self._looked_at = 0.0
        self._swept_at = 0.0
        self._past: dict[str, _Past] = {}
        self._changes = Changes()
        self._told: dict[tuple[str, int], int] = {}
        self._recent_at = -1.0

    @property
    def account(self) -> str:
        """The account's name in quietcrm.yaml."""
        return self._settings.account

    @property
    def connections_opened(self) -> int:
        """How many working connections there have been."""
        return self._link.opened

    def check(self) -> tuple[str, ...]:
        """Log in and list the folders; says what is read and what of the settings fits nothing."""
        self._link.renew()
        with translated(self.account, self._link.where):
            folders, standings = self._link.connection().list_folders()
        chosen = self._choose(folders)
        count = sum(standings[folder.key].messages for folder in chosen if folder.key in standings)
        findings = [f"reads {len(chosen)} of {len(folders)} folders, {count} messages"]
        for name in missing_names(folders, (*self._settings.only, *self._settings.skip)):
            findings.append(f"no folder is called {name!r}")
        if not any(folder.role is FolderRole.SENT for folder in chosen):
            findings.append("no folder of sent mail was found: replies from the mail program are not seen")
        if not any(folder.purpose is Purpose.DRAFTS for folder in folders):
            findings.append("no Drafts folder was found: drafts cannot be laid there")
        if "IDLE" not in self._link.connection().capabilities:
            findings.append("the server does not tell of new mail (no IDLE): it is asked at each interval")
        return tuple(findings)

    def fetch(self, cursor: Cursor | None, *, limit: int) -> Batch:
        """Read up to `limit` messages: new ones of every folder first, else the next older ones."""
        position = Position.load(cursor, self.account)
        self._link.renew()
        try:
            with translated(self.account, self._link.where):
                return self._fetch(position, max(1, limit))
        except BaseException:
            self._link.abandon()  # what is on the line now belongs to no question
            raise

    def look_everywhere(self) -> None:
        """Have the next fetch list all folders anew, however lately that was done."""
        self._folders = []

    def reread(self, places: Sequence[tuple[str, str]]) -> tuple[Message | Unreadable, ...]:
        """Read the mails at (folder name, "UIDVALIDITY:UID") again; what is no longer there is left out."""
        self._link.renew()
        try:
            with translated(self.account, self._link.where):
                folders = {folder.name: folder for folder in self._link.connection().list_folders()[0]}
                found: list[Message | Unreadable] = []
                for name in dict.fromkeys(name for name, _ in places):
                    if name in folders:
                        found += self._reread(folders[name], {ref for folder, ref in places if folder == name})
                return tuple(found)
        except BaseException:
            self._link.abandon()
            raise

    def _reread(self, folder: Folder, refs: set[str]) -> list[Message | Unreadable]:
        try:
            uidvalidity = self._link.connection().examine(folder.key).uidvalidity
        except Refused:
            return []
        parts = [ref.split(":") for ref in refs if ref.startswith(f"{uidvalidity}:")]
        uids = sorted(int(part[1]) for part in parts if len(part) == 2 and part[1].isdigit())
        found: list[Message | Unreadable] = []
        while uids:
            harvest = self._reader.read(folder, uidvalidity, uids, any_age=True)
            found += [*harvest.items, *harvest.unreadable]
            uids = uids[len(harvest.reached) :]
            if self._link.connection().open_key != folder.key:  # the line broke: the folder has to be opened again
                self._link.reopen(folder.key, uidvalidity)
        return found

    def read_junk(self, since: datetime) -> tuple[Message, ...]:
        """What lies in the folders of junk and arrived since then, newest first, header only."""
        self._link.renew()
        try:
            with translated(self.account, self._link.where):
                listed = self._link.connection().list_folders()[0]
                folders = [folder for folder in listed if folder.purpose is Purpose.JUNK and folder.selectable]
                found = [mail for one in folders for mail in read_folder(self._link, self._parser, one, since)]
        except BaseException:
            self._link.abandon()
            raise
        return tuple(sorted(found, key=lambda mail: mail.received_at, reverse=True)[:MOST_JUNK])

    def close(self) -> None:
        """Close both connections. The source connects again when asked."""
        self._link.drop()
        self._idle.close()

    def wait(self, timeout: float) -> bool:
        """Wait on a second connection until the Inbox changes. False after `timeout` seconds, or without IDLE."""
        with translated(self.account, self._link.where):
            return self._idle.wait(timeout)

    def interrupt(self) -> None:
        """Make a running `wait` return now. From any thread."""
        self._idle.interrupt()

    # -- one look and one window

    def _fetch(self, position: Position, limit: int) -> Batch:
        self._look_again(position)
        self._settle(position)
        names = tuple(folder.name for folder in self._folders)
        harvest = Harvest()
        for folder in self._folders:
            harvest = self._read_live(folder, position, limit)
            if harvest.reached:
                break
        backfill = not harvest.reached
        if backfill:
            harvest = self._read_past(position, limit)
        changed: list[Remark] = []
        if not harvest.reached:
            self._mind_the_inbox(position)
        if backfill:
            changed = self._changed(position)
        position.remember(harvest.marks)
        return Batch(
            items=tuple(harvest.items),
            unreadable=tuple(harvest.unreadable),
            cursor=position.save(),
            # Without any progress a caller that asks again at once would ask for ever.
            more=bool(harvest.reached) and self._has_more(position),
            backfill=backfill and bool(harvest.reached),
            folders=names,
            changed=tuple(changed),
            progress=position.progress(),
        )

    def _changed(self, position: Position) -> list[Remark]:
        """What is marked otherwise than before, once all mail is read. A change of no interest moves no position:
        then a poll that finds nothing writes nothing. A mail on which the line breaks costs only the telling."""
        found: list[Remark] = []
        try:
            for remarks in self._changed_by_folder(position):
                found += remarks
        except (OSError, Garbled, Refused):
            self._link.abandon()
        return found

    def _changed_by_folder(self, position: Position) -> Iterator[list[Remark]]:
        for folder in self._folders:
            place, standing = position.places.get(folder.key), self._standings.get(folder.key)
            if place is None or standing is None or standing.uidvalidity != place.uidvalidity or place.low > 1:
                continue
            if standing.modseq:
                yield self._changed_behind(folder, place, standing.modseq)
            elif folder.purpose is Purpose.INBOX and self._recent_at != self._looked_at:
                self._recent_at = self._looked_at
                yield self._changes.recent(self._link.connection(), folder, place.uidvalidity, place.live - 1)

    def _changed_behind(self, folder: Folder, place: Place, modseq: int) -> list[Remark]:
        key = (folder.key, place.uidvalidity)
        told = max(place.modseq, self._told.get(key, 0))
        if not place.modseq or modseq <= told:
            place.modseq = place.modseq or modseq
            return []
        self._told[key] = modseq
        connection = self._link.connection()
        found = self._changes.since(connection, folder, place.uidvalidity, place.low, place.live - 1, told)
        if found:
            place.modseq = modseq
        return found

    def _mind_the_inbox(self, position: Position) -> None:
        """When all else is read: an Inbox that cannot be opened for once was not read. Nobody may take that for a look
        into it. Raises Unavailable."""
        inbox = next((folder.key for folder in self._folders if folder.purpose is Purpose.INBOX), "")
        if inbox in position.places and inbox not in self._standings:
            hint = "quietcrm tries again by itself; if it lasts, look at the mail server"
            raise Unavailable(self.account, "the Inbox cannot be opened", hint=hint)

    def _has_more(self, position: Position) -> bool:
        return any(
            place.low > 1 or self._has_news(key, place)
            for key, place in position.places.items()
            if key in self._standings
        )

    def _has_news(self, key: str, place: Place) -> bool:
        standing = self._standings.get(key)
        return standing is not None and standing.uidvalidity == place.uidvalidity and standing.uidnext > place.live

    def _look_again(self, position: Position) -> None:
        """Look; if the connection died since the last time, on a new one: servers close what was silent for long."""
        was_up = self._link.is_up
        try:
            self._look(position)
        except TimeoutError:
            raise
        except (OSError, Garbled):
            if not was_up:
                raise
            self._link.abandon()
            self._look(position)

    def _look(self, position: Position) -> None:
        """Where do the folders stand? A NOOP while the Inbox is open and still, else a STATUS of each."""
        fresh = not self._link.is_up
        connection = self._link.connection()
        now = self._monotonic()
        due = fresh or not self._folders or now - self._looked_at >= self._settings.folders_every
        busy = any(place.low > 1 for place in position.places.values())
        if not due and not busy and not self._glance(connection):
            return
        if due:
            folders, standings = connection.list_folders()
            self._folders, self._standings = self._choose(folders), {}
            self._looked_at = now
        else:
            standings = connection.standings(self._worth_a_look(now))
        watched = {folder.key for folder in self._folders}
        self._standings |= {
            key: self._completed(connection, key, standing) for key, standing in standings.items() if key in watched
        }
        if fresh or is_shaken(self._standings, position):
            self._recognise(connection, position)

    def _worth_a_look(self, now: float) -> list[str]:
        """All folders, but of very many only the first few each time and all of them every ten seconds."""
        keys = [folder.key for folder in self._folders]
        if len(keys) <= _FEW_FOLDERS or now - self._swept_at >= 10.0:
            self._swept_at = now
            return keys
        return keys[:_FEW_FOLDERS]

    def _completed(self, connection: Connection, key: str, standing: Standing) -> Standing:
        """With UIDNEXT, where the server keeps it to itself (RFC 3501 lets it). With CONDSTORE (RFC 7162) an unchanged
        HIGHESTMODSEQ spares opening the folder."""
        if standing.uidnext or not standing.uidvalidity:
            return standing
        known = self._standings.get(key)
        if known and standing.modseq and (known.modseq, known.uidvalidity) == (standing.modseq, standing.uidvalidity):
            return known
        opened = connection.examine(key)
        last = connection.uids(1)[-1:] if opened.messages and not opened.uidnext else []
        return replace(standing, uidnext=opened.uidnext or (last[0] + 1 if last else 1), messages=opened.messages)

    def _choose(self, folders: list[Folder]) -> list[Folder]:
        return choose_folders(folders, self._settings.only, self._settings.skip)

    def _glance(self, connection: Connection) -> bool:
        """True if the first folder has changed or has to be opened anew, so all are worth a look."""
        first = self._folders[0].key
        if connection.open_key != first:
            known = self._standings.get(first)
            standing = connection.examine(first)
            return not (known and (standing.uidnext, standing.uidvalidity) == (known.uidnext, known.uidvalidity))
        return connection.noop()

    def _recognise(self, connection: Connection, position: Position) -> None:
        """Is this the mailbox of the saved position? Renumbered, its folders are scanned again. Raises OtherMailbox."""
        inbox = next((folder.key for folder in self._folders if folder.purpose is Purpose.INBOX), "")
        keys = [folder.key for folder in self._folders]
        verdict = judge(connection, keys, self._standings, position, inbox)
        if verdict is Verdict.OTHER:
            raise OtherMailbox(
                self.account,
                f"the login {self._settings.login} now opens another mailbox than before",
                hint="correct `login:`; if the mailbox was replaced on purpose, give the account a new name",
            )
        if verdict is Verdict.RENUMBERED:
            self._forget_renumbered(position)
        identity = self._standings[inbox].identity if inbox in self._standings else ""
        position.identity = identity or position.identity

    def _forget_renumbered(self, position: Position) -> None:
        """The mails are ours and the numbers are not: scan those folders again from the newest."""
        for key in {mark.folder for mark in position.marks}:
            if key in position.places and key in self._standings:
                position.places[key] = _new_place(self._confirmed(key, position.places[key], self._standings[key]))
        position.marks.clear()

    def _settle(self, position: Position) -> None:
        """Give every watched folder its place: new ones a baseline, renumbered ones a new scan. Others keep theirs."""
        for folder in self._folders:
            standing = self._standings.get(folder.key)
            if standing is None or not standing.uidvalidity:
                continue
            place = position.places.get(folder.key)
            if place is None or is_renumbered(place, standing):
                try:
                    baseline = self._confirmed(folder.key, place, standing)
                except Refused:  # listed and yet closed to us: it waits, the others go on
                    del self._standings[folder.key]
                    continue
                position.places[folder.key] = _new_place(baseline)
                position.marks = [mark for mark in position.marks if mark.folder != folder.key]
        gone = position.places.keys() - {folder.key for folder in self._folders}
        for key in gone:
            del position.places[key]
        if not self._folders:
            raise Misconfigured(self.account, "none of its folders is to be read", hint="correct `folders:`")
        if not position.places:
            raise Unavailable(self.account, "no folder can be opened", hint="look at the rights of this login")

    def _confirmed(self, key: str, place: Place | None, standing: Standing) -> Standing:
        """A baseline to rely on. Dovecot's STATUS shows a folder that is being renumbered as empty for a moment; taken
        at its word, all the old mail would be new afterwards. EXAMINE tells the truth."""
        if place is None and standing.messages:
            return standing
        opened = self._link.connection().examine(key)
        self._standings[key] = replace(opened, uidnext=opened.uidnext or standing.uidnext, modseq=standing.modseq)
        return self._standings[key]

    # -- reading

    def _open(self, folder: Folder, place: Place) -> bool:
        """Open a folder read-only. False if it refuses or was numbered anew this moment; the next look settles that."""
        connection = self._link.connection()
        if connection.open_key == folder.key:
            return True
        try:
            standing = connection.examine(folder.key)
        except Refused:
            self._standings.pop(folder.key, None)
            return False
        return standing.uidvalidity == place.uidvalidity

    def _read_live(self, folder: Folder, position: Position, limit: int) -> Harvest:
        place = position.places.get(folder.key)
        if place is None or not self._has_news(folder.key, place) or not self._open(folder, place):
            return Harvest()
        standing = self._standings[folder.key]
        uids = self._link.connection().uids(place.live, standing.uidnext - 1)
        window = uids[:limit]
        harvest = self._reader.read(folder, place.uidvalidity, window) if window else Harvest()
        if len(harvest.reached) == len(uids):
            place.live = max(standing.uidnext, place.live)
        else:
            place.live = harvest.reached[-1] + 1
        return harvest

    def _read_past(self, position: Position, limit: int) -> Harvest:
        """The next older mails of the folder whose turn it is: the one read least far back."""
        waiting = [folder for folder in self._folders if self._is_unread(position, folder)]
        waiting.sort(key=lambda folder: -(position.places[folder.key].low_at or 1 << 40))
        for folder in waiting:
            place = position.places[folder.key]
            if not self._open(folder, place):
                continue
            uids = self._past_uids(folder, place)
            end = bisect_left(uids, place.low)
            window = list(reversed(uids[max(0, end - limit) : end]))
            if not window:
                place.low = 0
                continue
            harvest = self._reader.read(folder, place.uidvalidity, window)
            place.done += len(harvest.reached)
            place.low = harvest.reached[-1] if end > len(harvest.reached) else 0
            place.low_at = min(harvest.oldest, place.low_at or harvest.oldest)
            return harvest
        return Harvest()

    def _is_unread(self, position: Position, folder: Folder) -> bool:
        place = position.places.get(folder.key)
        return place is not None and place.low > 1 and folder.key in self._standings

    def _past_uids(self, folder: Folder, place: Place) -> array[int]:
        past = self._past.get(folder.key)
        if past is None or past.uidvalidity != place.uidvalidity or past.bound < place.low:
            since = self._settings.since
            # A day of slack: servers read SINCE by their own zone. The exact check is on INTERNALDATE.
            criteria = b"SINCE " + search_day(since - timedelta(days=1)) if since else b""
            uids = self._link.connection().uids(1, place.low - 1, criteria)
            past = self._past[folder.key] = _Past(place.uidvalidity, place.low, array("Q", uids))
            place.total = place.done + len(uids)
        return past.uids


def _new_place(standing: Standing) -> Place:
    """The baseline: what comes from now on is new, everything there is old."""
    return Place(
        uidvalidity=standing.uidvalidity,
        live=standing.uidnext,
        low=standing.uidnext if standing.messages else 0,
        total=standing.messages,
        modseq=standing.modseq,
    )
