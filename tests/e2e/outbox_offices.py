"""An office on files whose outbox is written by the store's own functions: every state, without a server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daemon.app import App, opened
from daemon.clock import HeldClock
from store import customers, outbox
from store.customers import Actor
from store.tables import OutboxMail, OutboxState

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
SETTINGS = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: en}
internal: ["@vendas.example"]
team: {ana: {mail: ana@vendas.example, name: Ana}, bruno: {mail: bruno@vendas.example, name: Bruno}}
accounts:
  ana: {type: maildir, rep: ana, path: Maildir, since: 2020-01-01}
"""
TEMPLATE = """\
---
name: thanks
subject: "Thank you, {{ customer.name }}"
---
Dear {{ contact.name }}, we answer **tomorrow**.
"""


@dataclass(slots=True)
class Office:
    """An office on files with one customer; mails are written by the store's own functions."""

    directory: Path
    settings: str = SETTINGS
    customer: int = 0
    contact: int = 0
    planned: int = 0

    def write(self) -> None:
        for name in ("cur", "new", "tmp"):
            (self.directory / "Maildir" / name).mkdir(parents=True)
        (self.directory / "templates").mkdir()
        (self.directory / "quietcrm.yaml").write_text(self.settings)
        (self.directory / "templates/thanks.md").write_text(TEMPLATE)
        with self.app() as app, app.store.writing() as session:
            by = Actor(name="admin", now=NOW)
            self.customer = customers.add(session, "Padaria Sol", by)
            self.contact = customers.add_contact(session, self.customer, by, {"name": "Maria"})
            customers.add_address(session, self.contact, "maria@padariasol.example", by)

    @contextlib.contextmanager
    def app(self) -> Iterator[App]:
        with opened(self.directory, HeldClock(NOW)) as app:
            yield app

    def plan(self, app: App, state: str = "planned", **stated: Any) -> int:
        """A mail to the customer in this state; its number."""
        self.planned += 1
        row = OutboxMail(
            **{
                "way": "send", "event": f"e{self.planned}", "event_at": NOW, "rule": "thanks-rule", "slot": "send",
                "rep": "ana", "account": "ana", "customer_id": self.customer, "contact_id": self.contact,
                "recipient": "maria@padariasol.example", "template": "thanks", "due_at": NOW, "created_at": NOW,
            }
            | stated
        )  # fmt: skip
        with app.store.writing() as session:
            number = outbox.plan(session, row)
            assert number is not None
            assert outbox.move(session, number, [OutboxState.PLANNED], state)
        return number

    def mail(self, state: str = "planned", **stated: Any) -> int:
        """The same, where no App is open."""
        with self.app() as app:
            return self.plan(app, state, **stated)

    def row(self, number: int) -> OutboxMail:
        with self.app() as app, app.store.session() as session:
            return outbox.get(session, number)
