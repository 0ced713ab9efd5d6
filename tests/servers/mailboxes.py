"""A made-up sales office in mailboxes, with the truth about every mail: who it concerns and where its copies lie.

`generate(seed, count)` always gives the same office for the same arguments. As a script it writes Maildirs:

    python tests/servers/mailboxes.py --count 3000 --seed 1 --out DIR
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Literal

sys.path.append(str(Path(__file__).resolve().parent.parent))  # as a script, beside the package `servers`

from servers.folders import maildir_path
from servers.people import PUBLIC_DOMAIN, REPS, Customer, Rep
from servers.stories import Mail, Teller

if TYPE_CHECKING:
    from servers.dovecot import DovecotServer

Outcome = Literal["logged", "unmatched", "internal"]
START = datetime(2025, 1, 6, 8, 0, tzinfo=UTC)
SPAN = timedelta(days=480)
KEYWORDS = ("$Forwarded", "cliente-vip", "$Label1")


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a mail in one folder of one rep. `raw` has the trace lines of its own delivery in front."""

    rep: str
    folder: str
    raw: bytes
    flags: str
    """Maildir letters; a to c stand for KEYWORDS. Empty: the mail is new."""
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Truth:
    """What must become of a mail, whatever the way in which it is read."""

    key: int
    message_id: str
    """With its angle brackets; "" for a mail without one, which is then known by its subject."""
    subject: str
    """Decoded. Unique for every mail with a trait."""
    sender: str
    at: datetime
    direction: Literal["in", "out", "internal"]
    kind: str
    outcome: Outcome
    customers: frozenset[str]
    traits: frozenset[str]
    """What is odd about it: a name of letters.BREAKS, look_alike, tagged_copy, internal_forward, thread_only ..."""


@dataclass(frozen=True, slots=True)
class OfficeMessage:
    """A mail, its truth, and its copies."""

    truth: Truth
    copies: tuple[Copy, ...]

    @property
    def raw(self) -> bytes:
        """The bytes of the first copy, trace lines included; lines end with LF."""
        return self.copies[0].raw

    @property
    def mailboxes(self) -> set[str]:
        """The reps who have a copy."""
        return {copy.rep for copy in self.copies}


@dataclass(frozen=True)
class Office:
    """The whole: people, mails, truth."""

    seed: int
    customers: tuple[Customer, ...]
    messages: tuple[OfficeMessage, ...]
    later: tuple[OfficeMessage, ...] = ()
    """Mails of a later time: laid in by `deliver_later`, not by `write_maildirs`. `truth` knows them too."""
    reps: tuple[Rep, ...] = REPS
    public_domain: str = PUBLIC_DOMAIN

    @cached_property
    def truth(self) -> dict[str, Truth]:
        """The truth by Message-ID, or by subject for mail without one."""
        return {each.truth.message_id or each.truth.subject: each.truth for each in (*self.messages, *self.later)}

    @property
    def shared(self) -> float:
        """The part of the mails that lie in the mailboxes of two or more reps."""
        return sum(len(each.mailboxes) > 1 for each in self.messages) / len(self.messages)

    def outcomes(self) -> Counter[Outcome]:
        """How many mails end which way, each counted once however many copies it has."""
        return Counter(each.truth.outcome for each in self.messages)

    def seen(self) -> Counter[str]:
        """How many copies lie in each rep's mailbox: what a sync of that account must have seen."""
        return Counter(copy.rep for each in self.messages for copy in each.copies)

    def customers_csv(self, path: Path) -> None:
        """The list to import: columns name, email, company, domain."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["name", "email", "company", "domain"])
            writer.writeheader()
            writer.writerows(row for customer in self.customers for row in customer.rows)

    def truth_csv(self, path: Path) -> None:
        """One line for each mail; several values in a field are separated by `;`."""
        columns = ["key", "message_id", "subject", "sender", "at", "direction", "kind", "outcome"]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([*columns, "customers", "traits", "copies"])
            for each in self.messages:
                fields = [str(getattr(each.truth, column)) for column in columns]
                places = ";".join(f"{copy.rep}:{copy.folder}" for copy in each.copies)
                many = [";".join(sorted(values)) for values in (each.truth.customers, each.truth.traits)]
                writer.writerow([*fields, *many, places])

    def write_maildirs(self, server: DovecotServer) -> None:
        """Make the reps' mailboxes on a running server (password `secret`) and lay every copy into its folder.

        What these mailboxes held before is gone, so one server may serve one office after another.
        """
        for rep in self.reps:
            shutil.rmtree(server.maildir(rep.login), ignore_errors=True)
            server.add_user(rep.login)
            self.write_maildir(rep, server.maildir(rep.login))
            server.own(server.maildir(rep.login))

    def deliver_later(self, server: DovecotServer) -> None:
        """Lay the later mails into the mailboxes that write_maildirs made."""
        for rep in self.reps:
            written = [_write_copy(server.maildir(rep.login), *each) for each in _copies(rep, self.later)]
            for path in written:
                server.own(path)

    def write_maildir(self, rep: Rep, root: Path) -> None:
        """Write one rep's mail as a Maildir++ tree at `root`."""
        for folder in ("INBOX", "Sent", *rep.folders):
            make_maildir(root, folder)
        for each in _copies(rep, self.messages):
            _write_copy(root, *each)


def _copies(rep: Rep, messages: Sequence[OfficeMessage]) -> Iterator[tuple[str, Copy]]:
    """The rep's copies, each with a name of its own."""
    for each in messages:
        for number, copy in enumerate(each.copies):
            if copy.rep == rep.login:
                yield f"M{each.truth.key}P{number}", copy


def _write_copy(root: Path, unique: str, copy: Copy) -> Path:
    folder = maildir_path(root, copy.folder)
    received = copy.received_at.timestamp()
    name = f"{int(received)}.{unique}.localhost"
    path = folder / "cur" / f"{name}:2,{copy.flags}" if copy.flags else folder / "new" / name
    path.write_bytes(copy.raw)
    os.utime(path, (received, received))
    return path


def make_maildir(root: Path, folder: str) -> None:
    """Create the folder with our keywords declared."""
    path = maildir_path(root, folder)
    for part in ("cur", "new", "tmp"):
        (path / part).mkdir(parents=True, exist_ok=True)
    if folder != "INBOX":
        (path / "maildirfolder").touch()
    (path / "dovecot-keywords").write_text("".join(f"{n} {word}\n" for n, word in enumerate(KEYWORDS)))


def generate(seed: int, count: int = 3000, *, start: datetime = START, later: int = 0, thread_only: int = 0) -> Office:
    """The office of `seed` with `count` mails, spread over SPAN from `start` on, and `later` more after them.

    With `thread_only` the later mails end with that many more, from unknown addresses into customers' threads: what
    becomes of them depends on which mail is read first, so they carry that trait and tests judge them apart.
    """
    rng = Random(f"{seed}/{count}")
    teller = Teller(rng, start=start, step=SPAN / count, customers=max(24, count // 60))
    mails: list[Mail] = []
    while len(mails) < count + later:
        mails += teller.story()
    mails = mails[: count + later] + [teller.thread_only() for _ in range(thread_only)]
    placed = tuple(_place(rng, key, mail) for key, mail in enumerate(mails))
    return Office(seed, teller.customers, placed[:count], placed[count:])


def _place(rng: Random, key: int, mail: Mail) -> OfficeMessage:
    """Lay the copies of a mail: one in the sender's Sent, one with every rep who gets it, sometimes one more."""
    letter = mail.letter
    truth = Truth(
        key=key,
        message_id="" if letter.breaks == "no_message_id" else letter.message_id,
        subject=letter.subject,
        sender=letter.sender.email,
        at=letter.at.astimezone(UTC),
        direction=mail.direction,
        kind=mail.kind,
        outcome=mail.outcome,
        customers=mail.customers,
        traits=mail.traits,
    )
    copies: list[Copy] = []
    for rep in REPS:
        if rep.person == mail.letter.sender:
            copies.append(Copy(rep.login, "Sent", mail.raw, "S", mail.letter.at))
        if rep in mail.receivers:
            copies += _receive(rng, key, rep, mail)
    return OfficeMessage(truth, tuple(copies))


def _receive(rng: Random, key: int, rep: Rep, mail: Mail) -> Iterator[Copy]:
    at = mail.letter.at.astimezone(UTC) + timedelta(seconds=rng.randint(1, 90))
    raw = _trace(rep, mail, at, rng.getrandbits(40)) + _tagged(rep, mail)
    folder = rng.choices(("INBOX", *rep.folders), (70, 15, 15))[0]
    yield Copy(rep.login, folder, raw, _flags(rng), at)
    if key % 25 == 0:  # the rep has filed a second copy by hand
        other = rng.choice([each for each in ("INBOX", *rep.folders) if each != folder])
        yield Copy(rep.login, other, raw, _flags(rng), at)


def _trace(rep: Rep, mail: Mail, at: datetime, number: int) -> bytes:
    return (
        f"Return-Path: <{mail.envelope_sender}>\nDelivered-To: {rep.person.email}\n"
        f"Received: from mx.example by mail.vendas.example with ESMTPS id {number:010x};\n"
        f"\t{at:%a, %d %b %Y %H:%M:%S} +0000\n"
    ).encode()


def _tagged(rep: Rep, mail: Mail) -> bytes:
    """The mail itself; for one rep of a tagged mail with the subject tag and footer that a list puts on."""
    if "tagged_copy" not in mail.traits or rep != mail.receivers[-1]:
        return mail.raw
    tagged = mail.raw.replace(b"\nSubject: ", b"\nSubject: [office] ", 1)
    return tagged if b": base64" in tagged else tagged + b"\n_______\noffice list\n"


def _flags(rng: Random) -> str:
    letters = {"S"} if rng.random() < 0.7 else set()
    for letter, part in (("F", 0.08), ("R", 0.1), ("a", 0.03), ("b", 0.05), ("c", 0.03)):
        if rng.random() < part:
            letters.add(letter)
    return "".join(sorted(letters))


def main(arguments: list[str] | None = None) -> None:
    """Write DIR/REP/Maildir for each rep, DIR/customers.csv and DIR/truth.csv."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    office = generate(options.seed, options.count)
    options.out.mkdir(parents=True, exist_ok=True)
    for rep in office.reps:
        office.write_maildir(rep, options.out / rep.login / "Maildir")
    office.customers_csv(options.out / "customers.csv")
    office.truth_csv(options.out / "truth.csv")
    print(f"{len(office.messages)} mails, {office.shared:.0%} with two or more reps, {dict(office.outcomes())}")


if __name__ == "__main__":
    main()
