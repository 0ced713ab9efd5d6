"""A folder of .eml files, with its sub-folders. A mail is named by its path; its arrival is the time of the file."""

from __future__ import annotations

import os
from pathlib import Path

from connectors.folders import Folder, folder_of, give_purposes
from connectors.maildir.files import Listings, load_file, require_folder
from connectors.shelf import Content, Entry

__all__ = ["EmlShelf"]


class EmlShelf:
    """The .eml files below one folder. Every sub-folder with such files counts as a mail folder of its own."""

    def __init__(self, account: str, path: Path) -> None:
        self._account = account
        self._root = path
        self._names: dict[str, dict[str, str]] = {}
        self._listings = Listings()

    def folders(self) -> list[Folder]:
        """The folder itself ("INBOX") and each sub-folder that holds .eml files."""
        require_folder(self._account, self._root)
        found = [folder_of(".", "INBOX", "/")]
        for path, folders, files in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            below = str(Path(path).relative_to(self._root))
            if below != "." and any(map(_is_mail, files)):
                shown = below.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                found.append(folder_of(below, shown, "/"))
        return give_purposes(found)

    def entries(self, folder: Folder) -> list[Entry]:
        """The .eml files of one folder; listed again only if it changed."""
        directory = self._root / folder.key
        return self._listings.entries(folder.key, [directory], lambda: self._list(folder, directory))

    def _list(self, folder: Folder, directory: Path) -> list[Entry]:
        found, names = [], {}
        with os.scandir(directory) as listing:
            for file in listing:
                if _is_mail(file.name) and file.is_file():
                    ref = os.fsencode(file.name).decode("utf-8", "backslashreplace")
                    names[ref] = file.name
                    found.append(Entry(max(0, file.stat().st_mtime_ns), ref))
        self._names[folder.key] = names
        return found

    def load(self, folder: Folder, entry: Entry) -> Content | None:
        """One mail; None if its file has gone."""
        return load_file(self._root / folder.key / self._names.get(folder.key, {}).get(entry.ref, entry.ref))


def _is_mail(name: str) -> bool:
    return name.lower().endswith(".eml") and not name.startswith(".")
