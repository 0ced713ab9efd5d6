"""What `quietcrm doctor` asks of an IMAP mailbox beside reading it: folders with their roles, keywords."""

from __future__ import annotations

import re
from collections.abc import Iterator

from connectors.folders import Folder, Purpose, choose_folders
from connectors.imap.connection import Connection, connect
from connectors.imap.settings import ImapSettings
from connectors.imap.trouble import translated
from connectors.imap.wire import Refused, quote

__all__ = ["Remark", "visit"]

Remark = tuple[str, str]
"""(what was found, what to do about it: "" = all is well)."""
_PERMANENT = re.compile(rb"\[PERMANENTFLAGS \(([^)]*)\)", re.IGNORECASE)


def visit(settings: ImapSettings) -> Iterator[Remark]:
    """Look once, change nothing. Raises ConnectorError where nothing can be looked at."""
    connection = connect(settings)
    try:
        with translated(settings.account, f"{settings.host}:{settings.port}"):
            folders, _ = connection.list_folders()
            yield _roles(folders, choose_folders(folders, settings.only, settings.skip)), ""
            drafts = next((one for one in folders if one.purpose is Purpose.DRAFTS and one.selectable), None)
            if drafts is not None:
                yield _keywords(drafts, _permanent_flags(connection, drafts))
    finally:
        connection.close()


def _roles(folders: list[Folder], chosen: list[Folder]) -> str:
    """ "reads INBOX (inbox), Sent (sent), Clients; leaves out Drafts (drafts), Trash (trash)"."""
    read = {folder.key for folder in chosen}
    out = [_named(folder) for folder in folders if folder.key not in read and folder.selectable]
    kept = ", ".join(map(_named, chosen)) or "nothing"
    return f"reads {kept}" + (f"; leaves out {', '.join(out)}" if out else "")


def _named(folder: Folder) -> str:
    return folder.name if folder.purpose is Purpose.PLAIN else f"{folder.name} ({folder.purpose.value})"


def _permanent_flags(connection: Connection, folder: Folder) -> bytes | None:
    """PERMANENTFLAGS (RFC 3501 7.1) of Drafts, the one folder that is opened for writing anyway; None if not said."""
    try:
        answer = connection.wire.say(b"SELECT " + quote(folder.key))
    except Refused:
        return None
    connection.leave()
    found = next((match for line in answer.untagged if (match := _PERMANENT.search(line[0]))), None)
    return found[1] if found else None


def _keywords(folder: Folder, flags: bytes | None) -> Remark:
    if flags is None:
        return f"{folder.name} does not say which flags it keeps", "nothing to do: flags are not needed"
    if rb"\*" in flags:
        return "the server keeps keywords of our own", ""
    return "the server keeps no keywords of our own", "nothing to do: they are not needed yet"
