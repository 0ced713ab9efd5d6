"""An office whose mail leaves by itself: the test office with senders, and the hands to plan, look and count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from offices import TestOffice, import_customers
from servers.smtp_sink import SmtpSink

from daemon.app import App
from store import customers, outbox, sending
from store.tables import OutboxMail, Way

SENDERS = """\
senders:
  {name}: {{type: smtp, rep: {name}, host: 127.0.0.1, port: {port}, security: none}}
"""


@dataclass(slots=True)
class SendingOffice(TestOffice):
    """Each rep sends by the sink (or by the port that `ports` names)."""

    sink: SmtpSink | None = None

    def use(self, sink: SmtpSink, settings: str = "") -> None:
        """Send by this sink; `settings` is further YAML of quietcrm.yaml."""
        self.sink = sink
        lines = [f"  {rep}: {{type: smtp, host: 127.0.0.1, port: {sink.port}, security: none}}" for rep in self.reps]
        self.extra = "senders:\n" + "\n".join(lines) + "\n" + settings

    @contextmanager
    def sending(self) -> Iterator[App]:
        """An App with the customers imported and the fence raised."""
        with self.running() as app:
            import_customers(app, self.directory / "customers.csv")
            read(app)
            app.sends.begin()
            yield app


def read(app: App) -> None:
    """Read every account by a new connection."""
    for poller in app.pollers.values():
        poller.source.close()
        poller.poll()


def plan(app: App, recipient: str = "maria@padariasol.example", **changes: Any) -> int:
    """Plan a send to a contact, as a rule does; due at once. Its number."""
    now = app.clock.now()
    with app.store.writing() as session:
        people = customers.lookup_addresses(session, [recipient]).get(recipient, ())
        fields: dict[str, Any] = {
            "way": Way.SEND,
            "event": f"event {changes.pop('event', recipient)} {now.isoformat()}",
            "event_at": now - timedelta(days=3),
            "rule": "depois",
            "slot": "draft",
            "account": "ana",
            "rep": "ana",
            "customer_id": people[0].customer_id if people else None,
            "contact_id": people[0].id if people else None,
            "recipient": recipient,
            "template": "proposta",
            "unless": "customer_wrote",
            "due_at": now,
            "late_after": now + timedelta(days=1),
            "created_at": now,
            "token": "t0ken" + recipient.partition("@")[0],
            "values": {"mail": {"subject": "Proposta"}},
        }
        number = outbox.plan(session, OutboxMail(**{**fields, **changes}))
    assert number is not None
    return number


def send(app: App, *, rounds: int = 3) -> int:
    """Let the ticks of all senders come round; how many mails left."""
    done = 0
    for _ in range(rounds):
        app.sends.sweep()
        done += sum(app.sends.send_due(name) for name in app.office.settings.senders)
        app.clock.move(timedelta(seconds=3))  # type: ignore[attr-defined]
    return done


def row(app: App, number: int) -> OutboxMail:
    """The mail as the store has it now."""
    with app.store.session() as session:
        return outbox.get(session, number)


def tries(app: App, number: int) -> list[str]:
    """The outcomes of its attempts."""
    with app.store.session() as session:
        return [one.outcome for one in sending.attempts(session, number)]


def at(office: TestOffice) -> datetime:
    """The office's time."""
    return office.clock.now()
