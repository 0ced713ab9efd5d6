"""What servers say to five recipients, and what becomes of each mail: taken, refused for now, refused for good."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from campaigns.installed import Installed
from sending_offices import SendingOffice, plan, row, send, tries
from servers.dovecot import DovecotServer
from servers.smtp_sink import Answer, SmtpSink

from daemon.app import App
from daemon.last_look import RETRY_FOR
from daemon.sends import FIRST_PAUSE, LONGEST_PAUSE
from store import sending
from store.tables import OutboxState

TAKEN, LATER, LATER_AT_DOT, NEVER, GONE = (f"{name}@loja{n}.example" for n, name in enumerate("abcde"))
EVERYBODY = (TAKEN, LATER, LATER_AT_DOT, NEVER, GONE)
STEP = timedelta(minutes=5)


def test_five_recipients_are_taken_deferred_and_refused(
    tmp_path: Path, dovecot: DovecotServer, smtp_sink: SmtpSink
) -> None:
    office = SendingOffice(tmp_path, dovecot)
    office.use(smtp_sink)
    office.write()
    lines = [f"Maria,{one},Loja {n},loja{n}.example" for n, one in enumerate(EVERYBODY)]
    (tmp_path / "customers.csv").write_text("\n".join(["name,email,company,domain", *lines, ""]))
    smtp_sink.answers["rcpt", LATER] = [Answer(code=450, text="4.2.0 greylisted")] * 2
    smtp_sink.answers["dot", LATER_AT_DOT] = [Answer(code=451, text="4.3.0 disk full")] * 3
    smtp_sink.answers["rcpt", NEVER] = Answer(code=450, text="4.2.2 mailbox full")
    smtp_sink.answers["rcpt", GONE] = Answer(code=550, text="5.1.1 no such user")
    with office.sending() as app:
        numbers = {one: plan(app, one) for one in EVERYBODY}
        began = app.clock.now()
        while (past := app.clock.now() - began) < RETRY_FOR + timedelta(hours=8):
            send(app)
            app.clock.move(STEP if past < timedelta(hours=1) else 6 * STEP)  # type: ignore[attr-defined]
        outcomes = {one: tries(app, numbers[one]) for one in EVERYBODY}
        states = {one: row(app, numbers[one]).state for one in EVERYBODY}
        _check_pauses(app, numbers[NEVER])
    assert outcomes[TAKEN] == ["sent"]
    assert outcomes[LATER] == ["later", "later", "sent"]
    assert outcomes[LATER_AT_DOT] == ["later", "later", "later", "sent"]
    assert outcomes[GONE] == ["refused"]
    assert set(outcomes[NEVER][:-1]) == {"later"}
    assert outcomes[NEVER][-1] == "refused"
    assert states == dict.fromkeys(EVERYBODY[:3], OutboxState.SENT) | dict.fromkeys((NEVER, GONE), OutboxState.REFUSED)
    assert sorted(one.recipients for one in smtp_sink.mails) == [(TAKEN,), (LATER,), (LATER_AT_DOT,)]

    listed = Installed(tmp_path)("outbox", "list", "--state", "refused")
    assert {one["to"]: one["reason"].partition("refused")[2] for one in listed} == {
        NEVER: " the recipient: 450 4.2.2 mailbox full",
        GONE: " the recipient: 550 5.1.1 no such user",
    }


def _check_pauses(app: App, number: int) -> None:
    """Tried again after longer and longer pauses, but for what the night takes, until 48 hours are over."""
    with app.store.session() as session:
        times = [one.at for one in sending.attempts(session, number)]
    pauses = [after - before for before, after in pairwise(times)]
    assert FIRST_PAUSE <= pauses[0] <= FIRST_PAUSE + 2 * STEP
    assert min(pauses[6:]) >= LONGEST_PAUSE
    assert times[-2] - times[0] < RETRY_FOR <= times[-1] - times[0]
