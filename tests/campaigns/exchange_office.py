"""An office whose mailbox lies on the Exchange Server of the tests: files, an App in this process, a held clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from textwrap import dedent

from servers.ews import EwsServer
from servers.ews_store import Item

from daemon.app import App, opened
from daemon.clock import HeldClock
from daemon.requests import answer
from store.importing import read_csv

START = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)
"""A Monday, 09:00 in São Paulo."""
ANA = "ana@vendas.example"

TEMPLATE = """\
---
name: proposta
subject: "Re: {{ mail.subject }}"
---
{{ greeting }} {{ contact.first_name | or("") }}, obrigado pelo contato.
Envio **amanhã** a proposta com todos os valores.
"""
DRAFTS = """\
rules:
  - name: pedido
    when: mail arrives
    if: {known: yes, text: {has: orçamento}}
    then:
      draft: {template: proposta, reply: yes}
"""


@dataclass
class ExchangeOffice:
    """One rep, Ana. `extra` is further YAML of quietcrm.yaml."""

    directory: Path
    url: str
    rules: str = DRAFTS
    extra: str = ""
    clock: HeldClock = field(default_factory=lambda: HeldClock(START))
    _serial: int = 0

    def write(self, people: Sequence[tuple[str, str]]) -> None:
        """The configuration, and customers as (name, address)."""
        login = f"endpoint: {self.url}, login: {ANA}, password: {{file: password}}, auth: basic"
        text = dedent(f"""\
            company: {{name: Vendas, zone: America/Sao_Paulo, language: pt}}
            store: sqlite:///state/crm.db
            internal: ["@vendas.example"]
            hours: {{mon-fri: 09:00-18:00}}
            team:
              ana: {{mail: {ANA}, language: pt, name: Ana}}
            accounts:
              ana: {{type: exchange, rep: ana, {login}, since: 2000-01-01}}
            senders:
              ana: {{type: exchange, {login}}}
            """)
        for name in ("rules", "templates"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "quietcrm.yaml").write_text(text + self.extra, encoding="utf-8")
        (self.directory / "rules" / "10.yaml").write_text(self.rules, encoding="utf-8")
        (self.directory / "templates" / "proposta.md").write_text(TEMPLATE, encoding="utf-8")
        lines = [f"{name},{address},{name} Ltda" for name, address in people]
        (self.directory / "customers.csv").write_text("\n".join(["name,email,company", *lines, ""]), encoding="utf-8")
        (self.directory / "password").write_text("secret", encoding="utf-8")
        (self.directory / "password").chmod(0o600)

    @contextmanager
    def running(self) -> Iterator[App]:
        """An App on the office's files with the customers imported."""
        with opened(self.directory, self.clock) as app:
            rows = [[row.line, dict(row.values)] for row in read_csv(self.directory / "customers.csv")]
            answer(app, "customer.import", {"rows": rows})
            yield app

    def mail(self, sender: str, to: str, subject: str, body: str, *, answers: str = "") -> EmailMessage:
        """A plain mail dated now, by the office's clock."""
        self._serial += 1
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = sender, to, subject
        mail["Date"] = format_datetime(self.clock.now())
        mail["Message-ID"] = f"<{self._serial}.{self.clock.now():%H%M%S}@{sender.rpartition('@')[2]}>"
        if answers:
            mail["In-Reply-To"] = mail["References"] = answers
        mail.set_content(body)
        return mail

    def deliver(self, server: EwsServer, mail: EmailMessage, folder: str = "inbox") -> Item:
        """Lay a mail into Ana's mailbox as if it had come now."""
        transport = folder != "sentitems"
        return server.deliver(mail.as_bytes(), folder=folder, received=self.clock.now(), transport=transport)


def read(app: App, pause: Callable[[], None] = lambda: None) -> int:
    """Read every account to the end; how often it failed on the way. Pauses pass at once by the office's clock; `pause`
    lets a server in another process have its own."""
    failures = 0
    for poller in app.pollers.values():
        poller.poll()
        while not poller.is_due() or poller.behind:
            failures += 1
            assert failures < 5000, "it never comes to an end"
            pause()
            app.clock.move(timedelta(minutes=20))  # type: ignore[attr-defined]
            poller.poll()
    return failures
