"""What the daily notice says of mail that leaves by itself: to whom, why, and the command that settles it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from outbox_offices import NOW, SETTINGS, Office

from daemon.app import App
from daemon.notice import Notice
from daemon.notice_blocks import LINES
from store import reminders

TEAM = """\
admin: ana
team:
  ana: {mail: ana@vendas.example, name: Ana, language: en}
  bruno: {mail: bruno@vendas.example, name: Bruno, language: pt}
  vera: {mail: vera@vendas.example, name: Vera, language: ru}
"""
BREAKER = "rules planned 300 mails within an hour (limit 200)"


@pytest.fixture
def office(tmp_path: Path) -> Office:
    lines = [line for line in SETTINGS.splitlines() if not line.startswith("team:")]
    made = Office(tmp_path / "office", settings="\n".join([*lines, TEAM]))
    made.write()
    return made


@pytest.fixture
def app(office: Office) -> Iterator[App]:
    with office.app() as app:
        yield app


def notice(app: App, rep: str = "ana") -> Notice:
    return app.notices.compile(rep)


def after(text: str, heading: str) -> str:
    """The lines below a heading of the text page."""
    return text.partition(heading.upper())[2].partition("\n\n")[0]


def test_nothing_to_say_is_no_notice(app: App) -> None:
    assert not notice(app).pressing


def test_an_uncertain_mail_says_what_was_checked_and_how_to_settle_it(office: Office, app: App) -> None:
    number = office.plan(
        app, "uncertain", subject="Thank you", looked_at=NOW - timedelta(minutes=5), settled_at=NOW - timedelta(days=9),
        reason="mail.example:587 was given the whole mail and its answer did not come: timed out",
    )  # fmt: skip
    told = notice(app)
    assert told.pressing, "however long ago: until a person settles it"
    said = after(told.text, "May have been sent")
    assert "Padaria Sol: Thank you" in said
    assert "mail.example:587 got the whole mail, but its answer did not come" in said
    assert "not in Sent (Wednesday, 18 November 08:55)" in said
    for command in (f"sent {number}", f"release --again {number}", f"cancel {number}"):
        assert f"> quietcrm outbox {command}" in said
        assert f"quietcrm outbox {command}</code>" in told.html
    assert told.subject.endswith("perhaps sent: 1")


def test_one_that_was_not_looked_for_yet_does_not_claim_it_was(office: Office, app: App) -> None:
    office.plan(app, "uncertain", reason="quietcrm ended while the mail was on its way")
    assert "not looked for in Sent yet" in notice(app).text


def test_a_mailbox_that_cannot_be_read_is_named_and_the_mail_goes_by_itself(office: Office, app: App) -> None:
    number = office.plan(
        app, "held", obstacle="unreachable", reason="the mailbox bruno cannot be read: login refused",
        retry_at=NOW + timedelta(minutes=1),
    )  # fmt: skip
    said = after(notice(app).text, "Not sent yet: held")
    assert "the mailbox bruno cannot be read: login refused; goes by itself when that is mended" in said
    assert "> quietcrm doctor" in said
    assert f"> quietcrm outbox cancel {number}" in said
    assert "release" not in said


def test_a_mail_held_by_a_colleagues_is_told_to_both_and_to_nobody_else(office: Office, app: App) -> None:
    reason = "vera wrote to the customer on 2026-11-17"
    number = office.plan(app, "held", rep="bruno", obstacle="colleague", reason=reason)
    assert f"> quietcrm outbox release {number}\n  > quietcrm outbox cancel {number}" in notice(app, "bruno").text
    assert "vera escreveu ao cliente: terça, 17/11 (regra thanks-rule)" in notice(app, "bruno").text
    assert "vera: письмо клиенту, вторник, 17.11 (правило thanks-rule, bruno)" in notice(app, "vera").text
    assert "(rule thanks-rule, bruno)" in notice(app, "ana").text, "the admin sees everybody's"


def test_a_colleague_is_known_by_address_too(office: Office, app: App) -> None:
    reason = "vera@vendas.example wrote to the customer on 2026-11-17"
    office.plan(app, "held", rep="ana", obstacle="colleague", reason=reason)
    assert notice(app, "vera").pressing
    assert not notice(app, "bruno").pressing


def test_a_missing_field_is_asked_for_with_its_command(office: Office, app: App) -> None:
    reason = "no value for customer.fields.contract: fill it in and then: quietcrm outbox release 1"
    number = office.plan(app, "held", obstacle="unfilled", reason=reason)
    said = after(notice(app).text, "Not sent yet: held")
    assert "the customer has no “contract” yet" in said
    commands = [line.strip(" >") for line in said.splitlines() if line.startswith("  >")]
    assert commands == [
        "quietcrm customer edit 'Padaria Sol' --set contract=...",
        f"quietcrm outbox release {number}",
        f"quietcrm outbox cancel {number}",
    ]


def test_a_brake_says_when_it_is_tried_again(office: Office, app: App) -> None:
    reason = "80 mails left today (limit 80)"
    office.plan(app, "held", rep="bruno", obstacle="cap", reason=reason, retry_at=NOW + timedelta(days=1))
    assert "80 e-mails saíram hoje (limite 80); próxima tentativa: quinta, 19/11 09:00" in notice(app, "bruno").text


def test_a_burst_is_one_line_a_rule_with_its_true_number(office: Office, app: App) -> None:
    for _ in range(LINES + 3):
        office.plan(app, "held", obstacle="breaker", reason=BREAKER)
    office.plan(app, "held", obstacle="breaker", reason=BREAKER, rule="two words")
    told = notice(app)
    said = after(told.text, "Not sent yet: held")
    assert said.count("\n- ") == 2
    assert f"- thanks-rule: {LINES + 3} mails" in said
    assert "> quietcrm outbox release --rule thanks-rule\n  > quietcrm outbox cancel --rule thanks-rule" in said
    assert "> quietcrm outbox release --rule 'two words'" in said
    assert told.subject.endswith(f"held: {LINES + 4}")


@pytest.mark.parametrize(
    ("state", "words", "told"),
    [
        ("refused", {"server_said": "550 5.1.1 no such", "reason": "550 5.1.1 no such"}, "550 5.1.1 no such"),
        (
            "bounced",
            {"server_said": "250 queued", "reason": "came back: mailbox_full"},
            "came back: the mailbox is full",
        ),
    ],
)
def test_what_did_not_arrive_is_told_once_with_the_reason(
    office: Office, app: App, state: str, words: dict[str, Any], told: str
) -> None:
    number = office.plan(app, state, settled_at=NOW - timedelta(hours=1), **words)
    said = after(notice(app).text, "Did not arrive")
    assert told in said
    assert f"> quietcrm outbox show {number}" in said
    with app.store.writing() as session:
        reminders.claim_notice(session, "ana", NOW.date(), "", NOW)
    assert not notice(app).pressing


def test_an_answer_in_junk_is_told_with_its_place(office: Office, app: App) -> None:
    ended = {"settled_at": NOW - timedelta(hours=1)}
    office.plan(app, "cancelled", obstacle="junk", reason="an answer lies in the Junk folder of bruno", **ended)
    office.plan(app, "cancelled", obstacle="answered", reason="the customer wrote", rule="quiet-end", **ended)
    told = notice(app)
    assert "in the Junk folder of bruno" in after(told.text, "An answer lies in Junk")
    assert "Move it to the Inbox" in told.text
    assert "quiet-end" not in told.text, "an answer is what we wanted"


def test_what_left_is_told_calmly_since_the_last_notice_that_went_out(office: Office, app: App) -> None:
    def sent(subject: str, hours: int, rep: str = "ana") -> None:
        office.plan(app, "sent", subject=subject, settled_at=NOW - timedelta(hours=hours), rep=rep)

    sent("before the notice", 60)
    sent("on a quiet day", 30)
    sent("this morning", 1)
    sent("another's", 1, rep="bruno")
    with app.store.writing() as session:
        reminders.claim_notice(session, "ana", (NOW - timedelta(days=2)).date(), "m@x", NOW - timedelta(hours=48))
        reminders.claim_notice(session, "ana", (NOW - timedelta(days=1)).date(), "", NOW - timedelta(hours=24))
    assert not notice(app).pressing, "what left as it should makes no notice by itself"
    said = after(notice(app).text, "Sent by itself")
    assert "before the notice" not in said
    assert "on a quiet day" in said
    assert "this morning" in said
    assert "maria@padariasol.example" in said
    assert "(rule thanks-rule, bruno)" in said
    assert "this morning" not in notice(app, "bruno").text


def test_a_late_send_that_became_a_draft_is_told(office: Office, app: App) -> None:
    office.plan(app, way="draft", obstacle="late", late=True, reason="too late to go by itself")
    assert "too late to go by itself: now a draft (rule thanks-rule)" in after(notice(app).text, "Found late")


def test_a_held_draft_is_not_called_a_send(office: Office, app: App) -> None:
    office.plan(app, "held", way="draft", reason='the template "x" is gone; write it again')
    told = notice(app).text
    assert "HELD: SOMETHING IS MISSING" in told
    assert "NOT SENT YET" not in told


def test_more_lines_than_anybody_reads_are_counted(office: Office, app: App) -> None:
    for number in range(LINES + 5):
        office.plan(
            app, "held", obstacle="not_theirs", reason="the address is not the contact's any more", subject=f"S{number}"
        )
    told = notice(app)
    assert after(told.text, "Not sent yet: held").count("\n- ") == LINES
    assert "and 5 more." in told.text
    assert told.subject.endswith(f"held: {LINES + 5}")


def test_words_of_servers_and_subjects_are_no_markup(office: Office, app: App) -> None:
    evil = "<img src=x onerror=alert(1)>"
    office.plan(app, "refused", settled_at=NOW, subject=evil, server_said=evil, reason=evil)
    assert "<img" not in notice(app).html
