"""Compares mailbox and database, reading nothing else: `python -m campaigns.checker DATABASE ACCOUNT=MAILDIR ...`.

What belongs into the history is worked out here anew, from the addresses in the files and the customers in the
database: somebody outside the office who is a known address or writes from a known domain. Independent of the product:
its code is not imported.
"""

from __future__ import annotations

import argparse
import re
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

import psycopg
from imapclient import imap_utf7

UNREAD = ("Drafts", "Trash", "Junk")
_ADDRESS = re.compile(r"[\w.+'=/-]+@[\w.-]+", re.ASCII)
_PEOPLE = ("from", "sender", "reply-to", "to", "cc", "bcc")

Place = tuple[str, str]
"""Account and folder."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One file of a mailbox. `name` is the Message-ID without brackets, or the subject of a mail without one."""

    place: Place
    name: str
    people: frozenset[str]


@dataclass(slots=True)
class Verdict:
    """What is wrong, by kind; empty lists if nothing is. `expected` = mails that belong into the history."""

    copies: int = 0
    expected: int = 0
    found: int = 0
    wrong: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Nothing lost, nothing doubled, every copy listed, the file sound."""
        return not any(self.wrong.values())

    def text(self) -> str:
        """One line, and the first few of each kind of fault."""
        counts = ", ".join(f"{kind} {len(names)}" for kind, names in self.wrong.items())
        lines = [f"{self.copies} copies, {self.expected} mails belong, {self.found} rows; {counts}"]
        lines += [f"  {kind}: {names[:5]}" for kind, names in self.wrong.items() if names]
        return "\n".join(lines)


def check(database: str, mailboxes: Mapping[str, Path], internal: str = "vendas.example") -> Verdict:
    """Compare. `database` is a path of an SQLite file or a PostgreSQL URL; `mailboxes` Maildirs by account."""
    copies = [copy for account, root in mailboxes.items() for copy in read_mailbox(account, root)]
    with closing(connect(database)) as connection:

        def rows(statement: str) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

        known = {row[0] for row in rows("SELECT key FROM address")}
        domains = {row[0] for row in rows("SELECT domain FROM customer_domain")}
        logged = rows("SELECT id, message_id, subject FROM interaction WHERE channel = 'mail'")
        sightings = rows(
            "SELECT s.interaction_id, s.account, s.folder FROM sighting s "
            "JOIN interaction i ON i.id = s.interaction_id WHERE i.channel = 'mail'"
        )
        strangers = Counter((row[0], row[1]) for row in rows("SELECT account, folder FROM unmatched"))
        damage = rows("PRAGMA integrity_check") if isinstance(connection, sqlite3.Connection) else [("ok",)]
        orphans = rows("PRAGMA foreign_key_check") if isinstance(connection, sqlite3.Connection) else []

    def outside(copy: Copy) -> set[str]:
        return {one for one in copy.people if not one.endswith(f"@{internal}")}

    def belongs(copy: Copy) -> bool:
        return any(one in known or one.partition("@")[2] in domains for one in outside(copy))

    expected = {copy.name for copy in copies if belongs(copy)}
    names = {number: message_id or subject for number, message_id, subject in logged}
    found = Counter(names.values())
    seen = Counter((names.get(number, f"row {number}"), account, folder) for number, account, folder in sightings)
    places = {(copy.name, *copy.place) for copy in copies if belongs(copy)}
    alone = {(copy.name, copy.place) for copy in copies if outside(copy) and not belongs(copy)}
    unmatched = Counter(place for _, place in alone)
    wrong = {
        "lost": sorted(expected - set(found)),
        "doubled": sorted(name for name, times in found.items() if times > 1),
        "not ours": sorted(set(found) - expected),
        "copies not listed": sorted(map(str, places - set(seen))),
        "copies that are none": sorted(map(str, set(seen) - places)),
        "unmatched lost": sorted(map(str, (unmatched - strangers).items())),
        "unmatched doubled": sorted(map(str, (strangers - unmatched).items())),
        "damage": [row[0] for row in damage if row[0] != "ok"] + [str(row) for row in orphans],
    }
    return Verdict(len(copies), len(expected), len(found), wrong)


def read_mailbox(account: str, root: Path) -> Iterator[Copy]:
    """Every file of the folders that are read."""
    for folder, path in [("INBOX", root), *((_named(path), path) for path in root.glob(".*") if path.is_dir())]:
        if folder not in UNREAD:
            for file in (*(path / "cur").iterdir(), *(path / "new").iterdir()):
                yield _read(file, (account, folder))


def _named(path: Path) -> str:
    return "/".join(imap_utf7.decode(part.encode()) for part in path.name[1:].split("."))


def _read(file: Path, place: Place) -> Copy:
    header = BytesHeaderParser().parsebytes(file.read_bytes().partition(b"\n\n")[0])
    people: set[str] = set()
    for name in _PEOPLE:
        for value in header.get_all(name) or ():
            people.update(found.lower() for found in _ADDRESS.findall(str(value)))
    message_id = str(header.get("message-id") or "").strip().strip("<>[] ")
    subject = header.get("subject") or ""
    name = message_id or str(make_header(decode_header(subject)))
    return Copy(place, name, frozenset(people))


def connect(database: str) -> Any:
    """Open a database for reading, beside whoever writes it: path of an SQLite file or PostgreSQL URL."""
    if "://" in database:
        return psycopg.connect(database.replace("+psycopg", ""))
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)


def main(arguments: list[str] | None = None) -> int:
    """Print the verdict; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database")
    parser.add_argument("mailbox", nargs="+", help="ACCOUNT=MAILDIR")
    options = parser.parse_args(arguments)
    pairs = (each.partition("=") for each in options.mailbox)
    verdict = check(options.database, {account: Path(root) for account, _, root in pairs})
    print(verdict.text())
    return 0 if verdict.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
