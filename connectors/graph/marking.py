"""A rule's marks on a rep's mail: categories with their entry in the mailbox's list, a flag with its day, a folder.

Every change names the version it was made from (If-Match), so a category that the rep adds at the same moment stays.
Whether the mail was read is never part of a change.
"""

from __future__ import annotations

from datetime import date

from connectors.categories import fold_category, tidy_category
from connectors.folders import Purpose
from connectors.graph.client import Garbled, GraphClient, Json, Lost, Refused
from connectors.graph.folders import Listing, list_folders, make_path, well_known
from connectors.graph.mails import categories_of, clean_id, flags_of, mail_path
from connectors.graph.places import by_message_id
from connectors.graph.reader import is_gone
from connectors.model import Marked, Marks

__all__ = ["Marking"]

_SELECT = "id,internetMessageId,parentFolderId,categories,flag,isDraft"
_COLOR = "preset7"
_TRIES = 3


class Marking:
    """Marks mails of one mailbox. Errors are those of `GraphClient`."""

    def __init__(self, client: GraphClient) -> None:
        self._client = client
        self._purposes: dict[str, Purpose] = {}
        self._listed_categories: set[str] | None = None

    def mark(self, folder: str, ref: str, message_id: str, marks: Marks) -> Marked:
        """Do it; `Marked()` where the mail is no longer in the mailbox."""
        self._purposes = self._purposes or well_known(self._client)
        listing = list_folders(self._client, self._purposes)
        row = self._find(listing, folder, ref, message_id)
        if row is None:
            return Marked()
        self._list_categories(marks.add)
        row = self._change(row, marks)
        if marks.move:
            row = self._move(row, listing, marks.move)
            listing = list_folders(self._client, self._purposes)
        place = next((one.name for one in listing.folders if one.key == row.get("parentFolderId")), folder)
        return Marked(folder=place, ref=str(row["id"]))

    # -- which mail

    def _find(self, listing: Listing, folder: str, ref: str, message_id: str) -> Json | None:
        """By its id, else by its Message-ID; one without is known by its place alone."""
        trash = {one.key for one in listing.folders if one.purpose is Purpose.TRASH}
        there = self._read(ref)
        if not message_id:
            key = next((one.key for one in listing.folders if one.name == folder), None)
            return there if there and there.get("parentFolderId") == key else None
        if there and clean_id(there.get("internetMessageId")) == message_id:
            return None if there.get("parentFolderId") in trash else there
        found = by_message_id(self._client, message_id)
        return next((row for row in found if row.get("parentFolderId") not in trash and not row.get("isDraft")), None)

    def _read(self, ref: str) -> Json | None:
        try:
            return self._client.get(mail_path(ref), {"$select": _SELECT}) if ref else None
        except Refused as error:
            if is_gone(error):
                return None
            raise

    # -- categories and flag

    def _change(self, row: Json, marks: Marks) -> Json:
        for attempt in range(1, _TRIES + 1):
            changes = _changes(row, marks)
            if not changes:
                return row
            try:
                path = mail_path(str(row["id"]))
                return {**row, **self._client.patch(path, changes, etag=str(row.get("@odata.etag") or ""))}
            except Refused as error:
                if error.status != 412 or attempt == _TRIES:
                    raise
            row = self._read(str(row["id"])) or row
        raise AssertionError("unreachable")

    def _list_categories(self, names: tuple[str, ...]) -> None:
        """See to it that the mailbox's own list names them, so that Outlook shows their colour and offers them. Without
        the right to that list (MailboxSettings.ReadWrite) categories hold all the same."""
        wanted = _by_folded_name(names)
        try:
            if wanted and self._listed_categories is None:
                rows = self._client.pages("/outlook/masterCategories", {})
                self._listed_categories = {fold_category(str(row.get("displayName"))) for row in rows}
            for folded, name in wanted.items():
                if folded not in (self._listed_categories or ()):
                    self._add_category(name)
                    self._listed_categories = {*(self._listed_categories or ()), folded}
        except Refused as error:
            if error.status != 403:
                raise

    def _add_category(self, name: str) -> None:
        try:
            self._client.post("/outlook/masterCategories", {"displayName": name, "color": _COLOR})
        except Refused as error:
            if error.status not in (400, 409):  # it is there, or the list is full
                raise
        except Lost:
            return  # it is there, or the next mark adds it

    # -- folder

    def _move(self, row: Json, listing: Listing, path: str) -> Json:
        key = make_path(self._client, listing.folders, path)
        if not key:
            raise Garbled(f"no name for a folder in {path[:80]!r}")
        if row.get("parentFolderId") == key:
            return row
        try:
            return self._client.post(f"{mail_path(str(row['id']))}/move", {"destinationId": key})
        except Lost:
            now = self._read(str(row["id"]))
            if now is None or now.get("parentFolderId") != key:
                raise
            return now


def _changes(row: Json, marks: Marks) -> Json:
    """What is to be changed of a mail; {} if it is as wanted."""
    changes: Json = {}
    before = categories_of(row)
    gone = {fold_category(name) for name in marks.remove}
    after = [name for name in before if fold_category(name) not in gone]
    have = {fold_category(name) for name in after}
    after += [name for folded, name in _by_folded_name(marks.add).items() if folded not in have]
    if list(before) != after:
        changes["categories"] = after
    if marks.unflag and "\\Flagged" in flags_of(row):
        changes["flag"] = {"flagStatus": "notFlagged"}
    if marks.flag and _due(row) != marks.flag:
        day = {"dateTime": f"{marks.flag.isoformat()}T12:00:00", "timeZone": "UTC"}  # the same day nearly everywhere
        changes["flag"] = {"flagStatus": "flagged", "startDateTime": day, "dueDateTime": day}
    return changes


def _by_folded_name(names: tuple[str, ...]) -> dict[str, str]:
    """Each category once, as it is first written."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(fold_category(name), tidy_category(name))
    return found


def _due(row: Json) -> date | None:
    flag = row.get("flag") or {}
    told = str((flag.get("dueDateTime") or {}).get("dateTime", ""))[:10]
    try:
        return date.fromisoformat(told) if "\\Flagged" in flags_of(row) else None
    except ValueError:
        return None
