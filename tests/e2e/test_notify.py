"""`notify`: a rule's line reaches a channel, a real web server on loopback; retries, limits, crashes, doctor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from offices import TestOffice, import_customers, work
from servers.dovecot import DovecotServer
from servers.receiver import Receiver
from sqlalchemy import select

from connectors.errors import Misconfigured, Unavailable
from connectors.notifying import check_channel, notify
from daemon.app import App
from daemon.doctor import examine
from daemon.explaining import explain_logged
from daemon.findings import Level
from daemon.requests import answer
from store.statements import table
from store.tables import Notification, Reminder

RULES = """\
rules:
  - name: plantao
    when: mail arrives
    if: {known: yes, subject: urgente}
    then:
      notify: {channel: oncall, text: "{{ customer.name }}: {{ mail.subject }}"}
      remind: {who: owner, in: 1 day, as: calendar, text: Ligar}
"""
SECRET = "geheimnis-token-123456"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture
def office(dovecot: DovecotServer, tmp_path: Path, receiver: Receiver) -> TestOffice:
    extra = "channels: {oncall: {file: oncall}}\nlimits: {notifications_per_hour: 3}"
    office = TestOffice(tmp_path / "office", dovecot, rules=RULES, reps=("ana",), extra=extra)
    office.directory.mkdir(parents=True)
    address(office, receiver.port)
    office.write()
    return office


def address(office: TestOffice, port: int) -> None:
    file = office.directory / "oncall"
    file.write_text(f"json://127.0.0.1:{port}/{SECRET}\n")
    file.chmod(0o600)


def begin(app: App, office: TestOffice, *subjects: str) -> None:
    import_customers(app, office.directory / "customers.csv")
    work(app)
    office.move_clock(timedelta(minutes=1))
    for subject in subjects:
        office.deliver(
            "ana", office.mail("maria@padariasol.example", "ana@vendas.example", subject, "Bom dia, segredo")
        )
    app.pollers["ana"].source.close()
    app.pollers["ana"].poll()


def states(app: App) -> list[str]:
    with app.store.session() as session:
        return list(session.execute(select(table(Notification).c.state).order_by(table(Notification).c.id)).scalars())


def test_a_line_arrives_once_and_says_no_more_than_it_says(office: TestOffice, receiver: Receiver) -> None:
    with office.running() as app:
        begin(app, office, "urgente: forno parado")
        assert app.notifier.send_due() == 1
        for _ in range(3):
            office.move_clock(timedelta(hours=1))
            work(app)
        (got,) = receiver.got
        assert got["message"] == "Padaria Sol: urgente: forno parado"
        assert got["title"] == ""
        assert "segredo" not in str(got)
        assert states(app) == ["sent"]
    lines = "\n".join(explain_logged(office.directory, "1", None).lines)
    assert "notified: oncall, 'Padaria Sol: urgente: forno parado': sent, by rule plantao" in lines


def test_a_service_that_refuses_is_tried_again(office: TestOffice, receiver: Receiver) -> None:
    receiver.statuses = [503, 500]
    with office.running() as app:
        begin(app, office, "urgente")
        for _ in range(8):
            app.notifier.send_due()
            office.move_clock(timedelta(minutes=2))
        assert [one["message"] for one in receiver.got] == ["Padaria Sol: urgente"] * 3
        assert states(app) == ["sent"]


def test_a_crash_behind_the_wire_may_double_a_line_and_never_loses_one(
    office: TestOffice, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with office.running() as app:
        begin(app, office, "urgente")
        with monkeypatch.context() as patch:
            patch.setattr(type(app.notifier), "_end", crash)
            with pytest.raises(KeyboardInterrupt):
                app.notifier.send_due()
        assert states(app) == ["planned"]
        office.move_clock(timedelta(minutes=5))
        assert app.notifier.send_due() == 1
        assert len(receiver.got) == 2


def test_more_than_the_limit_waits(office: TestOffice, receiver: Receiver) -> None:
    with office.running() as app:
        begin(app, office, *(f"urgente {number}" for number in range(5)))
        app.notifier.send_due()
        assert len(receiver.got) == 3
        for _ in range(9):
            office.move_clock(timedelta(minutes=15))
            app.notifier.send_due()
        assert [one["message"][-1] for one in receiver.got] == ["0", "1", "2", "3", "4"]
        assert states(app) == ["sent"] * 5


def test_a_channel_that_takes_nothing_for_a_day_is_given_up(office: TestOffice) -> None:
    address(office, 1)
    with office.running() as app:
        begin(app, office, "urgente")
        for _ in range(60):
            app.notifier.send_due()
            office.move_clock(timedelta(minutes=31))
        assert states(app) == ["failed"]
        with app.store.session() as session:
            reason = session.execute(select(table(Notification).c.reason)).scalar_one()
        assert "127.0.0.1" not in reason or SECRET not in reason


def test_an_erased_customer_takes_the_lines_along(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office, "urgente")
        answer(app, "customer.erase", {"customer": "Padaria Sol", "confirm": "Padaria Sol"})
        assert states(app) == []


def test_doctor_looks_at_channels_and_sends_nothing(office: TestOffice, receiver: Receiver) -> None:
    findings = {one.about: one for one in examine_quickly(office)}
    assert findings["channel oncall"].level is Level.OK
    assert "as: calendar" in findings["rule plantao"].message
    (office.directory / "oncall").write_text("ntfyy://x")
    assert {one.about: one.level for one in examine_quickly(office)}["channel oncall"] is Level.FAIL
    (office.directory / "oncall").unlink()
    assert {one.about: one.level for one in examine_quickly(office)}["channel oncall"] is Level.FAIL
    assert receiver.got == []


def examine_quickly(office: TestOffice) -> list[object]:
    from daemon.office import load_office

    return list(examine(load_office(office.directory), office.clock))


def test_a_reminder_in_the_calendar_is_kept_so_and_comes_as_mail(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office, "urgente")
        with app.store.session() as session:
            assert session.execute(select(table(Reminder).c.wanted_as)).scalars().all() == ["calendar"]
        office.move_clock(timedelta(days=1))
        work(app)
        assert any("Ligar" in str(mail["Subject"]) for _, mail in office.lying("ana", "INBOX"))


def test_an_address_never_stands_in_an_error(receiver: Receiver) -> None:
    url = f"json://user:{SECRET}@127.0.0.1:{receiver.port}/{SECRET}"
    receiver.statuses = [500]
    with pytest.raises(Unavailable) as caught:
        notify("oncall", url, "hello")
    assert SECRET not in caught.value.message
    assert check_channel("oncall", url) == "JSON"
    with pytest.raises(Misconfigured) as refused:
        notify("oncall", f"nothing://{SECRET}", "hello")
    assert SECRET not in refused.value.message + refused.value.hint
