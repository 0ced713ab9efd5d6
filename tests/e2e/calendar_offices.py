"""A small office with two reps, whose mail lies in Maildirs and whose calendars in memory or on a CalDAV server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from itertools import count
from pathlib import Path
from typing import Any

from maildir_offices import MaildirOffice, logged
from offices import import_customers, work
from servers.calendars import RadicaleServer, TestCalendar

from connectors.memory_calendars import MemoryCalendars
from daemon.app import App, opened

RULES = """\
rules:
  - {name: booked, when: meeting booked, then: {tag: booked}}
  - {name: moved, when: meeting moved, then: {remind: {who: ana, text: "Mudou: {{ meeting.title }}"}}}
  - {name: called-off, when: meeting cancelled, then: {tag: called-off}}
  - {name: answered, when: meeting answered, if: {answered: accepted}, then: {tag: coming}}
  - {name: prepare, when: {meeting soon: 1 day before}, then: {remind: {who: ana, text: "Amanhã {{ meeting.title }}"}}}
  - {name: thanks, when: {meeting held: 1 hour after}, if: {length: {min: 15 minutes}}, then: {draft: obrigado}}
  - {name: no-show, when: meeting missed, then: {tag: no-show, start: remarcar}}
"""
TEMPLATE = """---
name: obrigado
subject: Obrigado pela reunião
---
{{ greeting }} {{ contact.first_name | or("") }}, obrigado pela conversa sobre {{ meeting.title }}.
"""
AGAIN = """---
name: remarcar
subject: Vamos remarcar?
---
{{ greeting }} {{ contact.first_name | or("") }}, quando seria bom?
"""
SEQUENCE = """\
name: remarcar
steps:
  - {wait: 1 business day, template: remarcar}
"""
SETTINGS = """\
company: {{{{name: Vendas, zone: America/Sao_Paulo, language: pt}}}}
store: {{store}}
internal: ["@vendas.example"]
hours: {{{{mon-fri: 09:00-18:00}}}}
team:
  ana: {{{{mail: ana@vendas.example, language: pt, name: Ana}}}}
  bruno: {{{{mail: bruno@vendas.example, language: pt, name: Bruno}}}}
accounts:
  ana: {{{{type: maildir, rep: ana, path: ana, since: 2000-01-01}}}}
  bruno: {{{{type: maildir, rep: bruno, path: bruno, since: 2000-01-01}}}}
calendars:
{calendars}
"""
MEMORY = "  ana: {type: memory}\n  bruno: {type: memory}"
CALDAV = '  {rep}: {{{{type: caldav, url: "{url}", login: ana, password: {{{{file: pw}}}}, only: ["{name}"]}}}}'
ANA, BRUNO, MARIA, JOAO = (
    "ana@vendas.example",
    "bruno@vendas.example",
    "maria@padariasol.example",
    "joao@oficinario.example",
)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_serial = count(1)


@dataclass(slots=True)
class MemoryCalendar:
    """A calendar in memory that outlives the App."""

    name: str = "Calendar"
    kept: MemoryCalendars = field(default_factory=MemoryCalendars)

    def put(self, ref: str, data: bytes) -> None:
        """Lay an object there, or change it."""
        self.kept.put(ref, data)

    def remove(self, ref: str) -> None:
        """Take an object out."""
        self.kept.remove(ref)

    def open_in(self, app: App, rep: str) -> None:
        """Let a new App find what lies there."""
        fresh = app.around.calendars_of(rep)
        fresh.calendars, fresh._log, fresh._serial = self.kept.calendars, self.kept._log, self.kept._serial


@dataclass(slots=True)
class CalendarOffice(MaildirOffice):
    """The office, its two calendars, and the hands of those who book."""

    ana: MemoryCalendar | TestCalendar = field(kw_only=True)
    bruno: MemoryCalendar | TestCalendar = field(kw_only=True)

    def write(self) -> None:
        MaildirOffice.write(self)
        (self.directory / "templates" / "proposta.md").unlink()
        (self.directory / "templates" / "obrigado.md").write_text(TEMPLATE, encoding="utf-8")
        (self.directory / "templates" / "remarcar.md").write_text(AGAIN, encoding="utf-8")
        (self.directory / "sequences").mkdir(exist_ok=True)
        (self.directory / "sequences" / "remarcar.yaml").write_text(SEQUENCE, encoding="utf-8")
        (self.directory / "pw").write_text("secret")
        (self.directory / "pw").chmod(0o600)

    @contextmanager
    def opened(self) -> Iterator[App]:
        """An App as it starts again."""
        with opened(self.directory, self.clock) as app:
            for rep, calendar in (("ana", self.ana), ("bruno", self.bruno)):
                if isinstance(calendar, MemoryCalendar):
                    calendar.open_in(app, rep)
            yield app

    @contextmanager
    def running(self) -> Iterator[App]:
        """An App past its baseline."""
        with self.opened() as app:
            import_customers(app, self.directory / "customers.csv")
            self.turn(app)
            self.clock.move(MINUTE)
            yield app

    def turn(self, app: App) -> None:
        """What the ticks do, once."""
        work(app)
        for poller in app.calendars.values():
            poller.poll()
        app.occasions.look()
        app.sequences.tick()
        app.desks.tidy()
        for items in app.items.values():
            items.tidy()

    def go_on(self, app: App, to: datetime, step: timedelta = 12 * HOUR) -> None:
        """Let the daemon live on until a moment."""
        while self.clock.now() < to:
            self.clock.move(min(step, to - self.clock.now()))
            self.turn(app)

    def event(
        self,
        uid: str,
        start: datetime,
        *lines: str,
        title: str = "Demonstração",
        people: tuple[str, ...] = (ANA, MARIA),
        organizer: str = ANA,
        minutes: int = 60,
        sequence: int = 0,
        method: str = "",
        answers: dict[str, str] | None = None,
    ) -> bytes:
        """An iCalendar object with one event."""
        asked = answers or {}
        attendees = [f"ATTENDEE;PARTSTAT={asked.get(one, 'NEEDS-ACTION')}:mailto:{one}" for one in people]
        parts = [
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "PRODID:-//test//EN",
            *([f"METHOD:{method}"] if method else []),
            "BEGIN:VEVENT",
            f"UID:{uid}",
            f"DTSTAMP:{self.clock.now():%Y%m%dT%H%M%SZ}",
            f"SEQUENCE:{sequence}",
            f"DTSTART:{start:%Y%m%dT%H%M%SZ}",
            f"DTEND:{start + timedelta(minutes=minutes):%Y%m%dT%H%M%SZ}",
            f"SUMMARY:{title}",
            *([f"ORGANIZER:mailto:{organizer}"] if organizer else []),
            *attendees,
            *lines,
            "END:VEVENT",
            "END:VCALENDAR",
            "",
        ]
        return "\r\n".join(parts).encode()

    def invitation(self, calendar: bytes, sender: str = MARIA, to: str = ANA, method: str = "REQUEST") -> bytes:
        """A mail that brings a calendar."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = sender, to, "Convite"
        mail["Date"] = format_datetime(self.clock.now())
        mail["Message-ID"] = f"<invitation{next(_serial)}@{sender.partition('@')[2]}>"
        mail.set_content("Convite")
        mail.add_alternative(calendar.decode(), subtype="calendar", params={"method": method})
        return bytes(mail)


def in_history(app: App, kind: str = "meeting") -> list[dict[str, Any]]:
    """The meetings (or occasions) of the log, newest first."""
    return [one for one in logged(app) if one["kind"] == kind]


def at(day: int, hour: int, minute: int = 0, month: int = 11) -> datetime:
    """A moment in November 2026, UTC."""
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def make_office(folder: Path, server: RadicaleServer | None = None) -> CalendarOffice:
    """An office with fresh calendars: on a server, or in memory."""
    ana: Any = server.make_calendar() if server else MemoryCalendar()
    bruno: Any = server.make_calendar() if server else MemoryCalendar()
    lines = MEMORY.replace("{", "{{").replace("}", "}}")
    if server:
        both = (("ana", ana.name), ("bruno", bruno.name))
        lines = "\n".join(CALDAV.format(rep=rep, url=server.url, name=name) for rep, name in both)
    settings = SETTINGS.replace("{calendars}", lines).replace("{{{{", "{{").replace("}}}}", "}}")
    office = CalendarOffice(
        folder / "office", rules=RULES, settings=settings.replace("{{store}}", "{store}"), ana=ana, bruno=bruno
    )
    office.write()
    return office
