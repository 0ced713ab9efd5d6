"""A sequence from the first mail to the end, in all its modes, with real mailboxes and a real SMTP conversation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from offices import work
from sequence_offices import (
    MARIA,
    SEQUENCE,
    SequenceOffice,
    inside,
    mails,
    only,
    reminded,
    state,
    turn,
)
from servers.smtp_sink import SmtpSink

from daemon.app import App
from store import customers
from store.tables import OutboxState, Way

GOES_ON = SEQUENCE.replace("[replied, ", "[").replace("done: {stage: perdida}\n", "")
AUTO = SEQUENCE.replace("mode: draft", "mode: auto")
THURSDAY = datetime(2026, 11, 19, 12, 1, tzinfo=UTC)
"""Three business days after the proposal of Monday 09:01, by the clock of São Paulo; the 20th is a holiday there."""


@pytest.fixture
def office(tmp_path: Path, smtp_sink: SmtpSink, request: pytest.FixtureRequest) -> SequenceOffice:
    made = SequenceOffice(tmp_path / "office", sequence=getattr(request, "param", SEQUENCE), sink=smtp_sink)
    made.directory.mkdir()
    made.write()
    return made


@pytest.fixture
def app(office: SequenceOffice) -> Iterator[App]:
    with office.going() as app:
        yield app


def stage_of(app: App, address: str = MARIA) -> str:
    with app.store.session() as session:
        (person,) = customers.lookup_addresses(session, [address])[address]
        return customers.get(session, person.customer_id).stage


def test_the_rep_sends_the_draft_later_and_the_next_step_counts_from_then(office: SequenceOffice, app: App) -> None:
    office.offer(app)
    entered = only(app)
    assert (entered.step, entered.stage, entered.due_at) == (1, "proposta", THURSDAY)
    office.pass_time(app, timedelta(days=2, hours=20), timedelta(hours=6))
    assert mails(app) == []
    office.pass_time(app, timedelta(hours=6), timedelta(hours=2))
    (draft,) = mails(app)
    assert (draft.way, draft.state, draft.rule, draft.slot) == (
        Way.DRAFT,
        OutboxState.PLACED,
        "apos-proposta",
        "step 1",
    )
    assert len(office.drafts()) == 1
    office.pass_time(app, timedelta(days=1), timedelta(hours=8))  # Friday, a holiday in São Paulo
    sent_at = office.clock.now()
    office.send_draft(app)
    turn(app)
    going = only(app)
    assert (going.step, going.outbox_id) == (2, None)
    assert going.since.replace(microsecond=0) == sent_at.replace(microsecond=0)
    assert going.due_at is not None
    assert going.due_at.replace(second=0, microsecond=0) == datetime(2026, 12, 1, 14, 1, tzinfo=UTC)
    office.pass_time(app, going.due_at - office.clock.now() + timedelta(minutes=1), timedelta(hours=12))
    (reminder,) = reminded(app)
    assert (reminder.rep, reminder.text) == ("ana", "Ligar ou desistir? Padaria Sol")
    assert only(app).step == 3
    office.pass_time(app, timedelta(days=8), timedelta(hours=12))
    assert state(app) == ("done", "nobody answered")
    assert stage_of(app) == "perdida"
    assert len(mails(app)) == 1


@pytest.mark.parametrize("office", [AUTO], indirect=True)
def test_auto_leaves_once_at_its_time_in_the_thread(office: SequenceOffice, app: App, smtp_sink: SmtpSink) -> None:
    office.offer(app)
    office.pass_time(app, THURSDAY - office.clock.now() - timedelta(minutes=20), timedelta(hours=6))
    assert mails(app) == []
    office.pass_time(app, timedelta(minutes=15), timedelta(minutes=5))
    (row,) = mails(app)  # prepared so early that it can still be cancelled
    assert row.state == OutboxState.PLANNED
    assert timedelta(0) <= row.due_at - THURSDAY < timedelta(minutes=1)
    assert smtp_sink.mails == []
    office.pass_time(app, timedelta(minutes=10), timedelta(minutes=1))
    (envelope,) = smtp_sink.await_mails(1)
    assert envelope.recipients == (MARIA,)
    (row,) = mails(app)
    assert (row.state, row.in_reply_to) == (OutboxState.SENT, "proposta1@vendas.example")
    office.pass_time(app, timedelta(days=30), timedelta(hours=12))
    assert state(app)[0] == "done"
    assert len(smtp_sink.mails) == 1


@pytest.mark.parametrize("office", [AUTO], indirect=True)
def test_an_answer_ends_it(office: SequenceOffice, app: App, smtp_sink: SmtpSink) -> None:
    office.offer(app)
    office.pass_time(app, timedelta(days=1), timedelta(hours=8))
    office.answer(app)
    turn(app)
    office.pass_time(app, timedelta(days=5), timedelta(hours=8))
    assert state(app) == ("stopped", "the customer wrote")
    assert mails(app) == []
    assert smtp_sink.mails == []


def test_it_is_entered_once_for_a_deal(office: SequenceOffice, app: App) -> None:
    office.offer(app)
    office.offer(app, message_id="<proposta2@vendas.example>", subject="Proposta 18")
    assert len(inside(app)) == 1
    office.answer(app)
    turn(app)
    office.offer(app, message_id="<proposta3@vendas.example>", subject="Proposta 19")
    work(app)
    assert [one.state for one in inside(app)] == ["stopped"]


@pytest.mark.parametrize("office", [GOES_ON], indirect=True)
def test_a_rule_ends_what_a_customer_is_in(office: SequenceOffice, app: App) -> None:
    office.offer(app)
    office.answer(app)
    turn(app)
    assert state(app)[0] == "active"  # this one goes on in spite of answers
    office.answer(app, Subject="Chega")
    assert state(app) == ("stopped", "rule chega ended it")
