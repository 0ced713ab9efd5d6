"""An office in a time of its own: mail arrives by a timetable, the daemon's ticks come round at their pace, and an SMTP
sink keeps what left. A day passes in seconds, and what was on the server at which moment is known to the second.

Reading and sending take time here too: while a server is slow the timetable goes on.
"""

from __future__ import annotations

import heapq
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Protocol

from servers.dovecot import DovecotServer
from servers.smtp_sink import SmtpSink

from connectors.model import OutgoingMail
from connectors.protocols import Mailer
from daemon.app import App, opened
from daemon.poll import Poller
from daemon.requests import answer
from daemon.service import DESK_TICK, SEND_TICK, SWEEP_TICK
from store import customers, outbox
from store.tables import OutboxMail, OutboxState, Way

START = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)
"""A Monday, 09:00 in São Paulo."""
POLL_TICK = 60.0
REMINDER = """\
---
name: lembrete
subject: "Proposta"
---
{{ greeting }} {{ contact.first_name | or("") }}, conseguiu ver a proposta?
"""
REPS = ("ana", "bruno", "carla")
SLOW = timedelta(seconds=65)
"""As long as that a server takes now and then: longer than a look counts."""
FOLDERS = ("Sent", "Drafts", "Junk", "Clientes")

SETTINGS = """\
company: {{name: Vendas, zone: America/Sao_Paulo, language: pt}}
internal: ["@vendas.example"]
hours: {{{hours}}}
admin: ana
team:
{team}
accounts:
{accounts}
senders:
{senders}
send: {{auto_templates: [{templates}], hold: {hold}}}
public_domains: [freemail.example]
limits: {{actions_per_hour: 1000000, sends_per_day: 1000000}}
"""


_DUE = """
SELECT 1 FROM outbox
WHERE state = 'planned' AND way = 'send' AND due_at <= ? AND (retry_at IS NULL OR retry_at <= ?) LIMIT 1
"""


class StepClock:
    """A clock that is moved, and that somebody may set wrong: `step` changes the wall time alone."""

    def __init__(self, at: datetime = START) -> None:
        self._start = at
        self._elapsed = 0.0
        self._wrong = timedelta()

    def now(self) -> datetime:
        """What the machine takes for the time, aware UTC."""
        return self.true() + self._wrong

    def true(self) -> datetime:
        """What it is."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Seconds it was moved."""
        return self._elapsed

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self._elapsed += by.total_seconds()

    def step(self, by: timedelta) -> None:
        """Set the wall clock forward or back."""
        self._wrong += by


class Mailboxes(Protocol):
    """Where the reps' mail lies."""

    def account(self, rep: str) -> str:
        """The account in quietcrm.yaml, in YAML flow style."""
        ...

    def make(self, rep: str) -> None:
        """An empty mailbox with FOLDERS."""
        ...

    def place(self, rep: str, folder: str, raw: bytes, at: datetime) -> None:
        """Lay a mail into a folder ("INBOX" or one of FOLDERS), as if it had come at that moment."""
        ...


@dataclass
class Maildirs:
    """Mailboxes as files: the stand-in that passes the same contract as a server."""

    root: Path
    _serial: Iterator[int] = field(default_factory=lambda: count(1))

    def account(self, rep: str) -> str:
        return f"{{type: maildir, rep: {rep}, path: {self.root / rep}, since: 2000-01-01}}"

    def make(self, rep: str) -> None:
        for folder in ("", *(f".{name}" for name in FOLDERS)):
            for place in ("new", "cur", "tmp"):
                (self.root / rep / folder / place).mkdir(parents=True, exist_ok=True)

    def place(self, rep: str, folder: str, raw: bytes, at: datetime) -> None:
        home = self.root / rep / ("" if folder == "INBOX" else f".{folder}")
        name = f"{int(at.timestamp())}.M{next(self._serial)}.house"
        (home / "tmp" / name).write_bytes(raw)
        os.utime(home / "tmp" / name, (at.timestamp(), at.timestamp()))
        (home / "tmp" / name).rename(home / "new" / name)


@dataclass
class Dovecots:
    """Mailboxes on a real IMAP server."""

    server: DovecotServer

    def account(self, rep: str) -> str:
        where = f"host: 127.0.0.1, port: {self.server.port}, security: none"
        return f"{{type: imap, rep: {rep}, {where}, login: {rep}, password: {{file: password}}, since: 2000-01-01}}"

    def make(self, rep: str) -> None:
        self.server.add_user(rep)
        for folder in FOLDERS:
            self.server.make_mailbox(rep, folder)

    def place(self, rep: str, folder: str, raw: bytes, at: datetime) -> None:
        self.server.deliver(rep, raw, folder=folder, received_at=at)


@dataclass
class House:
    """What is on disk. `customers`: lines of name, address, company, domain."""

    directory: Path
    boxes: Mailboxes
    sink: SmtpSink
    rules: str
    templates: dict[str, str]
    customers: Sequence[tuple[str, str, str, str]]
    settings: str = ""
    aliases: dict[str, str] = field(default_factory=dict)
    hours: str = "mon-sun: 00:00-24:00"
    hold: str = "0 minutes"
    sent_copy: str = "server"
    clock: StepClock = field(default_factory=StepClock)
    rng: Random = field(default_factory=lambda: Random(1))
    _serial: Iterator[int] = field(default_factory=lambda: count(1))

    def write(self) -> None:
        """Write the configuration and make the mailboxes."""
        for name in ("rules", "templates"):
            (self.directory / name).mkdir(parents=True)
        sender = f"type: smtp, host: 127.0.0.1, port: {self.sink.port}, security: none, sent_copy: {self.sent_copy}"
        text = SETTINGS.format(
            hours=self.hours,
            hold=self.hold,
            team=_block({rep: self._person(rep) for rep in REPS}),
            accounts=_block({rep: self.boxes.account(rep) for rep in REPS}),
            senders=_block(dict.fromkeys(REPS, f"{{{sender}}}")),
            templates=", ".join(self.templates),
        )
        (self.directory / "quietcrm.yaml").write_text(text + self.settings, encoding="utf-8")
        (self.directory / "rules" / "10.yaml").write_text(self.rules, encoding="utf-8")
        for name, template in self.templates.items():
            (self.directory / "templates" / f"{name}.md").write_text(template, encoding="utf-8")
        (self.directory / "password").write_text("secret", encoding="utf-8")
        (self.directory / "password").chmod(0o600)
        for rep in REPS:
            self.boxes.make(rep)

    def _person(self, rep: str) -> str:
        aliases = f", aliases: [{self.aliases[rep]}]" if rep in self.aliases else ""
        return f"{{mail: {rep}@vendas.example, language: pt, name: {rep.title()}{aliases}}}"

    @contextmanager
    def running(self) -> Iterator[World]:
        """The daemon's parts past their first look, customers imported, in a world that can be let run."""
        with opened(self.directory, self.clock) as app:
            head = ["name", "email", "company", "domain"]
            rows = [[line, dict(zip(head, one, strict=True))] for line, one in enumerate(self.customers, 2)]
            answer(app, "customer.import", {"rows": rows})
            for poller in app.pollers.values():
                poller.poll()
            app.sends.begin()
            self.clock.move(timedelta(minutes=1))
            world = World(app, self)
            try:
                yield world
            finally:
                world.close()

    def letter(
        self,
        sender: str,
        to: str,
        subject: str,
        text: str,
        *,
        answers: str = "",
        at: datetime | None = None,
        **more: str,
    ) -> EmailMessage:
        """A plain mail, dated `at` or now; `more`: further headers, `_` for `-`."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = sender, to, subject
        mail["Date"] = format_datetime(at or self.clock.true())
        if answers:
            mail["In-Reply-To"] = mail["References"] = answers
        named = {name.replace("_", "-"): value for name, value in more.items()}
        named.setdefault("Message-ID", f"<h{next(self._serial)}.{self.rng.randrange(10**9)}@mail.example>")
        for name, value in named.items():
            mail[name] = value
        mail.set_content(text)
        return mail


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A folder for one campaign, in memory where that can be had: these are not about disks."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    with tempfile.TemporaryDirectory(prefix=f"quietcrm-{name}-", dir=memory if usable else None) as folder:
        yield Path(folder)


def _block(lines: dict[str, str]) -> str:
    return "\n".join(f"  {name}: {value}" for name, value in lines.items())


@dataclass(order=True)
class _Planned:
    at: float
    serial: int
    act: Callable[[], None] = field(compare=False)


@dataclass(order=True)
class _Tick:
    at: float
    name: str
    every: float = field(compare=False)
    act: Callable[[], Any] = field(compare=False)


class World:
    """Everything that happens, in order. `at` of the timetable is true time; ticks go by seconds that never jump."""

    slow_poll = (0.0, 6.0)
    """Seconds that a mailbox takes to answer, after it looked what there is."""
    slow_send = (0.0, 2.0)
    """Seconds until a server has heard the recipient."""
    slow_share = 0.004
    """Share of the answers that take SLOW."""

    def __init__(self, app: App, house: House) -> None:
        self.app = app
        self.house = house
        self.clock = house.clock
        self.rng = house.rng
        self.on_mail: Callable[[Any], None] = lambda _envelope: None
        self.on_tick: Callable[[str], None] = lambda _name: None
        self.slow: list[tuple[datetime, datetime]] = []
        self._heard = 0
        self._timetable: list[_Planned] = []
        self._serial = count(1)
        self._lock = threading.RLock()
        self._ticks: list[_Tick] = []
        database = app.store.engine.url.database
        self._store = sqlite3.connect(f"file:{database}?mode=ro", uri=True, check_same_thread=False)
        app.wake = self._wake
        self._make_slow()
        for name, poller in app.pollers.items():
            self._add(f"poll:{name}", POLL_TICK, partial(self._poll, poller))
        for name in app.office.settings.senders:
            self._add(f"send:{name}", SEND_TICK, partial(self._send, name))
        self._add("sweep", SWEEP_TICK, app.sends.sweep)
        self._add("desk", DESK_TICK * 6, self._desk)

    def _poll(self, poller: Poller) -> None:
        if poller.is_due():
            poller.poll(once=False)

    def _send(self, sender: str) -> None:
        """A tick with nothing due does nothing, and most are such: asked here for a tenth of what it costs there."""
        now = self.clock.now().isoformat(" ", "microseconds")[:26]
        if self._store.execute(_DUE, (now, now)).fetchall():
            self.app.sends.send_due(sender)

    def _desk(self) -> None:
        self.app.desks.tidy()
        self.app.copies.tidy()

    def every(self, name: str, seconds: float, act: Callable[[], Any]) -> None:
        """One more thing that comes round."""
        self._add(name, seconds, act)

    def _add(self, name: str, every: float, act: Callable[[], Any]) -> None:
        heapq.heappush(self._ticks, _Tick(self.clock.monotonic() + self.rng.uniform(0, every), name, every, act))

    def _make_slow(self) -> None:
        for poller in self.app.pollers.values():
            changed: dict[str, Any] = {
                name: self._slowed(getattr(poller.source, name)) for name in ("fetch", "read_junk")
            }
            # By these an IMAP source knows when to ask the folders in which little happens.
            changed |= {"_monotonic": self.clock.monotonic, "_looked_at": 0.0, "_swept_at": 0.0}
            for name, value in changed.items():
                setattr(poller.source, name, value)
        build = self.app.outlets.build
        self.app.outlets.build = lambda name: _SlowMailer(build(name), lambda: self._dawdle(self.slow_send))

    def _slowed(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*args: Any, **named: Any) -> Any:
            answered = act(*args, **named)
            self._dawdle(self.slow_poll)
            return answered

        return slow

    def _dawdle(self, span: tuple[float, float]) -> None:
        """Mostly quick, now and then as slow as can be, rarely a minute."""
        low, high = span
        if high and self.rng.random() < self.slow_share:
            self.slow.append((self.clock.true(), self.clock.true() + SLOW))
            self.advance(SLOW.total_seconds())
        else:
            self.advance(low + (high - low) * self.rng.random() ** 3)

    def kept_waiting(self, since: datetime, until: datetime) -> timedelta:
        """How much of this span a server let pass that took a minute to answer. Nothing else goes on meanwhile here,
        and the looks that were made before are too old behind it."""
        spans = (min(until, end) - max(since, begun) for begun, end in self.slow)
        return sum((max(one, timedelta()) for one in spans), timedelta())

    def _wake(self, account: str) -> None:
        """The daemon has an account polled on another thread: soon, not at once."""
        for tick in self._ticks:
            if tick.name == f"poll:{account}":
                tick.at = min(tick.at, self.clock.monotonic() + self.rng.uniform(0, 1))
        heapq.heapify(self._ticks)

    # --- what others do ------------------------------------------------------------------------------------------

    def at(self, moment: datetime, act: Callable[[], None]) -> None:
        """Something happens at this (true) time."""
        heapq.heappush(self._timetable, _Planned(moment.timestamp(), next(self._serial), act))

    def place(self, moment: datetime, rep: str, mail: EmailMessage | bytes, folder: str = "INBOX") -> None:
        """A mail arrives at this time."""
        raw = mail if isinstance(mail, bytes) else mail.as_bytes()
        self.at(moment, lambda: self.house.boxes.place(rep, folder, raw, moment))

    def plan(self, recipient: str, due_at: datetime, **stated: Any) -> int:
        """Plan a follow-up of the rep to a contact, as a rule does; its number."""
        due_at += self.clock.now() - self.clock.true()  # in what the machine takes for the time
        at = due_at - timedelta(days=3)
        with self.app.store.writing() as session:
            (person,) = customers.lookup_addresses(session, [recipient])[recipient]
            fields: dict[str, Any] = {
                "way": Way.SEND, "event": f"event {next(self._serial)}", "event_at": at, "rule": "depois",
                "slot": "send", "rep": "ana", "customer_id": person.customer_id, "contact_id": person.id,
                "recipient": recipient, "template": "lembrete", "unless": "customer_wrote", "due_at": due_at,
                "created_at": at, "late_after": due_at + timedelta(days=1),
            }  # fmt: skip
            fields |= stated
            number = outbox.plan(session, OutboxMail(**{"account": fields["rep"], **fields}))
        assert number is not None
        return number

    def rows(self) -> dict[int, OutboxMail]:
        """Every mail of the outbox by its number."""
        with self.app.store.session() as session:
            return {row.id or 0: row for row in outbox.in_states(session, list(OutboxState))}

    def advance(self, seconds: float) -> None:
        """Let time pass; what the timetable holds for it happens at its moments."""
        with self._lock:
            end = self.clock.true() + timedelta(seconds=seconds)
            while self._timetable and self._timetable[0].at <= end.timestamp():
                planned = heapq.heappop(self._timetable)
                ahead = planned.at - self.clock.true().timestamp()
                if ahead > 0:
                    self.clock.move(timedelta(seconds=ahead))
                planned.act()
            left = end - self.clock.true()
            if left > timedelta():
                self.clock.move(left)

    # --- what the daemon does ------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Let the daemon work for so long."""
        end = self.clock.monotonic() + seconds
        while self._ticks[0].at <= end:
            tick = heapq.heappop(self._ticks)
            if (ahead := tick.at - self.clock.monotonic()) > 0:
                self.advance(ahead)
            heapq.heappush(self._ticks, tick)
            tick.at = max(tick.at + tick.every, self.clock.monotonic() + 0.01)
            heapq.heapify(self._ticks)
            tick.act()
            self._hear()
            self.on_tick(tick.name)
        if (ahead := end - self.clock.monotonic()) > 0:
            self.advance(ahead)

    def run_until(self, moment: datetime) -> None:
        """Let the daemon work until this (true) time."""
        self.run(max(0.0, (moment - self.clock.true()).total_seconds()))

    def sleep(self, span: timedelta) -> None:
        """Time passes and the daemon does nothing: the machine is off, or nothing of interest is due."""
        self.advance(span.total_seconds())

    def close(self) -> None:
        """Let go of the database."""
        self._store.close()

    def _hear(self) -> None:
        for envelope in self.house.sink.mails[self._heard :]:
            self._heard += 1
            self.on_mail(envelope)


class _SlowMailer:
    """A mailer whose server takes its time."""

    def __init__(self, mailer: Mailer, dawdle: Callable[[], None]) -> None:
        self._mailer = mailer
        self._dawdle = dawdle
        self.account = mailer.account

    def check(self) -> tuple[str, ...]:
        return self._mailer.check()

    def send(
        self,
        mail: OutgoingMail,
        *,
        envelope_from: str,
        recipient: str,
        committing: Callable[[], None] = lambda: None,
    ) -> str:
        self._dawdle()
        return self._mailer.send(mail, envelope_from=envelope_from, recipient=recipient, committing=committing)

    def close(self) -> None:
        self._mailer.close()
