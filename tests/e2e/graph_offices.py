"""The test office with its mailboxes in a fake Microsoft 365, signed in at a real identity provider."""

from __future__ import annotations

import email
import email.policy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from textwrap import dedent
from typing import Any

from offices import CUSTOMERS, TEMPLATE, TestOffice
from servers.graph import GraphServer
from servers.graph_mailbox import FakeMail, GraphMailbox
from servers.graph_oracle import find_check, nothing
from servers.identity import IdentityServer

from config.sign_in import SignIn
from config.state import state_directory
from connectors.oauth.shelf import Shelf, Signed

PROVIDER = "tests"


@dataclass
class GraphHouse:
    """The service and the provider; every mailbox has its person."""

    graph: GraphServer
    identity: IdentityServer

    def owner(self, token: str) -> str | None:
        """Whose sign-in a bearer token is, if it is good now."""
        found = self.identity.seen(token)
        return str(found.get_user()) if found else None

    def add_user(self, login: str, password: str = "") -> None:
        """A mailbox."""
        if login not in self.graph.mailboxes:
            self.graph.add_mailbox(login)

    @property
    def provider(self) -> dict[str, Any]:
        """Its settings below `providers:`."""
        return self.identity.settings(scopes=["mail", "offline_access"])

    def sign_in(self, login: str, directory: Path) -> None:
        """This person signed in for that office some time ago."""
        sign_in = SignIn.model_validate({"provider": PROVIDER, **self.provider})
        shelf = Shelf.of(state_directory(directory), sign_in, login)
        refresh = self.identity.sign_in(login, scope="mail offline_access").refresh
        with shelf.locked():
            shelf.save(Signed(user=login, provider=PROVIDER, client_id="quietcrm", refresh_token=refresh))


@contextmanager
def graph_house(make: type[GraphServer] = GraphServer) -> Iterator[GraphHouse]:
    """Both servers; the service ends with nothing to complain of."""
    with IdentityServer() as identity, make(check=find_check() or nothing) as graph:
        house = GraphHouse(graph, identity)
        graph.owner_of = house.owner
        yield house
        assert not graph.violations, graph.violations[:5]


@dataclass(slots=True)
class GraphOffice(TestOffice):
    """Reps whose mailboxes lie in Microsoft 365, by which their mail leaves too."""

    house: GraphHouse | None = None
    settings: str = ""

    def write(self) -> None:
        """Write the configuration; the reps have signed in."""
        assert self.house is not None
        self.house.graph.clock = self.clock.now
        for rep in self.reps:
            self.house.add_user(self.login(rep))
            self.house.sign_in(self.login(rep), self.directory)
        for name in ("rules", "templates"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "quietcrm.yaml").write_text(self._text(), encoding="utf-8")
        (self.directory / "rules" / "10.yaml").write_text(self.rules, encoding="utf-8")
        (self.directory / "templates" / "proposta.md").write_text(TEMPLATE, encoding="utf-8")
        (self.directory / "customers.csv").write_text(CUSTOMERS, encoding="utf-8")

    def _text(self) -> str:
        assert self.house is not None
        team = [f"  {rep}: {{mail: {self.login(rep)}, language: pt, name: {rep.title()}}}" for rep in self.reps]
        of_rep = f"type: graph, service: {self.house.graph.url}, sign_in: {PROVIDER}"
        senders = [f"  {rep}: {{{of_rep}, login: {self.login(rep)}}}" for rep in self.reps]
        accounts = [
            f"  {rep}: {{{of_rep}, login: {self.login(rep)}, rep: {rep}, since: 2000-01-01}}" for rep in self.reps
        ]
        return dedent("""\
            company: {{name: Vendas, zone: America/Sao_Paulo, language: pt}}
            store: {store}
            internal: ["@vendas.example"]
            hours: {{mon-fri: 09:00-18:00}}
            providers: {{{provider}: {details}}}
            team:
            {team}
            accounts:
            {accounts}
            senders:
            {senders}
            {settings}
            """).format(
            store=self.store,
            provider=PROVIDER,
            details=json.dumps(self.house.provider),
            team="\n".join(team),
            accounts="\n".join(accounts),
            senders="\n".join(senders),
            settings=self.settings,
        )

    def login(self, rep: str) -> str:
        """The rep's address."""
        return f"{rep}@vendas.example"

    def box(self, rep: str = "ana") -> GraphMailbox:
        """The rep's mailbox, as the service has it."""
        assert self.house is not None
        return self.house.graph.mailboxes[self.login(rep)]

    def deliver(self, rep: str, mail: EmailMessage, folder: str = "INBOX") -> str:
        """Let a mail arrive now; its Message-ID."""
        self.box(rep).deliver(mail.as_bytes(), folder=folder, at=self.clock.now())
        return str(mail["Message-ID"])

    def mails(self, folder: str, rep: str = "ana") -> list[FakeMail]:
        """What lies in a folder, by its well-known name."""
        return self.box(rep).in_folder(folder)

    def parsed(self, folder: str, rep: str = "ana") -> list[EmailMessage]:
        """The same as another mail program sees it."""
        found = []
        for one in self.mails(folder, rep):
            mail = email.message_from_bytes(self.box(rep).mime(one), policy=email.policy.default)
            assert isinstance(mail, EmailMessage)
            found.append(mail)
        return found
