"""Accounts and senders of type graph: whose mailbox, how it is asked for, and where tokens may go."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from config.accounts import GraphAccount, GraphSender
from config.errors import Problem
from config.load import parse_settings
from config.settings import Settings
from connectors.factory import Surroundings, graph_settings

OFFICE = """company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
internal: ["@vendas.example"]
team: {ana: {mail: ana@vendas.example}}
providers: {microsoft: {client_id: 1234, tenant: vendas.example}}
"""


def read(text: str) -> tuple[Settings | None, list[Problem]]:
    problems: list[Problem] = []
    return parse_settings(Path("/office/quietcrm.yaml"), OFFICE + text, problems), problems


def account(more: str = "sign_in: microsoft") -> GraphAccount:
    settings, problems = read(f"accounts: {{ana: {{type: graph, login: ana@vendas.example, {more}}}}}\n")
    assert not problems
    assert settings is not None
    found = settings.accounts["ana"]
    assert isinstance(found, GraphAccount)
    return found


@pytest.mark.parametrize(
    ("more", "root"),
    [
        ("sign_in: microsoft", "/me"),
        ("sign_in: {provider: microsoft, user: Ana@Vendas.example}", "/me"),
        ("sign_in: {provider: microsoft, user: bruno@vendas.example}", "/users/ana@vendas.example"),
        ("sign_in: {provider: microsoft, certificate: a.pem, key: {env: HOME}}", "/users/ana@vendas.example"),
    ],
)
def test_a_mailbox_of_ones_own_and_anothers(tmp_path: Path, more: str, root: str) -> None:
    made = graph_settings("ana", account(more), Surroundings(tmp_path, date(2026, 11, 30)))
    assert made.root == root
    assert (made.service, made.since) == ("https://graph.microsoft.com/v1.0", date(2024, 11, 30))


@pytest.mark.parametrize("service", ["https://graph.microsoft.us/v1.0/", "http://127.0.0.1:99/v1.0"])
def test_other_clouds_and_this_machine(service: str) -> None:
    assert account(f"sign_in: microsoft, service: '{service}'").service == service.rstrip("/")


@pytest.mark.parametrize(
    "service",
    [
        "https://graph.vendas.example/v1.0",
        "http://graph.microsoft.com/v1.0",
        "https://graph.microsoft.com.evil.example",
    ],
)
def test_tokens_go_nowhere_else(service: str) -> None:
    _, problems = read(
        f"accounts: {{ana: {{type: graph, login: ana@vendas.example, sign_in: microsoft, service: '{service}'}}}}\n"
    )
    assert [problem.code for problem in problems] == ["E307"]
    assert problems[0].help


def test_a_sender_is_a_mailbox_too(tmp_path: Path) -> None:
    settings, problems = read("senders: {ana: {type: graph, login: vendas@vendas.example, sign_in: microsoft}}\n")
    assert not problems
    assert settings is not None
    sender = settings.senders["ana"]
    assert isinstance(sender, GraphSender)
    assert graph_settings("ana", sender, Surroundings(tmp_path, date(2026, 11, 30))).final_timeout == 120.0
    assert settings.sender_for("ana") == "ana"


def test_its_address_is_one_of_our_own() -> None:
    settings, _ = read("accounts: {sales: {type: graph, login: Sales@vendas.example, sign_in: microsoft}}\n")
    assert settings is not None
    assert "sales@vendas.example" in settings.own_addresses()
