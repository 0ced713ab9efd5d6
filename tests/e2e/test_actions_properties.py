"""What rules do with mail depends neither on restarts, nor on the order in which it is found, nor on how often it lies
somewhere: the same effects, each once.

The rules here ask for the mail alone. What asks for the customer sees the state before the mail, and so its order.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from maildir_offices import MaildirOffice
from offices import work
from sqlalchemy import text

from daemon.app import App

RULES = """\
rules:
  - {name: keep-out, when: [mail arrives, mail sent], if: {subject: privado}, then: {ignore: private}}
  - {name: price, when: mail arrives, if: {text: {has: [orçamento*, preço*]}}, then: {tag: price, draft: proposta}}
  - {name: case, when: mail arrives, if: {known: yes, subject: defeito}, then: {create: {case: {}}, tag: [a, b]}}
  - {name: case-too, when: mail arrives, if: {subject: defeito}, then: {create: {case: {}}, remind: {text: x}}}
  - {name: last, when: mail arrives, if: {is: not reply}, then: {set: {wrote: "yes"}, remind: {text: y}}}
  - {name: sent, when: mail sent, if: {known: yes}, then: {tag: sent, untag: never}}
"""
PEOPLE = ("maria@padariasol.example", "joao@oficinario.example", "x@nova.example", "segredo@banco.example")
SUBJECTS = ("Caixas", "Orçamento", "Um defeito", "Preço de 200 caixas", "Privado", "Re: Caixas")
MAILS = 18


def letters(office: MaildirOffice) -> list[tuple[bytes, timedelta]]:
    """The same mails for every run, with their times."""
    rng = Random(7)
    found = []
    for number in range(MAILS):
        at = timedelta(minutes=10 + 3 * number)
        date = (office.clock.now() + at).strftime("%a, %d %b %Y %H:%M:%S +0000")
        sender, subject = rng.choice(PEOPLE), rng.choice(SUBJECTS)
        named = {"From": sender, "Subject": subject, "Date": date, "Message-ID": f"<p{number}@x.example>"}
        if number % 6 == 5:
            named |= {"From": "ana@vendas.example", "To": "maria@padariasol.example"}
        found.append((office.letter(text="Bom dia.", **named), at))
    return found


def effects(app: App) -> set[tuple[Any, ...]]:
    """What was done, and what the records are by it."""
    with app.store.session() as session:
        done = session.execute(text("SELECT event, rule, slot FROM action_done")).all()
        tags = session.execute(text("SELECT c.name, t.tag FROM customer_tag t JOIN customer c ON c.id = t.customer_id"))
        kept = session.execute(text("SELECT message_id FROM interaction"))
        return {tuple(row) for rows in (done, tags.all(), kept.all()) for row in rows}


def lived(folder: Path, rng: Random | None) -> set[tuple[Any, ...]]:
    """One office to the end; with `rng`, mail is found in any order, again and again, and the daemon starts anew."""
    office = MaildirOffice(folder, rules=RULES)
    office.write()
    with office.running() as app, app.store.session():
        mails = letters(office)
    start = office.clock.now()
    office.clock.move(timedelta(hours=4))
    with ExitStack() as stack:
        app = stack.enter_context(office.running())
        if rng is not None:
            rng.shuffle(mails)
        for raw, at in mails:
            copies = 1 if rng is None else rng.randint(1, 3)
            for copy in range(copies):
                office.deliver(raw, rep=("ana", "bruno")[copy % 2], at=start + at)
            if rng is None or rng.random() < 0.3:
                work(app)
            if rng is not None and rng.random() < 0.15:
                stack.close()
                app = stack.enter_context(office.running())
        work(app)
        return effects(app)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[Any, ...]]:
    """What comes of mail that is found at once, each once."""
    found = lived(tmp_path_factory.mktemp("plain"), None)
    assert len({one[1] for one in found if len(one) == 3}) >= 4
    return found


@pytest.mark.parametrize("seed", range(3))
def test_neither_restart_nor_order_nor_repetition_changes_what_is_done(
    seed: int, plain: set[tuple[Any, ...]], tmp_path: Path
) -> None:
    assert lived(tmp_path, Random(seed)) == plain
