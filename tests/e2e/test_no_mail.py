"""Who gets no mail, why, and how an admin stops and lifts it: by the program's own commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from maildir_offices import MaildirOffice
from offices import work
from test_marks import RULES, SENDING, bounce

from daemon.cli.main import main
from daemon.errors import Refused
from daemon.requests import answer
from store import customers
from store.customers import Actor

MARIA = "maria@padariasol.example"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def office(tmp_path: Path) -> MaildirOffice:
    made = MaildirOffice(tmp_path / "office", settings=SENDING, rules=RULES)
    made.directory.mkdir()
    made.write()
    return made


@pytest.fixture
def run(office: MaildirOffice, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the program in this process, no stream a terminal."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["quietcrm", "--config", str(office.directory), *map(str, words)])
        code = 0
        capfd.readouterr()  # what the office logged so far
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capfd.readouterr()
        return code, said.out, said.err

    return call


def shown(run: Run) -> dict[str, Any]:
    code, out, _ = run("customer", "show", "Padaria Sol", "--json")
    assert code == 0
    contact: dict[str, Any] = json.loads(out)["contacts"][0]
    return contact


def received(office: MaildirOffice, raw: bytes) -> None:
    with office.running() as app:
        office.deliver(raw)
        work(app)


def test_an_opt_out_is_shown_lifted_and_undone(office: MaildirOffice, run: Run) -> None:
    received(office, office.letter(text="sair"))
    assert shown(run)["no_mail"] == {MARIA: "unsubscribed"}
    _, out, _ = run("customer", "show", "Padaria Sol")
    assert f"gets no mail: {MARIA} (unsubscribed); to lift it: customer edit 1 --allow-mail {MARIA}" in out
    code, out, _ = run("customer", "edit", "Padaria Sol", "--allow-mail", MARIA.upper())
    assert code == 0
    undo = out.rpartition("log undo ")[2].strip()
    assert shown(run)["no_mail"] == {}
    assert run("log", "undo", undo)[0] == 0
    assert shown(run)["no_mail"] == {MARIA: "unsubscribed"}


def test_a_dead_address_is_shown_with_its_reason_and_lifted(office: MaildirOffice, run: Run) -> None:
    received(office, bounce(original="x@vendas.example"))
    contact = shown(run)
    assert (contact["no_mail"], contact["bounce_reason"]) == ({MARIA: "bounced"}, "user_unknown")
    assert "(bounced, user_unknown)" in run("customer", "show", "Padaria Sol")[1]
    assert run("customer", "edit", "Padaria Sol", "--allow-mail", MARIA)[0] == 0
    contact = shown(run)
    assert (contact["no_mail"], contact["bounced"], contact["bounce_reason"]) == ({}, None, "")


def test_an_admin_stops_mail_to_an_address(office: MaildirOffice, run: Run) -> None:
    received(office, office.letter(text="Bom dia, me ligue."))
    assert run("customer", "edit", "Padaria Sol", "--no-mail", MARIA)[0] == 0
    assert shown(run)["no_mail"] == {MARIA: "admin"}
    office.clock.move(timedelta(hours=1))
    with office.running() as app:
        office.deliver(office.letter(text="Quanto custa?"))
        work(app)
        states = [row["state"] for row in json.loads(run("outbox", "list", "--json")[1])["items"]]
    assert "planned" not in states


def test_an_address_of_somebody_else_is_refused(office: MaildirOffice, run: Run) -> None:
    received(office, office.letter())
    code, _, err = run("customer", "edit", "Padaria Sol", "--no-mail", "joao@oficinario.example")
    assert code != 0
    assert "no address of this customer" in err
    assert "customer show 1" in err


def test_what_an_erasure_left_is_not_lifted_by_hand(office: MaildirOffice) -> None:
    with office.running() as app:
        answer(app, "customer.erase", {"customer": "Padaria Sol", "confirm": "Padaria Sol"})
        with app.store.writing() as session:
            by = Actor(name="admin", now=app.clock.now())
            number = customers.add(session, "Sol", by)
            customers.add_address(session, customers.add_contact(session, number, by), MARIA, by)
        with pytest.raises(Refused, match="still gets no mail: erased") as refused:
            answer(app, "customer.edit", {"customer": str(number), "allow_mail": [MARIA]})
        assert "--readmit" in refused.value.hint
