"""A Maildir with its folders (Maildir++: `.Sent`, `.Clients.Acme`), read-only: nothing is moved from new to cur.

A mail is named by the unique part of its file name, which outlives flags and the move from new to cur
(https://cr.yp.to/proto/maildir.html); its arrival is the time of the file.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from connectors.folders import Folder, decode_name, folder_of, give_purposes
from connectors.maildir.files import load_file, require_folder
from connectors.shelf import Content, Entry

__all__ = ["FLAGS", "MaildirShelf", "unique_name"]

FLAGS = {"D": "\\Draft", "F": "\\Flagged", "P": "$Forwarded", "R": "\\Answered", "S": "\\Seen", "T": "\\Deleted"}


_SETTLED = 2_000_000_000
"""Nanoseconds after which a folder's time stamp can be trusted."""


class MaildirShelf:
    """The mails of one Maildir."""

    def __init__(self, account: str, path: Path) -> None:
        self._account = account
        self._root = path
        self._paths: dict[tuple[str, str], Path] = {}
        self._listings: dict[str, tuple[tuple[int, int], list[Entry]]] = {}

    def folders(self) -> list[Folder]:
        """The Inbox and every sub-folder, Maildir++ names ("." between levels) or plain nested Maildirs."""
        require_folder(self._account, self._root)
        inbox = [folder_of("", "INBOX", "/")] if _is_maildir(self._root) else []
        found = [
            _folder(path) for path in sorted(self._root.iterdir()) if path.name.startswith(".") and _is_maildir(path)
        ]
        nested = [
            folder_of(str(path.relative_to(self._root)), str(path.relative_to(self._root)), "/")
            for path in sorted(self._root.iterdir())
            if not path.name.startswith(".") and path.name not in ("cur", "new", "tmp") and _is_maildir(path)
        ]
        return give_purposes([*inbox, *found, *nested])

    def entries(self, folder: Folder) -> list[Entry]:
        """All mails of a folder, new and seen; listed again only if new/ or cur/ changed."""
        looked_at = time.time_ns()
        state = self._state(folder)
        known = self._listings.get(folder.key)
        if known and known[0] == state:
            return known[1]
        listed = self._list(folder)
        # A folder that changed a moment ago may change again within the same tick of its time stamp.
        if max(state) < looked_at - _SETTLED:
            self._listings[folder.key] = (state, listed)
        else:
            self._listings.pop(folder.key, None)
        return listed

    def _state(self, folder: Folder) -> tuple[int, int]:
        path = self._root / folder.key
        return ((path / "new").stat().st_mtime_ns, (path / "cur").stat().st_mtime_ns)

    def _list(self, folder: Folder) -> list[Entry]:
        entries = {}
        for place in ("new", "cur"):
            with os.scandir(self._root / folder.key / place) as listing:
                for file in listing:
                    if file.name.startswith("."):
                        continue
                    try:
                        at = file.stat().st_mtime_ns
                    except FileNotFoundError:
                        continue  # a mail program renamed it this moment: it is listed under its new name, or next time
                    ref = unique_name(file.name)
                    entries[ref] = Entry(max(0, at), ref)
                    self._paths[folder.key, ref] = Path(file.path)
        return list(entries.values())

    def load(self, folder: Folder, entry: Entry) -> Content | None:
        """One mail; None if it has gone."""
        path = self._paths.get((folder.key, entry.ref))
        content = load_file(path, _flags(path.name)) if path else None
        if content is None:  # renamed since it was listed: a flag was set, or it went from new to cur
            self._list(folder)
            path = self._paths.get((folder.key, entry.ref))
            content = load_file(path, _flags(path.name)) if path else None
        return content


def unique_name(name: str) -> str:
    """The part of a file name that never changes."""
    return name.partition(":")[0]


def _flags(name: str) -> tuple[str, ...]:
    letters = name.partition(":2,")[2]
    return tuple(FLAGS[letter] for letter in letters if letter in FLAGS)


def _is_maildir(path: Path) -> bool:
    return (path / "cur").is_dir() and (path / "new").is_dir()


def _folder(path: Path) -> Folder:
    return folder_of(path.name, decode_name(path.name[1:].encode("utf-8", "surrogateescape").decode("latin-1"))
                     .replace(".", "/"), "/")  # fmt: skip
