"""A small office on Maildirs: no server, so that hundreds of hostile mails can be tried in a second."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from itertools import count
from pathlib import Path
from typing import Any

from offices import CUSTOMERS, RULES, START, TEMPLATE, import_customers, work

from daemon.app import App, opened
from daemon.clock import HeldClock
from store import history, outbox

SETTINGS = """\
company: {{name: Vendas, zone: America/Sao_Paulo, language: pt}}
store: {store}
internal: ["@vendas.example"]
never_log: ["segredo@banco.example"]
hours: {{mon-fri: 09:00-18:00}}
team:
  ana: {{mail: ana@vendas.example, language: pt, name: Ana}}
  bruno: {{mail: bruno@vendas.example, language: pt, name: Bruno}}
accounts:
  ana: {{type: maildir, rep: ana, path: ana, since: 2000-01-01}}
  bruno: {{type: maildir, rep: bruno, path: bruno, since: 2000-01-01}}
"""


@dataclass(slots=True)
class MaildirOffice:
    """Two reps with a Maildir each; customers of `offices.CUSTOMERS`."""

    directory: Path
    store: str = "sqlite:///state/crm.db"
    rules: str = RULES
    template: str = TEMPLATE
    settings: str = SETTINGS
    customers: str = CUSTOMERS
    clock: HeldClock = field(default_factory=lambda: HeldClock(START))
    _serial: Iterator[int] = field(default_factory=lambda: count(1))

    def write(self) -> None:
        """Write the configuration and make empty mailboxes."""
        for name in ("rules", "templates"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "quietcrm.yaml").write_text(self.settings.format(store=self.store), encoding="utf-8")
        (self.directory / "rules" / "10.yaml").write_text(self.rules, encoding="utf-8")
        (self.directory / "templates" / "proposta.md").write_text(self.template, encoding="utf-8")
        (self.directory / "customers.csv").write_text(self.customers, encoding="utf-8")
        for rep in ("ana", "bruno"):
            for folder in ("", ".Sent", ".Drafts"):
                for place in ("new", "cur", "tmp"):
                    (self.directory / rep / folder / place).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def running(self) -> Iterator[App]:
        """An App past its baseline: what is delivered from now on is new."""
        with opened(self.directory, self.clock) as app:
            import_customers(app, self.directory / "customers.csv")
            work(app)
            self.clock.move(timedelta(minutes=1))
            yield app

    def deliver(self, raw: bytes, rep: str = "ana", folder: str = "", at: datetime | None = None) -> Path:
        """Lay raw bytes into a folder as if they had come now."""
        path = self.directory / rep / folder / "new" / f"{next(self._serial)}.attack.host"
        path.write_bytes(raw)
        moment = (at or self.clock.now()).timestamp()
        os.utime(path, (moment, moment))
        return path

    def letter(self, *headers: str, text: str = "Bom dia, quero um orçamento de 200 caixas.", **named: str) -> bytes:
        """A mail with these header lines; `named`: usual ones that may be left out ("") or replaced."""
        usual = {
            "From": "Maria Silva <maria@padariasol.example>",
            "To": "ana@vendas.example",
            "Subject": "Caixas",
            "Date": format_datetime(self.clock.now()),
            "Message-ID": f"<attack{next(self._serial)}@padariasol.example>",
        } | {name.replace("_", "-"): value for name, value in named.items()}
        lines = [*(f"{name}: {value}" for name, value in usual.items() if value), *headers]
        lines.append("Content-Type: text/plain; charset=utf-8")
        return "\n".join(lines).encode("utf-8", "surrogateescape") + b"\n\n" + text.encode() + b"\n"

    def files(self, rep: str, folder: str) -> list[bytes]:
        """The mails that lie in a folder."""
        root = self.directory / rep / folder
        return [path.read_bytes() for place in ("new", "cur") for path in sorted((root / place).iterdir())]

    def drafts(self, rep: str = "ana") -> list[bytes]:
        """The mails in Drafts."""
        return self.files(rep, ".Drafts")


def logged(app: App) -> list[dict[str, Any]]:
    """The whole log, newest first."""
    with app.store.session() as session:
        return [entry.as_dict() for entry in history.log(session, limit=None)]


def outgoing(app: App) -> list[dict[str, Any]]:
    """Every draft there ever was."""
    with app.store.session() as session:
        return outbox.listing(session)
