"""What mail says about people, through the real pipeline: bounces, absences, complaints, opt-outs, late answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from maildir_offices import SETTINGS, MaildirOffice, logged
from offices import CUSTOMERS, TestOffice, import_customers, work
from servers.dovecot import DovecotServer
from servers.postgres import PostgresServer

from daemon.app import App
from daemon.blocks import why_blocked
from store import changes, customers, outbox, reminders
from store.customers import ContactRow
from store.tables import OutboxMail, OutboxState, Way

SENDING = SETTINGS + "send: {{auto_templates: [proposta], hold: 10 minutes}}\n"
RULES = """\
rules:
  - name: recibo
    when: mail arrives
    if: {any: [{is: [automated, bounce, out_of_office, newsletter]}, {known: yes}]}
    then:
      send: {template: proposta, reply: yes}
"""
FOLLOW = """\
rules:
  - name: depois
    when: mail sent
    if: {known: yes, subject: proposta}
    then:
      send: {template: proposta, reply: yes, in: 3 business days, unless: replied}
      remind: {who: owner, in: 1 business day, unless: mail sent, text: Ligar}
"""
MARIA = "maria@padariasol.example"


@pytest.fixture
def office(tmp_path: Path, request: pytest.FixtureRequest) -> MaildirOffice:
    rules = getattr(request, "param", RULES)
    made = MaildirOffice(tmp_path / "office", settings=SENDING, rules=rules)
    made.directory.mkdir()
    made.write()
    return made


@pytest.fixture
def app(office: MaildirOffice) -> Iterator[App]:
    with office.running() as app:
        yield app


def rows(app: App) -> list[OutboxMail]:
    with app.store.session() as session:
        return outbox.in_states(session, list(OutboxState))


def contact(app: App, address: str = MARIA) -> ContactRow:
    with app.store.session() as session:
        return customers.lookup_addresses(session, [address])[address][0]


def blocked(app: App, address: str = MARIA) -> str:
    with app.store.session() as session:
        return why_blocked(session, app.key, address)


def planned(app: App, recipient: str = MARIA, **fields: Any) -> int:
    """A send of ours to somebody, in whatever state."""
    now = app.clock.now()
    with app.store.writing() as session:
        person = customers.lookup_addresses(session, [recipient])[recipient][0]
        values: dict[str, Any] = {
            "event": f"event {fields}",
            "event_at": now - timedelta(days=3),
            "rule": "depois",
            "slot": "draft",
            "way": Way.SEND,
            "rep": "ana",
            "account": "ana",
            "customer_id": person.customer_id,
            "contact_id": person.id,
            "recipient": recipient,
            "template": "proposta",
            "unless": "customer_wrote",
            "due_at": now + timedelta(days=1),
            "created_at": now,
        }
        number = outbox.plan(session, OutboxMail(**values | fields))
    assert number is not None
    return number


def sent(app: App, message_id: str = "s1@vendas.example", state: str = OutboxState.SENT, **fields: Any) -> int:
    now = app.clock.now()
    return planned(app, state=state, message_id=message_id, settled_at=now, **fields)


def row(app: App, number: int) -> OutboxMail:
    with app.store.session() as session:
        return outbox.get(session, number)


def bounce(recipient: str = MARIA, original: str = "s1@vendas.example", status: str = "5.1.1", **head: str) -> bytes:
    action = "failed" if status.startswith("5") else "delayed"
    returned = f"Message-ID: <{original}>\n" if original else ""
    named = {"From": "MAILER-DAEMON@mx.example", "To": "ana@vendas.example", "Subject": "Undelivered Mail"} | head
    lines = "".join(f"{name}: {value}\n" for name, value in named.items())
    return f"""Return-Path: <>
{lines}Message-ID: <dsn{abs(hash((recipient, original, status)))}@mx.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

The mail could not be delivered to {recipient}: 550 {status} User unknown
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} User unknown
--b
Content-Type: text/rfc822-headers

{returned}From: ana@vendas.example
To: {recipient}
Subject: Proposta
--b--
""".encode()


# --- delivery reports ------------------------------------------------------------------------------------------------


def test_a_hard_bounce_marks_the_contact_and_ends_what_waits(office: MaildirOffice, app: App) -> None:
    gone = sent(app)
    waiting, held = planned(app, event="w"), planned(app, event="h", state=OutboxState.HELD)
    other = planned(app, "joao@oficinario.example", event="o")
    on_its_way = planned(app, event="c", state=OutboxState.CLAIMED), planned(app, event="s", state=OutboxState.SENDING)
    office.deliver(bounce())
    work(app)
    assert row(app, gone).state == OutboxState.BOUNCED
    assert row(app, gone).reason == "came back: user_unknown"
    assert [row(app, one).state for one in (waiting, held)] == [OutboxState.CANCELLED] * 2
    assert row(app, waiting).reason == "the address gets no mail: bounced"
    assert row(app, other).state == OutboxState.PLANNED
    assert [row(app, one).state for one in on_its_way] == [OutboxState.CLAIMED, OutboxState.SENDING]
    assert (contact(app).bounced_at, contact(app).bounce_reason) == (app.clock.now(), "user_unknown")
    assert blocked(app) == "bounced"
    assert len(rows(app)) == 6  # and it caused nothing itself


def test_a_bounce_without_our_message_id_is_of_the_last_mail_to_them(office: MaildirOffice, app: App) -> None:
    old, new = sent(app, "s1@vendas.example"), sent(app, "s2@vendas.example")
    with app.store.writing() as session:
        outbox.change(session, old, settled_at=app.clock.now() - timedelta(days=2))
    office.deliver(bounce(original=""))
    work(app)
    assert [row(app, one).state for one in (old, new)] == [OutboxState.SENT, OutboxState.BOUNCED]


@pytest.mark.parametrize("recipient", ["forwarded@elsewhere.example", "ana@vendas.example"])
def test_a_bounce_that_matches_nobody_finds_our_mail(office: MaildirOffice, app: App, recipient: str) -> None:
    """The final recipient is a stranger (forwarded), or nobody outside is named: our Message-ID still tells."""
    gone = sent(app, state=OutboxState.UNCERTAIN)
    office.deliver(bounce(recipient, From="MAILER-DAEMON@vendas.example"))
    work(app)
    assert row(app, gone).state == OutboxState.BOUNCED
    assert contact(app).bounced_at is not None
    assert blocked(app) == "bounced"
    assert blocked(app, recipient) == ""


def test_a_delay_changes_nothing_but_the_note(office: MaildirOffice, app: App) -> None:
    gone, waiting = sent(app), planned(app, event="w")
    office.deliver(bounce(status="4.2.2"))
    work(app)
    assert row(app, gone).state == OutboxState.SENT
    assert row(app, gone).reason.startswith("not delivered yet: ")
    assert row(app, waiting).state == OutboxState.PLANNED
    assert contact(app).bounced_at is None
    assert blocked(app) == ""


def test_a_bounce_of_a_stranger_marks_nobody(office: MaildirOffice, app: App) -> None:
    office.deliver(bounce("nobody@elsewhere.example", original="x@elsewhere.example"))
    work(app)
    assert blocked(app, "nobody@elsewhere.example") == ""


@pytest.mark.parametrize("bounce_first", [True, False])
def test_a_letter_refutes_an_older_bounce_in_whatever_order(
    office: MaildirOffice, app: App, bounce_first: bool
) -> None:
    now = app.clock.now()
    office.clock.move(timedelta(minutes=5))
    letter, report = office.letter(text="Bom dia, segue o pedido."), bounce(original="old@vendas.example")
    steps = [(report, now), (letter, app.clock.now())]
    for raw, at in steps if bounce_first else reversed(steps):
        office.deliver(raw, at=at)
        work(app)
    assert contact(app).bounced_at is None
    assert blocked(app) == ""


def test_both_in_one_batch(office: MaildirOffice, app: App) -> None:
    now = app.clock.now()
    office.clock.move(timedelta(minutes=5))
    office.deliver(bounce(original="old@vendas.example"), at=now)
    office.deliver(office.letter(text="Bom dia, segue o pedido."), at=app.clock.now())
    work(app)
    assert contact(app).bounced_at is None
    assert blocked(app) == ""


# --- absences --------------------------------------------------------------------------------------------------------

AWAY = ("Auto-Submitted: auto-replied", "X-Autoreply: yes")


def away(office: MaildirOffice, text: str, **named: str) -> bytes:
    return office.letter(*AWAY, text=text, Subject="Resposta automática: fora do escritório", **named)


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("Estou de férias. Estarei de volta em 07/12/2026.", date(2026, 12, 7)),
        ("Estou fora do escritório.", date(2026, 11, 23)),
    ],
)
def test_an_absence_lasts_as_stated_else_five_business_days(
    office: MaildirOffice, app: App, text: str, until: date
) -> None:
    waiting = planned(app)
    office.deliver(away(office, text))
    work(app)
    assert contact(app).away_until == until
    assert row(app, waiting).state == OutboxState.PLANNED
    assert len(rows(app)) == 1
    office.clock.move(timedelta(hours=1))
    office.deliver(office.letter(text="Voltei antes, pode mandar."))
    work(app)
    assert contact(app).away_until is None


def test_a_letter_from_before_the_absence_does_not_end_it(office: MaildirOffice, app: App) -> None:
    before = app.clock.now()
    office.clock.move(timedelta(hours=1))
    office.deliver(away(office, "Estou fora do escritório até 15/12/2026."))
    work(app)
    office.deliver(office.letter(text="Bom dia"), at=before)
    work(app)
    assert contact(app).away_until == date(2026, 12, 15)


def test_an_absence_that_is_over_is_not_noted(office: MaildirOffice, app: App) -> None:
    office.deliver(away(office, "Estou de férias até 10/11/2026."), at=app.clock.now() - timedelta(days=20))
    work(app)
    assert contact(app).away_until is None


def test_an_absence_from_another_address_is_of_whom_the_mail_was_for(office: MaildirOffice, app: App) -> None:
    sent(app)
    office.deliver(
        away(
            office,
            "Estou fora do escritório até 15/12/2026.",
            From="Autoresponder <robot@elsewhere.example>",
            In_Reply_To="<s1@vendas.example>",
        )
    )
    work(app)
    assert contact(app).away_until == date(2026, 12, 15)


# --- complaints ------------------------------------------------------------------------------------------------------


def complaint(fields: str = "", kind: str = "abuse", original: str = "s1@vendas.example") -> bytes:
    return f"""From: feedback@isp.example
To: ana@vendas.example
Subject: FW: Proposta
Message-ID: <arf{abs(hash((fields, kind)))}@isp.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b
Content-Type: text/plain

This is an email abuse report.
--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: Some/1.0
Version: 1
{fields}
--b
Content-Type: message/rfc822

From: ana@vendas.example
To: undisclosed-recipients:;
Message-ID: <{original}>
Subject: Proposta

Text
--b--
""".encode()


@pytest.mark.parametrize(
    ("fields", "original"),
    [
        ("Original-Rcpt-To: <maria@padariasol.example>\n", "other@vendas.example"),
        ("Removal-Recipient: Maria+promo@PadariaSol.example\n", "s1@vendas.example"),
        ("", "s1@vendas.example"),
    ],
)
def test_a_complaint_stops_all_mail_at_once(office: MaildirOffice, app: App, fields: str, original: str) -> None:
    gone, waiting = sent(app), planned(app, event="w")
    office.deliver(complaint(fields, original=original))
    work(app)
    assert blocked(app) == "complained"
    assert row(app, gone).state == OutboxState.SENT
    assert row(app, waiting).state == OutboxState.CANCELLED
    assert len(rows(app)) == 2


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "virus", "other"])
def test_other_feedback_is_no_complaint(office: MaildirOffice, app: App, kind: str) -> None:
    sent(app)
    office.deliver(complaint("Original-Rcpt-To: maria@padariasol.example\n", kind))
    work(app)
    assert blocked(app) == ""


# --- opt-outs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["SAIR", "Stop!", "Отпишите меня, пожалуйста", "unsubscribe\n\nMaria", "> x\n\nsair"])
def test_one_word_of_the_contact_stops_all_mail(office: MaildirOffice, app: App, text: str) -> None:
    waiting = planned(app)
    office.deliver(office.letter(text=text))
    work(app)
    assert blocked(app) == "unsubscribed"
    assert blocked(app, "MARIA+News@PadariaSol.Example") == "unsubscribed"
    assert blocked(app, "joao@oficinario.example") == ""
    assert row(app, waiting).state == OutboxState.CANCELLED
    # The rule answers every mail: what it planned for this one is cancelled too.
    assert {one.state for one in rows(app)} == {OutboxState.CANCELLED}
    office.clock.move(timedelta(minutes=1))
    office.deliver(office.letter(text="Bom dia, quanto custa?"))
    work(app)
    assert {one.state for one in rows(app)} == {OutboxState.CANCELLED}


@pytest.mark.parametrize("text", ["please stop by tomorrow", "Pode remover o item 3?", "Bom dia\n\n> sair"])
def test_a_sentence_is_no_opt_out(office: MaildirOffice, app: App, text: str) -> None:
    office.deliver(office.letter(text=text))
    work(app)
    assert blocked(app) == ""
    assert [one.state for one in rows(app)] == [OutboxState.PLANNED]


def test_a_stranger_cannot_opt_out_anybody(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter(From="x@elsewhere.example", text="stop"))
    work(app)
    assert blocked(app) == ""
    assert blocked(app, "x@elsewhere.example") == ""


TOKEN = "7K2M9PQRSTUVWX23456789ABCD"


@pytest.mark.parametrize(
    "named",
    [
        {"Subject": f"unsubscribe CRM-{TOKEN}"},
        {"Subject": f"unsubscribe CRM-{TOKEN}", "From": "maria.private@elsewhere.example"},
        {"Subject": f"unsubscribe crm-{TOKEN}", "From": "joao@oficinario.example"},
        {"Subject": "x", "To": f"ana+{TOKEN.lower()}@vendas.example", "From": "segredo@banco.example"},
    ],
)
def test_a_token_stops_mail_for_whom_it_was_made(office: MaildirOffice, app: App, named: dict[str, str]) -> None:
    sent(app, token=TOKEN)
    waiting = planned(app, event="w")
    office.deliver(office.letter(text="", **named))
    work(app)
    assert blocked(app) == "unsubscribed"
    assert row(app, waiting).state == OutboxState.CANCELLED
    assert blocked(app, "joao@oficinario.example") == ""


def test_an_opt_out_is_a_change_that_can_be_undone(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter(text="sair"))
    work(app)
    with app.store.session() as session:
        (change,) = changes.of_row(session, "contact", contact(app).id)[:1]
    assert (change.actor, change.what) == ("mail", "rows")
    with app.store.writing() as session:
        changes.undo(session, change.id or 0, app.clock.now())
    assert blocked(app) == ""


def test_an_old_wish_of_somebody_who_went_on_writing_is_none(office: MaildirOffice, app: App) -> None:
    before = app.clock.now()
    office.clock.move(timedelta(hours=1))
    office.deliver(office.letter(text="Bom dia, mande a tabela."))
    work(app)
    office.deliver(office.letter(text="stop"), at=before)
    work(app)
    assert blocked(app) == ""


# --- our own mail ----------------------------------------------------------------------------------------------------


def own_copy(office: MaildirOffice, **named: str) -> bytes:
    return office.letter(
        "X-Quietcrm: send",
        text="Bom dia Maria, obrigado pelo contato. Envio amanhã a proposta com todos os valores.",
        **{
            "From": "Ana <ana@vendas.example>",
            "To": MARIA,
            "Subject": "Proposta",
            "Message-ID": "<s1@vendas.example>",
            **named,
        },
    )


@pytest.mark.parametrize("office", [FOLLOW], indirect=True)
def test_our_own_copy_in_sent_proves_a_doubtful_mail_and_settles_nothing(office: MaildirOffice, app: App) -> None:
    office.deliver(
        office.letter(From="ana@vendas.example", To=MARIA, Subject="Proposta", text="Segue."), folder=".Sent"
    )
    work(app)
    (follow_up,) = rows(app)
    doubtful = sent(app, state=OutboxState.UNCERTAIN)
    with app.store.writing() as session:
        outbox.change(session, follow_up.id or 0, unless="customer_wrote,team_wrote")
    with app.store.session() as session:
        before = customers.get(session, follow_up.customer_id or 0).last_out_at
    office.clock.move(timedelta(minutes=5))
    office.deliver(own_copy(office), folder=".Sent")
    work(app)
    proved = row(app, doubtful)
    assert (proved.state, proved.reason, proved.copy_state) == ("sent", "its copy lies in Sent", "lies")
    assert row(app, follow_up.id or 0).state == OutboxState.PLANNED
    assert len(rows(app)) == 2  # `mail sent` is no matter of our own mail
    with app.store.session() as session:
        assert reminders.counts(session) == {"planned": 1}
        assert customers.get(session, follow_up.customer_id or 0).last_out_at == before
    assert [one["message_id"] for one in logged(app)].count("s1@vendas.example") == 1


def test_a_copy_at_a_colleagues_proves_nothing_until_it_lies_in_sent(office: MaildirOffice, app: App) -> None:
    doubtful = sent(app, state=OutboxState.UNCERTAIN)
    office.deliver(own_copy(office), rep="bruno")
    work(app)
    assert row(app, doubtful).state == OutboxState.UNCERTAIN
    office.deliver(own_copy(office), folder=".Sent")
    work(app)
    assert row(app, doubtful).state == OutboxState.SENT


@pytest.mark.parametrize("sender", [MARIA, "maria.private@elsewhere.example"])
def test_an_answer_proves_that_a_doubtful_mail_arrived(office: MaildirOffice, app: App, sender: str) -> None:
    doubtful = sent(app, state=OutboxState.UNCERTAIN)
    office.deliver(office.letter(From=sender, text="Recebi, obrigada.", In_Reply_To="<s1@vendas.example>"))
    work(app)
    assert (row(app, doubtful).state, row(app, doubtful).reason) == ("sent", "it was answered")


@pytest.mark.parametrize("office", [FOLLOW], indirect=True)
def test_an_answer_cancels_sends_that_wait_and_leaves_those_on_their_way(office: MaildirOffice, app: App) -> None:
    office.deliver(
        office.letter(From="ana@vendas.example", To=MARIA, Subject="Proposta", text="Segue."), folder=".Sent"
    )
    work(app)
    held = planned(app, event="h", state=OutboxState.HELD)
    claimed = planned(app, event="c", state=OutboxState.CLAIMED)
    office.clock.move(timedelta(minutes=5))
    office.deliver(office.letter(text="Fechado!", From="Outra <compras@padariasol.example>"))
    work(app)
    assert [one.state for one in rows(app) if one.id != claimed] == [OutboxState.CANCELLED] * 2
    assert row(app, held).reason == "the customer wrote"
    assert row(app, claimed).state == OutboxState.CLAIMED


def test_what_is_read_at_first_contact_marks_too(tmp_path: Path) -> None:
    office = MaildirOffice(tmp_path / "late", settings=SENDING, rules=RULES, customers=CUSTOMERS)
    office.directory.mkdir()
    office.write()
    before = office.clock.now() - timedelta(days=30)
    office.deliver(bounce(original="old@vendas.example"), at=before)
    office.deliver(office.letter(From="João Lima <joao@oficinario.example>", text="sair"), at=before)
    with office.running() as app:
        assert contact(app).bounced_at == before
        assert blocked(app, "joao@oficinario.example") == "unsubscribed"
        assert rows(app) == []


def test_over_imap_too(tmp_path: Path, dovecot: DovecotServer) -> None:
    """Only the parts that are read cross the wire there: the report and the header of the mail it is about."""
    office = TestOffice(tmp_path / "imap", dovecot)
    office.directory.mkdir()
    office.write()
    with office.running() as app:
        import_customers(app, office.directory / "customers.csv")
        work(app)
        gone = sent(app)
        sent(app, "s2@vendas.example", recipient="joao@oficinario.example", event="j")
        office.move_clock(timedelta(minutes=1))
        for raw in (bounce("other@elsewhere.example"), complaint(original="s2@vendas.example")):
            with office.client("ana") as client:
                client.append("INBOX", raw, (), office.clock.now())
        work(app)
        assert row(app, gone).state == OutboxState.BOUNCED
        assert (blocked(app), blocked(app, "joao@oficinario.example")) == ("bounced", "complained")


def test_on_postgresql_too(tmp_path: Path, postgres: PostgresServer) -> None:
    office = MaildirOffice(tmp_path / "pg", settings=SENDING, rules=RULES, store=postgres.new_database())
    office.directory.mkdir()
    office.write()
    with office.running() as app:
        gone, doubtful = sent(app), sent(app, "s2@vendas.example", OutboxState.UNCERTAIN, event="u")
        office.deliver(bounce(original=""))
        office.deliver(office.letter(From="joao@oficinario.example", text="sair", In_Reply_To="<s2@vendas.example>"))
        work(app)
        assert {row(app, gone).state, row(app, doubtful).state} == {OutboxState.SENT, OutboxState.BOUNCED}
        assert (blocked(app), blocked(app, "JOAO+x@oficinario.example")) == ("bounced", "unsubscribed")
        office.clock.move(timedelta(minutes=1))
        office.deliver(away(office, "Estou de férias até 15/12/2026."))
        work(app)
        assert contact(app).away_until == date(2026, 12, 15)
        office.clock.move(timedelta(minutes=1))
        office.deliver(office.letter(text="Bom dia"))
        work(app)
        assert (contact(app).away_until, contact(app).bounced_at, blocked(app)) == (None, None, "")
