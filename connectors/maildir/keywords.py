"""Keywords of a Maildir folder as Dovecot keeps them: a letter in the file name, its word in `dovecot-keywords`.

https://doc.dovecot.org/main/core/config/mailbox_formats/maildir.html: lines "0 Word", 0 = a; at most 26 words. The
file is written under `dovecot-keywords.lock`, to which the new text is written before it takes the old one's name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["FILE", "letters_of", "read_keywords", "take_letter"]

FILE = "dovecot-keywords"
_LINE = re.compile(r"(\d{1,2}) (\S+)")
_MOST = 26


def read_keywords(folder: Path) -> dict[str, str]:
    """Letter -> keyword of a folder; {} where no Dovecot keeps any. Raises OSError."""
    try:
        text = (folder / FILE).read_text("utf-8", "replace")
    except FileNotFoundError:
        return {}
    found = (match for line in text.splitlines() if (match := _LINE.fullmatch(line)))
    return {chr(ord("a") + int(one[1])): one[2] for one in found if int(one[1]) < _MOST}


def letters_of(keywords: dict[str, str], wanted: Iterable[str]) -> str:
    """The letters of these keywords, whatever their case."""
    folded = {word.lower() for word in wanted}
    return "".join(letter for letter, word in keywords.items() if word.lower() in folded)


def take_letter(folder: Path, keyword: str) -> str:
    """The letter of a keyword, a new one if it has none yet; "" if all are taken. The folder's file is made if need be.

    Raises FileExistsError while a Dovecot writes the file, OSError.
    """
    lock = folder / f"{FILE}.lock"
    with lock.open("x", encoding="utf-8") as file:
        try:
            known = read_keywords(folder)
            letter = letters_of(known, [keyword])[:1]
            free = next((one for one in map(chr, range(ord("a"), ord("a") + _MOST)) if one not in known), "")
            if not letter and free:
                known[free] = keyword
                file.write("".join(f"{ord(one) - ord('a')} {word}\n" for one, word in sorted(known.items())))
                file.flush()
                _like_its_folder(file.fileno(), folder)
                lock.rename(folder / FILE)
            return letter or free
        finally:
            lock.unlink(missing_ok=True)


def _like_its_folder(descriptor: int, folder: Path) -> None:
    """Give a file of ours to whom the folder belongs: the mail server has to read it too."""
    stat = folder.stat()
    os.fchmod(descriptor, stat.st_mode & 0o666)
    if os.geteuid() == 0:
        os.fchown(descriptor, stat.st_uid, stat.st_gid)
