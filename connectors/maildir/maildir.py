"""A Maildir with its folders (Maildir++: `.Sent`, `.Clients.Acme`), read-only: nothing is moved from new to cur.

A mail is named by the unique part of its file name, which outlives flags and the move from new to cur
(https://cr.yp.to/proto/maildir.html); its arrival is the time of the file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from connectors.categories import categories_in
from connectors.folders import Folder, decode_name, folder_of, give_purposes
from connectors.maildir.files import Listings, load_file, require_folder
from connectors.maildir.keywords import read_keywords
from connectors.shelf import Content, Entry

__all__ = ["FLAGS", "MaildirShelf", "unique_name"]

FLAGS = {"D": "\\Draft", "F": "\\Flagged", "P": "$Forwarded", "R": "\\Answered", "S": "\\Seen", "T": "\\Deleted"}


_LOOKS = 2


class MaildirShelf:
    """The mails of one Maildir."""

    def __init__(self, account: str, path: Path) -> None:
        self._account = account
        self._root = path
        self._paths: dict[str, dict[str, Path]] = {}
        self._listings = Listings()

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
        directories = [self._root / folder.key / place for place in ("new", "cur")]
        return self._listings.entries(folder.key, directories, lambda: self._list(folder, directories))

    def _list(self, folder: Folder, directories: Sequence[Path]) -> list[Entry]:
        entries, paths = {}, {}
        for directory in directories:
            with os.scandir(directory) as listing:
                for file in listing:
                    if file.name.startswith("."):
                        continue
                    try:
                        at = file.stat().st_mtime_ns
                    except FileNotFoundError:
                        continue  # a mail program renamed it this moment: it is listed under its new name, or next time
                    ref = unique_name(file.name)
                    entries[ref] = Entry(max(0, at), ref)
                    paths[ref] = Path(file.path)
        self._paths[folder.key] = paths
        return list(entries.values())

    def load(self, folder: Folder, entry: Entry) -> Content | None:
        """One mail; None if it has gone."""
        path = self._paths.get(folder.key, {}).get(entry.ref)
        content = load_file(path, _flags(path)) if path else None
        if content is not None:
            return content
        # Renamed since it was listed: a flag was set, or it went from new to cur, maybe while we look.
        for _ in range(_LOOKS):
            path = self._find(folder, entry.ref)
            content = load_file(path, _flags(path)) if path else None
            if content is not None:
                return content
        return None

    def marks(self, folder: Folder) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """ref -> (flags, categories) of the files that bear a letter, by their names."""
        paths = self._paths.get(folder.key, {})
        words = read_keywords(self._root / folder.key)
        found = {}
        for ref, path in paths.items():
            letters = path.name.partition(":2,")[2]
            if "F" in letters or not words.keys().isdisjoint(letters):
                flags = tuple(FLAGS[letter] for letter in letters if letter in FLAGS)
                found[ref] = (flags, categories_in(words[letter] for letter in letters if letter in words))
        return found

    def _find(self, folder: Folder, ref: str) -> Path | None:
        for place in ("new", "cur"):
            with os.scandir(self._root / folder.key / place) as listing:
                for file in listing:
                    if unique_name(file.name) == ref:
                        return Path(file.path)
        return None


def unique_name(name: str) -> str:
    """The part of a file name that never changes."""
    return name.partition(":")[0]


def _flags(path: Path) -> tuple[str, ...]:
    """Flags and, where a Dovecot keeps them, keywords."""
    letters = path.name.partition(":2,")[2]
    words = read_keywords(path.parent.parent) if any(letter.islower() for letter in letters) else {}
    return tuple(known for letter in letters if (known := FLAGS.get(letter) or words.get(letter)))


def _is_maildir(path: Path) -> bool:
    return (path / "cur").is_dir() and (path / "new").is_dir()


def _folder(path: Path) -> Folder:
    return folder_of(path.name, decode_name(path.name[1:].encode("utf-8", "surrogateescape").decode("latin-1"))
                     .replace(".", "/"), "/")  # fmt: skip
