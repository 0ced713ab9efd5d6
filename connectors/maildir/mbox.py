"""One mbox file, or a folder of them (RFC 4155; mboxo and mboxrd quoting).

A mail is named by a hash of its bytes without the headers in which mail programs keep their marks, so its name
survives a rewritten file. Its arrival is the date of its "From " line, else the time of the file.
"""

from __future__ import annotations

import calendar
import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from connectors.errors import Misconfigured
from connectors.folders import Folder, folder_of, give_purposes
from connectors.maildir.files import LARGEST, content_of
from connectors.shelf import Content, Entry

__all__ = ["MboxShelf"]

_START = re.compile(rb"From (?:\S.*)?\d\d:\d\d(?::\d\d)?.*\d{4}")
_STAMP = re.compile(
    rb"([A-Z][a-z]{2}) +(\d{1,2}) +(\d\d):(\d\d)(?::(\d\d))? +(?:[A-Z]{3,4} +)?(\d{4})(?: +([+-]\d{4}))?"
)
_MARKS = (b"status:", b"x-status:", b"x-keywords:", b"x-mozilla-", b"x-uid:", b"x-imap", b"content-length:", b"lines:")
_QUOTED = re.compile(rb"(?m)^>(>*From )")
_LARGEST_FILE_SCAN = 1 << 20
_NOT_MAIL = (".lock", ".msf", ".idx", ".dat", ".html", ".db", ".json", ".txt~")


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a mail lies in its file, "From " line excluded."""

    start: int
    size: int


@dataclass(slots=True)
class _Scan:
    """What a file held when it had this state (size, time, inode)."""

    state: tuple[int, int, int]
    entries: list[Entry]
    spots: dict[str, _Spot]


class MboxShelf:
    """The mails of one mbox file or of all such files in a folder; each file is a mail folder."""

    def __init__(self, account: str, path: Path) -> None:
        self._account = account
        self._root = path
        self._scans: dict[str, _Scan] = {}

    def folders(self) -> list[Folder]:
        """One folder per file; a single file is the Inbox."""
        if self._root.is_file():
            return give_purposes([folder_of(self._root.name, "INBOX", "/")])
        if not self._root.is_dir():
            raise Misconfigured(self._account, f"there is no {self._root}", hint="correct `path:` of this account")
        names = sorted(path.name for path in self._root.iterdir() if _may_be_mbox(path))
        return give_purposes([folder_of(name, name.removesuffix(".mbox"), "/") for name in names])

    def entries(self, folder: Folder) -> list[Entry]:
        """The mails of a file; scanned again only if it changed."""
        path = self._path(folder)
        stat = path.stat()
        state = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        scan = self._scans.get(folder.key)
        if scan is None or scan.state != state:
            scan = self._scans[folder.key] = _scan(path, state)
        return scan.entries

    def load(self, folder: Folder, entry: Entry) -> Content | None:
        """One mail, its quoted "From " lines restored; None if the file was rewritten without it."""
        self.entries(folder)
        spot = self._scans[folder.key].spots.get(entry.ref)
        if spot is None:
            return None
        with self._path(folder).open("rb") as file:
            file.seek(spot.start)
            data = file.read(spot.size if spot.size <= LARGEST else _LARGEST_FILE_SCAN)
        return content_of(_QUOTED.sub(rb"\1", data), spot.size)

    def _path(self, folder: Folder) -> Path:
        return self._root if self._root.is_file() else self._root / folder.key


def _may_be_mbox(path: Path) -> bool:
    if path.name.startswith(".") or path.name.endswith(_NOT_MAIL) or not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(5)
    return start in (b"", b"From ")


def _scan(path: Path, state: tuple[int, int, int]) -> _Scan:
    scan = _Scan(state, [], {})
    for stamp, spot, ref in _mails(path):
        if ref not in scan.spots:  # the very same mail twice in one file is one mail
            scan.spots[ref] = spot
            scan.entries.append(Entry(_arrival(stamp) or max(0, state[1]), ref))
    return scan


def _mails(path: Path) -> Iterator[tuple[bytes, _Spot, str]]:
    """("From " line, place, name) of every mail, in one pass that holds one line at a time."""
    with path.open("rb") as file:
        stamp, start, digest, header = b"", -1, hashlib.blake2b(digest_size=16), True
        blank, offset, skipped = True, 0, False
        for line in file:
            if blank and line.startswith(b"From ") and _START.match(line):
                if start >= 0:
                    yield stamp, _Spot(start, offset - start), digest.hexdigest()
                stamp, start, digest, header = line, offset + len(line), hashlib.blake2b(digest_size=16), True
            elif start >= 0:
                skipped = header and (line.lower().startswith(_MARKS) or (skipped and line[:1] in b" \t"))
                if not skipped and (header or line.strip()):
                    digest.update(line.rstrip(b"\r\n") + b"\n")
                header = header and bool(line.strip())
            blank = not line.strip()
            offset += len(line)
        if start >= 0:
            yield stamp, _Spot(start, offset - start), digest.hexdigest()


def _arrival(stamp: bytes) -> int:
    """Nanoseconds since 1970 of a "From " line's date, as UTC if it names no offset; 0 if it has none."""
    match = _STAMP.search(stamp)
    if not match:
        return 0
    month, day, hour, minute, second, year, offset = match.groups()
    try:
        number = "JanFebMarAprMayJunJulAugSepOctNovDec".index(month.decode("ascii")) // 3 + 1
        parts = (int(year), number, int(day), int(hour), int(minute), int(second or 0))
        time.strptime("{}-{}-{} {}:{}:{}".format(*parts), "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return 0
    seconds = calendar.timegm((*parts, 0, 0, 0))
    if offset:
        shift = int(offset[1:3]) * 3600 + int(offset[3:5]) * 60
        seconds -= -shift if offset.startswith(b"-") else shift
    return max(0, seconds) * 10**9
