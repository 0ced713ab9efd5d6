"""The daily notice of the admin names what rules wanted and could not get: lines to channels, marks in mailboxes."""

from __future__ import annotations

from pathlib import Path

import pytest
from maildir_offices import MaildirOffice
from offices import work
from sqlalchemy import select

from daemon.app import App
from store import mailbox_marks, notifications
from store.statements import table
from store.tables import Interaction, MailboxMark, MarkState, Notification, NotificationState


@pytest.fixture
def office(tmp_path: Path) -> MaildirOffice:
    made = MaildirOffice(tmp_path / "office")
    made.directory.mkdir()
    made.write()
    return made


def lose(app: App, count: int) -> None:
    """So many lines to a channel fail, and as many marks."""
    now = app.clock.now()
    with app.store.writing() as session:
        mail = session.execute(select(table(Interaction).c.id)).scalars().first()
        for number in range(count):
            keys = {"event": f"e{number}", "rule": "r", "slot": "s", "created_at": now}
            line = notifications.plan(session, Notification(**keys, channel="vendas", text="x"))
            notifications.settle(session, line or 0, NotificationState.FAILED, now, "the service said no")
            mark = MailboxMark(**keys, interaction_id=mail, account="ana", folder="INBOX", ref="1")
            reason = "the server keeps no categories"
            mailbox_marks.settle(
                session, mailbox_marks.plan(session, mark) or 0, MarkState.IMPOSSIBLE, now, reason=reason
            )


def test_the_admin_is_told_once_for_each_reason(office: MaildirOffice) -> None:
    with office.running() as app:
        office.deliver(office.letter())
        work(app)
        lose(app, 3)
        told = app.notices.compile("ana")
        assert told.pressing
        assert "AVISOS QUE NÃO CHEGARAM AO CANAL" in told.text
        assert "vendas: perdidos: 3" in told.text
        assert "the service said no" in told.text
        assert "quietcrm doctor" in told.text
        assert "MARCAS QUE AS CAIXAS NÃO ACEITARAM" in told.text
        assert "ana: 3 e-mails" in told.text
        assert "avisos perdidos: 3, marcas não feitas: 3" in told.subject
        assert "vendas" not in app.notices.compile("bruno").text
