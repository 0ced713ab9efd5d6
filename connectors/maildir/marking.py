"""Marks and moves one mail of a Maildir, by renaming its file: the letter F, keywords, the folder.

A mail program may rename the file at the same moment, so it is looked up again until the rename succeeds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from connectors.categories import category_of, fold_category, keyword_of
from connectors.errors import Unavailable
from connectors.folders import Folder, choose_folders, encode_name
from connectors.maildir.keywords import FILE, letters_of, read_keywords, take_letter
from connectors.maildir.maildir import MaildirShelf, unique_name
from connectors.model import NO_DAY, Marked, Marks
from connectors.outgoing import message_id_of

__all__ = ["MaildirMarking"]

_HEAD = 64 << 10
_TRIES = 5
_BUSY = "nothing to do: it is tried again"


@dataclass(slots=True)
class MaildirMarking:
    """One mail of the Maildir at `root`."""

    account: str
    root: Path
    _missing: list[str] = field(default_factory=list)

    def mark(self, folder: str, ref: str, message_id: str, marks: Marks) -> Marked:
        """Find the file and rename it. Raises Misconfigured, Unavailable."""
        folders = {one.name: one for one in MaildirShelf(self.account, self.root).folders()}
        for _ in range(_TRIES):
            spot = self._find(folders, folder, ref, message_id)
            if spot is None:
                return Marked()
            try:
                return self._done(folders, *spot, marks)
            except FileNotFoundError:
                continue  # renamed this moment
            except FileExistsError as error:
                raise Unavailable(self.account, f"{FILE} is being written", hint=_BUSY) from error
            except OSError as error:
                reason = f"{self.root} cannot be written: {error.strerror}"
                raise Unavailable(self.account, reason, hint="check its permissions and the disk") from error
        raise Unavailable(self.account, "a mail is renamed all the time", hint=_BUSY)

    # -- finding it

    def _find(self, folders: dict[str, Folder], name: str, ref: str, message_id: str) -> tuple[Folder, Path] | None:
        named = folders.get(name)
        for path in self._files(named) if named else ():
            if unique_name(path.name) == ref and (not message_id or _id_in(path) == message_id):
                return folders[name], path
        for folder in choose_folders(list(folders.values())) if message_id else ():
            for path in self._files(folder):
                if _id_in(path) == message_id:
                    return folder, path
        return None

    def _files(self, folder: Folder) -> Iterator[Path]:
        """Mails of a folder that nobody threw away."""
        for place in ("new", "cur"):
            for path in sorted((self.root / folder.key / place).iterdir()):
                if "T" not in path.name.partition(":2,")[2]:
                    yield path

    # -- renaming it

    def _done(self, folders: dict[str, Folder], folder: Folder, path: Path, marks: Marks) -> Marked:
        self._missing.clear()
        target = self._target(folders, marks.move) if marks.move else None
        letters = path.name.partition(":2,")[2]
        changed = self._letters(self.root / folder.key, letters, marks)
        if target is not None and target.key != folder.key:
            changed, folder = self._carried(folder, target, changed), target
        self._rename(path, folder, changed)
        return Marked(folder=folder.name, ref=unique_name(path.name), missing=tuple(self._missing))

    def _rename(self, path: Path, folder: Folder, letters: str) -> None:
        """A mail in new/ without letters stays new: nobody has looked at it."""
        place = "cur" if letters else path.parent.name
        info = f":2,{''.join(sorted(set(letters)))}" if place == "cur" else ""
        goal = self.root / folder.key / place / f"{unique_name(path.name)}{info}"
        if goal != path:
            path.rename(goal)

    def _letters(self, folder: Path, letters: str, marks: Marks) -> str:
        """The letters of the file after all marks."""
        known = read_keywords(folder)
        gone = {fold_category(name) for name in marks.remove}
        unwanted = {letter for letter, word in known.items() if fold_category(category_of(word)) in gone}
        unwanted |= {"F"} if marks.unflag else set()
        kept = "".join(letter for letter in letters if letter not in unwanted)
        if marks.flag is not None:
            self._missing.append(NO_DAY)
            kept += "F"
        return kept + "".join(self._letter(folder, name) for name in marks.add)

    def _letter(self, folder: Path, name: str) -> str:
        if not (folder / FILE).exists():
            self._missing.append("keeps no categories of ours")
            return ""
        known = read_keywords(folder)
        letter = letters_of(known, [keyword_of(name)])[:1] or take_letter(folder, keyword_of(name))
        if not letter:
            self._missing.append(f"has 26 categories already and takes no {name}")
        return letter

    def _carried(self, source: Folder, target: Folder, letters: str) -> str:
        """The letters in another folder, where the same keyword may have another one."""
        words = read_keywords(self.root / source.key)
        kept = [letter for letter in letters if letter not in words]
        place = self.root / target.key
        taken = [take_letter(place, words[letter]) for letter in letters if letter in words]
        return "".join([*kept, *taken])

    def _target(self, folders: dict[str, Folder], name: str) -> Folder | None:
        """The folder of this name, made if it is not there (Maildir++); None, and told as missing, if it cannot be."""
        folded = name.casefold()
        known = next((one for one in folders.values() if one.name.casefold() == folded), None)
        if known:
            return known
        if "." in name:
            self._missing.append("takes no . in the name of a folder")
            return None
        path = self.root / ("." + encode_name(name.replace("/", ".")))
        owner = self.root.stat()
        made = [path, *(path / part for part in ("cur", "new", "tmp"))]
        for one in made:
            one.mkdir(exist_ok=True)
        (path / "maildirfolder").touch()
        if os.geteuid() == 0:  # the mail server has to write there too
            for one in (*made, path / "maildirfolder"):
                os.chown(one, owner.st_uid, owner.st_gid)
        listed = MaildirShelf(self.account, self.root).folders()
        return next((one for one in listed if one.key == path.name), None)


def _id_in(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return message_id_of(file.read(_HEAD))
    except (FileNotFoundError, IsADirectoryError):
        return ""
