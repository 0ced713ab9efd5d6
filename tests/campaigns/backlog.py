"""An office with a backlog of mail that leaves by itself, on real servers, for the installed `quietcrm run`.

One rep, one mailbox, one sender; each mail goes to a customer of its own. The rows are planned as a rule plans them.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from campaigns.checker import connect
from campaigns.installed import PASSWORD, Installed, await_true, end
from servers.dovecot import DovecotServer

from daemon.app import opened
from store import customers, outbox
from store.tables import OutboxMail, Way

SQLITE = "sqlite:///state/crm.db"
REP = "ana"
PLANNED_FOR = "cliente"
"""The mail domains of the customers begin so."""
LONG = 4
"""Every fourth mail is long: it does not fit into the buffers of a connection."""

CONFIG = """\
company: {{name: Vendas, zone: America/Sao_Paulo, language: pt}}
store: {store}
internal: ["@vendas.example"]
hours: {{mon-sun: 00:00-24:00}}
team: {{ana: {{mail: ana@vendas.example, language: pt, name: Ana}}}}
poll: {{every: 5 seconds}}
accounts:
  ana: {{type: imap, rep: ana, host: 127.0.0.1, port: {imap}, security: none, login: ana, password: {{file: password}},
        since: 2020-01-01}}
senders:
  ana: {{type: smtp, host: 127.0.0.1, port: {smtp}, security: none, sent_copy: {sent_copy}}}
send: {{auto_templates: [curta, longa], hold: 0 minutes}}
limits: {{actions_per_hour: 1000000, sends_per_day: 1000000}}
log: {{format: json}}
"""
TEMPLATE = """\
---
name: {name}
subject: "Sobre a proposta"
---
{{{{ greeting }}}} {{{{ customer.name }}}}, ainda tem interesse na **proposta**?

{body}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A mail of the backlog, as the database has it. `copy` = the state of its copy in Sent."""

    number: int
    state: str
    recipient: str
    message_id: str
    copy: str


class Backlog:
    """`plan` makes the rows; then `start` and `end` the daemon at will, and `await_settled`."""

    def __init__(
        self,
        directory: Path,
        server: DovecotServer,
        smtp: int,
        count: int,
        *,
        store: str = SQLITE,
        copies: str = "append",
    ) -> None:
        directory.mkdir(parents=True)
        self.command = Installed(directory)
        self.server = server
        self.store = store
        self._count = count
        server.add_user(REP)
        config = CONFIG.format(store=store, imap=server.port, smtp=smtp, sent_copy=copies)
        (directory / "quietcrm.yaml").write_text(config, encoding="utf-8")
        (directory / "password").write_text(PASSWORD)
        (directory / "password").chmod(0o600)
        (directory / "templates").mkdir()
        for name, body in (("curta", "Até logo."), ("longa", "Todos os valores estão aqui, um a um. " * 3000)):
            text = TEMPLATE.format(name=name, body=body)
            (directory / "templates" / f"{name}.md").write_text(text, encoding="utf-8")
        lines = [f"Maria,{_address(n)},Cliente {n},{PLANNED_FOR}{n}.example" for n in range(count)]
        (directory / "customers.csv").write_text("\n".join(["name,email,company,domain", *lines, ""]))
        self.command("customer", "import", str(directory / "customers.csv"), "--apply")
        self._plan()

    @property
    def sent_folder(self) -> Path:
        """Where the copies lie."""
        return self.server.maildir(REP, "Sent")

    @property
    def database(self) -> str:
        """What `campaigns.checker.connect` takes."""
        return str(self.command.database) if self.store == SQLITE else self.store

    def _plan(self) -> None:
        """Plan one mail to each customer, due now."""
        addresses = [_address(n) for n in range(self._count)]
        with opened(self.command.directory) as app, app.store.writing() as session:
            people = customers.lookup_addresses(session, addresses)
            now = app.clock.now()
            for number, address in enumerate(addresses):
                (person,) = people[address]
                row = OutboxMail(
                    way=Way.SEND,
                    event=f"backlog {number}",
                    event_at=now - timedelta(hours=1),
                    rule="seguimento",
                    slot="draft",
                    account=REP,
                    rep=REP,
                    customer_id=person.customer_id,
                    contact_id=person.id,
                    recipient=address,
                    template="longa" if number % LONG == 0 else "curta",
                    unless="customer_wrote",
                    due_at=now,
                    late_after=now + timedelta(days=1),
                    created_at=now,
                    token=f"t0ken{number}",
                    values={"mail": {"subject": "Proposta"}},
                )
                assert outbox.plan(session, row) is not None

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """The daemon; told to end at the end, and it ends well."""
        process = self.command.start("run")
        try:
            yield process
        finally:
            code = end(process)
            assert code == 0, f"exit {code}\n{self.command.said()}"

    def rows(self) -> list[Row]:
        """The backlog, beside a running daemon. Raises sqlite3.OperationalError while a dead one's journal lies."""
        with closing(connect(self.database)) as connection:
            return _rows(connection)

    def rows_after_death(self) -> list[Row]:
        """The backlog as the next start will find it; nothing is touched. Waits for PostgreSQL to let go."""
        if self.store != SQLITE:
            await_true("PostgreSQL has noticed", lambda: not self._sessions(), seconds=30)
            return self.rows()
        with tempfile.TemporaryDirectory(prefix="quietcrm-after-") as folder:
            for path in self.command.state.glob("crm.db*"):
                shutil.copy(path, folder)
            with closing(sqlite3.connect(Path(folder) / "crm.db")) as connection:  # rolls back what was half done
                return _rows(connection)

    def is_settled(self) -> bool:
        """Nothing is left to do: every mail has an end, every copy that is wanted lies in Sent."""
        try:
            rows = self.rows()
        except sqlite3.OperationalError:
            return False  # it has not rolled back yet what the last one left
        return all(row.state in ("sent", "uncertain", "refused") and row.copy != "wanted" for row in rows)

    def never_looked_up(self) -> int:
        """Uncertain mails that were not looked for in Sent yet."""
        with closing(connect(self.database)) as connection:
            count = "SELECT count(*) FROM outbox WHERE state = 'uncertain' AND looked_at IS NULL"
            return int(connection.execute(count).fetchone()[0])

    def attempts(self) -> list[tuple[int, str]]:
        """(mail, outcome) of every attempt, oldest first."""
        with closing(connect(self.database)) as connection:
            return list(connection.execute("SELECT outbox_id, outcome FROM send_attempt ORDER BY id").fetchall())

    def listed(self, state: str) -> set[int]:
        """The numbers that `outbox list` shows to a person."""
        rows = self.command("outbox", "list", "--state", state, "--limit", "100000")
        return {int(row["id"]) for row in rows}

    def _sessions(self) -> int:
        with closing(connect(self.database)) as connection:
            count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'quietcrm'"
            return int(connection.execute(count + " AND datname = current_database()").fetchone()[0])


def _address(number: int) -> str:
    return f"maria@{PLANNED_FOR}{number}.example"


def _rows(connection: Any) -> list[Row]:
    found = connection.execute("SELECT id, state, recipient, message_id, copy_state FROM outbox ORDER BY id").fetchall()
    return [Row(*row) for row in found]
