"""The life of a draft and a reminder on a real mail server, seen by a second mail client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from offices import TestOffice, import_customers, work
from servers.dovecot import DovecotServer

from daemon.app import App
from store import outbox, reminders


@pytest.fixture
def office(tmp_path: Path, dovecot: DovecotServer) -> TestOffice:
    made = TestOffice(tmp_path / "office", dovecot)
    made.directory.mkdir()
    made.write()
    return made


@pytest.fixture
def app(office: TestOffice) -> Iterator[App]:
    with office.running() as app:
        import_customers(app, office.directory / "customers.csv")
        work(app)  # the baseline: what comes from now on is new
        office.move_clock(timedelta(minutes=1))
        yield app


def asked(office: TestOffice, text: str = "Bom dia, quero um orçamento de 200 caixas.") -> str:
    mail = office.mail("Maria Silva <maria@padariasol.example>", "ana@vendas.example", "Caixas", text)
    return office.deliver("ana", mail)


def draft_states(app: App) -> list[str]:
    with app.store.session() as session:
        return [row["state"] for row in outbox.listing(session)]


def reminder_states(app: App) -> dict[str, int]:
    with app.store.session() as session:
        return reminders.counts(session)


def drafts(office: TestOffice, rep: str = "ana") -> list[tuple[int, EmailMessage]]:
    return office.lying(rep, "Drafts")


def look_again(office: TestOffice, app: App) -> None:
    office.move_clock(timedelta(minutes=6))
    work(app)


def test_a_draft_lies_in_the_thread_of_the_customers_mail(office: TestOffice, app: App) -> None:
    message_id = asked(office)
    counts = work(app)
    assert counts.logged == 1
    ((_, draft),) = drafts(office)
    assert draft["In-Reply-To"] == message_id
    assert draft["References"].split() == [message_id]
    assert draft["To"] == "Maria Silva <maria@padariasol.example>"
    assert draft["Subject"] == "Re: Caixas"
    plain = draft.get_body(("plain",))
    rich = draft.get_body(("html",))
    assert plain is not None
    assert rich is not None
    assert "Bom dia Maria, obrigado pelo contato." in plain.get_content()
    assert "<strong>amanhã</strong>" in rich.get_content()
    with office.client("ana") as client:
        client.select_folder("Drafts", readonly=True)
        flags = client.get_flags(client.search("ALL"))
    assert all(b"\\Draft" in one for one in flags.values())


def test_a_draft_is_laid_out_once_however_often_we_look(office: TestOffice, app: App) -> None:
    asked(office)
    for _ in range(3):
        look_again(office, app)
    assert len(drafts(office)) == 1
    assert draft_states(app) == ["placed"]


def test_a_sent_draft_is_found_under_a_changed_message_id(office: TestOffice, app: App) -> None:
    asked(office)
    work(app)
    ((uid, draft),) = drafts(office)
    with office.client("ana") as client:
        client.select_folder("Drafts")
        client.delete_messages([uid])
        client.expunge()
    office.move_clock(timedelta(minutes=2))
    plain = draft.get_body(("plain",))
    assert plain is not None
    edited = plain.get_content() + "\nUm abraço,\nAna\n"
    sent = office.mail(
        "ana@vendas.example", "maria@padariasol.example", "Re: Caixas", edited, answers=str(draft["In-Reply-To"])
    )
    assert sent["Message-ID"] != draft["Message-ID"]
    office.deliver("ana", sent, "Sent")
    look_again(office, app)
    assert draft_states(app) == ["sent"]


def test_the_customers_reply_withdraws_an_untouched_draft(office: TestOffice, app: App) -> None:
    message_id = asked(office)
    work(app)
    assert len(drafts(office)) == 1
    office.move_clock(timedelta(minutes=5))
    reply = office.mail(
        "maria@padariasol.example", "ana@vendas.example", "Re: Caixas", "Deixa, já comprei.", answers=message_id
    )
    office.deliver("ana", reply)
    work(app)
    assert drafts(office) == []
    assert draft_states(app) == ["withdrawn"]


def test_an_edited_draft_is_left_alone(office: TestOffice, app: App) -> None:
    message_id = asked(office)
    work(app)
    ((uid, draft),) = drafts(office)
    edited = EmailMessage()
    for name in ("From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References"):
        edited[name] = draft[name]
    edited.set_content("Olá Maria, eu mesma escrevo isto.")
    with office.client("ana") as client:
        client.select_folder("Drafts")
        client.delete_messages([uid])
        client.expunge()
        client.append("Drafts", edited.as_bytes(), (b"\\Draft",))
    office.move_clock(timedelta(minutes=5))
    reply = office.mail(
        "maria@padariasol.example", "ana@vendas.example", "Re: Caixas", "E o preço?", answers=message_id
    )
    office.deliver("ana", reply)
    work(app)
    ((_, left),) = drafts(office)
    assert "eu mesma escrevo" in str(left.get_content())
    assert draft_states(app) == ["kept"]


def test_a_deleted_draft_counts_as_declined_and_is_not_laid_again(office: TestOffice, app: App) -> None:
    asked(office)
    work(app)
    ((uid, _),) = drafts(office)
    with office.client("ana") as client:
        client.select_folder("Drafts")
        client.delete_messages([uid])
        client.expunge()
    for _ in range(4):
        look_again(office, app)
    assert drafts(office) == []
    assert draft_states(app) == ["declined"]


def test_an_untouched_draft_expires_after_five_business_days(office: TestOffice, app: App) -> None:
    asked(office)
    work(app)
    office.move_clock(timedelta(days=6, hours=23))
    look_again(office, app)
    assert draft_states(app) == ["placed"], "five business days are not over"
    office.move_clock(timedelta(hours=2))
    look_again(office, app)
    work(app)
    assert draft_states(app) == ["expired"]
    assert drafts(office) == []


def test_the_reminder_comes_when_due_and_leaves_when_the_rep_writes(office: TestOffice, app: App) -> None:
    message_id = asked(office)
    work(app)
    assert len(office.lying("ana", "INBOX")) == 1, "not before its time"
    office.move_clock(timedelta(days=1))
    work(app)
    (_, reminder) = office.lying("ana", "INBOX")[-1]
    assert str(reminder["Subject"]).startswith("Lembrete: Padaria Sol: Responder Padaria Sol [CRM-")
    assert reminder["In-Reply-To"] == message_id
    assert reminder["Auto-Submitted"] == "auto-generated"
    with office.client("ana") as client:
        client.select_folder("INBOX", readonly=True)
        assert len(client.search("UNSEEN")) == 2, "neither the customer's mail nor the reminder was marked as read"
    answer = office.mail(
        "ana@vendas.example", "maria@padariasol.example", "Re: Caixas", "Segue o valor: 900.", answers=message_id
    )
    office.deliver("ana", answer, "Sent")
    work(app)
    assert [str(mail["Subject"]) for _, mail in office.lying("ana", "INBOX")] == ["Caixas"]
    assert reminder_states(app) == {"withdrawn": 1}


def test_a_reminder_is_cancelled_before_it_comes(office: TestOffice, app: App) -> None:
    message_id = asked(office)
    work(app)
    office.move_clock(timedelta(minutes=30))
    answer = office.mail(
        "ana@vendas.example", "maria@padariasol.example", "Re: Caixas", "Segue o valor: 900.", answers=message_id
    )
    office.deliver("ana", answer, "Sent")
    work(app)
    office.move_clock(timedelta(days=2))
    work(app)
    assert len(office.lying("ana", "INBOX")) == 1
    assert reminder_states(app) == {"cancelled": 1}


def test_a_follow_up_waits_and_stays_away_after_a_reply_in_another_mailbox(office: TestOffice, app: App) -> None:
    sent = office.mail("ana@vendas.example", "maria@padariasol.example", "Proposta 17", "Segue a proposta.")
    office.deliver("ana", sent, "Sent")
    work(app)
    assert draft_states(app) == ["planned"]
    office.move_clock(timedelta(days=1))
    reply = office.mail("chefe@padariasol.example", "bruno@vendas.example", "Preço", "Aceitamos, pode mandar.")
    office.deliver("bruno", reply)
    work(app)
    office.move_clock(timedelta(days=7))
    work(app)
    assert drafts(office) == []
    assert draft_states(app) == ["cancelled"]
    assert reminder_states(app) == {"cancelled": 1}


def test_an_automatic_answer_settles_nothing(office: TestOffice, app: App) -> None:
    sent = office.mail("ana@vendas.example", "maria@padariasol.example", "Proposta 17", "Segue a proposta.")
    message_id = office.deliver("ana", sent, "Sent")
    work(app)
    away = office.mail(
        "maria@padariasol.example", "ana@vendas.example", "Resposta automática: Proposta 17", "Estou de férias.",
        answers=message_id,
    )  # fmt: skip
    away["Auto-Submitted"] = "auto-replied"
    office.deliver("ana", away)
    work(app)
    office.move_clock(timedelta(days=4))
    work(app)
    assert draft_states(app) == ["placed"]


def test_old_mail_makes_neither_draft_nor_reminder(tmp_path: Path, dovecot: DovecotServer) -> None:
    office = TestOffice(tmp_path / "office", dovecot)
    office.directory.mkdir()
    office.write()
    asked(office)
    office.move_clock(timedelta(minutes=1))
    with office.running() as app:
        import_customers(app, office.directory / "customers.csv")
        assert work(app).logged == 1
        look_again(office, app)
        assert draft_states(app) == []
        assert reminder_states(app) == {}


def test_nothing_of_ours_is_logged(office: TestOffice, app: App) -> None:
    asked(office)
    work(app)
    office.move_clock(timedelta(days=1))
    work(app)
    counts = work(app)
    assert counts.logged == 0
    assert counts.skipped.total() >= 0
    assert len(office.lying("ana", "INBOX")) == 2


def test_a_forged_mail_of_ours_settles_nothing(office: TestOffice, app: App) -> None:
    message_id = asked(office)
    work(app)
    office.move_clock(timedelta(minutes=5))
    forged = office.mail(
        "ana@vendas.example", "maria@padariasol.example", "Re: Caixas", "Já resolvi.", answers=message_id
    )
    office.deliver("ana", forged)  # it came by mail, into the Inbox
    work(app)
    assert draft_states(app) == ["placed"]
    assert len(drafts(office)) == 1


def test_the_copy_in_sent_counts_after_a_colleagues_inbox_showed_it(office: TestOffice, app: App) -> None:
    message_id = asked(office)
    work(app)
    office.move_clock(timedelta(minutes=5))
    answer = office.mail("ana@vendas.example", "maria@padariasol.example", "Re: Caixas", "São 900.", answers=message_id)
    answer["Cc"] = "bruno@vendas.example"
    office.deliver("bruno", answer)
    work(app)
    assert draft_states(app) == ["placed"]
    office.deliver("ana", answer, "Sent")
    work(app)
    assert draft_states(app) == ["withdrawn"]
    assert drafts(office) == []
