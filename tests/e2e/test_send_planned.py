"""What `send` in a rule plans, and what it refuses to: by sender, address, folder and mark of the causing mail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from maildir_offices import SETTINGS, MaildirOffice
from offices import work
from sqlmodel import select
from structlog.testing import capture_logs
from test_marks import rows

from daemon.app import App
from daemon.requests import answer
from store.tables import ActionDone, OutboxState, Way

SENDING = SETTINGS + "send: {{auto_templates: [proposta], hold: 10 minutes}}\n"
RULES = """\
rules:
  - name: recibo
    when: mail arrives
    if: {any: [{known: yes}, {known: no}], subject: [Caixas, x]}
    then:
      send: {template: proposta, reply: yes}
  - name: rascunho
    when: mail arrives
    then: {draft: proposta}
"""
MARIA = "maria@padariasol.example"


@pytest.fixture
def office(tmp_path: Path, request: pytest.FixtureRequest) -> MaildirOffice:
    made = MaildirOffice(tmp_path / "office", settings=SENDING, rules=getattr(request, "param", RULES))
    made.directory.mkdir()
    made.write()
    (made.directory / "ana" / ".Junk" / "new").mkdir(parents=True)
    return made


@pytest.fixture
def app(office: MaildirOffice) -> Iterator[App]:
    with office.running() as app:
        yield app


def why(app: App) -> str:
    """What is noted of the send that was wanted."""
    with app.store.session() as session:
        found = session.exec(select(ActionDone).where(ActionDone.rule == "recibo", ActionDone.slot == "draft")).all()
    return found[-1].detail if found else ""


def test_a_person_is_answered(office: MaildirOffice, app: App) -> None:
    now = app.clock.now()
    office.deliver(office.letter(Message_ID="<m1@padariasol.example>"))
    work(app)
    (row,) = rows(app)
    assert (row.way, row.state, row.reactive, row.rule) == (Way.SEND, OutboxState.PLANNED, True, "recibo")
    assert (row.recipient, row.rep, row.template) == (MARIA, "ana", "proposta")
    assert row.due_at == now + timedelta(minutes=10)
    assert row.late_after is not None
    assert row.late_after == datetime(2026, 11, 17, 12, 1, tzinfo=UTC)
    assert (row.in_reply_to, row.references) == ("m1@padariasol.example", ["m1@padariasol.example"])
    assert row.unless == "customer_wrote,team_wrote"
    assert row.contact_id is not None
    assert len(row.token) >= 20
    assert row.token.isalnum()
    assert why(app) == f"send {row.id}"


def test_tokens_are_never_the_same(office: MaildirOffice, app: App) -> None:
    for person in (MARIA, "joao@oficinario.example"):
        office.deliver(office.letter(From=person))
    work(app)
    assert len({row.token for row in rows(app)}) == 2


REFUSED = [
    (("Auto-Submitted: auto-generated",), {}, "no person wrote this mail"),
    (("Precedence: list",), {}, "bulk"),
    (("List-Id: <x.example>", "List-Post: <mailto:x@x.example>"), {}, "by a list"),
    (("X-Spam-Flag: YES",), {}, "spam"),
    (("X-Quietcrm: send",), {}, "one of ours"),
    ((), {"Return_Path": "<>"}, "return-path"),
    ((), {"From": "noreply@padariasol.example"}, "no person wrote"),
    ((), {"From": "compras@padariasol.example"}, "no contact of the customer"),
    (("Reply-To: outra@padariasol.example",), {}, "no contact of the customer"),
]


@pytest.mark.parametrize(("headers", "named", "reason"), REFUSED)
def test_what_is_not_answered(
    office: MaildirOffice, app: App, headers: tuple[str, ...], named: dict[str, str], reason: str
) -> None:
    with capture_logs() as logs:
        office.deliver(office.letter(*headers, **named))
        work(app)
    assert [row for row in rows(app) if row.way == Way.SEND] == []
    if why(app):  # where the rule saw the mail at all
        assert why(app).startswith("not sent: ")
        assert reason in why(app)
        assert "send.unwanted" in {one["event"] for one in logs}
    else:
        assert "no person wrote" in reason


def test_a_reply_to_elsewhere_takes_no_mail_there(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter("Reply-To: ladrao@elsewhere.example"))
    work(app)
    assert [row.recipient for row in rows(app)] == [MARIA]


def test_a_reply_to_of_another_customer_is_not_followed(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter("Reply-To: joao@oficinario.example"))
    work(app)
    assert {row.recipient for row in rows(app)} <= {MARIA}


TO = """\
rules:
  - name: recibo
    when: mail arrives
    then:
      send: {{template: proposta, to: {to}}}
"""


@pytest.mark.parametrize(
    ("office", "reason"),
    [
        (TO.format(to="bruno@vendas.example"), "our own"),
        (TO.format(to="joao@oficinario.example"), "no contact of the customer"),
        (TO.format(to="x@elsewhere.example"), "no contact of the customer"),
        (TO.format(to="no-reply@padariasol.example"), "nobody reads"),
    ],
    indirect=["office"],
)
def test_an_address_in_the_rule_is_checked_too(office: MaildirOffice, app: App, reason: str) -> None:
    office.deliver(office.letter())
    work(app)
    assert rows(app) == []
    assert reason in why(app)


def test_two_customers_with_one_address_get_nothing_by_itself(office: MaildirOffice, app: App) -> None:
    answer(app, "customer.add", {"name": "Outra Padaria", "emails": [MARIA]})
    office.deliver(office.letter())
    work(app)
    assert [row for row in rows(app) if row.way == Way.SEND] == []
    assert "several customers" in why(app)


LEAD = """\
rules:
  - name: recibo
    when: mail arrives
    if: {known: no}
    then:
      create: {lead: {title: "{{ mail.subject }}"}}
      send: {template: proposta, reply: yes}
"""


@pytest.mark.parametrize("office", [LEAD], indirect=True)
def test_a_lead_that_this_mail_made_may_be_answered(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter(From="Nova <nova@nova.example>"))
    work(app)
    (row,) = rows(app)
    assert (row.recipient, row.way) == ("nova@nova.example", Way.SEND)
    assert row.contact_id is not None


SENT = """\
rules:
  - name: recibo
    when: mail sent
    if: {known: yes}
    then: {send: {template: proposta, reply: yes, in: 3 business days, unless: replied}}
"""


@pytest.mark.parametrize("office", [SENT], indirect=True)
def test_a_follow_up_is_no_automatic_answer(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter(From="ana@vendas.example", To=MARIA), folder=".Sent")
    work(app)
    (row,) = rows(app)
    assert (row.reactive, row.unless, row.recipient) == (False, "customer_wrote", MARIA)
    assert row.due_at == datetime(2026, 11, 19, 12, 1, tzinfo=UTC)


def test_old_mail_sends_nothing(tmp_path: Path) -> None:
    office = MaildirOffice(tmp_path / "old", settings=SENDING, rules=RULES)
    office.directory.mkdir()
    office.write()
    office.deliver(office.letter(), at=office.clock.now() - timedelta(days=2))
    with office.running() as app:
        assert rows(app) == []
