"""What hostile or merely odd mail must not bring about. Each test stands for a defect that was found by attack."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from maildir_offices import MaildirOffice, logged, outgoing
from offices import work
from structlog.testing import capture_logs

from daemon.app import App
from daemon.office import load_office
from daemon.requests import answer
from store import reminders


@pytest.fixture
def office(tmp_path: Path) -> MaildirOffice:
    made = MaildirOffice(tmp_path)
    made.write()
    return made


@pytest.fixture
def app(office: MaildirOffice) -> Iterator[App]:
    with office.running() as app:
        yield app


def recipients(app: App) -> list[str]:
    return [str(row["to"]) for row in outgoing(app)]


# --- one mail is one row -------------------------------------------------------------------------------------------


def test_a_copy_under_a_rewritten_id_is_a_sighting_also_behind_a_mail_with_actions(
    office: MaildirOffice, app: App
) -> None:
    office.deliver(office.letter(Message_ID="<first@padariasol.example>"))
    office.deliver(office.letter(Subject="Outra", text="Outro orçamento, por favor."))
    office.deliver(office.letter(Message_ID="<rewritten@relay.example>"), folder=".Sent")
    counts = work(app)
    assert (counts.seen, counts.logged, counts.duplicate) == (3, 2, 1)
    places = {entry["subject"]: [one["folder"] for one in entry["sightings"]] for entry in logged(app)}
    assert places == {"Caixas": ["INBOX", "Sent"], "Outra": ["INBOX"]}
    assert len(office.drafts()) == 2


def test_a_header_of_ours_hides_no_mail_to_a_customer(office: MaildirOffice, app: App) -> None:
    forged = office.letter("X-Quietcrm: reminder", From="ana@vendas.example", To="maria@padariasol.example")
    office.deliver(forged, folder=".Sent")
    assert work(app).logged == 1


def test_an_id_used_again_makes_rows_and_warnings(office: MaildirOffice, app: App) -> None:
    for second in range(5):
        at = format_datetime(office.clock.now() + timedelta(seconds=second))
        office.deliver(office.letter(Message_ID="<same@padariasol.example>", Date=at, text=f"orçamento {second}"))
    with capture_logs() as said:
        assert work(app).logged == 5
    assert [one["event"] for one in said].count("message.id_repeated") == 4


def test_whoever_stands_in_a_second_from_takes_part(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter("From: segredo@banco.example"))
    office.deliver(office.letter(From="x@stranger.example, joao@oficinario.example", Subject="Dois"))
    counts = work(app)
    assert counts.skipped == {"never_log": 1}
    assert [entry["customers"] for entry in logged(app)] == [["Oficina Rio"]]


def test_a_draft_moved_out_of_drafts_is_not_a_sent_mail(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter())
    work(app)
    (path,) = (office.directory / "ana" / ".Drafts" / "cur").iterdir()
    later = office.directory / "ana" / ".Later" / "cur"
    for place in ("cur", "new", "tmp"):
        (later.parent / place).mkdir(parents=True)
    path.rename(later / path.name)
    counts = work(app)
    assert counts.skipped == {"draft": 1}
    assert len(logged(app)) == 1
    assert [row["state"] for row in outgoing(app)] == ["placed"]


# --- whom a draft is for -------------------------------------------------------------------------------------------


def test_a_reply_to_elsewhere_does_not_take_the_draft_along(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter("Reply-To: maria@stranger.example"))
    work(app)
    assert recipients(app) == ["maria@padariasol.example"]


@pytest.mark.parametrize("wanted", ["vendas@padariasol.example", "joana@gmail.com"])
def test_a_reply_to_of_the_same_customer_counts(office: MaildirOffice, app: App, wanted: str) -> None:
    answer(app, "customer.edit", {"customer": "Padaria Sol", "emails": ["joana@gmail.com"]})
    office.deliver(office.letter(f"Reply-To: {wanted}"))
    work(app)
    assert recipients(app) == [wanted]
    assert b"To: Maria" not in office.drafts()[0]


def test_an_answer_to_mail_by_a_list_goes_to_the_writer(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter("List-Id: <todos.padariasol.example>", "Reply-To: todos@padariasol.example"))
    work(app)
    assert recipients(app) == ["maria@padariasol.example"]


def test_without_from_the_sender_is_answered_not_a_reply_to(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter("Sender: maria@padariasol.example", "Reply-To: x@stranger.example", From=""))
    work(app)
    assert recipients(app) == ["maria@padariasol.example"]


def test_an_address_that_cannot_be_written_to_holds_the_draft(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter(From="joão@padariasol.example"))
    work(app)
    (row,) = outgoing(app)
    assert row["state"] == "held"
    assert "other letters than English ones" in row["reason"]


def test_odd_message_ids_of_others_do_not_stop_draft_or_reminder(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter("References: <fine@x.example> <não@x.example>", Message_ID="<ção@x.example>"))
    work(app)
    (draft,) = office.drafts()
    assert b"References: <fine@x.example>\n" in draft
    office.clock.move(timedelta(days=2))
    work(app)
    assert len([raw for raw in office.files("ana", "") if b"X-Quietcrm: reminder" in raw]) == 1


def test_a_mail_without_subject_is_answered_too(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter(Subject=""))
    work(app)
    assert [row["subject"] for row in outgoing(app)] == ["Re: (sem assunto)"]


# --- promises ------------------------------------------------------------------------------------------------------


def test_mail_stamped_years_ahead_does_not_answer_later_promises(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter(text="oi"), at=datetime(2035, 1, 1, tzinfo=UTC))
    work(app)
    office.clock.move(timedelta(hours=1))
    office.deliver(office.letter(Subject="Novo"))
    work(app)
    assert len(office.drafts()) == 1


def test_a_promise_from_mail_stamped_years_ahead_can_be_answered(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter(), at=datetime(2035, 1, 1, tzinfo=UTC))
    work(app)
    assert len(office.drafts()) == 1
    office.clock.move(timedelta(hours=1))
    office.deliver(office.letter(text="Deixa, já comprei."))
    work(app)
    assert office.drafts() == []


def test_a_reminder_for_somebody_who_left_holds_up_nobody_else(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter())
    office.deliver(office.letter(From="joao@oficinario.example", To="bruno@vendas.example"), rep="bruno")
    work(app)
    office.settings = "".join(line for line in office.settings.splitlines(True) if not line.startswith("  ana:"))
    office.write()
    app.assemble(load_office(office.directory))
    office.clock.move(timedelta(days=2))
    work(app)
    with app.store.session() as session:
        assert reminders.counts(session) == {"held": 1, "placed": 1}


def test_what_was_held_goes_out_once_its_cause_is_mended(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter())
    work(app)
    whole, office.settings = office.settings, office.settings.replace("type: maildir, rep: ana", "type: maildir")
    office.write()
    app.assemble(load_office(office.directory))
    with app.store.writing() as session:  # as if the account had been another one when the reminder was made
        (row,) = reminders.in_states(session, ("planned",))
        reminders.change(session, row.id or 0, account="")
    office.clock.move(timedelta(days=2))
    work(app)
    with app.store.session() as session:
        assert reminders.counts(session) == {"held": 1}
        assert reminders.in_states(session, ("held",))[0].reason
    with app.store.writing() as session:
        reminders.change(session, row.id or 0, account="ana")
    office.settings = whole
    office.write()
    app.assemble(load_office(office.directory))
    work(app)
    with app.store.session() as session:
        assert reminders.counts(session) == {"placed": 1}


# --- who is who ----------------------------------------------------------------------------------------------------


def test_an_international_domain_is_the_same_in_both_spellings(office: MaildirOffice, app: App) -> None:
    rows = [[2, {"name": "Zé", "email": "ze@pão.example", "company": "Pão", "domain": "pão.example"}]]
    answer(app, "customer.import", {"rows": rows})
    answer(app, "customer.import", {"rows": rows})
    office.deliver(office.letter(From="ze@xn--po-sia.example"))
    office.deliver(office.letter(From="Outro <outro@pão.example>"))
    work(app)
    assert [entry["customers"] for entry in logged(app)] == [["Pão"], ["Pão"]]
    assert sorted(one for entry in logged(app) for one in entry["contacts"]) == ["ze@xn--po-sia.example"]


# --- what has to go ------------------------------------------------------------------------------------------------


def test_letters_that_grow_in_lower_case_do_not_save_an_erased_address(office: MaildirOffice, app: App) -> None:
    text = "İ" * 60 + " Maria@PadariaSol.example disse"
    office.deliver(office.letter(From="joao@oficinario.example", Subject="İİİ maria@padariasol.example", text=text))
    work(app)
    answer(app, "customer.erase", {"customer": "Padaria Sol", "confirm": "Padaria Sol"})
    assert [entry["subject"] for entry in logged(app)] == ["İİİ [erased]"]


def test_what_lies_in_mailboxes_for_an_erased_customer_goes_too(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter())
    work(app)
    office.clock.move(timedelta(days=2))
    work(app)
    assert len(office.drafts()) == 1
    assert len(office.files("ana", "")) == 2  # the mail and the reminder
    said = answer(app, "customer.erase", {"customer": "Padaria Sol", "confirm": "Padaria Sol"})
    assert said["left_in_mailboxes"] == 0
    assert office.drafts() == []
    assert len(office.files("ana", "")) == 1


def test_an_erased_person_does_not_come_back_under_a_tagged_address(office: MaildirOffice, app: App) -> None:
    office.rules = "rules: [{name: new, when: mail arrives, then: {create: lead}}]\n"
    office.write()
    app.assemble(load_office(office.directory))
    office.clock.move(timedelta(minutes=1))
    answer(app, "customer.erase", {"customer": "Padaria Sol", "confirm": "Padaria Sol"})
    for address in ("MARIA@padariasol.example", "maria+news@padariasol.example", "maria+b@padariasol.example"):
        office.deliver(office.letter(From=address, Subject=address))
    assert work(app).skipped == {"never_log": 3}
