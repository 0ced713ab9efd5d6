"""Plays the sample office: the past is read, a week passes by the hour, and everything is done by the real machinery.

The clock is held, so each run gives the same story. A second run in the same folder finds everything known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from daemon.app import App, opened
from daemon.clock import HeldClock
from daemon.counts import Counts
from daemon.demo import facts
from daemon.demo.sample import (
    SampleMail,
    deliver,
    lay_out,
    make_mailbox,
    own_mails,
    sample_events,
    sample_mails,
    write_office,
)
from daemon.errors import Refused
from daemon.requests import answer
from store import importing, sending

INSTALLED = datetime(2026, 11, 10, 10, tzinfo=UTC)
"""Tuesday 07:00 in São Paulo: what came before is history."""

ENDS = datetime(2026, 11, 18, 11, tzinfo=UTC)
"""Wednesday a week later, 08:00: the hour of the daily notice."""

HOUR = timedelta(hours=1)
MOMENT = timedelta(seconds=3)
DAYTIME = range(8, 19)
MARK = "quietcrm.yaml"
Progress = Callable[[str], None]


def play(out: Path, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Play the demonstration in a folder and tell what came of it, as JSON data. Raises Refused."""
    directory = out / "office"
    if out.exists() and any(out.iterdir()) and not (directory / MARK).exists():
        raise Refused(f"{out} is not empty and holds no demonstration", hint="choose another: quietcrm demo --out DIR")
    mails = sample_mails()
    first = not (directory / "state" / "crm.db").exists()
    write_office(directory)
    for rep in sorted({mail.rep for mail in mails}):
        make_mailbox(directory / "mail" / rep)
        (directory / "calendars" / rep).mkdir(parents=True, exist_ok=True)
    passes, booked = _first_run(directory, mails, progress) if first else _last_look(directory, mails)
    told = facts.gather(directory, HeldClock(ENDS), INSTALLED)
    notice = write_notice(out, directory, told["admin"])
    new = booked + sum(counts.new for some in passes.values() for counts in some.values())
    shown = {name: {account: one.as_dict() for account, one in some.items()} for name, some in passes.items()}
    return {"out": out, "office": directory, "mails": len(mails), "first": first, "new": new, "passes": shown} | {
        **told,
        "notice": notice,
    }


Passes = dict[str, dict[str, Counts]]


def _first_run(directory: Path, mails: list[SampleMail], progress: Progress) -> tuple[Passes, int]:
    """What was read of the mailboxes, and how many meetings are new."""
    clock = HeldClock(INSTALLED)
    progress("the past")
    _deliver(directory, mails, INSTALLED)
    with opened(directory, clock) as app:
        rows = importing.read_csv(directory / "customers.csv")
        answer(app, "customer.import", {"rows": [[row.line, dict(row.values)] for row in rows]})
        past, booked = _poll(app), _meet(app, directory)
        app.sends.begin()
        week: dict[str, Counts] = {name: Counts() for name in app.pollers}
        while clock.now() < ENDS:
            clock.move(HOUR)
            if clock.now().astimezone(app.office.settings.zone).hour in DAYTIME:
                progress(f"{clock.now().astimezone(app.office.settings.zone):%A %H:%M}")
                booked += _an_hour(app, clock, directory, mails, week)
    return {"past": past, "week": week}, booked


def _an_hour(app: App, clock: HeldClock, directory: Path, mails: list[SampleMail], week: dict[str, Counts]) -> int:
    """What the daemon's ticks do, once: read, lay out and take away, send, write notices and briefs. New meetings."""
    if _deliver(directory, mails, app.clock.now()):
        _read(app, week)
    booked = _meet(app, directory)
    app.desks.tidy()
    if _send(app, clock):
        _read(app, week)  # the copies in Sent
    app.notices.deliver_due()
    app.briefs.deliver_due()
    return booked


def _meet(app: App, directory: Path) -> int:
    """Calendars, what comes true by the clock, and reminders laid into calendars; how many meetings are new."""
    new = _read_calendars(app) if _book(directory, app.clock.now()) else 0
    app.occasions.look()
    for items in app.items.values():
        items.tidy()
    return new


def _read_calendars(app: App) -> int:
    return sum(calendar.poll().logged for calendar in app.calendars.values())


def _book(directory: Path, until: datetime) -> int:
    """Lay out what Ana and Boris wrote into their calendars until then; how much of it is new."""
    laid = 0
    states: defaultdict[tuple[str, str], list[bytes]] = defaultdict(list)
    for event in sample_events():
        before = states[event.rep, event.name]
        if event.at <= until:
            laid += lay_out(directory / "calendars" / event.rep, event, before)
        before.append(event.data)
    return laid


def _read(app: App, week: dict[str, Counts]) -> None:
    for name, counts in _poll(app).items():
        week[name].add(counts)


def _send(app: App, clock: HeldClock) -> int:
    """Let leave what is due; how many left. The first tick has the mailboxes looked into, the second one sends."""
    left = _tick(app)
    with app.store.session() as session:
        waits = sending.due(session, clock.now() + MOMENT, list(app.office.settings.team), 1)
    if waits:
        clock.move(MOMENT)
        left += _tick(app)
    app.copies.tidy()
    return left


def _tick(app: App) -> int:
    app.sends.sweep()
    return sum(app.sends.send_due(name) for name in app.office.settings.senders)


def _last_look(directory: Path, mails: list[SampleMail]) -> tuple[Passes, int]:
    """Read the mailboxes and the calendar once more as they are."""
    _deliver(directory, mails, ENDS)
    with opened(directory, HeldClock(ENDS)) as app:
        found, booked = _poll(app), _read_calendars(app) + _meet(app, directory)
        app.desks.tidy()
        app.briefs.deliver_due()
    return {"known": found}, booked


def _deliver(directory: Path, mails: list[SampleMail], until: datetime) -> int:
    return sum(deliver(directory / "mail" / mail.rep, mail) for mail in mails if mail.at <= until)


def _poll(app: App) -> dict[str, Counts]:
    found = {name: poller.poll() for name, poller in app.pollers.items()}
    for name, counts in app.revisit.run().items():
        found[name].add(counts)
    return found


def write_notice(out: Path, directory: Path, rep: str) -> dict[str, Path]:
    """The daily notice that lies in a person's Inbox, as two files to open; files of an earlier run stay."""
    paths = {"html": out / "notice.html", "text": out / "notice.txt"}
    for _, mail in own_mails(directory / "mail" / rep, "notice")[-1:]:
        assert isinstance(mail, EmailMessage)
        for kind, subtype in (("html", "html"), ("text", "plain")):
            part = mail.get_body((subtype,))
            assert part is not None
            paths[kind].write_text(part.get_content(), encoding="utf-8")
    return paths
