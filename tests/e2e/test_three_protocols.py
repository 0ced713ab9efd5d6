"""One mail in three mailboxes, read by Graph, by IMAP and by EWS: one entry of the history that names three places."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from textwrap import dedent

import pytest
from graph_offices import PROVIDER, GraphHouse, graph_house
from offices import CUSTOMERS, RULES, START, TEMPLATE, TestOffice, import_customers, work
from servers.dovecot import DovecotServer
from servers.ews import EwsServer

from daemon.clock import HeldClock
from daemon.office import load_office
from daemon.shadow import compare, read_both
from store import history

GRAPH, EWS = "ana@vendas.example", "carla@vendas.example"
TO = f"{GRAPH}, bruno@vendas.example, {EWS}"


@dataclass(slots=True)
class MixedOffice(TestOffice):
    """Ana in Microsoft 365, Bruno on IMAP, Carla on an Exchange Server."""

    reps: tuple[str, ...] = ("bruno",)
    house: GraphHouse | None = None
    exchange: EwsServer | None = None
    clock: HeldClock = field(default_factory=lambda: HeldClock(START))

    def write(self) -> None:
        assert self.house is not None
        assert self.exchange is not None
        self.house.graph.clock = self.clock.now
        self.house.add_user(GRAPH)
        self.house.sign_in(GRAPH, self.directory)
        self.exchange.add_mailbox(EWS)
        self.exchange.users[EWS] = "secret"
        text = dedent("""\
            company: {{name: Vendas, zone: America/Sao_Paulo, language: pt}}
            store: {store}
            internal: ["@vendas.example"]
            hours: {{mon-fri: 09:00-18:00}}
            providers: {{{provider}: {details}}}
            team:
              ana: {{mail: {graph}, language: pt, name: Ana}}
              bruno: {{mail: bruno@vendas.example, language: pt, name: Bruno}}
              carla: {{mail: {ews}, language: pt, name: Carla}}
            accounts:
              ana: {{type: graph, service: {service}, sign_in: {provider}, login: {graph}, rep: ana, since: 2000-01-01}}
            {imap}
              carla: {{type: exchange, rep: carla, endpoint: {endpoint}, login: {ews}, password: {{file: password}},
                auth: basic, since: 2000-01-01}}
            """).format(
            store=self.store,
            provider=PROVIDER,
            details=json.dumps(self.house.provider),
            service=self.house.graph.url,
            graph=GRAPH,
            imap=self._account("bruno"),
            ews=EWS,
            endpoint=self.exchange.url,
        )
        for name in ("rules", "templates"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "quietcrm.yaml").write_text(text, encoding="utf-8")
        (self.directory / "rules" / "10.yaml").write_text(RULES, encoding="utf-8")
        (self.directory / "templates" / "proposta.md").write_text(TEMPLATE, encoding="utf-8")
        (self.directory / "customers.csv").write_text(CUSTOMERS, encoding="utf-8")
        (self.directory / "password").write_text("secret", encoding="utf-8")
        (self.directory / "password").chmod(0o600)
        self.server.add_user(self.login("bruno"))

    def deliver_everywhere(self, mail: EmailMessage) -> None:
        """The copies that three servers make: each adds its own lines on top, as servers do."""
        assert self.house is not None
        assert self.exchange is not None
        now, raw = self.clock.now(), mail.as_bytes()
        self.house.graph.mailboxes[GRAPH].deliver(b"Received: from a by graph\n" + raw, folder="INBOX", at=now)
        with self.client("bruno") as client:
            client.append("INBOX", b"Received: from b by imap\n" + raw, (), now)
        box = self.exchange.boxes[EWS]
        with self.exchange.news:
            box.add(b"Received: from c by exchange\n" + raw, box.folder("inbox"), received=now)


@pytest.fixture
def office(tmp_path: Path, dovecot: DovecotServer) -> Iterator[MixedOffice]:
    with graph_house() as house, EwsServer() as exchange:
        made = MixedOffice(tmp_path / "mixed", dovecot, house=house, exchange=exchange)
        made.directory.mkdir()
        made.write()
        yield made
        assert not exchange.violations


def test_one_mail_in_three_mailboxes_is_one_entry(office: MixedOffice) -> None:
    with office.running() as app:
        import_customers(app, office.directory / "customers.csv")
        work(app)
        office.clock.move(timedelta(minutes=2))
        question = office.mail("maria@padariasol.example", TO, "Caixas", "Olá, quanto custam 200 caixas?")
        office.deliver_everywhere(question)
        for _ in range(2):
            work(app)
            office.clock.move(timedelta(minutes=10))
        with app.store.session() as session:
            (entry,) = history.log(session)
    assert entry.customers == ["Padaria Sol"]
    assert entry.message_id == str(question["Message-ID"]).strip("<>")
    places = sorted((one["account"], one["folder"]) for one in entry.sightings)
    assert places == [("ana", "INBOX"), ("bruno", "INBOX"), ("carla", "INBOX")]


@pytest.mark.parametrize("pair", [("ana", "carla"), ("carla", "ana"), ("bruno", "ana")])
def test_a_shadow_run_over_two_protocols_sees_the_mail_that_is_missing(
    office: MixedOffice, pair: tuple[str, str]
) -> None:
    for number in range(5):
        office.deliver_everywhere(office.mail("maria@padariasol.example", TO, f"Caixas {number}", f"Pedido {number}."))
    assert office.house is not None
    alone = office.mail("maria@padariasol.example", TO, "Só aqui", "Sozinha.")
    office.house.graph.mailboxes[GRAPH].deliver(alone.as_bytes(), folder="INBOX", at=office.clock.now())
    settings = load_office(office.directory).settings
    since = START.date() - timedelta(days=2)
    found = compare(
        *read_both(settings, office.directory, pair, since=since, limit=100),
        since=since,
        until=office.clock.now() + timedelta(days=1),
    )
    assert found.same == 5
    assert found.differing == ()
    missed = found.only_first if pair[0] == "ana" else found.only_second
    assert [one.subject for one in missed] == ["Só aqui"]
    assert (found.only_second if pair[0] == "ana" else found.only_first) == ()
