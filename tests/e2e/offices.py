"""A small office on a real Dovecot for end-to-end tests: files on disk, an App in this process, a held clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from textwrap import dedent

from imapclient import IMAPClient
from servers.dovecot import DovecotServer

from daemon.app import App, opened
from daemon.clock import HeldClock
from daemon.counts import Counts

START = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)
"""A Monday, 09:00 in São Paulo."""

TEMPLATE = """\
---
name: proposta
subject: "Re: {{ mail.subject }}"
---
{{ greeting }} {{ contact.first_name | or("") }}, obrigado pelo contato.
Envio **amanhã** a proposta com todos os valores.
"""

RULES = """\
rules:
  - name: pedido
    when: mail arrives
    if: {known: yes, text: {has: orçamento}}
    then:
      draft: {template: proposta, reply: yes}
      remind: {who: owner, in: 1 business day, unless: replied, text: "Responder {{ customer.name }}"}
  - name: depois-da-proposta
    when: mail sent
    if: {known: yes, subject: proposta}
    then:
      draft: {template: proposta, reply: yes, in: 3 business days, unless: replied}
      remind: {who: owner, in: 2 business days, unless: replied, text: "Ligar para {{ customer.name }}"}
"""

CUSTOMERS = """\
name,email,company,domain
Maria Silva,maria@padariasol.example,Padaria Sol,padariasol.example
João Lima,joao@oficinario.example,Oficina Rio,oficinario.example
"""


@dataclass(slots=True)
class TestOffice:
    """Two reps with a mailbox each, and the hands of rep, customer and clock."""

    __test__ = False

    directory: Path
    server: DovecotServer
    store: str = "sqlite:///state/crm.db"
    rules: str = RULES
    reps: tuple[str, ...] = ("ana", "bruno")
    extra: str = ""
    clock: HeldClock = field(default_factory=lambda: HeldClock(START))

    def write(self) -> None:
        """Write the configuration and make the mailboxes."""
        accounts = "\n".join(self._account(rep) for rep in self.reps)
        team = "\n".join(
            f"  {rep}: {{mail: {rep}@vendas.example, language: pt, name: {rep.title()}}}" for rep in self.reps
        )
        text = dedent("""\
            company: {{name: Vendas, zone: America/Sao_Paulo, language: pt}}
            store: {store}
            internal: ["@vendas.example"]
            hours: {{mon-fri: 09:00-18:00}}
            team:
            {team}
            accounts:
            {accounts}
            {extra}
            """).format(store=self.store, team=team, accounts=accounts, extra=self.extra)
        for name in ("rules", "templates"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "quietcrm.yaml").write_text(text, encoding="utf-8")
        (self.directory / "rules" / "10.yaml").write_text(self.rules, encoding="utf-8")
        (self.directory / "templates" / "proposta.md").write_text(TEMPLATE, encoding="utf-8")
        (self.directory / "customers.csv").write_text(CUSTOMERS, encoding="utf-8")
        (self.directory / "password").write_text("secret", encoding="utf-8")
        (self.directory / "password").chmod(0o600)
        for rep in self.reps:
            self.server.add_user(self.login(rep))

    def _account(self, rep: str) -> str:
        return (
            f"  {rep}: {{type: imap, rep: {rep}, host: 127.0.0.1, port: {self.server.port}, security: none, "
            f"login: {self.login(rep)}, password: {{file: password}}, since: 2000-01-01}}"
        )

    def login(self, rep: str) -> str:
        """The user name of a rep on the server; the folder's name keeps tests apart."""
        return f"{rep}-{self.directory.parent.name}-{self.directory.name}".lower().replace("_", "-")

    @contextmanager
    def running(self) -> Iterator[App]:
        """An App on the office's files, at the office's clock."""
        with opened(self.directory, self.clock) as app:
            yield app

    def mail(
        self, sender: str, to: str, subject: str, body: str, *, answers: str = "", message_id: str = ""
    ) -> EmailMessage:
        """A plain mail dated now, by the office's clock."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = sender, to, subject
        mail["Date"] = format_datetime(self.clock.now())
        mail["Message-ID"] = message_id or make_msgid(domain=sender.rpartition("@")[2].strip(">"))
        if answers:
            mail["In-Reply-To"] = mail["References"] = answers
        mail.set_content(body)
        return mail

    def deliver(self, rep: str, mail: EmailMessage, folder: str = "INBOX") -> str:
        """Lay a mail into a rep's mailbox as if it had come now; its Message-ID."""
        with self.client(rep) as client:
            client.append(folder, mail.as_bytes(), (), self.clock.now())
        return str(mail["Message-ID"])

    @contextmanager
    def client(self, rep: str) -> Iterator[IMAPClient]:
        """A second mail client of a rep."""
        client = IMAPClient(self.server.host, port=self.server.port, ssl=False)
        client.login(self.login(rep), "secret")
        try:
            yield client
        finally:
            client.logout()

    def lying(self, rep: str, folder: str) -> list[tuple[int, EmailMessage]]:
        """What a second mail client sees in a folder: (UID, mail)."""
        from email import message_from_bytes, policy

        with self.client(rep) as client:
            client.select_folder(folder, readonly=True)
            uids = client.search("ALL")
            fetched = client.fetch(uids, ["BODY.PEEK[]"]) if uids else {}
        found = []
        for uid in sorted(uids):
            mail = message_from_bytes(fetched[uid][b"BODY[]"], policy=policy.default)
            assert isinstance(mail, EmailMessage)
            found.append((uid, mail))
        return found

    def move_clock(self, by: timedelta) -> None:
        """Let time pass."""
        self.clock.move(by)


def work(app: App) -> Counts:
    """One round of everything: read all accounts, read again what is due, tidy the desks."""
    total = Counts()
    for poller in app.pollers.values():
        poller.source.close()  # a new connection looks at every folder; an open one asks the quiet ones now and then
        total.add(poller.poll())
    for counts in app.revisit.run().values():
        total.add(counts)
    app.reactions.run()
    app.desks.tidy()
    app.mailbox_marks.tidy()
    app.notifier.send_due()
    return total


def import_customers(app: App, path: Path) -> None:
    """Import a CSV as the command line does."""
    from daemon.requests import answer
    from store.importing import read_csv

    answer(app, "customer.import", {"rows": [[row.line, dict(row.values)] for row in read_csv(path)]})
