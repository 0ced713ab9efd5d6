"""`once:` over restarts, renames and merged steps: whom a rule acted for is in the store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from maildir_offices import MaildirOffice
from offices import work

from daemon.app import App
from store import actions, history

RULE = """\
rules:
  - name: {name}
    when: mail arrives
    if: {{known: yes}}
    once: {once}
{more}    then:
      remind: {{who: owner, in: 1 business day, text: Call}}
"""


@pytest.fixture
def office(tmp_path: Path) -> MaildirOffice:
    return MaildirOffice(tmp_path / "office")


def rule(office: MaildirOffice, once: str, *, name: str = "call", more: str = "") -> None:
    office.rules = RULE.format(once=once, name=name, more=more)
    office.write()


def reminders(app: App) -> int:
    with app.store.session() as session:
        found = [history.identity_of(session, entry.id) for entry in history.log(session, limit=None)]
        return sum(slot == "remind" for event in found for _, slot, _ in actions.done_for(session, event))


def write(office: MaildirOffice, app: App, **named: str) -> None:
    office.clock.move(timedelta(minutes=5))
    office.deliver(office.letter(**named))
    work(app)


JOAO = "joao@oficinario.example"


def test_once_for_each_customer_over_a_restart_and_a_new_name(office: MaildirOffice) -> None:
    rule(office, "per customer")
    with office.running() as app:
        write(office, app)
        write(office, app)
        assert reminders(app) == 1
        write(office, app, From=JOAO)
        assert reminders(app) == 2
    with office.running() as app:
        write(office, app)
        assert reminders(app) == 2
    rule(office, "per customer", name="call-again", more="    was: call\n")
    with office.running() as app:
        write(office, app)
        assert reminders(app) == 2
    rule(office, "per customer", name="another")
    with office.running() as app:
        write(office, app)
        assert reminders(app) == 3


def test_again_when_the_time_is_over(office: MaildirOffice) -> None:
    rule(office, "per contact every 2 days")
    with office.running() as app:
        write(office, app)
        office.clock.move(timedelta(days=1))
        write(office, app)
        assert reminders(app) == 1
        office.clock.move(timedelta(days=1))
        write(office, app)
        assert reminders(app) == 2
        write(office, app)
        assert reminders(app) == 2


def test_a_thread_is_one_whoever_writes_in_it(office: MaildirOffice) -> None:
    rule(office, "per thread")
    with office.running() as app:
        write(office, app, Message_ID="<t1@padariasol.example>")
        write(office, app, References="<t1@padariasol.example>", In_Reply_To="<t1@padariasol.example>")
        assert reminders(app) == 1
        write(office, app)
        assert reminders(app) == 2


def test_two_mails_in_one_batch_are_two(office: MaildirOffice) -> None:
    rule(office, "per customer")
    with office.running() as app:
        office.deliver(office.letter())
        office.clock.move(timedelta(minutes=1))
        office.deliver(office.letter())
        work(app)
        assert reminders(app) == 1


def test_the_lead_that_the_mail_makes_is_its_deal(office: MaildirOffice) -> None:
    office.rules = RULE.format(once="per deal", name="call", more="").replace("{known: yes}", '{from: "@nova.example"}')
    office.rules += "      create: lead\n"
    office.write()
    with office.running() as app:
        write(office, app, From="rita@nova.example")
        write(office, app, From="rita@nova.example")
        assert reminders(app) == 1
