"""Every account and sender type of the settings can be built, and a new one is one line."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from config.accounts import Account, ExchangeAccount, Sender
from config.secrets import SecretUnavailable
from connectors.factory import (
    DESKS,
    MAILERS,
    SOURCES,
    Surroundings,
    build_desk,
    build_mailer,
    build_source,
    exchange_settings,
    imap_settings,
)
from connectors.imap.source import ImapSource
from connectors.parsing import InlineParser
from connectors.protocols import Desk, Mailer, Source, Wakeable
from connectors.skeleton import SkeletonSettings, SkeletonSource

SIGN_IN = {"provider": "microsoft", "client_id": "quietcrm", "tenant": "vendas.example"}
ACCOUNTS: dict[str, dict[str, object]] = {
    "graph": {"login": "ana@vendas.example", "sign_in": SIGN_IN},
    "imap": {"host": "127.0.0.1", "port": 143, "security": "none", "login": "ana", "password": {"env": "ANA_PASSWORD"}},
    "exchange": {
        "endpoint": "https://mail.vendas.example/EWS/Exchange.asmx",
        "login": "ana@vendas.example",
        "password": {"env": "ANA_PASSWORD"},
    },
    "maildir": {"path": "Maildir"},
    "mbox": {"path": "archive.mbox"},
    "eml": {"path": "letters"},
    "memory": {},
}


def account(kind: str, **more: object) -> Account:
    made: Account = TypeAdapter(Account).validate_python({"type": kind, **ACCOUNTS[kind], **more})
    return made


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Surroundings:
    monkeypatch.setenv("ANA_PASSWORD", "secret")
    return Surroundings(tmp_path, date(2026, 11, 22))


def test_the_tables_cover_the_settings() -> None:
    kinds = set(get_args(get_args(Account)[0]))
    assert set(SOURCES) == kinds
    assert set(DESKS) <= kinds
    assert set(MAILERS) == set(get_args(get_args(Sender)[0]))


@pytest.mark.parametrize("kind", sorted(ACCOUNTS))
def test_sources(kind: str, around: Surroundings) -> None:
    source = build_source("ana", account(kind), InlineParser(), around)
    assert isinstance(source, Source)
    assert source.account == "ana"
    assert isinstance(source, Wakeable) == (kind in ("imap", "exchange"))
    source.close()


@pytest.mark.parametrize("kind", ["imap", "graph", "exchange", "maildir", "memory"])
def test_desks(kind: str, around: Surroundings) -> None:
    assert isinstance(build_desk("ana", account(kind), around), Desk)


@pytest.mark.parametrize("kind", ["mbox", "eml"])
def test_where_nothing_can_be_laid(kind: str, around: Surroundings) -> None:
    assert build_desk("ana", account(kind), around) is None


@pytest.mark.parametrize(
    "sender",
    [
        {"type": "smtp", "host": "127.0.0.1", "security": "none"},
        {"type": "exchange", **ACCOUNTS["exchange"]},
        {"type": "graph", "login": "ana@vendas.example", "sign_in": SIGN_IN},
        {"type": "memory"},
    ],
)
def test_mailers(sender: dict[str, object], around: Surroundings) -> None:
    mailer = build_mailer("ana", TypeAdapter(Sender).validate_python(sender), around)
    assert isinstance(mailer, Mailer)
    assert mailer.account == "ana"


def test_settings_arrive(around: Surroundings) -> None:
    made = account("imap", since="2020-01-01", folders={"only": ["INBOX"], "not": ["Private"]}, ca="own.pem")
    settings = imap_settings("ana", made, around)  # type: ignore[arg-type]
    assert (settings.password, settings.since) == ("secret", date(2020, 1, 1))
    assert (settings.only, settings.skip) == (("INBOX",), ("Private",))
    assert settings.ca == str(around.base / "own.pem")
    assert "secret" not in repr(settings)
    assert isinstance(build_source("ana", made, InlineParser(), around), ImapSource)


def test_a_missing_secret_says_so(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANA_PASSWORD")
    with pytest.raises(SecretUnavailable):
        build_source("ana", account("imap"), InlineParser(), around)


def test_a_memory_mailbox_is_shared_by_source_and_desk(around: Surroundings) -> None:
    source = build_source("ana", account("memory", since="2020-01-01"), InlineParser(), around)
    around.mailbox("ana").add(b"Message-ID: <m@acme.example>\r\n\r\nhello\r\n")
    assert [item.message_id for item in source.fetch(None, limit=5).items] == ["m@acme.example"]


def test_the_skeleton_has_the_shape_of_a_source() -> None:
    source = SkeletonSource(SkeletonSettings(account="new"), InlineParser())
    assert isinstance(source, Source)
    assert source.account == "new"
    source.close()


EWS = "https://mail.vendas.example/EWS/Exchange.asmx"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"endpoint": "http://mail.vendas.example/EWS/Exchange.asmx"}, "E301"),
        ({"endpoint": "mail.vendas.example"}, "E307"),
        ({"endpoint": "https://[/EWS"}, "E307"),
        ({"password": None}, "E304"),
        ({"login": "VENDAS\\ana"}, "E102"),
    ],
)
def test_what_is_wrong_with_an_exchange_account(changes: dict[str, object], code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        account("exchange", **changes)
    assert [error["type"] for error in caught.value.errors()] == [code]


def test_exchange_settings_arrive(around: Surroundings) -> None:
    made = account("exchange", login="VENDAS\\crm", mailbox="ana@vendas.example", access="impersonation", ca="own.pem")
    assert isinstance(made, ExchangeAccount)
    settings = exchange_settings("ana", made, around)
    assert (settings.endpoint, settings.host, made.host) == (EWS, "mail.vendas.example", "mail.vendas.example")
    assert (settings.mailbox, settings.login, settings.access) == ("ana@vendas.example", "VENDAS\\crm", "impersonation")
    assert (settings.auth, settings.version, settings.password) == ("ntlm", "2016", "secret")
    assert settings.ca == str(around.base / "own.pem")
    assert "secret" not in repr(settings)
