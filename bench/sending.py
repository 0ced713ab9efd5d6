"""Row 15: follow-ups to a sink on this machine, each looked at, recorded before it leaves and after."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from bench.corpus import ROOT
from bench.laboratory import scratch
from bench.rows import Figure, Row
from daemon.app import App, opened
from store import customers, outbox
from store.customers import Actor
from store.tables import OutboxMail, OutboxState, Way

SETTINGS = """\
company: {{name: Our Firm, zone: Europe/Lisbon, language: en}}
internal: ["@ourfirm.example"]
hours: {{mon-sun: 00:00-24:00}}
team: {{sales: {{mail: sales@ourfirm.example}}}}
accounts: {{sales: {{type: maildir, rep: sales, path: mail}}}}
senders: {{sales: {{type: smtp, host: 127.0.0.1, port: {port}, security: none}}}}
send: {{auto_templates: [hello]}}
limits: {{actions_per_hour: 1000000, sends_per_day: 1000000}}
"""
TEMPLATE = """\
---
name: hello
subject: "Your offer, {{ contact.name }}"
---
{{ greeting }} {{ contact.name }},

did you have time to look at **our offer**? I am happy to answer questions.

{{ owner.name }}
"""
SINK = "import sys;from servers.smtp_sink import SmtpSink;s=SmtpSink();print(s.port,flush=True);sys.stdin.read()"


def send_follow_ups(count: int) -> list[Row]:
    """Row 15: `count` mails to as many contacts, by one sender."""
    with scratch() as folder, _sink() as port:
        _write_office(folder, port)
        with opened(folder) as app:
            numbers = _plan(app, count)
            app.sends.begin()
            started = time.monotonic()
            while _open(app):
                app.sends.send_due("sales")
            wall = time.monotonic() - started
            with app.store.session() as session:
                states = outbox.counts(session)
            assert states == {OutboxState.SENT.value: len(numbers)}, (states, _reasons(app))
    what = "follow-ups to a local sink, each looked at and recorded before and after"
    return [Row(15, what, [Figure(count / wall, 200, 300, "/s", least=True)], f"{count:,} mails in {wall:.1f} s")]


@contextmanager
def _sink() -> Iterator[int]:
    """An SMTP server in a process of its own."""
    command = [sys.executable, "-c", SINK]
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=paths)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.communicate()


def _write_office(folder: Path, port: int) -> None:
    (folder / "quietcrm.yaml").write_text(SETTINGS.format(port=port), encoding="utf-8")
    (folder / "templates").mkdir()
    (folder / "templates" / "hello.md").write_text(TEMPLATE, encoding="utf-8")
    for part in ("cur", "new", "tmp"):
        (folder / "mail" / part).mkdir(parents=True)
        (folder / "mail" / ".Junk" / part).mkdir(parents=True)


def _plan(app: App, count: int) -> list[int]:
    """So many customers with a contact and a follow-up that is due."""
    now = app.clock.now()
    by, numbers = Actor(name="bench", now=now), []
    with app.store.writing() as session:
        for number in range(count):
            customer = customers.add(session, f"Customer {number}", by, {})
            contact = customers.add_contact(session, customer, by, {"name": f"Person Number{number}"})
            address = f"person{number}@customer{number}.example"
            customers.add_address(session, contact, address, by)
            row = OutboxMail(
                way=Way.SEND,
                event=f"event {number}",
                event_at=now - timedelta(days=3),
                rule="bench",
                slot="draft",
                account="sales",
                rep="sales",
                customer_id=customer,
                contact_id=contact,
                recipient=address,
                template="hello",
                unless="customer_wrote",
                due_at=now,
                created_at=now - timedelta(hours=2),
                token=f"bench{number}",
            )
            numbers.append(outbox.plan(session, row) or 0)
    return numbers


def _open(app: App) -> int:
    with app.store.session() as session:
        counts = outbox.counts(session)
    return sum(counts.get(state.value, 0) for state in (OutboxState.PLANNED, OutboxState.CLAIMED, OutboxState.SENDING))


def _reasons(app: App) -> set[str]:
    with app.store.session() as session:
        return {row["reason"] for row in outbox.listing(session)}
