"""The sample office on disk: settings, rules, Maildirs and calendars, written from the files that come with quietcrm.

Each mail is an .eml below config/examples/demo/mail/REP/FOLDER. Delivering one means what a mail server does: a file
in the Maildir whose time is the mail's arrival. Each state of a meeting is an .ics below calendar/REP; laying it out
means what a calendar program does when its owner books or changes the meeting. Everything is safe to repeat.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.policy import default
from email.utils import parsedate_to_datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

SENT_FROM_DRAFTS = ("bistro-resposta", "emma-renew-re")
"""Mails in Sent that the person made by opening our draft, mending it and pressing Send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleMail:
    """One file of a mailbox. `folder` "Inbox" is the Maildir itself, any other one a sub-folder."""

    rep: str
    folder: str
    name: str
    at: datetime
    data: bytes

    @property
    def draft_sent(self) -> bool:
        """Whether it was made from a draft of ours."""
        return self.folder == "Sent" and self.name.partition("-")[2] in SENT_FROM_DRAFTS


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleEvent:
    """A meeting as somebody's calendar has it from `at` on. `name`: its file there, the same in each of its states."""

    rep: str
    name: str
    at: datetime
    data: bytes


def sample_mails() -> list[SampleMail]:
    """All mails in the order of their arrival."""
    root = _sample() / "mail"
    found = [
        SampleMail(rep=rep.name, folder=folder.name, name=file.name.removesuffix(".eml"), at=arrival(data), data=data)
        for rep in root.iterdir()
        for folder in rep.iterdir()
        for file in folder.iterdir()
        if (data := file.read_bytes())
    ]
    return sorted(found, key=lambda mail: (mail.at, mail.rep, mail.folder, mail.name))


def sample_events() -> list[SampleEvent]:
    """All states of all meetings, in the order in which they came about."""
    found = [
        SampleEvent(rep=rep.name, name=f"{_property('UID', data).partition('@')[0]}.ics", at=_changed(data), data=data)
        for rep in (_sample() / "calendar").iterdir()
        for file in rep.iterdir()
        if (data := file.read_bytes())
    ]
    return sorted(found, key=lambda event: (event.at, event.rep, event.name))


def _changed(data: bytes) -> datetime:
    return datetime.strptime(_property("LAST-MODIFIED", data), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _property(name: str, data: bytes) -> str:
    found = re.search(rf"^{name}:(.+)\r$".encode(), data, re.MULTILINE)
    assert found, name
    return found[1].decode()


def arrival(data: bytes) -> datetime:
    """When a mail came: by the newest Received line (RFC 5321, 4.4), else by its own Date; aware UTC."""
    header = BytesHeaderParser().parsebytes(data)
    received = str(header.get("Received", "")).rpartition(";")[2].strip()
    return parsedate_to_datetime(received or str(header["Date"])).astimezone(UTC)


def write_office(directory: Path) -> None:
    """Settings, rules, templates, lists and the table of customers, as far as they are not there yet."""
    for name, data in _files(_sample(), Path()):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(data)


def make_mailbox(mailbox: Path) -> None:
    """An empty Maildir with the folders of a usual account."""
    for folder in ("", ".Sent", ".Drafts", ".Particular"):
        for place in ("cur", "new", "tmp"):
            (mailbox / folder / place).mkdir(parents=True, exist_ok=True)


def deliver(mailbox: Path, mail: SampleMail) -> bool:
    """Lay a mail into its Maildir, with its arrival as the file's time. False if it lies there already."""
    folder = mailbox / ("" if mail.folder == "Inbox" else f".{mail.folder}")
    path = folder / "cur" / f"{int(mail.at.timestamp())}.{mail.name}.demo:2,S"
    if path.exists():
        return False
    if mail.draft_sent:
        _drop_draft(mailbox, mail)
    path.write_bytes(mail.data)
    os.utime(path, (mail.at.timestamp(), mail.at.timestamp()))
    return True


def lay_out(calendar: Path, event: SampleEvent, before: Sequence[bytes]) -> bool:
    """Book a meeting, or change it from one of its states `before`. False if it is in this state or a later one, or
    somebody else changed it."""
    path = calendar / event.name
    there = path.read_bytes() if path.exists() else None
    if there not in (before or (None,)):
        return False
    path.write_bytes(event.data)
    return True


def _drop_draft(mailbox: Path, mail: SampleMail) -> None:
    """What a mail program does when it has sent a draft: the draft leaves Drafts."""
    sent = BytesHeaderParser().parsebytes(mail.data)
    for path in sorted((mailbox / ".Drafts").glob("*/*")):
        if BytesHeaderParser().parsebytes(path.read_bytes())["In-Reply-To"] == sent["In-Reply-To"]:
            path.unlink()


def own_mails(mailbox: Path, kind: str) -> list[tuple[Path, Message]]:
    """The reminders or notices that lie in the Inbox of a Maildir, oldest first."""
    found = [(path, BytesParser(policy=default).parsebytes(path.read_bytes())) for path in mailbox.glob("new/*")]
    mine = [(path, mail) for path, mail in found if mail["X-Quietcrm"] == kind]
    return sorted(mine, key=lambda pair: parsedate_to_datetime(str(pair[1]["Date"])))


def _sample() -> Traversable:
    return files("config") / "examples" / "demo"


def _files(folder: Traversable, below: Path) -> Iterator[tuple[Path, bytes]]:
    for entry in folder.iterdir():
        name = below / entry.name
        if name in (Path("mail"), Path("calendar")):
            continue
        if entry.is_dir():
            yield from _files(entry, name)
        else:
            yield name, entry.read_bytes()
