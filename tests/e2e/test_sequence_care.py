"""Everything that keeps a mail of a sequence back, and what comes of it: asking, absences, deleted drafts, pauses, the
breaker, changed files, versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from offices import work
from sequence_offices import MARIA, SEQUENCE, SequenceOffice, inside, mails, only, reminded, state, turn
from servers.smtp_sink import SmtpSink

from daemon.alert_causes import find_causes
from daemon.app import App
from daemon.errors import Refused
from daemon.health import status
from daemon.office import load_office
from daemon.requests import answer
from store import customers, enrolments, pauses
from store.customers import Actor
from store.errors import NotFound
from store.tables import OutboxState, Way

ALWAYS_OPEN = "send: {hours: customer}"
SOON = SEQUENCE.replace("3 business days", "1 hour").replace(
    "send: {hours: customer, days: mon-fri, holidays: [BR-SP], per_day: 40, gap: 2-6 minutes}", ALWAYS_OPEN
)
AUTO = SOON.replace("mode: draft", "mode: auto")
LAST = AUTO[: AUTO.index("  - {wait: 7")] + AUTO[AUTO.index("stop_when") :]
ASK = SOON.replace("mode: draft", "mode: ask")
JOAO = "joao@oficinario.example"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture
def office(tmp_path: Path, smtp_sink: SmtpSink, request: pytest.FixtureRequest) -> SequenceOffice:
    made = SequenceOffice(tmp_path / "office", sequence=getattr(request, "param", SOON), sink=smtp_sink)
    made.directory.mkdir()
    made.write()
    return made


@pytest.fixture
def app(office: SequenceOffice) -> Iterator[App]:
    with office.going() as app:
        yield app


def stage_of(app: App) -> str:
    with app.store.session() as session:
        (person,) = customers.lookup_addresses(session, [MARIA])[MARIA]
        return customers.get(session, person.customer_id).stage


def reload(app: App) -> None:
    """What a saved file leads to."""
    app.assemble(load_office(app.office.directory))


# --- ask -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("office", [ASK], indirect=True)
def test_a_person_lets_each_mail_go(office: SequenceOffice, app: App, smtp_sink: SmtpSink) -> None:
    office.offer(app)
    office.pass_time(app, 3 * HOUR)
    (row,) = mails(app)
    assert (row.way, row.state, row.obstacle) == (Way.SEND, OutboxState.HELD, "ask")
    told = app.notices.compile("ana").text
    assert "espera a sua palavra" in told
    assert f"quietcrm outbox release {row.id}" in told
    assert smtp_sink.mails == []
    answer(app, "outbox.release", {"id": row.id})
    office.pass_time(app, MINUTE, MINUTE)
    assert [one.recipients for one in smtp_sink.await_mails(1)] == [(MARIA,)]
    turn(app)
    assert only(app).step == 2


@pytest.mark.parametrize("office", [ASK], indirect=True)
def test_what_waits_for_a_word_is_cancelled_by_an_answer(office: SequenceOffice, app: App) -> None:
    office.offer(app)
    office.pass_time(app, 2 * HOUR)
    office.answer(app)
    turn(app)
    assert [one.state for one in mails(app)] == [OutboxState.CANCELLED]
    assert state(app) == ("stopped", "the customer wrote")


# --- absences --------------------------------------------------------------------------------------------------------

NOTES = [
    ("Resposta automática: fora do escritório", "Estou fora do escritório. Volto em 24/11/2026.", date(2026, 11, 24)),
    ("Автоответ: меня нет в офисе", "Меня нет в офисе. Вернусь 24.11.2026.", date(2026, 11, 24)),
    ("Automatic reply: out of office", "I am out of the office. I will be back on 2026-11-24.", date(2026, 11, 24)),
    ("Resposta automática: fora do escritório", "Estou fora do escritório, sem acesso ao e-mail.", date(2026, 11, 18)),
    ("Автоответ: меня нет в офисе", "Меня нет в офисе.", date(2026, 11, 18)),
    ("Automatic reply: out of office", "I am out of the office.", date(2026, 11, 18)),
]


@pytest.mark.parametrize("office", [AUTO.replace("else: 5", "else: 2")], indirect=True)
@pytest.mark.parametrize(("subject", "text", "back"), NOTES)
def test_an_absence_pauses_it_until_the_day_they_are_back(
    office: SequenceOffice, app: App, smtp_sink: SmtpSink, subject: str, text: str, back: date
) -> None:
    office.offer(app)
    office.answer(app, "Auto-Submitted: auto-replied", Subject=subject, text=text)
    turn(app)
    found = only(app)
    assert found.away_until == back
    assert found.due_at is not None
    local = found.due_at.astimezone(office_zone(app))
    assert (local.date(), local.hour, local.minute) == (back, 9, 0)
    office.pass_time(app, found.due_at - office.clock.now() - HOUR, timedelta(hours=20))
    assert smtp_sink.mails == []
    office.pass_time(app, HOUR + 5 * MINUTE, 10 * MINUTE)
    assert len(smtp_sink.await_mails(1)) == 1


def office_zone(app: App) -> object:
    return app.office.settings.zone


@pytest.mark.parametrize("office", [AUTO], indirect=True)
def test_an_absence_that_is_known_after_the_mail_was_prepared(
    office: SequenceOffice, app: App, smtp_sink: SmtpSink
) -> None:
    office.offer(app)
    office.pass_time(app, HOUR - 8 * MINUTE, 26 * MINUTE)
    assert [one.state for one in mails(app)] == [OutboxState.PLANNED]
    office.answer(app, "Auto-Submitted: auto-replied", Subject="Férias", text="Estou de férias. Volto em 18/11/2026.")
    office.pass_time(app, 6 * HOUR, 3 * HOUR)
    assert smtp_sink.mails == []
    office.pass_time(app, timedelta(days=2), timedelta(hours=16))
    assert len(smtp_sink.await_mails(1)) == 1


# --- the rep decides -------------------------------------------------------------------------------------------------


def take_draft(office: SequenceOffice) -> None:
    (path,) = (office.directory / "ana" / ".Drafts" / "cur").iterdir()
    path.unlink()


@pytest.mark.parametrize(
    ("office", "expected"),
    [(SOON, ("stopped", "the rep deleted the draft")), (SOON + "drafts: {declined: next}\n", ("active", ""))],
    indirect=["office"],
)
def test_a_deleted_draft_is_the_reps_no(office: SequenceOffice, app: App, expected: tuple[str, str]) -> None:
    office.offer(app)
    office.pass_time(app, 2 * HOUR)
    take_draft(office)
    office.pass_time(app, HOUR, 10 * MINUTE)
    assert [one.state for one in mails(app)] == [OutboxState.DECLINED]
    assert state(app) == expected


def test_a_draft_that_nobody_touches_expires_and_the_next_step_comes(office: SequenceOffice, app: App) -> None:
    office.offer(app)
    office.pass_time(app, timedelta(days=9), timedelta(hours=8))
    assert [one.state for one in mails(app)] == [OutboxState.EXPIRED]
    assert only(app).step == 2
    office.pass_time(app, timedelta(days=11), timedelta(hours=12))
    assert len(reminded(app)) == 1


def test_an_answer_takes_an_untouched_draft_away(office: SequenceOffice, app: App) -> None:
    office.offer(app)
    office.pass_time(app, 2 * HOUR)
    assert len(office.drafts()) == 1
    office.answer(app)
    turn(app)
    assert office.drafts() == []
    assert state(app)[0] == "stopped"


# --- what ends it, however it is known -------------------------------------------------------------------------------


def test_another_stage_a_colleague_and_a_word_of_the_admin(office: SequenceOffice, app: App) -> None:
    office.offer(app)
    with app.store.writing() as session:
        (person,) = customers.lookup_addresses(session, [MARIA])[MARIA]
        customers.edit(session, person.customer_id, {"stage": "cliente"}, Actor(name="admin", now=app.clock.now()))
    office.pass_time(app, 2 * HOUR)
    assert state(app) == ("stopped", "the stage is cliente now")
    office.offer(app, to=JOAO, message_id="<p2@vendas.example>")
    office.clock.move(MINUTE)
    letter = office.letter(From="Bruno <bruno@vendas.example>", To=JOAO, Subject="Oi", text="Falamos amanhã?")
    office.deliver(letter, "bruno", ".Sent")
    work(app)
    office.pass_time(app, 2 * HOUR)
    assert [one.reason for one in inside(app)] == ["the stage is cliente now", "bruno wrote to the customer"]
    assert mails(app) == []


def test_the_reps_own_second_mail_is_no_colleagues(office: SequenceOffice, app: App) -> None:
    office.offer(app)
    office.clock.move(MINUTE)
    more = office.letter(From="Ana <ana@vendas.example>", To=MARIA, Subject="Faltou o anexo", text="Segue o anexo.")
    office.deliver(more, "ana", ".Sent")
    work(app)
    office.pass_time(app, 2 * HOUR)
    assert state(app) == ("active", "")


@pytest.mark.parametrize("office", [SOON.replace("deal", "customer")], indirect=True)
def test_a_paying_customer_is_never_lost(office: SequenceOffice, app: App) -> None:
    with app.store.writing() as session:
        (person,) = customers.lookup_addresses(session, [MARIA])[MARIA]
        customers.edit(session, person.customer_id, {"stage": "cliente"}, Actor(name="admin", now=app.clock.now()))
    office.offer(app)
    office.pass_time(app, timedelta(days=40), timedelta(days=1))
    assert state(app) == ("done", "nobody answered")
    with app.store.session() as session:
        assert customers.get(session, person.customer_id).stage == "cliente"


# --- answers that are in no history ----------------------------------------------------------------------------------


def answer_into_junk(office: SequenceOffice, box: str = "bruno") -> None:
    mail = office.letter(From=MARIA, To=f"{box}@vendas.example", Subject="Re: Proposta 17", text="Aceito!")
    office.deliver(mail, box, ".Junk")


@pytest.fixture
def seen_by_bruno(office: SequenceOffice, app: App) -> None:
    """Bruno's mailbox saw the customer, so their answer may come there."""
    letter = office.letter(From=MARIA, To="bruno@vendas.example", Subject="Pedido", text="Bom dia.")
    office.deliver(letter, "bruno")
    for place in ("new", "cur", "tmp"):
        for box in ("ana", "bruno"):
            (office.directory / box / ".Junk" / place).mkdir(parents=True)
    work(app)
    office.clock.move(MINUTE)


@pytest.mark.usefixtures("seen_by_bruno")
@pytest.mark.parametrize("box", ["ana", "bruno"])
def test_an_answer_in_junk_keeps_a_draft_back(office: SequenceOffice, app: App, box: str) -> None:
    office.offer(app)
    office.clock.move(MINUTE)
    answer_into_junk(office, box)
    office.pass_time(app, 2 * HOUR)
    assert office.drafts() == []
    assert state(app) == ("stopped", f"an answer lies in the Junk folder of {box}")
    told = app.notices.compile("ana").text
    assert "HÁ UMA RESPOSTA NO SPAM" in told
    assert "apos-proposta" in told


@pytest.mark.usefixtures("seen_by_bruno")
@pytest.mark.parametrize("office", [LAST], indirect=True)
def test_an_answer_in_junk_behind_the_last_mail_makes_nobody_lost(
    office: SequenceOffice, app: App, smtp_sink: SmtpSink
) -> None:
    office.offer(app)
    office.pass_time(app, 2 * HOUR, 20 * MINUTE)
    assert len(smtp_sink.await_mails(1)) == 1
    answer_into_junk(office)
    office.pass_time(app, timedelta(days=9), 12 * HOUR)
    assert state(app) == ("stopped", "an answer lies in the Junk folder of bruno")
    assert stage_of(app) == "proposta"


@pytest.mark.usefixtures("seen_by_bruno")
@pytest.mark.parametrize("office", [LAST], indirect=True)
def test_nobody_becomes_lost_while_a_mailbox_cannot_be_read(
    office: SequenceOffice, app: App, smtp_sink: SmtpSink
) -> None:
    office.offer(app)
    office.pass_time(app, 2 * HOUR, 20 * MINUTE)
    assert len(smtp_sink.await_mails(1)) == 1
    (office.directory / "bruno").rename(office.directory / "away")
    office.pass_time(app, timedelta(days=9), 12 * HOUR)
    assert state(app)[0] == "active"
    assert "bruno" in app.notices.compile("ana").text
    (office.directory / "away").rename(office.directory / "bruno")
    office.pass_time(app, 12 * HOUR)
    assert (state(app), stage_of(app)) == (("done", "nobody answered"), "perdida")


# --- standing still --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("office", [AUTO], indirect=True)
@pytest.mark.parametrize("what", [{"name": "apos-proposta"}, {"all": True}])
def test_paused_it_stands_still_and_then_goes_on(
    office: SequenceOffice, app: App, smtp_sink: SmtpSink, what: dict[str, object]
) -> None:
    office.offer(app)
    answer(app, "pause", what)
    assert status(app.office, app.store, app.clock.now())["paused"] == [
        "all" if "all" in what else "sequence apos-proposta"
    ]
    office.pass_time(app, 3 * HOUR)
    assert smtp_sink.mails == []
    assert mails(app) == []
    answer(app, "resume", what)
    office.pass_time(app, 20 * MINUTE, 2 * MINUTE)
    assert len(smtp_sink.await_mails(1)) == 1


@pytest.mark.parametrize("office", [AUTO], indirect=True)
def test_paused_after_its_mail_was_prepared(office: SequenceOffice, app: App, smtp_sink: SmtpSink) -> None:
    office.offer(app)
    office.pass_time(app, HOUR - 8 * MINUTE, 26 * MINUTE)
    answer(app, "pause", {"name": "apos-proposta"})
    office.pass_time(app, HOUR, 20 * MINUTE)
    assert smtp_sink.mails == []
    assert [one.obstacle for one in mails(app)] == ["paused"]


def test_a_paused_rule_only_notes_what_it_would_do(office: SequenceOffice, app: App) -> None:
    answer(app, "pause", {"name": "proposta-enviada"})
    office.offer(app)
    assert inside(app) == []
    answer(app, "resume", {"name": "proposta-enviada"})
    office.clock.move(MINUTE)
    office.offer(app, message_id="<p2@vendas.example>")
    assert len(inside(app)) == 1
    with pytest.raises(NotFound):
        answer(app, "pause", {"name": "nobody"})


@pytest.mark.parametrize("office", [AUTO], indirect=True)
def test_a_burst_parks_everything_tells_the_admin_and_is_released(
    office: SequenceOffice, app: App, smtp_sink: SmtpSink
) -> None:
    settings = app.office.settings
    limits = settings.limits.model_copy(update={"actions_per_hour": 1})
    app.assemble(replace(app.office, settings=settings.model_copy(update={"limits": limits})))
    office.offer(app)
    office.offer(app, to=JOAO, message_id="<p2@vendas.example>")
    turn(app)
    told = status(app.office, app.store, app.clock.now())["breaker"]
    assert told == "rules did 2 things within an hour (limit 1), most of them proposta-enviada"
    causes = find_causes(app.store, app.office, config_trouble="", disk_trouble="", hangs=[])
    assert [(one.kind, one.command) for one in causes] == [("alert_breaker", "quietcrm release")]
    office.pass_time(app, 3 * HOUR)
    assert (smtp_sink.mails, mails(app)) == ([], [])
    plan = answer(app, "release", {})
    assert (plan["applied"], plan["reason"]) == (False, told)
    answer(app, "release", {"apply": True})
    office.pass_time(app, 30 * MINUTE, 3 * MINUTE)
    assert len(smtp_sink.await_mails(2)) == 2
    with app.store.session() as session:
        assert pauses.everything(session) == {}


# --- files that change -----------------------------------------------------------------------------------------------


def test_whoever_is_inside_stays_on_the_version_they_entered(office: SequenceOffice, app: App) -> None:
    office.offer(app)
    before = only(app)
    office.say(SOON.replace("wait: 1 hour", "wait: 2 days"))
    reload(app)
    office.pass_time(app, 2 * HOUR)
    assert len(office.drafts()) == 1
    assert only(app).version == before.version
    office.offer(app, to=JOAO, message_id="<p2@vendas.example>")
    assert [one.version == before.version for one in inside(app)] == [True, False]


def test_migrate_shows_a_plan_and_then_moves_them(office: SequenceOffice, app: App) -> None:
    office.offer(app)
    before = only(app)
    assert before.due_at is not None
    office.say(SOON.replace("wait: 1 hour", "wait: 5 hours"))
    reload(app)
    plan = answer(app, "sequence.migrate", {"sequence": "apos-proposta"})
    (told,) = plan["people"]
    assert (plan["applied"], told["was_version"], told["version"], told["step"]) == (False, 1, 2, 1)
    assert only(app) == before
    with pytest.raises(Refused):
        answer(app, "sequence.migrate", {"sequence": "apos-proposta", "confirm": 7})
    answer(app, "sequence.migrate", {"sequence": "apos-proposta", "confirm": 1})
    after = only(app)
    assert after.due_at == before.due_at + timedelta(hours=4)
    assert answer(app, "sequence.migrate", {"sequence": "apos-proposta"})["people"] == []


@pytest.mark.parametrize("office", [AUTO], indirect=True)
def test_the_stricter_mode_holds_at_once(office: SequenceOffice, app: App, smtp_sink: SmtpSink) -> None:
    office.offer(app)
    office.pass_time(app, HOUR - 8 * MINUTE, 26 * MINUTE)
    assert [one.way for one in mails(app)] == [Way.SEND]
    office.say(SOON)
    reload(app)
    office.pass_time(app, HOUR, 20 * MINUTE)
    assert smtp_sink.mails == []
    assert [(one.way, one.late, one.state) for one in mails(app)] == [(Way.DRAFT, False, OutboxState.PLACED)]


@pytest.mark.parametrize("office", [AUTO], indirect=True)
def test_a_sequence_that_is_gone_from_the_files_stands_and_is_told(
    office: SequenceOffice, app: App, smtp_sink: SmtpSink
) -> None:
    office.offer(app)
    (office.directory / "sequences" / "apos-proposta.yaml").rename(office.directory / "away.yaml")
    rules = office.directory / "rules" / "10.yaml"
    rules.write_text(rules.read_text().replace("start: apos-proposta, ", ""))
    reload(app)
    office.pass_time(app, 2 * HOUR)
    assert (smtp_sink.mails, mails(app)) == ([], [])
    assert "apos-proposta" in app.notices.compile("ana").text
    (office.directory / "away.yaml").rename(office.directory / "sequences" / "apos-proposta.yaml")
    reload(app)
    office.pass_time(app, HOUR, 10 * MINUTE)
    assert len(smtp_sink.await_mails(1)) == 1


@pytest.mark.parametrize("office", [AUTO], indirect=True)
def test_a_step_found_too_late_becomes_a_draft(office: SequenceOffice, app: App, smtp_sink: SmtpSink) -> None:
    office.offer(app)
    office.clock.move(timedelta(days=3))  # nobody was there
    turn(app)
    assert smtp_sink.mails == []
    (row,) = mails(app)
    assert (row.way, row.late, row.state) == (Way.DRAFT, True, OutboxState.PLACED)


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_somebody_enters_by_hand_and_is_taken_out(office: SequenceOffice, app: App) -> None:
    office.answer(app)
    args = {"sequence": "apos-proposta", "contact": MARIA}
    plan = answer(app, "sequence.enrol", args)
    assert (plan["applied"], plan["to"], plan["step"]) == (False, MARIA, 1)
    assert inside(app) == []
    answer(app, "sequence.enrol", args | {"apply": True})
    found = only(app)
    assert (found.started_by, found.interaction_id is not None) == ("admin", True)  # it goes on from their last mail
    with pytest.raises(Refused, match="already"):
        answer(app, "sequence.enrol", args)
    stopped = answer(app, "sequence.stop", {"contact": "Padaria Sol"})
    assert [one["sequence"] for one in stopped["stopped"]] == ["apos-proposta"]
    assert state(app) == ("stopped", "admin ended it")
    with pytest.raises(Refused, match="entered") as caught:
        answer(app, "sequence.enrol", args)
    assert "--again" in caught.value.hint
    answer(app, "sequence.enrol", args | {"apply": True, "again": True})
    assert [one.round for one in inside(app)] == [0, 1]


def test_whoever_wants_no_mail_does_not_enter(office: SequenceOffice, app: App) -> None:
    answer(app, "customer.edit", {"customer": "Padaria Sol", "no_mail": [MARIA]})
    office.offer(app)
    assert inside(app) == []
    with pytest.raises(Refused, match="gets no mail"):
        answer(app, "sequence.enrol", {"sequence": "apos-proposta", "contact": MARIA})


def test_a_meeting_that_is_written_down_ends_it(office: SequenceOffice, app: App) -> None:
    from sqlalchemy import insert

    from store.statements import table
    from store.tables import Interaction, InteractionCustomer

    office.offer(app)
    office.clock.move(MINUTE)
    now = app.clock.now()
    with app.store.writing() as session:
        row = Interaction(
            identity="m", content_key="", channel="meeting", kind="human", direction="in", at=now, created_at=now
        )
        values = {
            column.name: getattr(row, column.name) for column in table(Interaction).columns if column.name != "id"
        }
        number = session.execute(
            insert(table(Interaction)).values(values).returning(table(Interaction).c.id)
        ).scalar_one()
        link = {"interaction_id": number, "customer_id": only(app).customer_id, "at": now, "rung": "x"}
        session.execute(insert(table(InteractionCustomer)).values(link))
        assert enrolments.meeting_since(session, only(app).customer_id, now - MINUTE) == now
    office.pass_time(app, 2 * HOUR)
    assert state(app) == ("stopped", "a meeting was booked")
