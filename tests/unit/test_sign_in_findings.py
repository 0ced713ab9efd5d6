"""What doctor says of a sign-in: who, since when, what is missing, for whom the token is."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from servers.identity import IdentityServer

from config.load import parse_settings
from config.settings import Settings
from connectors.oauth.opening import Party, party_of
from connectors.oauth.shelf import Access, Signed
from daemon.sign_in_findings import sign_in_findings

NOW = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)
OUTLOOK = "https://outlook.office.com"
MICROSOFT = "{client_id: quietcrm, tenant: vendas.example}"


class Held:
    """Tokens that are there."""

    def __init__(self, token: str) -> None:
        self.token = token

    def bearer(self, *, refused: str = "") -> str:
        return self.token


def a_token(**claims: Any) -> str:
    """A JWT that says this; nobody checks its signature."""
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{body}.c2ln"


def settle(sign_in: str, directory: Path, provider: str = MICROSOFT) -> Settings:
    text = (
        "company: {name: Vendas, zone: Europe/Lisbon, language: en}\ninternal: ['@vendas.example']\n"
        f"team: {{ana: {{mail: ana@vendas.example}}}}\nproviders: {{microsoft: {provider}}}\n"
        f"accounts: {{ana: {{type: imap, host: h, login: ana@vendas.example, sign_in: {sign_in}}}}}\n"
    )
    settings = parse_settings(directory / "quietcrm.yaml", text, [])
    assert settings is not None
    return settings


def look(
    directory: Path, token: str, *, who: str = "ana@vendas.example", granted: tuple[str, ...] = ()
) -> dict[str, str]:
    settings = settle("microsoft", directory)
    party = party_of("ana", settings.accounts["ana"])
    assert isinstance(party, Party)
    shelf = party.shelf(directory / "state")
    signed = Signed(
        user="ana@vendas.example", provider="microsoft", client_id="quietcrm", at=NOW.timestamp(), who=who,
        granted=granted, refresh_token="r", access={"": Access(token, 0, 0)},
    )  # fmt: skip
    with shelf.locked():
        shelf.save(signed)
    return dict(sign_in_findings(settings, directory, party, Held(token), NOW))


GOOD = a_token(aud=OUTLOOK, scp="IMAP.AccessAsUser.All openid")


def test_a_sound_sign_in_is_one_sentence(tmp_path: Path) -> None:
    found = look(tmp_path, GOOD, granted=(f"{OUTLOOK}/IMAP.AccessAsUser.All",))
    assert found == {"signed in at microsoft as ana@vendas.example since 2026-11-16": ""}


def test_an_opaque_token_says_nothing(tmp_path: Path) -> None:
    assert list(look(tmp_path, "EwBwA8l6BAAU")) == ["signed in at microsoft as ana@vendas.example since 2026-11-16"]
    assert len(look(tmp_path, "a." + "!" * 10 + ".b")) == 1


def test_somebody_else(tmp_path: Path) -> None:
    found = look(tmp_path, GOOD, who="chef@vendas.example")
    assert found[
        "chef@vendas.example signed in, and the mailbox is ana@vendas.example: fine if that is the same person"
    ]


def test_what_was_not_granted(tmp_path: Path) -> None:
    found = look(tmp_path, GOOD, granted=("openid", "User.Read"))
    assert found[f"not allowed yet: {OUTLOOK}/IMAP.AccessAsUser.All"] == "sign in again: quietcrm auth login ana"


def test_a_token_for_another_service(tmp_path: Path) -> None:
    found = look(tmp_path, a_token(aud="https://graph.microsoft.com", scp="Mail.Read"))
    assert f"the token is for https://graph.microsoft.com, and {OUTLOOK} is asked" in found
    assert found["the token does not allow IMAP.AccessAsUser.All"] == "sign in again: quietcrm auth login ana"


@pytest.mark.parametrize(("days", "soon"), [(400, False), (10, True)])
def test_an_application_of_its_own(days: int, soon: bool, tmp_path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "quietcrm")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=days))
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (tmp_path / "q.pem").write_bytes(pem)
    own = "{provider: microsoft, certificate: q.pem, key: {env: KEY}}"
    settings = settle(own, tmp_path)
    party = party_of("ana", settings.accounts["ana"])
    assert isinstance(party, Party)
    token = a_token(aud=OUTLOOK, roles=["IMAP.AccessAsApp"] if not soon else [])
    found = dict(sign_in_findings(settings, tmp_path, party, Held(token), NOW))
    ends = f"{NOW + timedelta(days=days):%Y-%m-%d}"
    if soon:
        assert found[f"the certificate q.pem ends on {ends}"].startswith("make a new one")
        assert "no permission at all" in " ".join(found)
    else:
        assert found == {
            "quietcrm signs in at microsoft by itself": "",
            f"the certificate q.pem is good until {ends}": "",
        }


def test_doctor_asks_the_provider(identity: IdentityServer, tmp_path: Path) -> None:
    """The whole way: a provider, a kept sign-in, and the sentence in doctor's list."""
    from daemon.clock import SystemClock
    from daemon.doctor import examine
    from daemon.office import load_office

    (tmp_path / "rules").mkdir()
    (tmp_path / "quietcrm.yaml").write_text(
        "company: {name: Vendas, zone: Europe/Lisbon, language: en}\ninternal: ['@vendas.example']\n"
        f"team: {{ana: {{mail: ana@vendas.example}}}}\nproviders: {{tests: {json.dumps(identity.settings())}}}\n"
        "accounts: {ana: {type: imap, host: 127.0.0.1, port: 1, login: ana@vendas.example, sign_in: tests}}\n"
    )
    office = load_office(tmp_path)
    before = [one.message for one in examine(office, SystemClock()) if one.about == "account ana"]
    assert before == ["nobody has signed in yet for ana@vendas.example"]
    party = party_of("ana", office.settings.accounts["ana"])
    assert isinstance(party, Party)
    shelf = party.shelf(office.state)
    refresh = identity.sign_in(scope="imap smtp openid offline_access").refresh
    with shelf.locked():
        shelf.save(Signed(user="ana@vendas.example", provider="tests", client_id="quietcrm", refresh_token=refresh))
    after = [one.message for one in examine(office, SystemClock()) if one.about == "account ana"]
    assert after[0] == "signed in at tests as ana@vendas.example"
    assert "failed" in after[1]  # no IMAP server stands there
