"""A sign-in ends while the daemon runs: parked, told once to admin and rep by another way, taken up again by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import httpx
import pytest
import structlog
from campaigns.installed import await_true, end
from servers.dovecot import DovecotOptions, DovecotServer
from servers.identity import Client, IdentityServer
from servers.smtp_sink import SmtpSink
from servers.users import ImapUser
from service_offices import TestOffice, deliver, import_customers

from config.load import load_settings
from connectors.oauth.household import find_household
from connectors.oauth.shelf import Signed
from daemon.alert_causes import find_causes
from daemon.app import App, opened
from daemon.clock import HeldClock
from store import accounts

START = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)
SETTINGS = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: en}
internal: ["@vendas.example"]
team:
  ana: {mail: ana@vendas.example, admin: yes, name: Ana}
  bruno: {mail: bruno@vendas.example, language: pt}
"""
LETTER = b"From: ivan@acme.example\r\nTo: bruno@vendas.example\r\nDate: Mon, 16 Nov 2026 10:00:00 +0000\r\n"


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityServer]:
    with IdentityServer() as server:
        server.clients["dovecot"] = Client("dovecot", secret="asks")
        yield server


@pytest.fixture(scope="module")
def house(provider: IdentityServer) -> Iterator[DovecotServer]:
    url = provider.url("introspect").replace("http://", "http://dovecot:asks@")
    with DovecotServer(DovecotOptions(introspection=url)) as server:
        server.add_user("bruno")
        yield server


class Scene:
    """Ana reads a Maildir, Bruno signs in at the provider; mail may leave by a sender of Ana's."""

    def __init__(self, folder: Path, provider: IdentityServer, house: DovecotServer, sink: SmtpSink) -> None:
        self.folder, self.provider, self.clock = folder, provider, HeldClock(START)
        for place in ("new", "cur", "tmp"):
            (folder / "ana" / place).mkdir(parents=True)
        (folder / "quietcrm.yaml").write_text(
            f"{SETTINGS}providers: {json.dumps({'tests': provider.settings()})}\n"
            "accounts:\n  ana: {type: maildir, rep: ana, path: ana}\n"
            f"  bruno: {{type: imap, rep: bruno, host: 127.0.0.1, port: {house.port}, security: none, login: bruno,\n"
            "          sign_in: tests, since: 2020-01-01}\n"
            f"senders:\n  ana: {{type: smtp, host: 127.0.0.1, port: {sink.port}, security: none}}\n"
        )

    def sign_in(self) -> None:
        """What `quietcrm auth login bruno` leaves behind."""
        household = find_household(load_settings(self.folder), self.folder / "state", "bruno")
        assert household is not None
        shelf = household.first.shelf(self.folder / "state")
        refresh = self.provider.sign_in("bruno", scope="imap smtp openid offline_access").refresh
        with shelf.locked():
            at = shelf.load()
            signed = Signed(user="bruno", provider="tests", client_id="quietcrm", refresh_token=refresh)
            shelf.save(Signed(**{**_plain(signed), "at": (at.at if at else 0) + 1}))

    def state(self, app: App) -> str:
        with app.store.session() as session:
            row = accounts.load(session, "bruno")
            assert row is not None
            return row.state

    def told_admin(self) -> list[str]:
        """What lies in Ana's Inbox."""
        return [_text(path.read_bytes()) for path in sorted((self.folder / "ana").glob("[nc]*/*"))]

    def alert(self, app: App) -> int:
        causes = find_causes(
            app.store, app.office, config_trouble="", disk_trouble="", hangs=[], sign_ins=app.sign_ins.lost()
        )
        return app.alerts.tell(causes)


def _text(raw: bytes) -> str:
    body = message_from_bytes(raw, policy=policy.default).get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def _plain(signed: Signed) -> dict[str, object]:
    return {name: getattr(signed, name) for name in Signed.__slots__}


@pytest.fixture
def scene(tmp_path: Path, provider: IdentityServer, house: DovecotServer, smtp_sink: SmtpSink) -> Scene:
    made = Scene(tmp_path, provider, house, smtp_sink)
    made.sign_in()
    return made


def test_parked_told_once_and_taken_up_again(
    scene: Scene, provider: IdentityServer, house: DovecotServer, smtp_sink: SmtpSink
) -> None:
    with opened(scene.folder, scene.clock) as app, structlog.testing.capture_logs() as lines:
        poller = app.pollers["bruno"]
        poller.poll(once=False)
        assert scene.state(app) == "ok"
        provider.end_all()
        poller.source.close()
        renewals = provider.questions("refresh_token")

        for _ in range(60 * 60 // 5):  # an hour of ticks
            poller.poll(once=False)
            scene.alert(app)
            scene.clock.move(timedelta(seconds=5))
        assert scene.state(app) == "parked"
        assert len(lines) < 20
        assert provider.questions("refresh_token") - renewals == 1

        (to_admin,), (to_rep,) = scene.told_admin(), [_text(mail.data) for mail in smtp_sink.mails]
        assert smtp_sink.mails[0].recipients == ("bruno@vendas.example",)
        assert "quietcrm auth login bruno" in to_admin
        assert "the sign-in has expired or was revoked" in to_admin
        assert "O quietcrm não tem mais acesso à sua caixa (bruno)" in to_rep
        assert "quietcrm auth login" not in to_rep

        for _ in range(3 * 24):  # three days later nobody was told again
            poller.poll(once=False)
            scene.alert(app)
            scene.clock.move(timedelta(hours=1))
        assert (len(scene.told_admin()), len(smtp_sink.mails)) == (1, 1)

        house.deliver("bruno", LETTER + b"Message-ID: <late@acme.example>\r\n\r\nhi\r\n")
        poller.poll(once=False)
        assert scene.state(app) == "parked"
        scene.sign_in()
        assert app.note_sign_ins() == ("bruno",)
        assert app.note_sign_ins() == ()
        assert poller.poll(once=False).seen == 1
        assert scene.state(app) == "ok"
        scene.alert(app)

        scene.clock.move(timedelta(hours=2))  # and it is told again when it ends again
        provider.end_all()
        poller.source.close()
        poller.poll(once=False)
        scene.alert(app)
        assert (len(scene.told_admin()), len(smtp_sink.mails)) == (2, 2)


def test_without_another_way_only_the_admin_hears_of_it(
    scene: Scene, provider: IdentityServer, smtp_sink: SmtpSink
) -> None:
    text = (scene.folder / "quietcrm.yaml").read_text().partition("senders:")[0]
    (scene.folder / "quietcrm.yaml").write_text(text)
    with opened(scene.folder, scene.clock) as app, structlog.testing.capture_logs() as lines:
        provider.end_all()
        app.pollers["bruno"].poll(once=False)
        for _ in range(100):
            scene.alert(app)
            scene.clock.move(timedelta(minutes=1))
        (text,) = scene.told_admin()
        assert "quietcrm auth login bruno" in text
        assert sum(line["event"] == "alert.undelivered" for line in lines) == 1
    assert smtp_sink.mails == []


def test_a_reload_keeps_the_connection_of_a_signed_in_account(scene: Scene) -> None:
    with opened(scene.folder, scene.clock) as app:
        before = app.pollers["bruno"]
        before.poll(once=False)
        app.assemble(app.office)
        assert app.pollers["bruno"] is before


@pytest.mark.timeout(240)
def test_the_running_daemon_takes_a_sign_in_up_by_itself(
    tmp_path: Path, provider: IdentityServer, house: DovecotServer
) -> None:
    """Nobody has signed in when it starts; `auth login` runs beside it in a process of its own, and mail comes in."""
    house.add_user("carla")
    office = TestOffice(tmp_path / "office")
    office.accounts["carla"] = (
        f"  carla: {{type: imap, rep: ana, host: 127.0.0.1, port: {house.port}, security: none, login: carla,\n"
        "          sign_in: tests, since: 2000-01-01}\n"
    )
    office.write(f"providers: {json.dumps({'tests': provider.settings()})}\n")
    import_customers(office)
    first = deliver(ImapUser(house, "carla", ""), 1)
    provider.person = "carla"
    with office.running():
        await_true("it is parked", lambda: office.account("carla")["state"] == "parked", seconds=60, every=0.5)
        assert office.account("carla")["hint"] == "run: quietcrm auth login carla"
        login = office.command.start("auth", "login", "carla", "--no-browser")
        shown = re.compile(r"http://\S+/authorize\?\S+")
        url = await_true("the address", lambda: shown.search(office.command.said()), seconds=120)
        assert httpx.get(url[0], follow_redirects=True).status_code == 200
        login.wait(30)
        assert end(login) == 0
        await_true("the mail is in the history", lambda: office.knows(first), seconds=120)
        assert office.account("carla")["state"] == "ok"
        second = deliver(ImapUser(house, "carla", ""), 2)
        await_true("and it goes on", lambda: office.knows(second), seconds=120)
