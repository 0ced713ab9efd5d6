"""What `doctor` finds in a mailbox in Microsoft 365: whose it is, what the sign-in allows, one mail end to end."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from graph_offices import GraphHouse, GraphOffice, graph_house
from servers.graph import Fault

from connectors import factory
from daemon.clock import HeldClock
from daemon.doctor import examine
from daemon.findings import Finding, Level
from daemon.loading import load_office

SCOPES = "Mail.ReadWrite Mail.Send MailboxSettings.ReadWrite User.Read"


@pytest.fixture(scope="module")
def house() -> Iterator[GraphHouse]:
    with graph_house() as made:
        yield made


@pytest.fixture
def office(tmp_path: Path, house: GraphHouse) -> GraphOffice:
    house.graph.mailboxes.clear()
    house.graph.script.clear()
    made = GraphOffice(tmp_path / "office", house, reps=("ana",), house=house)  # type: ignore[arg-type]
    made.directory.mkdir()
    made.write()
    made.deliver("ana", made.mail("Maria <maria@padariasol.example>", "ana@vendas.example", "Caixas", "Bom dia"))
    return made


def findings(office: GraphOffice) -> list[Finding]:
    """Those about the mailbox and the way out."""
    found = examine(load_office(office.directory), HeldClock(office.clock.now()))
    return [one for one in found if one.about in ("account ana", "sender ana")]


def token(**claims: object) -> str:
    """An access token as Microsoft makes them, with these claims."""
    parts = [{"alg": "none"}, {"aud": "https://127.0.0.1", "scp": SCOPES, **claims}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts) + ".x"


def signed_in_by(office: GraphOffice, monkeypatch: pytest.MonkeyPatch, bearer: str) -> None:
    """The mailbox is opened by this token."""

    class Tokens:
        def bearer(self, *, refused: str = "") -> str:
            return bearer

    assert office.house is not None
    monkeypatch.setattr(office.house.graph, "owner_of", {bearer: "ana@vendas.example"}.get)
    monkeypatch.setattr(factory.Surroundings, "tokens", lambda *_, **__: Tokens())


def test_a_sound_mailbox(office: GraphOffice) -> None:
    found = findings(office)
    assert {one.level for one in found} == {Level.OK}
    said = "\n".join(one.message for one in found)
    for words in (
        "1 messages",
        "mailbox of ana@vendas.example",
        "categories",
        "read and explained",
        "30 mails a minute",
    ):
        assert words in said
    assert any(one.mail.get("subject") == "Caixas" for one in found)


def test_what_the_sign_in_allows_is_read_from_its_token(office: GraphOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in_by(office, monkeypatch, token(exp=office.clock.now().timestamp() + 4000))
    assert any("allows Mail.ReadWrite, Mail.Send" in one.message and "until 13:06 UTC" in one.message
               for one in findings(office))  # fmt: skip


@pytest.mark.parametrize(
    ("claims", "message", "remedy"),
    [
        ({"roles": ["Mail.ReadWrite"], "scp": ""}, "not given Mail.Send", "Entra"),
        ({"roles": ["Mail.ReadWrite", "Mail.Send"], "scp": ""}, "MailboxSettings.ReadWrite", "auth login ana"),
        ({"exp": 1000}, "clocks differ", "timedatectl"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(
    office: GraphOffice, monkeypatch: pytest.MonkeyPatch, claims: dict[str, object], message: str, remedy: str
) -> None:
    signed_in_by(office, monkeypatch, token(**claims))
    assert any(message in one.message and remedy in one.remedy for one in findings(office) if one.level is Level.WARN)


def test_another_persons_sign_in(office: GraphOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    assert office.house is not None
    office.house.graph.add_mailbox("bruno@vendas.example")
    monkeypatch.setattr(office.house.graph, "owner_of", lambda _: "bruno@vendas.example")
    found = findings(office)
    assert any("mailbox of bruno@vendas.example, not ana@vendas.example" in one.message for one in found)


def test_a_closed_list_of_categories(office: GraphOffice) -> None:
    assert office.house is not None
    office.house.graph.script = [("GET", "masterCategories", Fault(status=403, code="ErrorAccessDenied"))]
    assert any("without a colour" in one.message and one.remedy for one in findings(office))


def test_a_refusal_is_a_failure_with_its_remedy(office: GraphOffice) -> None:
    assert office.house is not None
    off = Fault(status=404, code="MailboxNotEnabledForRESTAPI")
    office.house.graph.faults = lambda call: off
    try:
        found = findings(office)
    finally:
        office.house.graph.faults = lambda call: None
    failed = [one for one in found if one.level is Level.FAIL]
    assert len(failed) == 2
    assert all("licence" in one.message and "type: exchange" in one.remedy for one in failed)
