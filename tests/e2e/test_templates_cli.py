"""templates list and show, send: for a real contact, with files, in the browser; and what leaves by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from offices import TestOffice
from outbox_offices import NOW, Office
from sending_offices import SendingOffice, read, row, send
from servers.dovecot import DovecotServer
from servers.smtp_sink import Answer as Reply
from servers.smtp_sink import SmtpSink
from test_outbox_commands import Answer

from connectors.outgoing import content_hash
from daemon.cli.main import main
from daemon.requests import answer
from store import customers, outbox
from store.customers import Actor
from store.tables import OutboxState

QUOTE = """\
---
name: quote
subject: {pt: "Seu orçamento, {{ contact.first_name }}", en: "Your quote"}
attach: ["price-{{ lang }}.pdf"]
---
--- pt ---
Olá {{ contact.first_name | or("tudo bem") }}, **segue** o contrato {{ customer.fields.contract }}.
--- en ---
Dear {{ contact.first_name | or("customer") }}, last mail {{ customer.last_contact | or("never") | date("long") }}.
"""
Run = Callable[..., Answer]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path / "office")
    made.write()
    (made.directory / "templates/quote.md").write_text(QUOTE, "utf-8")
    (made.directory / "attachments").mkdir()
    for language in ("pt", "en"):
        (made.directory / f"attachments/price-{language}.pdf").write_bytes(b"%PDF " + language.encode())
    return made


@pytest.fixture
def run(office: Office, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    def act(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["quietcrm", "--config", str(office.directory), *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return act


def speak(office: Office, language: str) -> None:
    with office.app() as app, app.store.writing() as session:
        by = Actor(name="admin", now=NOW)
        customers.edit_contact(session, office.contact, {"language": language}, by)
        customers.edit(session, office.customer, {"contract": "ouro"}, by)


def test_list_tells_languages_files_and_who_uses_them(office: Office, run: Run) -> None:
    (office.directory / "rules").mkdir()
    (office.directory / "rules/10.yaml").write_text(
        "rules:\n  - {name: asks, when: mail arrives, if: {known: yes}, then: {draft: quote}}\n"
    )
    found = json.loads(run("templates", "list", "--json").out)["items"]
    assert [(one["name"], one["languages"], one["rules"]) for one in found] == [
        ("quote", ["pt", "en"], ["asks"]),
        ("thanks", ["en"], []),
    ]
    assert found[0]["attach"] == ["price-{{ lang }}.pdf"]
    assert "price-{{ lang }}.pdf" in run("templates", "list").out


def test_show_for_a_contact_is_the_mail_as_it_would_leave(office: Office, run: Run) -> None:
    speak(office, "pt")
    found = run("templates", "show", "quote", "--as", "maria@padariasol.example")
    assert found.code == 0
    assert "Subject: Seu orçamento, Maria" in found.out
    assert "File:    price-pt.pdf" in found.out
    assert "Olá Maria, segue o contrato ouro." in found.out
    data = json.loads(run("templates", "show", "quote", "--as", "Padaria Sol", "--lang", "en", "--json").out)
    assert (data["language"], data["to"], data["customer"]) == ("en", "maria@padariasol.example", "Padaria Sol")
    assert data["text"].strip() == "Dear Maria, last mail never."
    assert data["files"] == [{"name": "price-en.pdf", "size": 7}]
    with office.app() as app, app.store.session() as session:
        assert outbox.listing(session) == []


def test_show_without_a_contact_names_the_values(run: Run) -> None:
    found = run("templates", "show", "quote", "--lang", "pt")
    assert "Seu orçamento, [contact.first_name]" in found.out
    assert "contrato [customer.fields.contract]" in found.out
    assert "--as CONTACT" in found.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("quotte",), 4, 'did you mean "quote"?'),
        (("quote", "--lang", "fr"), 7, "it is written in: pt, en"),
        (("quote", "--as", "nobody@nowhere.example"), 4, "no customer"),
        (("quote", "--as", "Padaria Sol", "--lang", "pt"), 1, "customer.fields.contract: fill it in and try again"),
    ],
)
def test_what_cannot_be_shown_says_why(run: Run, words: tuple[str, ...], code: int, said: str) -> None:
    found = run("templates", "show", *words)
    assert (found.code, said in found.err) == (code, True), found


def test_a_template_that_answers_a_mail_is_for_rules(office: Office, run: Run) -> None:
    """By hand there is no mail that could be answered, and nobody could fill in its subject anywhere."""
    (office.directory / "templates" / "reply.md").write_text(
        "---\nname: reply\nsubject: 'Re: {{ mail.subject }}'\n---\nOk\n"
    )
    told = run("templates", "show", "reply", "--as", "maria@padariasol.example")
    assert told.code == 7
    assert "from a mail or a meeting" in told.err
    assert "fill it in" not in told.err
    assert run("templates", "show", "reply").code == 0


def test_open_shows_it_in_the_browser_and_loads_nothing(
    office: Office, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(office, "en")
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}.part && mv {seen}.part {seen}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data = json.loads(run("templates", "show", "quote", "--as", "maria@padariasol.example", "--open", "--json").out)
    page = Path(data["page"])
    assert seen.read_text().strip() == page.as_uri()
    text = page.read_text("utf-8")
    assert page.stat().st_mode & 0o077 == 0
    assert "default-src &#x27;none&#x27;" in text or "default-src 'none'" in text
    assert "Dear Maria" in text
    assert "<script" not in text


def test_send_shows_first_and_wants_a_yes(office: Office, run: Run) -> None:
    speak(office, "pt")
    shown = run("send", "quote", "--to", "Padaria Sol")
    assert (shown.code, "add: --yes" in shown.err) == (7, True)
    assert "Olá Maria" in shown.out
    assert run("send", "quote", "--to", "Padaria Sol", "--dry-run").code == 0
    assert run("send", "quote", "--to", "Padaria Sol", "--dry-run", "--yes").code == 2
    refused = run("send", "quote", "--to", "Padaria Sol", "--yes")
    assert (refused.code, "has no sender" in refused.err) == (7, True)
    with office.app() as app, app.store.session() as session:
        assert outbox.listing(session) == []


TEMPLATE = """\
---
name: proposta
subject: "Proposta"
attach: [tabela.pdf]
---
Olá {{ contact.first_name }}, segue a tabela.
"""


@pytest.fixture
def sending(dovecot: DovecotServer, smtp_sink: SmtpSink, tmp_path: Path) -> SendingOffice:
    office = SendingOffice(tmp_path / "office", dovecot, reps=("ana",))
    office.use(smtp_sink)
    office.write()
    (office.directory / "templates/proposta.md").write_text(TEMPLATE, "utf-8")
    (office.directory / "attachments").mkdir()
    (office.directory / "attachments/tabela.pdf").write_bytes(b"%PDF-1.4 " + bytes(range(256)) * 40)
    return office


def test_a_mail_by_hand_leaves_with_its_file_and_its_copy_lies_in_sent(
    sending: SendingOffice, smtp_sink: SmtpSink
) -> None:
    with sending.sending() as app:
        planned = answer(app, "mail.send", {"template": "proposta", "to": "maria@padariasol.example"})
        assert send(app) == 1
        (mail,) = smtp_sink.mails
        attached = _attached(mail.data)
        assert attached == {"tabela.pdf": (sending.directory / "attachments/tabela.pdf").read_bytes()}
        kept = row(app, planned["id"])
        assert kept.state == OutboxState.SENT
        assert kept.files is not None
        assert [one["name"] for one in kept.files] == ["tabela.pdf"]
        sending.clock.move(timedelta(minutes=1))
        app.copies.tidy()
        ((_, copy),) = sending.lying("ana", "Sent")
        assert _attached(copy.as_bytes()) == attached
        read(app)
        assert row(app, planned["id"]).state == OutboxState.SENT


def test_a_mail_by_hand_goes_to_the_address_that_was_named(sending: SendingOffice) -> None:
    with sending.sending() as app:
        with app.store.writing() as session:
            (maria,) = customers.lookup_addresses(session, ["maria@padariasol.example"])["maria@padariasol.example"]
            customers.add_address(session, maria.id, "a.maria@casa.example", Actor(name="admin", now=app.clock.now()))
            customers.add_address(session, maria.id, "z.maria@casa.example", Actor(name="admin", now=app.clock.now()))
        for address in ("maria@padariasol.example", "a.maria@casa.example", "z.maria@casa.example"):
            planned = answer(app, "mail.send", {"template": "proposta", "to": address})
            assert (planned["to"], row(app, planned["id"]).recipient) == (address, address)


def _attached(raw: bytes) -> dict[str, bytes]:
    import email
    from email import policy

    parts = email.message_from_bytes(raw, policy=policy.default).iter_attachments()
    return {str(part.get_filename()): part.get_payload(decode=True) for part in parts}  # type: ignore[misc]


def test_a_second_try_carries_the_same_file_or_waits(sending: SendingOffice, smtp_sink: SmtpSink) -> None:
    smtp_sink.answers["rcpt", "maria@padariasol.example"] = [Reply(code=450, text="4.2.0 later")]
    with sending.sending() as app:
        number = answer(app, "mail.send", {"template": "proposta", "to": "maria@padariasol.example"})["id"]
        assert send(app) == 0
        file = sending.directory / "attachments/tabela.pdf"
        was = file.read_bytes()
        file.write_bytes(b"%PDF other")
        sending.clock.move(timedelta(minutes=10))
        assert send(app) == 0
        held = row(app, number)
        assert (held.state, "was changed" in held.reason) == (OutboxState.HELD, True)
        told = answer_story(app, number)
        assert told["files"] == [{"name": "tabela.pdf", "changed": True}]
        file.write_bytes(was)
        answer(app, "outbox.release", {"id": number})
        assert send(app) == 1
        assert _attached(smtp_sink.mails[-1].data) == {"tabela.pdf": was}


def answer_story(app: object, number: int) -> dict[str, object]:
    from daemon.outbox_story import story

    with app.store.session() as session:  # type: ignore[attr-defined]
        return story(session, app.office, number, app.clock.now())  # type: ignore[attr-defined]


def test_a_draft_lies_in_drafts_with_its_file(dovecot: DovecotServer, tmp_path: Path) -> None:
    from offices import import_customers, work

    then = "{draft: {template: proposta, attach: x.txt}}"
    rules = f"rules:\n  - {{name: p, when: mail arrives, if: {{known: yes}}, then: {then}}}\n"
    office = TestOffice(tmp_path / "office", dovecot, rules=rules, reps=("ana",))
    office.write()
    (office.directory / "attachments").mkdir()
    (office.directory / "attachments/x.txt").write_bytes(b"From me\n.\n")
    with office.running() as app:
        import_customers(app, office.directory / "customers.csv")
        work(app)
        office.move_clock(timedelta(minutes=1))
        office.deliver("ana", office.mail("maria@padariasol.example", "ana@vendas.example", "Oi", "Bom dia"))
        work(app)
        ((_, draft),) = office.lying("ana", "Drafts")
        assert _attached(draft.as_bytes()) == {"x.txt": b"From me\n.\n"}
        with app.store.session() as session:
            (kept,) = outbox.in_states(session, [OutboxState.PLACED])
        assert kept.content_hash == content_hash(draft.as_bytes())
