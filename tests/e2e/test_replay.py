"""Looking back over past mail: exactly what today's rules would have done otherwise, done on demand, and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from maildir_offices import MaildirOffice
from offices import START, work
from sqlalchemy import select
from sqlmodel import SQLModel

from daemon import looking_back, undoing
from daemon.app import App, hash_key
from daemon.control import ControlServer, RemoteError
from daemon.errors import Refused
from daemon.office import load_office, state_directory
from daemon.replaying import Replay, Review
from daemon.requests import answer, perform
from store import customers
from store.customers import Actor
from store.engine import Store
from store.reversal import of

SINCE = START - timedelta(days=60)
BOOKKEEPING = {"change", "action_done", "rule_loaded", "account", "account_folder"}
"""What is written when anything is done, and when rules are loaded: no record, no mail."""

RULES = """\
words:
  price: [orçamento]
rules:
  - name: stranger
    when: mail arrives
    if: {text: {has: $price}, is: [first_contact, not reply]}
    then:
      create: {lead: {title: "{{ mail.subject }}"}}
      tag: novo
  - name: complaint
    when: mail arrives
    if: {known: yes, text: {has: [defeito]}, none: [{open: case}]}
    then:
      create: {case: {title: "{{ mail.subject }}"}}
      tag: reclamacao
      set: {mood: angry}
      draft: {template: proposta, reply: yes}
      remind: {who: owner, in: 1 business day, text: "{{ mail.subject }}"}
  - name: greet
    when: mail arrives
    if: {known: yes}
    once: per customer
    then: {create: {task: {title: "Ligar"}}}
"""


BOTH = pytest.mark.parametrize("office", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def office(tmp_path: Path, request: pytest.FixtureRequest) -> MaildirOffice:
    made = MaildirOffice(tmp_path / "office", rules=RULES)
    if getattr(request, "param", "sqlite") == "postgresql":
        made.store = request.getfixturevalue("postgres").new_database()
    made.write()
    return made


def rewrite(office: MaildirOffice, old: str, new: str) -> None:
    path = office.directory / "rules" / "10.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def look(office: MaildirOffice, app: App, rule: str | None = None) -> Review:
    """A look back with the files as they are now."""
    today = load_office(office.directory)
    replay = Replay(
        store=app.store,
        office=today,
        key=hash_key(office.directory),
        read_again=lambda account, places: app.pollers[account].reread(places),
        now=office.clock.now(),
        rule=rule,
    )
    return replay.since(SINCE)


def rows(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Everything in the store but the bookkeeping."""
    with store.session() as session:
        return {
            name: sorted((dict(row) for row in session.execute(select(found)).mappings()), key=repr)
            for name, found in SQLModel.metadata.tables.items()
            if name not in BOOKKEEPING
        }


def letter(office: MaildirOffice, who: str, subject: str, text: str, **named: str) -> None:
    office.deliver(office.letter(From=who, Subject=subject, text=text, **named))
    office.clock.move(timedelta(minutes=1))


MARIA = "Maria Silva <maria@padariasol.example>"
JOAO = "João Lima <joao@oficinario.example>"
EVA = "Eva Nova <eva@novaempresa.example>"


@pytest.fixture
def past(office: MaildirOffice) -> Iterator[App]:
    """A week of mail: a complaint, a stranger's question, a friendly word, strangers whom no rule knows."""
    with office.running() as app:
        letter(office, MARIA, "Forno", "O forno veio com defeito, e agora?")
        letter(office, MARIA, "Forno 2", "Continua com defeito.")
        letter(office, JOAO, "Pneus", "Os pneus chegaram com avaria.")
        letter(office, "Rui <rui@outra.example>", "Caixas", "Bom dia, um orçamento de caixas.")
        letter(office, EVA, "Sacolas", "Bom dia, uma cotação de sacolas, por favor.")
        letter(office, EVA, "Re: Sacolas", "Esqueci: são 500.", In_Reply_To="<x1@novaempresa.example>")
        work(app)
        letter(office, JOAO, "Obrigado", "Tudo certo.")
        work(app)
        yield app


def told(found: Review) -> dict[str, dict[str, set[str]]]:
    return {
        one.subject: {
            "add": {f"{add['rule']} {add['slot']}" for add in one.adds},
            "drop": {f"{rule} {slot}" for rule, slot in one.drops},
        }
        for one in found.differences
    }


@BOTH
def test_unchanged_rules_would_do_what_was_done(office: MaildirOffice, past: App) -> None:
    found = look(office, past)
    assert (found.looked, told(found), found.untold) == (7, {}, [])


def test_one_word_more_names_the_mails_that_change(office: MaildirOffice, past: App) -> None:
    rewrite(office, "[defeito]", "[defeito, avaria]")
    found = look(office, past)
    slots = {
        "complaint create:case",
        "complaint tag:reclamacao",
        "complaint set:mood",
        "complaint draft",
        "complaint remind",
    }
    assert told(found) == {"Pneus": {"add": slots, "drop": set()}}
    assert found.to_apply == 3  # draft and reminder are never made afterwards


def test_one_word_less_drops_what_was_done_and_nothing_else(office: MaildirOffice, past: App) -> None:
    rewrite(office, "[defeito]", "[estrago]")
    found = look(office, past)
    assert {subject: len(one["drop"]) for subject, one in told(found).items()} == {"Forno": 5}
    assert found.to_apply == 0


def test_mail_of_nobody_is_read_again_and_its_thread_comes_along(office: MaildirOffice, past: App) -> None:
    rewrite(office, "price: [orçamento]", "price: [orçamento, cotação]")
    found = look(office, past)
    assert told(found) == {
        "Sacolas": {"add": {"stranger create:lead", "stranger tag:novo"}, "drop": set()},
        "Re: Sacolas": {"add": {"greet create:task"}, "drop": set()},
    }
    assert [one.history for one in found.differences] == ["enters", "enters"]


def test_a_mail_that_is_gone_cannot_be_told(office: MaildirOffice, past: App) -> None:
    rewrite(office, "text: {has: [defeito]}", "text: {has: [defeito]}, header: {X-Shop: loja}")
    for path in (office.directory / "ana").rglob("*.attack.host*"):
        if b"Forno" in path.read_bytes():
            path.unlink()
    found = look(office, past)
    assert told(found) == {}
    assert len(found.untold) == 2
    assert all("no longer in its mailbox" in why for _, _, why in found.untold)


def test_a_header_that_is_not_stored_is_read_in_the_mailbox(office: MaildirOffice, past: App) -> None:
    rewrite(office, "text: {has: [defeito]}", "text: {has: [defeito]}, header: {X-Shop: loja}")
    found = look(office, past)
    assert {subject: len(one["drop"]) for subject, one in told(found).items()} == {"Forno": 5}


@BOTH
def test_applied_and_undone_leaves_every_row_as_it_was(office: MaildirOffice, past: App) -> None:
    rewrite(office, "price: [orçamento]", "price: [orçamento, cotação]")
    rewrite(office, "[defeito]", "[defeito, avaria]")
    before = rows(past.store)
    found = look(office, past)
    office.clock.move(timedelta(hours=1))
    started = office.clock.now()
    app = past
    app.assemble(load_office(office.directory))  # as after `quietcrm reload`
    args = {**looking_back.chosen(found), "rule": None, "rules": app.office.rules.hash, "confirm": found.to_apply}
    with pytest.raises(Refused):
        answer(app, "rules.replay", {**args, "confirm": found.to_apply + 1})
    assert rows(app.store) == before
    assert answer(app, "rules.replay", args) == {"mails": 3, "changes": found.to_apply}
    after = rows(app.store)
    assert {name for name in after if after[name] != before[name]} >= {"case", "lead", "interaction", "customer"}
    assert (after["reminder"], after["outbox"]) == (before["reminder"], before["outbox"])
    again = look(office, app)
    assert (again.to_apply, {one.history for one in again.differences}) == (0, {""})
    for rule in ("greet", "stranger", "complaint"):
        tried = answer(app, "rules.undo", {"rule": rule, "since": started.isoformat()})
        done = {"rule": rule, "since": started.isoformat(), "confirm": len(tried["undone"])}
        assert answer(app, "rules.undo", done)["refused"] == []
    assert rows(app.store) == before


@BOTH
def test_another_customer_named_by_a_rule_files_the_mail_anew(office: MaildirOffice, past: App) -> None:
    before = rows(past.store)
    sort = "  - {name: sort, when: mail arrives, if: {subject: pneus}, then: {file_under: Padaria Sol}}\n"
    path = office.directory / "rules" / "10.yaml"
    path.write_text(path.read_text(encoding="utf-8") + sort, encoding="utf-8")
    past.assemble(load_office(office.directory))
    first = look(office, past)
    assert told(first) == {"Pneus": {"add": {"sort file_under"}, "drop": set()}}
    apply(past, first)
    rewrite(office, "file_under: Padaria Sol", "file_under: rui@outra.example")
    past.assemble(load_office(office.directory))
    second = look(office, past)
    assert [one.refiled for one in second.differences] == [("Padaria Sol", "Outra")]
    apply(past, second)
    assert look(office, past).differences == []
    tried = answer(past, "rules.undo", {"rule": "sort", "since": SINCE.isoformat()})
    done = {"rule": "sort", "since": SINCE.isoformat(), "confirm": len(tried["undone"])}
    assert answer(past, "rules.undo", done)["refused"] == []
    assert rows(past.store) == before


def apply(app: App, found: Review) -> None:
    args = {**looking_back.chosen(found), "rule": None, "rules": app.office.rules.hash, "confirm": found.to_apply}
    answer(app, "rules.replay", args)


def test_through_the_socket_of_a_running_daemon(office: MaildirOffice, past: App) -> None:
    server = ControlServer(state_directory(office.directory), lambda command, args: answer(past, command, args))
    server.start()
    try:
        before = rows(past.store)
        tried = undoing.look(office.directory, "complaint", SINCE)
        assert {one["did"] for one in tried["undone"]} == {"added tag reclamacao", "mood: - -> angry", "made case 1"}
        assert rows(past.store) == before
        rewrite(office, "[defeito]", "[defeito, avaria]")
        args = {**looking_back.chosen(look(office, past)), "rule": None, "rules": "of other files", "confirm": 3}
        with pytest.raises(RemoteError, match="runs other rules"):
            perform(office.directory, "rules.replay", args)
        past.assemble(load_office(office.directory))
        done = perform(office.directory, "rules.replay", {**args, "rules": past.office.rules.hash})
        assert done == {"mails": 1, "changes": 3}
    finally:
        server.stop()


def test_a_rename_is_no_difference_and_a_rule_that_is_gone_is(office: MaildirOffice, past: App) -> None:
    rewrite(office, "- name: complaint\n", "- name: trouble\n    was: complaint\n")
    assert look(office, past).differences == []
    rewrite(office, "was: complaint", "was: nobody")
    (found,) = look(office, past, "trouble").differences
    assert (found.subject, found.drops) == ("Forno", ())


def test_what_a_person_changed_after_stays_and_is_named(office: MaildirOffice, past: App) -> None:
    with past.store.writing() as session:
        (number,) = customers.resolve(session, "Padaria Sol")
        by = Actor(name="admin", now=office.clock.now())
        customers.edit(session, number, {"mood": "calm", "note": "x"}, by)
    done = answer(past, "rules.undo", {"rule": "complaint", "since": SINCE.isoformat(), "confirm": 2})
    assert {one["did"] for one in done["undone"]} == {"added tag reclamacao", "made case 1"}
    (refused,) = done["refused"]
    assert (refused["customer"], done["outgoing"]) == ("Padaria Sol", [])
    assert "mood was changed again since by admin" in refused["why"]
    assert [(one["rep"], one["text"], one["as"], one["state"]) for one in done["reminders"]] == [
        ("ana", "Forno", "mail", "planned")
    ]
    with past.store.session() as session:
        found = customers.get(session, number)
        assert (found.fields["mood"], "reclamacao" in found.tags) == ("calm", False)
        assert len(of(session, "rule complaint", SINCE)) == 1


def test_a_customer_with_mail_of_its_own_is_not_taken_away(office: MaildirOffice, past: App) -> None:
    done = answer(past, "rules.undo", {"rule": "stranger", "since": SINCE.isoformat()})
    assert {one["did"] for one in done["undone"]} == {"made lead 1"}
    assert {one["why"] for one in done["refused"]} == {"customer 3 has mails or records of its own by now"}
