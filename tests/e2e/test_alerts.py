"""Mail to the admin when something cannot wait: once, by another way than the broken one, not again at a restart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import pairwise
from pathlib import Path

import pytest
from servers.smtp_sink import SmtpSink

from daemon.alert_causes import Cause, find_causes
from daemon.app import App, opened
from daemon.clock import HeldClock
from daemon.watchdog import Hang
from store import accounts

START = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)
SETTINGS = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
internal: ["@vendas.example"]
team:
  ana: {mail: ana@vendas.example, admin: yes, name: Ana}
  bruno: {mail: bruno@vendas.example, language: ru}
accounts:
"""
ANA = "  ana: {type: maildir, rep: ana, path: ana}\n"
SECOND = "  second: {type: maildir, rep: ana, path: second}\n"
BRUNO = "  bruno: {type: maildir, rep: bruno, path: bruno}\n"
LISTING = """error[E101]: unknown condition "subjet"
  --> rules/10.yaml:4:10
4 |     if: {subjet: caixas}
  |          ^^^^^^
  = help: did you mean "subject"?"""
CONFIG = Cause(key="config", kind="config", text="quietcrm.yaml:3: E101", command="quietcrm check")


@dataclass(slots=True)
class Scene:
    """An office of Maildirs at a clock moved by hand."""

    directory: Path
    clock: HeldClock = field(default_factory=lambda: HeldClock(START))

    def write(self, *boxes: str, more: str = "") -> None:
        """The configuration and the mailboxes it names."""
        (self.directory / "quietcrm.yaml").write_text(SETTINGS + "".join(boxes) + more, encoding="utf-8")
        for name in ("ana", "second", "bruno"):
            for place in ("new", "cur", "tmp"):
                (self.directory / name / place).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def running(self) -> Iterator[App]:
        """A start of the daemon's parts; leaving is a stop."""
        with opened(self.directory, self.clock) as app:
            yield app

    def mails(self, name: str) -> list[EmailMessage]:
        """What lies in an Inbox."""
        found = sorted((self.directory / name).glob("[nc]*/*"))
        return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in found]  # type: ignore[misc]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def causes(app: App, *, config: str = "", disk: str = "", hangs: tuple[Hang, ...] = ()) -> list[Cause]:
    return find_causes(app.store, app.office, config_trouble=config, disk_trouble=disk, hangs=hangs)


def fail(app: App, name: str, state: str = "failing") -> None:
    with app.store.writing() as session:
        now = app.clock.now()
        accounts.begin(session, name, now)
        accounts.failed(session, name, now, state=state, reason="refused the login", hint="look", retry_at=None)


def test_a_failing_account_is_told_after_a_quarter_of_an_hour_by_another_one(scene: Scene) -> None:
    scene.write(ANA, SECOND, BRUNO)
    with scene.running() as app:
        fail(app, "ana", "parked")
        assert app.alerts.tell(causes(app)) == 0, "servers restart"
        scene.clock.move(timedelta(minutes=14))
        assert app.alerts.tell(causes(app)) == 0
        scene.clock.move(timedelta(minutes=1))
        assert app.alerts.tell(causes(app)) == 1
    assert not scene.mails("ana"), "nobody reads there now"
    assert not scene.mails("bruno")
    (mail,) = scene.mails("second")
    assert mail["To"] == "Ana <ana@vendas.example>"
    assert mail["Subject"] == "O quietcrm precisa de você: Caixas com problema"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Quietcrm"] == "alert"
    text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "ana: refused the login" in text
    assert "> quietcrm doctor" in text


def test_one_an_hour_a_cause_whatever_restarts(scene: Scene) -> None:
    """A day of trouble that comes and goes each minute, with a restart each hour: at most 24 mails; here 24."""
    scene.write(ANA)
    for _ in range(24):
        with scene.running() as app:
            for _ in range(30):
                app.alerts.tell([CONFIG])
                scene.clock.move(timedelta(minutes=1))
                app.alerts.tell([])
                scene.clock.move(timedelta(minutes=1))
    mails = scene.mails("ana")
    assert 22 <= len(mails) <= 24
    dates = sorted(mail["Date"].datetime for mail in mails)
    assert min(later - one for one, later in pairwise(dates)) >= timedelta(hours=1)


def test_trouble_that_lasts_is_told_once_a_day(scene: Scene) -> None:
    scene.write(ANA)
    for _ in range(3 * 24):
        with scene.running() as app:
            app.alerts.tell([CONFIG])
        scene.clock.move(timedelta(hours=1))
    assert len(scene.mails("ana")) == 3


def test_what_is_new_together_is_told_together(scene: Scene) -> None:
    scene.write(ANA)
    with scene.running() as app:
        for hang, new in ((Hang("fetch x", 5), 3), (Hang("desk", 5), 1)):
            hanging, full = causes(app, disk="only 3 MB", hangs=(hang,))
            assert app.alerts.tell([hanging, CONFIG, full]) == new
    subjects = [mail["Subject"] for mail in scene.mails("ana")]
    assert sorted(subjects) == [
        "O quietcrm precisa de você: Algo travou",
        "O quietcrm precisa de você: Algo travou, Configuração, Disco quase cheio",
    ]


def test_without_another_way_a_colleague_is_asked_to_pass_it_on(scene: Scene) -> None:
    scene.write(ANA, BRUNO)
    with scene.running() as app:
        fail(app, "ana")
        app.alerts.tell(causes(app))
        scene.clock.move(timedelta(minutes=15))
        assert app.alerts.tell(causes(app)) == 1
    (mail,) = scene.mails("bruno")
    assert mail["To"] == "bruno@vendas.example"
    assert "Передайте, пожалуйста: Ana" in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]


def test_a_sender_comes_before_a_colleagues_mailbox(scene: Scene, smtp_sink: SmtpSink) -> None:
    host, port = "127.0.0.1", smtp_sink.port
    more = f"senders:\n  bruno: {{type: smtp, rep: bruno, host: {host}, port: {port}, security: none}}\n"
    scene.write(ANA, BRUNO, more=more)
    with scene.running() as app:
        fail(app, "ana")
        app.alerts.tell(causes(app))
        scene.clock.move(timedelta(minutes=15))
        assert app.alerts.tell(causes(app)) == 1
    assert not scene.mails("bruno")
    (delivery,) = smtp_sink.mails
    assert delivery.recipients == ("ana@vendas.example",)
    assert delivery.sender == "bruno@vendas.example", "its server knows this address"


def test_nobody_reached_is_tried_again_and_told_then(scene: Scene) -> None:
    scene.write(ANA)
    with scene.running() as app:
        (scene.directory / "ana").rename(scene.directory / "away")
        (scene.directory / "ana").write_text("no folder")
        assert app.alerts.tell([CONFIG]) == 0
        (scene.directory / "ana").unlink()
        (scene.directory / "away").rename(scene.directory / "ana")
        for _ in range(30):
            scene.clock.move(timedelta(minutes=1))
            app.alerts.tell([CONFIG])
    assert len(scene.mails("ana")) == 1


def test_a_broken_database_is_told_without_it(scene: Scene) -> None:
    scene.write(ANA)
    with scene.running() as app:
        app.store.engine.dispose()
        database = scene.directory / "state" / "crm.db"
        sound = database.read_bytes()
        database.write_bytes(b"this is no database " * 1000)
        (cause,) = causes(app)
        assert cause.key == "store"
        assert cause.command == "quietcrm db check"
        assert app.alerts.tell([cause]) == 1
        app.store.engine.dispose()
        database.write_bytes(sound)
    (mail,) = scene.mails("ana")
    assert mail["Subject"].endswith("Banco de dados")


@pytest.mark.parametrize("torn", ["", "{", "[]", '{"config": 1}', '{"config": {"since": "soon"}}'])
def test_an_unreadable_memory_costs_one_mail_too_many_and_nothing_else(scene: Scene, torn: str) -> None:
    scene.write(ANA)
    with scene.running() as app:
        (scene.directory / "state" / "alerts.json").write_text(torn)
        assert app.alerts.tell([CONFIG]) == 1
    with scene.running() as app:
        assert app.alerts.tell([CONFIG]) == 0


def test_a_clock_set_back_does_not_silence_us(scene: Scene) -> None:
    scene.write(ANA)
    with scene.running() as app:
        app.alerts.tell([CONFIG])
        app.alerts.tell([])
        scene.clock.move(timedelta(days=-30))
        assert app.alerts.tell([CONFIG]) == 1


def test_refused_files_are_told_with_their_caret_once_and_again_when_the_fault_is_another(scene: Scene) -> None:
    """Two days of a daemon that looks every half minute and is started again now and then."""
    scene.write(ANA)
    told = []
    for hour in range(48):
        with scene.running() as app:
            for _ in range(120):
                text = LISTING if hour < 24 else LISTING.replace("subjet", "frmo")
                told.append(app.alerts.tell(causes(app, config=text)))
                scene.clock.move(timedelta(seconds=30))
    first, second = sorted(scene.mails("ana"), key=lambda mail: mail["Date"].datetime)
    assert sum(told) == 2
    text = first.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "\n    4 |     if: {subjet: caixas}\n      |          ^^^^^^\n" in text
    assert "> quietcrm check" in text
    html = first.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "|          ^^^^^^\n" in html[html.index("<pre") : html.index("</pre>")]
    assert "frmo" in second.get_body(("plain",)).get_content()  # type: ignore[union-attr]


def test_files_that_are_being_written_are_not_told(scene: Scene) -> None:
    scene.write(ANA)
    with scene.running() as app:
        for number in range(60):
            app.alerts.tell(causes(app, config=f"quietcrm.yaml:{number}: E101"))
            scene.clock.move(timedelta(seconds=10))
        app.alerts.tell([])
        assert scene.mails("ana") == []


def test_somebody_who_tries_this_and_that_gets_a_mail_in_five_minutes_at_most(scene: Scene) -> None:
    scene.write(ANA)
    with scene.running() as app:
        for number in range(90):
            for _ in range(4):
                app.alerts.tell(causes(app, config=f"quietcrm.yaml:{number}: E101"))
                scene.clock.move(timedelta(seconds=10))
    dates = sorted(mail["Date"].datetime for mail in scene.mails("ana"))
    assert 10 <= len(dates) <= 13
    assert min(later - one for one, later in pairwise(dates)) >= timedelta(minutes=5)


def test_a_long_list_of_faults_is_cut_in_the_mail(scene: Scene) -> None:
    scene.write(ANA)
    with scene.running() as app:
        for _ in range(2):
            app.alerts.tell(causes(app, config="\n".join(f"quietcrm.yaml:{number}: E101" for number in range(5000))))
            scene.clock.move(timedelta(seconds=20))
    (mail,) = scene.mails("ana")
    text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "... (+4880)" in text
    assert len(text.splitlines()) < 140
