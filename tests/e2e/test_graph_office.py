"""The whole of quietcrm on mailboxes in Microsoft 365: read, logged, drafted, withdrawn, marked, sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from campaigns.installed import Installed
from graph_offices import GraphHouse, GraphOffice, graph_house
from offices import import_customers, work
from sending_offices import read, row, send
from servers.graph import Fault
from sqlmodel import select

from daemon.app import App
from store import outbox
from store.tables import Interaction, OutboxState

RULES = """\
rules:
  - name: pedido
    when: mail arrives
    if: {known: yes, text: {has: orçamento}}
    then:
      draft: {template: proposta, reply: yes}
      remind: {who: owner, in: 1 business day, unless: replied, text: "Responder {{ customer.name }}"}
      category: "CRM: pedido"
      flag: 2 days
  - name: depois-da-proposta
    when: mail sent
    if: {known: yes, subject: proposta}
    then: {send: {template: proposta, reply: yes, in: 2 business days, unless: replied}}
"""
SENDING = "send: {auto_templates: [proposta], hold: 10 minutes}"
MARIA = "Maria Silva <maria@padariasol.example>"


@pytest.fixture(scope="module")
def house() -> Iterator[GraphHouse]:
    with graph_house() as made:
        yield made


@pytest.fixture
def office(tmp_path: Path, house: GraphHouse) -> GraphOffice:
    house.graph.mailboxes.clear()
    house.graph.sent.clear()
    made = GraphOffice(tmp_path / "office", house, rules=RULES, reps=("ana", "bruno"), house=house, settings=SENDING)
    made.directory.mkdir()
    made.write()
    return made


@pytest.fixture
def app(office: GraphOffice) -> Iterator[App]:
    with office.running() as app:
        import_customers(app, office.directory / "customers.csv")
        work(app)
        app.sends.begin()
        office.move_clock(timedelta(minutes=1))
        yield app


def asked(office: GraphOffice) -> str:
    return office.deliver("ana", office.mail(MARIA, "ana@vendas.example", "Caixas", "Quero um orçamento."))


def states(app: App) -> list[str]:
    with app.store.session() as session:
        return [row["state"] for row in outbox.listing(session)]


def logged(app: App) -> list[str]:
    with app.store.session() as session:
        return [one.subject for one in session.exec(select(Interaction)).all()]


def test_a_customers_mail_is_logged_answered_by_a_draft_and_marked(office: GraphOffice, app: App) -> None:
    question = asked(office)
    assert work(app).logged == 1
    (draft,) = office.parsed("drafts")
    assert draft["In-Reply-To"] == question
    assert draft["To"] == MARIA
    assert draft["Subject"] == "Re: Caixas"
    (kept,) = office.mails("drafts")
    (mail,) = office.mails("inbox")
    assert kept.fields["conversationId"] == mail.fields["conversationId"]
    assert (mail.fields["isRead"], mail.fields["categories"]) == (False, ["CRM: pedido"])
    assert mail.fields["flag"]["flagStatus"] == "flagged"
    assert work(app).logged == 0  # our own marks come back as changes
    assert states(app) == ["placed"]


def test_the_customers_reply_takes_the_untouched_draft_away(office: GraphOffice, app: App) -> None:
    question = asked(office)
    work(app)
    office.move_clock(timedelta(minutes=5))
    office.deliver(
        "ana", office.mail(MARIA, "ana@vendas.example", "Re: Caixas", "Deixa, já comprei.", answers=question)
    )
    work(app)
    assert office.mails("drafts") == []
    assert states(app) == ["withdrawn"]


def test_a_draft_that_the_rep_works_on_stays(office: GraphOffice, app: App) -> None:
    question = asked(office)
    work(app)
    (draft,) = office.mails("drafts")
    office.box().change(draft, {"body": {"contentType": "html", "content": "<p>Bom dia Maria, são 300.</p>"}})
    office.move_clock(timedelta(minutes=5))
    office.deliver("ana", office.mail(MARIA, "ana@vendas.example", "Re: Caixas", "E então?", answers=question))
    work(app)
    assert "são 300" in str(office.mails("drafts")[0].fields["body"])


def test_a_draft_that_the_rep_sends_is_settled(office: GraphOffice, app: App) -> None:
    asked(office)
    work(app)
    (draft,) = office.mails("drafts")
    office.move_clock(timedelta(minutes=2))
    assert office.house is not None
    office.house.graph.send(office.box(), draft)
    office.move_clock(timedelta(minutes=6))
    work(app)
    assert states(app) == ["sent"]


def test_a_reminder_comes_unread_and_goes_when_it_is_settled(office: GraphOffice, app: App) -> None:
    question = asked(office)
    work(app)
    office.move_clock(timedelta(days=1, hours=1))
    work(app)
    (reminder,) = [one for one in office.mails("inbox") if "Responder" in one.fields["subject"]]
    assert (reminder.fields["isRead"], reminder.fields["isDraft"]) == (False, False)
    reply = office.mail("ana@vendas.example", MARIA, "Re: Caixas", "Claro, já mando.", answers=question)
    office.deliver("ana", reply, "Sent Items")
    work(app)
    assert [one.fields["subject"] for one in office.mails("inbox")] == ["Caixas"]


def prepare_send(office: GraphOffice, app: App) -> int:
    """Ana sends a proposal; two business days later a rule writes. The number of that mail, which is due."""
    mail = office.mail("ana@vendas.example", MARIA, "Proposta", "Segue a proposta.")
    office.deliver("ana", mail, "Sent Items")
    work(app)
    with app.store.session() as session:
        (planned,) = outbox.in_states(session, (OutboxState.PLANNED,))
    office.move_clock(timedelta(days=2, minutes=20))
    read(app)
    assert planned.id is not None
    return planned.id


def test_a_rule_sends_one_mail_and_its_copy_is_the_services_own(office: GraphOffice, app: App) -> None:
    number = prepare_send(office, app)
    assert send(app) == 1
    assert office.house is not None
    ((owner, recipients, raw),) = office.house.graph.sent
    assert (owner, recipients) == ("ana@vendas.example", ("maria@padariasol.example",))
    assert b"In-Reply-To:" in raw
    assert row(app, number).state == OutboxState.SENT
    office.move_clock(timedelta(minutes=1))
    app.copies.tidy()
    assert len(office.mails("sentitems")) == 2
    assert office.mails("drafts") == []
    work(app)
    assert logged(app).count("Re: Proposta") == 1


def test_an_answer_in_the_other_mailbox_or_in_junk_stops_it(office: GraphOffice, app: App) -> None:
    office.deliver("bruno", office.mail(MARIA, "bruno@vendas.example", "Oi", "Bom dia"))
    number = prepare_send(office, app)
    office.deliver("bruno", office.mail(MARIA, "bruno@vendas.example", "Re: Proposta", "Aceito!"), "Junk Email")
    office.move_clock(timedelta(seconds=61))
    assert send(app) == 0
    assert row(app, number).state == OutboxState.CANCELLED
    assert "Junk" in row(app, number).reason


def test_done_without_an_answer_is_found_in_sent_and_not_sent_again(office: GraphOffice, app: App) -> None:
    number = prepare_send(office, app)
    assert office.house is not None
    office.house.graph.script = [("POST", "/send", Fault(status=504, after=True))]
    assert send(app) == 0
    assert row(app, number).state == OutboxState.UNCERTAIN
    office.move_clock(timedelta(minutes=6))
    app.copies.tidy()
    assert row(app, number).state == OutboxState.SENT
    office.move_clock(timedelta(hours=1))
    assert send(app) == 0
    assert len(office.house.graph.sent) == 1


def test_not_done_without_an_answer_stays_uncertain(office: GraphOffice, app: App) -> None:
    number = prepare_send(office, app)
    assert office.house is not None
    office.house.graph.script = [("POST", "/send", Fault(status=504))]
    assert send(app) == 0
    for _ in range(3):
        office.move_clock(timedelta(minutes=6))
        app.copies.tidy()
        send(app)
    assert row(app, number).state == OutboxState.UNCERTAIN
    assert office.house.graph.sent == []


@pytest.mark.timeout(120)
def test_the_installed_command_syncs_such_a_mailbox(office: GraphOffice) -> None:
    asked(office)
    office.deliver("bruno", office.mail(MARIA, "bruno@vendas.example", "Outra", "Bom dia"))
    command = Installed(office.directory)
    command("customer", "import", str(office.directory / "customers.csv"), "--apply")
    told = command("sync", "--once")
    assert {name: one["seen"] for name, one in told["accounts"].items()} == {"ana": 1, "bruno": 1}
    assert len(command.rows("SELECT 1 FROM interaction")) == 2
    again = command("sync", "--once")
    assert {one["seen"] for one in again["accounts"].values()} == {0}
