"""`sign_in` of accounts and senders, filled up from `providers`: whole, or refused with what to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config.accounts import Account, ImapAccount, Sender
from config.errors import Problem
from config.load import parse_settings
from config.settings import Settings
from connectors.oauth.opening import party_of
from connectors.oauth.providers import admin_consent_url, endpoints
from connectors.oauth.shelf import Shelf

OFFICE = """company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
internal: ["@vendas.example"]
team: {ana: {mail: ana@vendas.example}}
"""
LOGIN = "host: outlook.office365.com, login: ana@vendas.example"
REGISTERED = "providers: {microsoft: {client_id: 1234, tenant: vendas.example}}\n"


def read(text: str) -> tuple[Settings | None, list[Problem]]:
    problems: list[Problem] = []
    return parse_settings(Path("/office/quietcrm.yaml"), OFFICE + text, problems), problems


def settle(text: str) -> Settings:
    settings, problems = read(text)
    assert not problems
    assert settings is not None
    return settings


def party(one: Account | Sender) -> Any:
    found = party_of("ana", one)
    assert found is not None
    return found


def test_a_name_is_enough_where_the_provider_is_described() -> None:
    account = settle(f"{REGISTERED}accounts: {{ana: {{type: imap, {LOGIN}, sign_in: microsoft}}}}\n").accounts["ana"]
    assert isinstance(account, ImapAccount)
    assert account.sign_in is not None
    assert (account.sign_in.client_id, account.sign_in.organisation, account.sign_in.way) == (
        "1234",
        "vendas.example",
        "browser",
    )
    assert endpoints(account.sign_in).token == "https://login.microsoftonline.com/vendas.example/oauth2/v2.0/token"


def test_what_the_account_says_comes_before_what_the_provider_says() -> None:
    own = "{provider: microsoft, flow: device, tenant: filial.example}"
    account = settle(f"{REGISTERED}accounts: {{ana: {{type: imap, {LOGIN}, sign_in: {own}}}}}\n").accounts["ana"]
    sign_in = party(account).sign_in
    assert (sign_in.client_id, sign_in.tenant, sign_in.way) == ("1234", "filial.example", "device")


def test_an_account_and_a_sender_with_one_login_share_one_sign_in() -> None:
    settings = settle(
        f"{REGISTERED}accounts: {{ana: {{type: imap, {LOGIN}, sign_in: microsoft}}}}\n"
        "senders: {ana: {type: smtp, host: smtp.office365.com, login: Ana@vendas.example, sign_in: microsoft}}\n"
    )
    one, other = party(settings.accounts["ana"]), party(settings.senders["ana"])
    state = Path("/state")
    assert one.shelf(state) == other.shelf(state)
    assert one.scopes == ("https://outlook.office.com/IMAP.AccessAsUser.All",)
    assert other.scopes == ("https://outlook.office.com/SMTP.Send",)


def test_a_shared_mailbox_is_opened_by_a_person() -> None:
    own = "{provider: microsoft, user: ana@vendas.example}"
    account = settle(
        f"{REGISTERED}accounts: {{sales: {{type: imap, host: h, login: sales@vendas.example, sign_in: {own}}}}}\n"
    ).accounts["sales"]
    assert (party(account).user, party(account).want.shared) == ("ana@vendas.example", True)


@pytest.mark.parametrize(
    ("text", "code", "help"),
    [
        ("sign_in: microsoft", "E306", "below `providers:` say microsoft: {client_id: ..., tenant: ...}"),
        ("sign_in: {provider: keycloak, client_id: x}", "E306", "authorize: and token:"),
        ("sign_in: {provider: keycloak, client_id: x, token: 'https://id.example/t'}", "E306", "scopes:"),
        ("sign_in: {provider: google, client_id: x}, password: {env: ANA}", "E305", "keep one of them"),
        ("idle: no", "E304", "add: password: {env: MAIL_PASSWORD}"),
        ("sign_in: {provider: google, client_id: x, flow: app}", "E306", "flow: browser"),
        ("sign_in: {provider: microsoft, client_id: x, flow: app}", "E306", "give certificate: and key:"),
        ("sign_in: {provider: microsoft, client_id: x, certificate: a.pem}", "E306", "give certificate: and key:"),
        (
            "sign_in: {provider: microsoft, client_id: x, certificate: a.pem, key: {env: KEY}}",
            "E306",
            "give tenant: with the domain of your organisation",
        ),
        ("sign_in: {provider: microsoft, client_id: x, tenant: 'a/../b'}", "E306", "write: vendas.example"),
        (
            "sign_in: {provider: k, client_id: x, token: 'http://id.example/t', scopes: [a]}",
            "E307",
            "write: https://id.example/t",
        ),
        ("sign_in: {provider: k, client_id: x, token: nonsense, scopes: [a]}", "E307", "write: https://"),
        ("sign_in: {provider: google, client_id: x, client_secret: hunter2}", "E302", "write: {env: MAIL_PASSWORD}"),
        ("sign_in: {provider: google, clientid: x}", "E101", 'did you mean "client_id"?'),
        ("sign_in: {provider: google, client_id: x, flow: devise}", "E104", 'did you mean "device"?'),
    ],
)
def test_what_is_missing_is_said_with_its_remedy(text: str, code: str, help: str) -> None:
    settings, problems = read(f"accounts: {{ana: {{type: imap, {LOGIN}, {text}}}}}\n")
    assert settings is None
    found = next(problem for problem in problems if problem.code == code)
    assert help in found.help


def test_a_fault_of_a_provider_is_told_once_where_it_stands() -> None:
    _, problems = read(
        "providers: {microsoft: {client_id: 1, tenant: 'a b'}}\n"
        f"accounts: {{ana: {{type: imap, {LOGIN}, sign_in: microsoft}}}}\n"
    )
    assert [(problem.code, problem.line) for problem in problems] == [("E306", 4)]


def test_a_sender_signs_in_with_a_login_only() -> None:
    _, problems = read(f"{REGISTERED}senders: {{ana: {{type: smtp, host: h, sign_in: microsoft}}}}\n")
    assert [problem.code for problem in problems] == ["E304"]


def test_an_application_of_its_own_asks_for_what_it_was_given() -> None:
    own = "{provider: microsoft, certificate: a.pem, key: {env: KEY}}"
    account = settle(f"{REGISTERED}accounts: {{ana: {{type: imap, {LOGIN}, sign_in: {own}}}}}\n").accounts["ana"]
    assert party(account).sign_in.by_itself
    assert party(account).scopes == ("https://outlook.office365.com/.default",)
    assert str(party(account).sign_in.certificate) == "/office/a.pem"


def test_the_page_of_the_administrators_consent_names_exactly_what_is_asked() -> None:
    account = settle(f"{REGISTERED}accounts: {{ana: {{type: imap, {LOGIN}, sign_in: microsoft}}}}\n").accounts["ana"]
    found = admin_consent_url(party(account).sign_in, party(account).scopes, "http://localhost")
    assert found == (
        "https://login.microsoftonline.com/vendas.example/v2.0/adminconsent?client_id=1234"
        "&scope=https%3A%2F%2Foutlook.office.com%2FIMAP.AccessAsUser.All&redirect_uri=http%3A%2F%2Flocalhost"
    )


def test_another_provider_asks_for_what_the_settings_say() -> None:
    own = "{provider: k, client_id: x, token: 'https://id.example/t', scopes: [imap, smtp]}"
    account = settle(f"accounts: {{ana: {{type: imap, {LOGIN}, sign_in: {own}}}}}\n").accounts["ana"]
    assert party(account).scopes == ("imap", "smtp")
    assert admin_consent_url(party(account).sign_in, party(account).scopes, "http://localhost") == ""


def test_the_name_of_a_place_is_a_plain_file_name() -> None:
    own = "{provider: google, client_id: x}"
    login = "'../../etc/Ана@vendas.example'"
    account = settle(f"accounts: {{ana: {{type: imap, host: h, login: {login}, sign_in: {own}}}}}\n").accounts["ana"]
    shelf = party(account).shelf(Path("/state"))
    assert shelf.path.parent == Path("/state/sign-in")
    assert shelf == Shelf.of(Path("/state"), party(account).sign_in, "../../ETC/Ана@vendas.example")
