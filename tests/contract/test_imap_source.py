"""IMAP keeps the promises of a source, on a real Dovecot, and the special ones of IMAP."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count

import pytest
from imapclient import IMAPClient
from plain_parser import PlainParser
from servers.dovecot import DovecotOptions, DovecotServer
from servers.faults import Fault, FaultProxy
from servers.users import ImapUser
from source_contract import FIRST, BreakableContract, mail, read_all

from connectors.errors import AuthRejected, Misconfigured, OtherMailbox, Unavailable
from connectors.imap.connection import connect
from connectors.imap.idle import RENEW_AFTER, IdleChannel, IdleHub
from connectors.imap.settings import ImapSettings
from connectors.imap.source import ImapSource
from connectors.imap.wire import Cut


def settings_for(user: ImapUser, **changes: object) -> ImapSettings:
    values: dict[str, object] = {
        "account": "imap",
        "host": user.server.host,
        "port": user.server.port,
        "security": "none",
        "login": user.name,
        "password": user.password,
        "connect_timeout": 5.0,
        "read_timeout": 10.0,
    }
    return ImapSettings(**{**values, **changes})  # type: ignore[arg-type]


class ImapHooks(BreakableContract):
    """The hooks on a mailbox of a running Dovecot."""

    user: ImapUser

    def make_source(
        self, parser: PlainParser, *, since: date | None = None, only: Sequence[str] = (), skip: Sequence[str] = ()
    ) -> ImapSource:
        return ImapSource(settings_for(self.user, since=since, only=tuple(only), skip=tuple(skip)), parser)

    def add_mail(self, raw: bytes, *, folder: str = "INBOX", at: datetime = FIRST) -> None:
        self.user.server.make_mailbox(self.user.name, folder)
        self.user.server.deliver(self.user.name, raw, folder=folder, received_at=at)

    def break_mail(self, number: int) -> None:
        folder = self.user.server.maildir(self.user.name)
        for path in [*folder.glob("new/*"), *folder.glob("cur/*")]:
            if f"<m{number}@".encode() in path.read_bytes():
                path.chmod(0)  # Dovecot says BYE in the middle of the FETCH: a real server's way

    def snapshot(self) -> object:
        fields = "mailbox uid guid flags date.received size.physical"
        return self.user.server.doveadm("fetch", "-u", self.user.name, fields, "ALL")


class TestImapSource(ImapHooks):
    @pytest.fixture(autouse=True)
    def mailbox(self, imap_user: ImapUser) -> None:
        self.user = imap_user


class TestImapWithoutSpecialUse(ImapHooks):
    """Roles from names, `.` between levels, everything below INBOX., as Courier-like servers have it."""

    sent = "Gesendet"
    junk = "INBOX.Junk"

    @pytest.fixture(autouse=True)
    def mailbox(self, dotted_server: DovecotServer) -> None:
        name = f"dot{next(_serial)}"
        dotted_server.add_user(name, "secret")
        self.user = ImapUser(dotted_server, name, "secret")
        self.other = "INBOX.Projects"

    def add_mail(self, raw: bytes, *, folder: str = "INBOX", at: datetime = FIRST) -> None:
        super().add_mail(raw, folder=folder.removeprefix("INBOX."), at=at)


class TestImapWithoutExtensions(ImapHooks):
    """A server that announces nothing but IMAP4rev1: no LIST-STATUS, ESEARCH, SPECIAL-USE, SASL-IR, UIDPLUS."""

    @pytest.fixture(autouse=True)
    def mailbox(self, bare_server: DovecotServer) -> None:
        name = f"bare{next(_serial)}"
        bare_server.add_user(name, "secret")
        self.user = ImapUser(bare_server, name, "secret")


_serial = count(1)
BARE = DovecotOptions(special_use=False, extra="imap_capability = IMAP4rev1")


@pytest.fixture(scope="module")
def dotted_server() -> Iterator[DovecotServer]:
    with DovecotServer(DovecotOptions(special_use=False, separator=".", prefix="INBOX.")) as server:
        yield server


@pytest.fixture(scope="module")
def bare_server() -> Iterator[DovecotServer]:
    with DovecotServer(BARE) as server:
        yield server


def test_a_bare_server_is_bare(bare_server: DovecotServer) -> None:
    bare_server.add_user("look", "secret")
    connection = connect(settings_for(ImapUser(bare_server, "look", "secret")))
    assert connection.capabilities == {"IMAP4REV1"}
    connection.close()


def test_without_idle_the_wait_is_a_pause(bare_server: DovecotServer, parser: PlainParser) -> None:
    bare_server.add_user("pause", "secret")
    source = ImapSource(settings_for(ImapUser(bare_server, "pause", "secret")), parser)
    assert source.wait(0.1) is False
    assert any("IDLE" in finding for finding in source.check())
    source.close()


@pytest.fixture
def parser() -> PlainParser:
    return PlainParser()


def deliver(user: ImapUser, numbers: Sequence[int | str], *, folder: str = "INBOX") -> None:
    for place, number in enumerate(numbers):
        user.server.deliver(user.name, mail(number), folder=folder, received_at=FIRST + timedelta(hours=place))


# -- what is special to IMAP


def test_imapclient_cannot_fetch_ranges(imap_user: ImapUser) -> None:
    """Why mails are fetched by explicit lists through our own wire: imapclient 4.0-4.1 raises on any range."""
    deliver(imap_user, [1, 2, 3])
    with IMAPClient(imap_user.server.host, imap_user.server.port, ssl=False) as client:
        client.login(imap_user.name, imap_user.password)
        client.select_folder("INBOX", readonly=True)
        assert set(client.fetch([1, 2, 3], ["FLAGS"])) == {1, 2, 3}
        with pytest.raises(ValueError, match="invalid literal"):
            client.fetch("1:*", ["FLAGS"])


def test_odd_folder_names(imap_user: ImapUser, parser: PlainParser) -> None:
    names = ["März", "测试", "a&b", "_xF8FF_", 'say "hi" \\o', "Клиенты/Акме", "100% (ok) {3}", "*", "&"]
    for name in names:
        imap_user.server.make_mailbox(imap_user.name, name)
        deliver(imap_user, [1], folder=name)
    source = ImapSource(settings_for(imap_user), parser)
    run = read_all(source)
    assert {item.folder for item in run.items} == set(names)
    source.close()


def test_a_new_uidvalidity_loses_nothing(imap_user: ImapUser, parser: PlainParser) -> None:
    deliver(imap_user, range(20))
    deliver(imap_user, ["s1", "s2"], folder="Sent")
    source = ImapSource(settings_for(imap_user, folders_every=0.0), parser)
    cursor = read_all(source).cursor
    imap_user.server.doveadm("mailbox", "update", "-u", imap_user.name, "--uid-validity", "987654", "INBOX")
    first = source.fetch(cursor, limit=8)
    assert first.backfill
    deliver(imap_user, ["new1", "new2"])
    rest = read_all(source, first.cursor, limit=8)
    assert rest.ids[:2] == ["mnew1", "mnew2"]
    everything = {item.message_id.partition("@")[0] for item in first.items} | set(rest.ids)
    assert everything == {f"m{n}" for n in range(20)} | {"mnew1", "mnew2"}  # and Sent is not read again
    source.close()


def test_lost_uid_lists_are_no_other_mailbox(imap_user: ImapUser, parser: PlainParser) -> None:
    deliver(imap_user, range(10))
    source = ImapSource(settings_for(imap_user), parser)
    cursor = read_all(source).cursor
    source.close()
    for path in imap_user.server.maildir(imap_user.name).glob("dovecot*"):
        path.unlink()
    deliver(imap_user, ["new"])
    again = read_all(source, cursor)
    assert sorted(again.ids) == sorted(["mnew", *(f"m{n}" for n in range(10))])
    source.close()


def test_another_mailbox_under_the_same_login_stops(imap_user: ImapUser, parser: PlainParser) -> None:
    deliver(imap_user, range(10))
    source = ImapSource(settings_for(imap_user), parser)
    cursor = read_all(source).cursor
    source.close()
    root = imap_user.server.maildir(imap_user.name)
    root.rename(root.with_name("Maildir.old"))
    imap_user.server.make_mailbox(imap_user.name, "INBOX")
    for number in range(30):
        imap_user.server.deliver(
            imap_user.name, mail(f"x{number}", "other"), received_at=FIRST - timedelta(days=number)
        )
    with pytest.raises(OtherMailbox) as caught:
        source.fetch(cursor, limit=10)
    assert caught.value.hint
    source.close()


def test_text_is_fetched_and_attachments_are_not(imap_user: ImapUser, parser: PlainParser) -> None:
    raw = (
        b'Message-ID: <m1@acme.example>\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
        b'Content-Type: multipart/alternative; boundary="c"\r\n\r\n'
        b"--c\r\nContent-Type: text/plain\r\n\r\nplain text here\r\n"
        b"--c\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n--c--\r\n--b\r\n"
        b"Content-Type: application/pdf\r\n"
        b"Content-Disposition: attachment; filename*=utf-8''%D0%A1%D1%87%D1%91%D1%82.pdf"
        b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"QUJD" * 50_000 + b"\r\n--b--\r\n"
    )
    imap_user.server.deliver(imap_user.name, raw)
    with FaultProxy(imap_user.server.host, imap_user.server.port) as proxy:
        source = ImapSource(settings_for(imap_user, port=proxy.port), parser)
        (item,) = read_all(source).items
        source.close()
        down = proxy.counts().down
    assert item.text.strip() == "plain text here"
    assert [attachment.name for attachment in item.attachments] == ["Счёт.pdf"]
    assert item.size == len(raw)
    assert down < 8_000


def test_tls_starttls_and_a_wrong_authority(imap_user: ImapUser, parser: PlainParser) -> None:
    deliver(imap_user, [1])
    server = imap_user.server
    for security, port in (("tls", server.tls_port), ("starttls", server.port)):
        source = ImapSource(settings_for(imap_user, security=security, port=port, ca=str(server.ca)), parser)
        assert read_all(source).ids == ["m1"]
        source.close()
        with pytest.raises(Misconfigured, match="certificate"):
            ImapSource(settings_for(imap_user, security=security, port=port), parser).fetch(None, limit=1)


def test_a_plain_password_never_leaves_the_machine(imap_user: ImapUser, parser: PlainParser) -> None:
    source = ImapSource(settings_for(imap_user, host="mail.vendas.example"), parser)
    with pytest.raises(Misconfigured, match="unprotected"):
        source.fetch(None, limit=1)


def test_a_wrong_password_is_said_to_be_one(imap_user: ImapUser, parser: PlainParser) -> None:
    with pytest.raises(AuthRejected):
        ImapSource(settings_for(imap_user, password="wrong"), parser).fetch(None, limit=1)


def test_folders_that_do_not_exist_are_a_wrong_setting(imap_user: ImapUser, parser: PlainParser) -> None:
    source = ImapSource(settings_for(imap_user, only=("Nowhere",)), parser)
    with pytest.raises(Misconfigured, match="folders"):
        source.fetch(None, limit=1)
    source.close()


def test_odd_passwords(dovecot: DovecotServer, parser: PlainParser) -> None:
    dovecot.add_user("oddword", 'a"b\\c{5}%u')
    user = ImapUser(dovecot, "oddword", 'a"b\\c{5}%u')
    deliver(user, [1])
    source = ImapSource(settings_for(user), parser)
    assert read_all(source).ids == ["m1"]
    source.close()


def test_a_cut_anywhere_is_never_a_wrong_password(imap_user: ImapUser) -> None:
    """The connection dies at any place of a first sync: it is Unavailable or done, never AuthRejected."""
    deliver(imap_user, range(3))
    with FaultProxy(imap_user.server.host, imap_user.server.port) as proxy:
        source = ImapSource(settings_for(imap_user, port=proxy.port), PlainParser())
        run = read_all(source)
        source.close()
        length = proxy.counts().down
    assert len(run.items) == 3
    for after in range(0, length, 61):
        with FaultProxy(imap_user.server.host, imap_user.server.port) as proxy:
            proxy.plan(Fault(what="cut", after=after))
            source = ImapSource(settings_for(imap_user, port=proxy.port), PlainParser())
            try:
                found = read_all(source).ids
            except Unavailable:
                found = read_all(source).ids
            source.close()
        assert sorted(found) == ["m0", "m1", "m2"], after


def test_a_server_that_says_nothing_is_unavailable(parser: PlainParser) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = ImapSettings(
            account="imap", host="127.0.0.1", port=silent.getsockname()[1], security="none",
            login="a", password="b", connect_timeout=0.3, read_timeout=0.3,
        )  # fmt: skip
        with pytest.raises(Unavailable, match="in time"):
            ImapSource(settings, parser).fetch(None, limit=1)


def test_an_idle_poll_costs_one_turn(imap_user: ImapUser, parser: PlainParser) -> None:
    deliver(imap_user, range(3))
    with FaultProxy(imap_user.server.host, imap_user.server.port) as proxy:
        source = ImapSource(settings_for(imap_user, port=proxy.port), parser)
        cursor = read_all(source).cursor
        source.fetch(cursor, limit=10)  # opens the Inbox again
        before = proxy.counts()
        batch = source.fetch(cursor, limit=10)
        after = proxy.counts()
        source.close()
    assert batch.cursor == cursor
    assert not batch.items
    assert after.turns - before.turns == 1
    assert after.down - before.down <= 200


def test_a_new_process_asks_little(imap_user: ImapUser, parser: PlainParser) -> None:
    deliver(imap_user, range(3))
    first = ImapSource(settings_for(imap_user), parser)
    cursor = read_all(first).cursor
    first.close()
    with FaultProxy(imap_user.server.host, imap_user.server.port) as proxy:
        source = ImapSource(settings_for(imap_user, port=proxy.port), parser)
        assert not read_all(source, cursor).items
        source.close()
        counts = proxy.counts()
    assert counts.turns <= 6
    assert counts.down <= 3_000


def test_many_messages_take_few_turns(imap_user: ImapUser, parser: PlainParser) -> None:
    deliver(imap_user, range(1000))
    with FaultProxy(imap_user.server.host, imap_user.server.port) as proxy:
        source = ImapSource(settings_for(imap_user, port=proxy.port), parser)
        run = read_all(source, limit=500)
        source.close()
        counts = proxy.counts()
    assert len(set(run.ids)) == 1000
    assert counts.turns <= 40


@pytest.mark.parametrize("security", ["none", "tls"])
def test_idle_tells_of_new_mail(imap_user: ImapUser, parser: PlainParser, security: str) -> None:
    deliver(imap_user, [1])
    port = imap_user.server.tls_port if security == "tls" else imap_user.server.port
    source = ImapSource(settings_for(imap_user, security=security, port=port, ca=str(imap_user.server.ca)), parser)
    assert source.wait(0.2) is False
    timer = threading.Timer(0.1, deliver, (imap_user, [2]))
    timer.start()
    assert source.wait(20.0) is True
    timer.join()
    source.close()


def test_idle_is_renewed_in_time(imap_user: ImapUser) -> None:
    connection = connect(settings_for(imap_user))
    channel = IdleChannel(connection, 0.0)
    with selectors.DefaultSelector() as ready:
        ready.register(channel, selectors.EVENT_READ)

        def await_answer(now: float) -> bool:
            assert ready.select(20)
            return channel.read(now)

        assert not await_answer(0.0)  # "+ idling"
        channel.tick(RENEW_AFTER - 1)
        channel.tick(RENEW_AFTER)
        while channel.deadline < 2 * RENEW_AFTER:
            assert not await_answer(RENEW_AFTER)
        deliver(imap_user, [1])
        while not await_answer(RENEW_AFTER):
            continue
        channel.tick(2 * RENEW_AFTER)
        with pytest.raises(Cut):
            channel.tick(3 * RENEW_AFTER)  # no answer was read since: the line counts as dead
    channel.close()


def test_an_interrupt_ends_the_wait(imap_user: ImapUser, parser: PlainParser) -> None:
    source = ImapSource(settings_for(imap_user), parser)
    timer = threading.Timer(0.2, source.interrupt)
    timer.start()
    assert source.wait(60.0) is False
    timer.join()
    source.close()


def await_true(condition: Callable[[], bool], changed: threading.Event) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        changed.wait(0.1)
        changed.clear()


def test_the_hub_watches_many_and_mends_dead_lines(dovecot: DovecotServer) -> None:
    users = [ImapUser(dovecot, f"hub{n}", "secret") for n in range(3)]
    for user in users:
        dovecot.add_user(user.name, user.password)
    told: list[str] = []
    changed = threading.Event()

    def on_change(account: str) -> None:
        told.append(account)
        changed.set()

    with FaultProxy(dovecot.host, dovecot.port) as proxy:
        hub = IdleHub(on_change, first_pause=0.05)
        hub.start()
        for user in users:
            hub.add(settings_for(user, account=user.name, port=proxy.port))
        hub.add(settings_for(users[0], account="wrong", password="wrong"))
        await_true(lambda: len(hub.idling()) == 3, changed)
        told.clear()
        deliver(users[1], [1])
        await_true(lambda: users[1].name in told, changed)
        assert users[0].name not in told
        dovecot.doveadm("kick", users[2].name)
        told.clear()
        await_true(lambda: users[2].name in told, changed)  # a line that was mended counts as a change
        await_true(lambda: len(hub.idling()) == 3, changed)
        assert "wrong" not in hub.idling()
        hub.close()


def test_arrival_is_aware_utc(imap_user: ImapUser, parser: PlainParser) -> None:
    """INTERNALDATE arrives as an aware UTC time."""
    at = datetime(2026, 7, 1, 3, 4, 5, tzinfo=UTC)
    imap_user.server.deliver(imap_user.name, mail(1), received_at=at)
    source = ImapSource(settings_for(imap_user), parser)
    assert [item.received_at for item in read_all(source).items] == [at]
    source.close()
