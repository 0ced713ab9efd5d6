"""Exchange under fire: `python -m campaigns.exchange --mails 10000 --sends 2000`.

Reading: one call in twenty goes wrong, before or after the server did its work. Half of the mail is old, half comes in
while it is read. Every Message-ID has to be in the history exactly once, the mailbox exactly as it was, no call beyond
the documented limits or within a pause, and the second half may cost the reader no more than 5 MB.

Sending: the answer to SendItem is lost after the mail left (or before). No mail leaves twice, each that left lies in
Sent once, and is called sent because it was found there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import structlog
from campaigns.exchange_office import ANA, START, ExchangeOffice, read
from servers.ews import EwsServer
from servers.ews_faults import AFTER, BEFORE
from sqlmodel import col, select

from daemon.app import App
from store import customers, outbox
from store.tables import Interaction, OutboxMail, OutboxState, Way

MOST_GROWTH = 5_000_000
PEOPLE = [(f"Cliente {number}", f"c{number}@acme{number}.example") for number in range(20)]
SETTINGS = "send: {auto_templates: [proposta]}\nlimits: {sends_per_day: 100000, actions_per_hour: 100000}\n"
LOST = ("504-done", "cut-done", "half-done", "504-done", "cut-done", "half-done", "504-done", "504", "504-done", "cut")
"""How SendItem ends, in turn: most have sent the mail, and say so to nobody."""


@dataclass
class ReadScore:
    """What was read."""

    mails: int = 0
    failures: int = 0
    struck: int = 0
    requests: int = 0
    growth: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For people."""
        verdict = "clean" if not self.faults else "FAULTS: " + "; ".join(self.faults[:20])
        return (
            f"reading: {self.mails} mails, {self.requests} requests, {self.struck} of them went wrong, {self.failures} "
            f"polls failed; the second half cost {self.growth / 1e6:.1f} MB; {self.seconds:.0f} s: {verdict}"
        )


# -- reading


def a_mail(number: int, random: Random) -> tuple[bytes, datetime, str, dict[str, object]]:
    """(mail, arrival, folder, marks of the rep) of a mail by its number."""
    at = START - timedelta(days=400) + timedelta(minutes=40 * number)
    name, address = PEOPLE[number % len(PEOPLE)]
    folder = random.choice(["inbox", "inbox", "inbox", "sentitems", "Clientes/Acme"])
    people = f"From: {ANA}\r\nTo: {name} <{address}>" if folder == "sentitems" else f"From: {address}\r\nTo: {ANA}"
    raw = (
        f"Message-ID: <n{number}@acme.example>\r\n{people}\r\nSubject: pedido {number}\r\n"
        f"Date: {at:%a, %d %b %Y %H:%M:%S} +0000\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        f"Bom dia, segue o pedido {number}.\r\n{'x' * random.randrange(2000)}\r\n"
    )
    marks: dict[str, object] = {
        "read": random.random() < 0.5,
        "categories": ["Urgente"] if random.random() < 0.1 else [],
        "transport": folder != "sentitems",
    }
    return raw.encode(), at, folder, marks


def fill(server: EwsServer, first: int, count: int) -> None:
    """Lay mails into the mailbox."""
    for number in range(first, first + count):
        raw, at, folder, marks = a_mail(number, Random(number))
        server.deliver(raw, folder=folder, received=at, **marks)


def snapshot(server: EwsServer) -> list[tuple[object, ...]]:
    """The mailbox, byte for byte, with everything that a person may have marked."""
    return [
        (item.id, item.raw, item.read, item.draft, tuple(item.categories), tuple(item.extended.items()))
        for item in server.box.items()
    ]


def known(app: App) -> Counter[str]:
    """Message-IDs in the history, each with how often."""
    with app.store.session() as session:
        return Counter(session.exec(select(Interaction.message_id)).all())


def compare(counts: Counter[str], mails: int) -> list[str]:
    """Lost and doubled ones."""
    wanted = {f"n{number}@acme.example" for number in range(mails)}
    found = [f"lost: {id}" for id in sorted(wanted - counts.keys())]
    return found + [f"doubled: {id}" for id, count in counts.items() if count > 1]


def fire(server: EwsServer, rate: float, seed: int) -> None:
    """One call in so many goes wrong from now on."""
    server.faults.rate = rate
    server.faults.random = Random(seed)
    server.faults.kinds = (*BEFORE, *AFTER)


def read_here(folder: Path, mails: int, *, rate: float = 0.05, seed: int = 1) -> ReadScore:
    """Server and reader in this process: the short form, without a look at memory."""
    score, began = ReadScore(mails), time.monotonic()
    with EwsServer() as server:
        office = ExchangeOffice(folder, server.url)
        office.write(PEOPLE)
        server.clock = office.clock.monotonic
        fill(server, 0, mails // 2)
        with office.running() as app:
            fire(server, rate, seed)
            score.failures = read(app)
            fill(server, mails // 2, mails - mails // 2)
            before = snapshot(server)
            score.failures += read(app)
            score.faults = compare(known(app), mails)
        _judge(score, server, before)
    score.seconds = time.monotonic() - began
    return score


def read_apart(folder: Path, mails: int, *, rate: float = 0.05, seed: int = 1) -> ReadScore:
    """The reader in a process of its own, whose memory is measured."""
    score, began = ReadScore(mails), time.monotonic()
    with EwsServer() as server:
        server.back_off = 0.05
        fill(server, 0, mails // 2)
        ExchangeOffice(folder, server.url).write(PEOPLE)
        fire(server, rate, seed)
        command = [sys.executable, "-m", "campaigns.exchange", "--reader", server.url, "--folder", str(folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdin is not None
            assert reader.stdout is not None
            first = int(reader.stdout.readline())
            fill(server, mails // 2, mails - mails // 2)
            before = snapshot(server)
            reader.stdin.write("go on\n")
            reader.stdin.flush()
            score.growth = int(reader.stdout.readline()) - first
            score.failures = int(reader.stdout.readline())
            counts = Counter(reader.stdout.read().split())
        score.faults = compare(counts, mails)
        _judge(score, server, before)
    if score.growth > MOST_GROWTH:
        score.faults.append(f"the second half cost {score.growth / 1e6:.1f} MB")
    score.seconds = time.monotonic() - began
    return score


def _judge(score: ReadScore, server: EwsServer, before: list[tuple[object, ...]]) -> None:
    score.struck, score.requests = len(server.faults.struck), server.requests.total()
    if snapshot(server) != before:
        score.faults.append("the mailbox was changed")
    if server.early:
        score.faults.append(f"{server.early} calls within a pause")
    score.faults += server.violations


def be_reader(url: str, folder: Path) -> None:
    """The reader's process: says its memory after each half, then its failures and all Message-IDs."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
    office = ExchangeOffice(folder, url)
    with office.running() as app:
        failures = read(app, lambda: time.sleep(0.06))
        print(_memory(), flush=True)
        sys.stdin.readline()
        failures += read(app, lambda: time.sleep(0.06))
        print(_memory(), failures, sep="\n", flush=True)
        print("\n".join(known(app).elements()))


def _memory() -> int:
    """Resident bytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


# -- sending


@dataclass
class SendScore:
    """What was sent."""

    rounds: int = 0
    left: int = 0
    found: int = 0
    uncertain: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For people."""
        verdict = "clean" if not self.faults else "FAULTS: " + "; ".join(self.faults[:20])
        return (
            f"sending: {self.rounds} rounds, {self.left} left, {self.found} found in Sent, {self.uncertain} uncertain "
            f"because they did not leave; {self.seconds:.0f} s: {verdict}"
        )


def send(folder: Path, rounds: int, *, kinds: tuple[str, ...] = LOST) -> SendScore:
    """Each mail meets its accident at SendItem; then it is looked up in Sent."""
    score, began = SendScore(rounds), time.monotonic()
    people = [(f"Pessoa {number}", f"p{number}@firma{number}.example") for number in range(rounds)]
    with EwsServer() as server:
        office = ExchangeOffice(folder, server.url, extra=SETTINGS)
        office.write(people)
        server.clock = office.clock.monotonic
        server.faults.script("SendItem", *(kinds[number % len(kinds)] for number in range(rounds)))
        with office.running() as app:
            read(app)
            app.sends.begin()
            for start in range(0, rounds, 250):
                numbers = [_plan(app, address) for _, address in people[start : start + 250]]
                _go_on(app, numbers)
            _judge_sends(score, server, app)
    score.seconds = time.monotonic() - began
    return score


def _plan(app: App, recipient: str) -> int:
    """A follow-up to a contact, as a rule plans one; due now."""
    now = app.clock.now()
    with app.store.writing() as session:
        person = customers.lookup_addresses(session, [recipient])[recipient][0]
        number = outbox.plan(
            session,
            OutboxMail(
                way=Way.SEND, event=f"event {recipient}", event_at=now - timedelta(days=3), rule="depois", slot="draft",
                account="ana", rep="ana", customer_id=person.customer_id, contact_id=person.id, recipient=recipient,
                template="proposta", unless="customer_wrote", due_at=now, late_after=now + timedelta(days=1),
                created_at=now, token="t0ken" + recipient.partition("@")[0], values={"mail": {"subject": "Proposta"}},
            ),
        )  # fmt: skip
    assert number is not None
    return number


def _go_on(app: App, numbers: list[int]) -> None:
    """Let the ticks come round until each of these was tried, and then looked up in Sent."""
    for _ in range(500):
        app.sends.sweep()
        app.sends.send_due("ana")
        rows = _rows(app, numbers)
        doubtful = [row for row in rows if row.state == OutboxState.UNCERTAIN]
        if len(doubtful) + sum(row.state == OutboxState.SENT for row in rows) < len(rows):
            app.clock.move(timedelta(seconds=20))  # type: ignore[attr-defined]
            continue
        app.copies.tidy()
        if all(row.looked_at for row in _rows(app, numbers) if row.state == OutboxState.UNCERTAIN):
            return
        app.clock.move(timedelta(minutes=6))  # type: ignore[attr-defined]
    raise AssertionError("not all was tried")


def _rows(app: App, numbers: list[int]) -> list[OutboxMail]:
    with app.store.session() as session:
        return list(session.exec(select(OutboxMail).where(col(OutboxMail.id).in_(numbers))).all())


def _judge_sends(score: SendScore, server: EwsServer, app: App) -> None:
    arrived = Counter(_id(raw) for _, raw in server.sent)
    copies = Counter(_id(item.raw) for item in server.box.folder("sentitems").items.values())
    with app.store.session() as session:
        rows = session.exec(select(OutboxMail)).all()
    score.left = len(server.sent)
    score.faults += [f"sent twice: {id}" for id, count in arrived.items() if count > 1]
    score.faults += [f"{count} copies: {id}" for id, count in copies.items() if count > 1]
    for row in rows:
        if (row.state == OutboxState.SENT) != (row.message_id in arrived):
            score.faults.append(f"{row.recipient} is {row.state} and left {arrived[row.message_id]} times")
    score.found = sum(row.state == OutboxState.SENT and bool(row.looked_at) for row in rows)
    score.uncertain = sum(row.state == OutboxState.UNCERTAIN for row in rows)
    score.faults += server.violations


def _id(raw: bytes) -> str:
    head = raw.partition(b"\r\n\r\n")[0]
    line = next(one for one in head.split(b"\r\n") if one.lower().startswith(b"message-id:"))
    return line.partition(b"<")[2].partition(b">")[0].decode()


def main(arguments: list[str] | None = None) -> int:
    """Print what was done and found; 1 if a mail was lost, doubled, or sent twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=10_000)
    parser.add_argument("--sends", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=0.05, help="share of the calls that go wrong")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reader", default="", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.reader:
        be_reader(options.reader, options.folder)
        return 0
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="quietcrm-exchange-") as folder:
        if options.mails:
            reading = read_apart(Path(folder) / "read", options.mails, rate=options.rate, seed=options.seed)
            print(reading.text(), flush=True)
            faults += reading.faults
        if options.sends:
            sending = send(Path(folder) / "send", options.sends)
            print(sending.text(), flush=True)
            faults += sending.faults
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
