"""A mailbox in Microsoft 365 whose service fails in every twentieth call: `python -m campaigns.graph --count 10000`.

Reading: half of the mails lie there from the start, the other half comes while it is read; the rep reads, flags,
categorises and moves mail meanwhile. Truth is the service's mailbox: each mail once in the history, by Message-ID, and
everything that the rep did as he did it. The service itself asserts its limits: four requests at once, ten thousand in
ten minutes, none within a pause.

Sending (`--sends 2000`): the service sends and then does not say so: 504, 503, a cut line. For some the copy comes late
into Sent, or under another Message-ID. Each mail ends as sent, with one copy, and leaves once.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from campaigns.backfill import old_mail
from campaigns.graph_app import REP, ServiceTime, be_quiet, swift, write_office
from servers.graph import Call, Fault, GraphServer
from servers.graph_mailbox import FakeMail, GraphMailbox
from servers.graph_oracle import find_check, nothing

from daemon.app import App, opened
from daemon.clock import HeldClock
from daemon.requests import answer
from store import customers, outbox
from store.importing import read_csv
from store.tables import OutboxMail, OutboxState, Way

SHARE = 0.05
MOST_GROWTH = 5 << 20
FIRST = datetime(2022, 1, 3, 9, 0, tzinfo=UTC)
CUSTOMERS = 300
CHUNKS = 10
A_NIGHT = 8 * 3600.0
"""Until then what the service forgets to tell of has been found by counting."""
TOGETHER = 20
LOOKS = 20
"""How often Sent is looked at for the last of them."""
_ANYWHERE = (
    Fault(status=429, code="ApplicationThrottled", retry_after=3),
    Fault(status=429, code="ApplicationThrottled", inner="MailboxConcurrency", retry_after=1),
    Fault(status=429, code="TooManyRequests", retry_after=120),
    Fault(status=500, code="ErrorInternalServerTransientError"),
    Fault(status=503, code="ServiceNotAvailable", retry_after=2),
    Fault(status=504, after=True),
    Fault(status=504),
    Fault(drop=True),
    Fault(drop=True, after=True),
    Fault(hang_up=True),
)
_OF_CHANGES = (Fault(status=410, code="SyncStateNotFound"), Fault(repeat=True))
UNSAID = (
    Fault(status=504, after=True),
    Fault(status=503, after=True),
    Fault(status=502, after=True),
    Fault(drop=True, after=True),
)


@dataclass
class Readings:
    """What was read and what is wrong with it."""

    mails: int = 0
    calls: int = 0
    faults: int = 0
    growth: int = 0
    memory: list[int] = field(default_factory=list)
    """Bytes of the reading process after the first half and each further bit."""
    wrong: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Nothing lost, nothing twice, nothing touched, no limit passed, no memory lost."""
        return not any(self.wrong.values())

    def text(self) -> str:
        """For people."""
        first = (
            f"{self.mails} mails in {self.calls} calls, {self.faults} of which failed; the second half of them added "
            f"{self.growth / (1 << 20):.1f} MB (in MB: {' '.join(str(one >> 20) for one in self.memory)})"
        )
        return "\n".join([first, *(f"  {kind}: {names[:5]}" for kind, names in self.wrong.items() if names)])


class Reading:
    """One mailbox, the rep's hands in it, and quietcrm that reads it in a process of its own."""

    def __init__(self, directory: Path, count: int, seed: int) -> None:
        self.random = Random(seed)
        self.directory = directory
        self.count = count
        self.faults = 0
        self.expected: dict[str, tuple[bool, tuple[str, ...], str]] = {}
        self.server = GraphServer(check=find_check() or nothing)
        self.box: GraphMailbox = self.server.add_mailbox(REP)
        self.server.faults = self.fault
        write_office(directory, self.server.url, CUSTOMERS)

    def fault(self, call: Call) -> Fault | None:
        """In every twentieth call, whichever it is."""
        if self.random.random() >= SHARE:
            return None
        self.faults += 1
        choice = _ANYWHERE + _OF_CHANGES if "messages/delta" in call.path else _ANYWHERE
        return self.random.choice(choice)

    def deliver(self, first: int, count: int, prefix: str, start: datetime) -> None:
        """So many mails of customers, one after the other; some are sent mail, some lie in a folder of the rep's."""
        for number in range(first, first + count):
            at = start + timedelta(minutes=7 * number)
            folder = self.random.choice(("INBOX", "INBOX", "INBOX", "Sent Items", "Projetos"))
            one = self.box.deliver(old_mail(number, at, prefix), folder=folder, at=at, seen=self.random.random() < 0.5)
            self.note(one)

    def note(self, one: FakeMail) -> None:
        """This is how the rep left it."""
        fields = one.fields
        flag = str(fields["flag"]["flagStatus"])
        self.expected[fields["internetMessageId"]] = (fields["isRead"], tuple(fields["categories"]), flag)

    def use_mailbox(self) -> None:
        """The rep reads, flags, categorises and moves some mail; some of it out and back, which the service forgets."""
        for one in self.random.sample(list(self.box.mails.values()), min(40, len(self.box.mails))):
            self.box.change(one, self.random.choice(({"isRead": True}, {"flag": {"flagStatus": "flagged"}},
                                                     {"categories": ["Azul"]}, {"isRead": False})))  # fmt: skip
            self.note(one)
        for one in self.random.sample(list(self.box.mails.values()), 10):
            home = one.folder
            self.box.move(one, self.box.folder_called("Arquivo").id)
            if self.random.random() < 0.5:
                self.box.move(one, home, quietly=True)

    def run(self) -> Readings:
        """Half, the last bit of it as new mail; then the other half bit by bit; then compare."""
        half = self.count // 2
        warm = max(1, half // CHUNKS)
        self.box.folder_called("Projetos")
        self.deliver(0, half - warm, "old", FIRST)
        command = [sys.executable, "-m", "campaigns.graph_reader", str(self.directory), self.server.url]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as child:
            memory = [self.ask(child)["memory"]]
            for start in range(half - warm, self.count, warm):
                with self.server._lock:
                    self.deliver(start, min(warm, self.count - start), "new", FIRST)
                    self.use_mailbox()
                memory.append(self.ask(child)["memory"])
            memory.append(self.ask(child, A_NIGHT)["memory"])
            assert child.stdin is not None
            child.stdin.close()
            child.wait()
        self.server.refuse()
        return self.verdict(memory)

    def ask(self, child: subprocess.Popen[str], after: float = 0.0) -> dict[str, int]:
        """Have it read everything there is, after so many seconds."""
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(f"{after}\n")
        child.stdin.flush()
        told: dict[str, int] = json.loads(child.stdout.readline())
        return told

    def verdict(self, memory: list[int]) -> Readings:
        """Compare the history with the mailbox. Memory counts from the first half on, whose last bit was new mail:
        every part has been at work once by then."""
        growth = memory[-1] - memory[1]
        with closing(sqlite3.connect(self.directory / "state" / "crm.db")) as connection:
            rows = [str(one) for (one,) in connection.execute("SELECT message_id FROM interaction")]
            spoilt = [str(one) for (one,) in connection.execute("SELECT reason FROM quarantine")]
        found, wanted = Counter(rows), {name.strip("<>") for name in self.expected}
        now = {
            one.fields["internetMessageId"]: (
                one.fields["isRead"], tuple(one.fields["categories"]), str(one.fields["flag"]["flagStatus"]),
            )
            for one in self.box.mails.values()
        }  # fmt: skip
        wrong = {
            "lost": sorted(wanted - found.keys()),
            "not of this mailbox": sorted(found.keys() - wanted),
            "twice": [name for name, times in found.items() if times > 1],
            "touched": [name for name, state in self.expected.items() if now.get(name) != state],
            "in quarantine": spoilt,
            "limits passed": self.server.violations,
            "memory": [f"{growth} bytes"] if growth >= MOST_GROWTH and self.count >= 10_000 else [],
        }
        return Readings(len(found), len(self.server.calls), self.faults, growth, memory, wrong)


@dataclass
class Sendings:
    """What was sent and what is wrong with it."""

    rounds: int = 0
    unsaid: int = 0
    wrong: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """One copy each, all known as sent."""
        return not any(self.wrong.values())

    def text(self) -> str:
        """For people."""
        first = f"{self.rounds} mails, of {self.unsaid} of which the service did not say that it had sent them"
        return "\n".join([first, *(f"  {kind}: {names[:5]}" for kind, names in self.wrong.items() if names)])


class Sending:
    """Mails that are due, one after the other, by the daemon's own sends, copies and store."""

    def __init__(self, directory: Path, rounds: int, seed: int) -> None:
        self.random = Random(seed)
        self.directory = directory
        self.rounds = rounds
        self.clock = HeldClock(datetime(2026, 11, 16, 12, 0, tzinfo=UTC))
        self.server = GraphServer(check=find_check() or nothing, clock=self.clock.now, monotonic=self.clock.monotonic)
        self.box = self.server.add_mailbox(REP)
        write_office(directory, self.server.url, rounds)

    def run(self) -> Sendings:
        """All rounds; then compare."""
        time = ServiceTime(self.server.url)
        with swift(time), opened(self.directory, self.clock) as app:
            rows = [[row.line, dict(row.values)] for row in read_csv(self.directory / "customers.csv")]
            answer(app, "customer.import", {"rows": rows})
            for poller in app.pollers.values():
                poller.poll()
            app.sends.begin()
            for start in range(0, self.rounds, TOGETHER):
                self.round(app, range(start, min(start + TOGETHER, self.rounds)))
            for _ in range(LOOKS):
                self.clock.move(timedelta(minutes=6))
                app.copies.tidy()
            ends = self.ends(app)
        self.server.refuse()
        return self.verdict(ends)

    def round(self, app: App, numbers: Sequence[int]) -> None:
        """A few mails: planned, sent by the service without a word, looked up in Sent."""
        self.box.rewrites_ids = self.random.random() < 0.2
        self.server.send_delay = self.random.choice((0, 0, 0, 5, 20))
        for number in numbers:
            plan(app, f"maria@cliente{number}.example")
        self.server.script = [("POST", "/send", self.random.choice(UNSAID)) for _ in numbers]
        while any(state in (OutboxState.PLANNED, OutboxState.CLAIMED) for state in self.ends(app).values()):
            app.sends.sweep()
            app.sends.send_due("ana")
            self.clock.move(timedelta(seconds=3))
        self.clock.move(timedelta(minutes=6))
        app.copies.tidy()

    def ends(self, app: App) -> dict[str, str]:
        """Recipient -> how its mail ended."""
        with app.store.session() as session:
            return {row.recipient: row.state for row in outbox.in_states(session, tuple(OutboxState), limit=1 << 30)}

    def verdict(self, ends: dict[str, str]) -> Sendings:
        """Compare what left with what is said of it."""
        left = Counter(recipients[0] for _, recipients, _ in self.server.sent)
        copies = Counter(
            str(one.fields["toRecipients"][0]["emailAddress"]["address"]) for one in self.box.in_folder("sentitems")
        )
        wrong = {
            "left twice": [name for name, times in left.items() if times > 1],
            "never left": sorted(set(ends) - left.keys()),
            "not one copy in Sent": [name for name in ends if copies[name] != 1],
            "not known as sent": [f"{name} {state}" for name, state in ends.items() if state != OutboxState.SENT],
            "planned otherwise": [] if len(ends) == self.rounds else [str(len(ends))],
            "drafts left behind": [str(one.fields["subject"]) for one in self.box.in_folder("drafts")],
            "limits passed": self.server.violations,
        }
        return Sendings(self.rounds, self.server.counts["POST /messages/{id}/send"], wrong)


def plan(app: App, recipient: str) -> None:
    """As a rule plans it; due at once."""
    now = app.clock.now()
    with app.store.writing() as session:
        (person,) = customers.lookup_addresses(session, [recipient])[recipient]
        row = OutboxMail(
            way=Way.SEND,
            event=f"campaign {recipient}",
            event_at=now - timedelta(hours=1),
            rule="seguimento",
            slot="draft",
            account="ana",
            rep="ana",
            customer_id=person.customer_id,
            contact_id=person.id,
            recipient=recipient,
            template="curta",
            unless="customer_wrote",
            due_at=now,
            late_after=now + timedelta(days=1),
            created_at=now,
            token=recipient.partition("@")[2],
            values={"mail": {"subject": "Proposta"}},
        )
        assert outbox.plan(session, row) is not None


def main(arguments: Sequence[str] | None = None) -> int:
    """Both halves; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="mails to read")
    parser.add_argument("--sends", type=int, default=2_000, help="mails to send")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)))
    options = parser.parse_args(arguments)
    be_quiet()
    with tempfile.TemporaryDirectory(prefix="quietcrm-graph-") as folder:
        readings = Reading(Path(folder) / "reading", options.count, options.seed).run()
        print(f"reading: {readings.text()}", flush=True)
        sendings = Sending(Path(folder) / "sending", options.sends, options.seed).run()
        print(f"sending: {sendings.text()}", flush=True)
    print(f"graph: {readings.mails} read, {sendings.rounds} sent, seed {options.seed}")
    return 0 if readings.is_clean and sendings.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
