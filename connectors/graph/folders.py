"""The folders of a mailbox: one flat list with the paths and purposes that people know them by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.folders import Folder, Purpose
from connectors.graph.client import GraphClient, Json, Refused

__all__ = ["DELIMITER", "Listing", "list_folders", "make_path", "named", "shown_name", "well_known"]

DELIMITER = "/"
_SELECT = "id,displayName,parentFolderId,totalItemCount"
_PURPOSES = {
    "inbox": Purpose.INBOX,
    "sentitems": Purpose.SENT,
    "drafts": Purpose.DRAFTS,
    "deleteditems": Purpose.TRASH,
    "junkemail": Purpose.JUNK,
    "outbox": Purpose.VIEW,
    "syncissues": Purpose.VIEW,
    "conversationhistory": Purpose.VIEW,
}
"""Well-known names (Microsoft, "mailFolder resource type") and what they are for. What lies in the Outbox is on its
way to Sent; the last two hold the mail program's own records."""
_INHERITED = (Purpose.TRASH, Purpose.JUNK, Purpose.VIEW)


@dataclass(frozen=True, slots=True)
class Listing:
    """Folders, and how many mails each holds by the service's count. `Folder.key` is the id, which never changes."""

    folders: tuple[Folder, ...]
    counts: Mapping[str, int]


def well_known(client: GraphClient) -> dict[str, Purpose]:
    """Folder id -> purpose. A mailbox need not have them all."""
    found = {}
    for name, purpose in _PURPOSES.items():
        if (folder := named(client, name)) is not None:
            found[str(folder["id"])] = purpose
    return found


def named(client: GraphClient, name: str) -> Json | None:
    """One folder by its well-known name; None if the mailbox has none."""
    try:
        return client.get(f"/mailFolders/{name}", {"$select": _SELECT})
    except Refused as error:
        if error.status == 404 and error.code.lower() in ("erroritemnotfound", "errorfoldernotfound"):
            return None
        raise


def list_folders(client: GraphClient, purposes: Mapping[str, Purpose]) -> Listing:
    """Every folder, at whatever depth: the list of changes since ever names them all at once."""
    rows: dict[str, Json] = {}
    for row in client.pages("/mailFolders/delta", {"$select": _SELECT}, prefer=("odata.maxpagesize=500",)):
        if "@removed" in row:
            rows.pop(str(row.get("id")), None)
        elif "mailSearchFolder" not in str(row.get("@odata.type", "")):
            rows.setdefault(str(row["id"]), {}).update(row)
    folders = []
    for key in rows:
        line = _line(key, rows)
        name = DELIMITER.join(shown_name(rows[one], purposes.get(one)) for one in reversed(line))
        inherited = (purposes[one] for one in line if purposes.get(one) in _INHERITED)
        purpose = purposes.get(key) or next(inherited, Purpose.PLAIN)
        folders.append(Folder(key=key, name=name, delimiter=DELIMITER, purpose=purpose))
    counts = {key: int(row.get("totalItemCount") or 0) for key, row in rows.items()}
    return Listing(tuple(folders), counts)


def shown_name(row: Json, purpose: Purpose | None) -> str:
    """The name for people. The Inbox is INBOX, as everywhere in quietcrm, whatever language the mailbox speaks."""
    return "INBOX" if purpose is Purpose.INBOX else str(row.get("displayName", ""))


def _line(key: str, rows: Mapping[str, Json]) -> list[str]:
    """A folder and those above it, as far as they are listed: the root is not."""
    line: list[str] = []
    while key in rows and key not in line:
        line.append(key)
        key = str(rows[key].get("parentFolderId"))
    return line


def make_path(client: GraphClient, folders: tuple[Folder, ...], path: str) -> str:
    """The id of the folder with this path ("CRM/Pedidos"), made level by level where it is missing. Case is ignored."""
    parts = [part.strip() for part in path.split(DELIMITER) if part.strip()]
    by_name = {folder.name.casefold(): folder.key for folder in folders}
    key = ""
    for depth in range(1, len(parts) + 1):
        known = by_name.get(DELIMITER.join(parts[:depth]).casefold())
        key = known or _make(client, key, parts[depth - 1])
    return key


def _make(client: GraphClient, parent: str, name: str) -> str:
    below = f"/mailFolders/{parent}/childFolders" if parent else "/mailFolders"
    try:
        return str(client.post(below, {"displayName": name})["id"])
    except Refused as error:
        if error.status != 409:  # ErrorFolderExists: somebody was faster, or it is not listed yet
            raise
    same = (row for row in client.pages(below, {"$select": _SELECT, "$top": "100"}) if row.get("displayName"))
    return next(str(row["id"]) for row in same if str(row["displayName"]).casefold() == name.casefold())
