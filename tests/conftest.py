"""Fixtures that every test may use: real servers on loopback, a database of each kind, the corpora.

A server is started once in each test process, on free ports and in a folder of its own, so tests may run in parallel.
When a server program is missing the tests fail and say what installs it; only absent corpora are skipped.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from servers import spy
from servers.calendars import RadicaleServer, XandikosServer
from servers.davical import DavicalServer
from servers.davical import why_not as why_no_davical
from servers.dovecot import DovecotOptions, DovecotServer
from servers.identity import IdentityServer
from servers.postfix import PostfixServer, why_not
from servers.postgres import PostgresServer
from servers.smtp_sink import SmtpSink
from servers.users import ImapUser

spy.install()
REPOSITORY = Path(__file__).resolve().parent.parent

# A busy machine is no fault of what is tested: no test goes by the clock.
settings.register_profile("quietcrm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quietcrm")


@pytest.fixture(scope="session")
def dovecot() -> Iterator[DovecotServer]:
    """One Dovecot for this test process; take `imap_user` for a mailbox on it."""
    with DovecotServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _plain_logs() -> Iterator[None]:
    """Whoever sets up logging in a test writes to that test's stderr, which is closed when the next one begins."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _spied() -> Iterator[None]:
    """No test, whatever it is about, may see an invitation, a cancellation or a write to somebody's event go out."""
    spy.found.clear()
    yield
    seen, spy.found[:] = list(spy.found), []
    assert not seen, seen[:5]


@pytest.fixture(scope="session")
def mail_house() -> Iterator[tuple[PostfixServer, DovecotServer]]:
    """A Postfix that takes mail after STARTTLS and login and delivers it to a Dovecot's mailboxes; skipped where no
    Postfix can be started."""
    if reason := why_not():
        pytest.skip(f"{reason}, skipped")
    with (
        DovecotServer(DovecotOptions(delivery=True)) as dovecot,
        PostfixServer(
            f"lmtp:inet:127.0.0.1:{dovecot.lmtp_port}", certificates=dovecot.certificates, sasl_port=dovecot.auth_port
        ) as postfix,
    ):
        yield postfix, dovecot


@pytest.fixture
def start_dovecot() -> Iterator[Callable[[DovecotOptions], DovecotServer]]:
    """Start further servers with options of their own (a third of a second each); they end with the test."""
    started: list[DovecotServer] = []

    def start(options: DovecotOptions) -> DovecotServer:
        server = DovecotServer(options)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()
        server.remove()


@pytest.fixture
def identity() -> Iterator[IdentityServer]:
    """A provider at which people sign in, on loopback, of this test's own."""
    with IdentityServer() as server:
        yield server


_serial = itertools.count(1)


@pytest.fixture
def imap_user(dovecot: DovecotServer) -> ImapUser:
    """An empty mailbox that no other test uses."""
    user = ImapUser(dovecot, f"user{next(_serial)}", "secret")
    dovecot.add_user(user.name, user.password)
    return user


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for this test process; take `database_url` for a database on it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty database, once as an SQLite file and once on PostgreSQL: each test runs on both."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'crm.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new_database()
    yield url
    server.drop_database(url)


@pytest.fixture(scope="session")
def radicale() -> Iterator[RadicaleServer]:
    """One Radicale for this test process; make calendars of your own on it."""
    with RadicaleServer() as server:
        yield server


@pytest.fixture(scope="session")
def xandikos() -> Iterator[XandikosServer]:
    """One Xandikos for this test process; make calendars of your own on it."""
    with XandikosServer() as server:
        yield server


@pytest.fixture(scope="session")
def davical(postgres: PostgresServer) -> Iterator[DavicalServer]:
    """One DAViCal for this test process, skipped where the system has none; make calendars of your own on it."""
    if reason := why_no_davical():
        pytest.skip(f"{reason}, skipped")
    with DavicalServer(postgres) as server:
        yield server


@pytest.fixture
def smtp_sink() -> Iterator[SmtpSink]:
    """An SMTP server that keeps what it gets, without login and without TLS."""
    with SmtpSink() as sink:
        yield sink


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The mail corpora, read where they lie: $QUIETCRM_CORPORA, or ../shared/corpora beside the repository."""
    stated = os.environ.get("QUIETCRM_CORPORA")
    folder = Path(stated) if stated else REPOSITORY.parent / "shared" / "corpora"
    if not folder.is_dir():
        pytest.skip("corpus not present, skipped")
    return folder
