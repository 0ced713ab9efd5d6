"""The settings: the documented minimal office loads, defaults are what the reference says, helpers answer."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as campaign
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from config.accounts import is_loopback
from config.errors import ConfigError, Problem
from config.load import config_hash, load_settings, parse_settings, read_lists
from config.references import MAIL_PROVIDERS
from config.settings import Length, Settings
from config.values import address_matches, parse_clock, parse_date, parse_length, parse_pattern

MINIMAL = """company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
store: sqlite:///state/crm.db              # relative to DIR; or postgresql://...
internal: ["@vendas.example"]
team: {rep1: {mail: rep1@vendas.example, language: pt}}
accounts:
  rep1: {type: imap, rep: rep1, host: 127.0.0.1, port: 14143, security: none, login: rep1,
         password: {env: REP1_PASSWORD}, since: 2020-01-01}
  archive: {type: maildir, rep: rep1, path: /some/Maildir}
senders:
  rep1: {type: smtp, host: 127.0.0.1, port: 14125, security: none}
"""


OFFICE = "company: {name: Vendas, zone: America/Sao_Paulo, language: pt}\n"


def settle(text: str, *, directory: Path = Path("/office")) -> Settings:
    problems: list[Problem] = []
    settings = parse_settings(directory / "quietcrm.yaml", text, problems)
    assert [one for one in problems if not one.warning] == []
    assert settings is not None
    return settings


def office(more: str = "", team: str = "{ana: {mail: ana@vendas.example}}") -> Settings:
    return settle(f"company: {{name: Vendas, zone: America/Sao_Paulo, language: pt}}\nteam: {team}\n{more}\n")


def codes(text: str) -> list[str]:
    problems: list[Problem] = []
    parse_settings(Path("/office/quietcrm.yaml"), text, problems)
    return [one.code for one in problems]


def test_the_minimal_office() -> None:
    settings = settle(MINIMAL)
    account = settings.accounts["rep1"]
    assert account.type == "imap"
    assert (account.port, account.since, account.idle, account.every) == (
        14143,
        date(2020, 1, 1),
        True,
        Length(60, "second"),
    )
    assert settings.accounts["archive"].type == "maildir"
    assert settings.zone == ZoneInfo("America/Sao_Paulo")
    assert settings.admin == "rep1"
    assert settings.sender_for("rep1") == "rep1"
    assert settings.store_url(Path("/office")) == "sqlite:////office/state/crm.db"


def test_defaults() -> None:
    settings = office()
    assert settings.store == "sqlite:///state/crm.db"
    assert settings.match == ("gesture", "token", "plus_address", "thread", "address", "alias", "domain")
    assert (settings.unknown, settings.send.default, settings.reminders.via) == ("ask", "draft", "inbox")
    assert settings.drafts.expire == Length(5, "business day")
    assert settings.hours.week == dict.fromkeys(range(5), ((time(9), time(18)),))
    assert (settings.limits.actions_per_hour, settings.limits.sends_per_day) == (200, 80)
    assert (settings.retention.quarantine, settings.retention.traces) == (Length(30, "day"), Length(90, "day"))
    assert settings.stages.order == ("lead", "proposal", "customer", "lost")


@pytest.mark.parametrize(("security", "imap", "smtp"), [("tls", 993, 465), ("starttls", 143, 587), ("none", 143, 25)])
def test_ports_follow_the_security(security: str, imap: int, smtp: int) -> None:
    settings = office(
        f"accounts: {{ana: {{type: imap, host: localhost, security: {security}, login: a, password: {{env: A}}}}}}\n"
        f"senders: {{ana: {{type: smtp, host: localhost, security: {security}}}}}"
    )
    account, sender = settings.accounts["ana"], settings.senders["ana"]
    assert account.type == "imap"
    assert sender.type == "smtp"
    assert (account.port, sender.port) == (imap, smtp)


def test_polling_defaults_reach_accounts_that_say_nothing() -> None:
    settings = office(
        "poll: {every: 5 minutes, since: 2024-01-01, idle: no}\n"
        "accounts:\n"
        "  ana: {type: imap, host: localhost, login: a, password: {env: A}}\n"
        "  old: {type: maildir, path: old, since: 10 years}"
    )
    ana, old = settings.accounts["ana"], settings.accounts["old"]
    assert ana.type == "imap"
    assert (ana.every, ana.since, ana.idle) == (Length(5, "minute"), date(2024, 1, 1), False)
    assert old.since_date(date(2026, 11, 22)) == date(2016, 11, 24)


def test_the_admin_is_marked_or_first() -> None:
    team = "{ana: {mail: ana@vendas.example}, bruno: {mail: bruno@vendas.example, admin: yes}}"
    assert office(team=team).admin == "bruno"
    assert office("admin: ana", team=team).admin == "ana"
    assert office(team=team.replace("yes", "no")).admin == "ana"


def test_whose_address_is_it() -> None:
    settings = office(
        'internal: ["@vendas.example", "@*.vendas.example", conta@outra.example]\n'
        'never_log: ["*@bank.example", rh-*@x.example]',
        team="{ana: {mail: Ana@vendas.example, aliases: [ana@loja.example], zone: Europe/Lisbon, language: en}}",
    )
    assert settings.rep_of("ANA@Vendas.example") == "ana"
    assert settings.rep_of("ana@loja.example") == "ana"
    assert settings.rep_of("x@vendas.example") is None
    assert settings.is_team("ana@loja.example")
    internal = ["x@vendas.example", "y@sul.VENDAS.example", "conta@outra.example", "ana@loja.example"]
    assert all(settings.is_internal(one) for one in internal)
    outside = ["x@outravendas.example", "x@outra.example", "b@loja.example", "vendas.example"]
    assert not any(settings.is_internal(one) for one in outside)
    assert settings.is_never_log("a@BANK.example")
    assert settings.is_never_log("rh-1@x.example")
    assert not settings.is_never_log("a@x.example")
    assert settings.own_addresses() == {"ana@vendas.example", "ana@loja.example"}
    assert (settings.zone_for("ana"), settings.language_for("ana")) == (ZoneInfo("Europe/Lisbon"), "en")


def test_hours_by_weekday() -> None:
    hours = office(
        "hours: {fri-mon: 10:00-12:00, mon: [08:00-09:00, 13:00-24:00], sun: closed, zone: Europe/Moscow}"
    ).hours
    ten = (time(10), time(12))
    assert hours.week == {0: ((time(8), time(9)), ten, (time(13), time.max)), 4: (ten,), 5: (ten,), 6: (ten,)}


def test_settings_cannot_be_changed_or_extended() -> None:
    settings = office()
    with pytest.raises(ValidationError):
        settings.unknown = "lead"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Settings.model_validate({"team": {}})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST."])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "localhost.example", "127.0.0.1.example", "0.0.0.0", "", "2130706433"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_plain_text_login_needs_this_machine() -> None:
    line = "accounts: {{ana: {{type: imap, host: {host}, security: none, login: a, password: {{env: A}}}}}}\n"
    start = OFFICE + "internal: '@vendas.example'\nteam: {ana: {mail: ana@vendas.example}}\n"
    assert codes(start + line.format(host="mail.vendas.example")) == ["E301"]
    assert codes(start + line.format(host="127.0.0.1")) == []
    relay = "senders: {ana: {type: smtp, host: relay.vendas.example, security: none}}\n"
    assert codes(start + relay) == []
    assert codes(start + relay.replace("none", "none, login: a, password: {env: A}")) == ["E301"]


def test_colleagues_outside_the_team_are_thought_of() -> None:
    start = OFFICE
    team = "team: {ana: {mail: ana@vendas.example}, bruno: {mail: bruno@vendas.example}}\n"
    assert codes(start + team) == ["W102"]
    assert codes(start + team + 'internal: ["@Vendas.example"]\n') == []
    assert codes(start + team.replace("vendas.example", min(MAIL_PROVIDERS))) == []
    assert codes(start + team + f'internal: ["@vendas.example", "@{min(MAIL_PROVIDERS)}"]\n') == ["W101"]


def test_one_address_has_one_person() -> None:
    team = "{ana: {mail: ana@vendas.example}, bruno: {mail: b@vendas.example, aliases: [Ana@vendas.example]}}"
    assert codes(f"{OFFICE}internal: '@vendas.example'\nteam: {team}\n") == ["E211"]


def test_stages_differ() -> None:
    stages = "stages: {open: [lead, lost], won: won, lost: lost}\n"
    assert codes(f"{OFFICE}internal: '@vendas.example'\nteam: {{ana: {{mail: ana@vendas.example}}}}\n{stages}") == [
        "E210"
    ]


def test_warnings_do_not_refuse() -> None:
    text = MINIMAL.replace("sqlite:///state/crm.db", "postgresql://crm:geheim@db.example/crm")
    assert codes(text) == ["W303"]
    assert settle(text).store_url(Path("/office")) == "postgresql://crm:geheim@db.example/crm"


def test_store_password_is_filled_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "a/b@c")
    settings = office(
        "store: postgresql://crm@db.example:5433/crm?sslmode=require\nstore_password: {env: STORE_PASSWORD}"
    )
    assert settings.store_url(tmp_path) == "postgresql://crm:a%2Fb%40c@db.example:5433/crm?sslmode=require"


def test_load_raises_with_every_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)
    assert [one.code for one in caught.value.problems] == ["E022"]
    (tmp_path / "quietcrm.yaml").write_text(MINIMAL.replace("rep: rep1", "rep: rep2").replace("tore:", "tor:"))
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)
    assert sorted(one.code for one in caught.value.problems) == ["E101", "E206", "E206"]


def test_config_hash_sees_every_change(tmp_path: Path) -> None:
    (tmp_path / "quietcrm.yaml").write_text(MINIMAL)
    seen = {config_hash(tmp_path)}
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "10.yaml").write_text("rules: []")
    seen.add(config_hash(tmp_path))
    (tmp_path / "rules" / "10.yaml").rename(tmp_path / "rules" / "20.yaml")
    seen.add(config_hash(tmp_path))
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "crm.db").write_bytes(b"not configuration")
    (tmp_path / "rules" / ".20.yaml.swp").write_bytes(b"an editor's own")
    assert config_hash(tmp_path) in seen
    assert len(seen) == 3
    assert {len(one) for one in seen} == {12}


def test_lists_keep_accents_and_drop_comments(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "preço.txt").write_bytes(
        "\ufeff# palavras\r\norçamento*  # prefixo\r\n\r\ncotação\r\ncotação\r\n".encode()
    )
    (folder / "words.txt~").write_text("backup")
    (folder / "shops.list").write_text("x")
    problems: list[Problem] = []
    assert read_lists(tmp_path, problems) == {"preço": ("orçamento*", "cotação")}
    assert [(one.code, one.path.name) for one in problems] == [("E215", "shops.list")]
    assert read_lists(tmp_path / "none", problems) == {}


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("10 minutes", Length(10, "minute")),
        ("2h", Length(2, "hour")),
        ("1 Day", Length(1, "day")),
        ("5  business   days", Length(5, "business day")),
        ("2 years", Length(2, "year")),
        ("90s", Length(90, "second")),
    ],
)
def test_lengths(text: str, length: Length) -> None:
    assert parse_length(text) == length
    assert parse_length(str(length)) == length


@campaign(deadline=None)
@given(st.text(max_size=12) | st.from_regex(r"[0-9]{1,7} ?[a-z ]{0,12}", fullmatch=True))
def test_lengths_and_times_are_refused_with_a_remedy_that_works(text: str) -> None:
    parsers: list[Any] = [parse_length, parse_date, parse_clock, parse_pattern]
    for parse in parsers:
        try:
            parse(text)
        except PydanticCustomError as error:
            help = (error.context or {})["help"]
            assert help.startswith("write: ")
            parse(help.removeprefix("write: ").strip('"'))


@campaign(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_patterns_never_raise(pattern: str, email: str) -> None:
    assert address_matches(pattern, email) in (True, False)


MAILBOXES = """accounts:
  ana: {type: graph, login: ana@vendas.example, sign_in: {provider: microsoft, client_id: x}}
  old: {type: maildir, path: mail}
"""


@pytest.mark.parametrize(
    ("entry", "place", "said", "help"),
    [
        ("anna: {type: graph}", "anna", 'no account is called "anna"', "write: account: ana"),
        ("cal: {type: graph, account: anna}", "anna", 'no account is called "anna"', 'did you mean "ana"?'),
        ("old: {type: graph}", "old", '"old" is maildir', "write: account: ana"),
        ("ana: {type: exchange}", "ana", '"ana" is graph', "add the mailbox below accounts: with type: exchange"),
    ],
)
def test_calendars_need_a_mailbox_of_their_kind(entry: str, place: str, said: str, help: str) -> None:
    text = f"{OFFICE}team: {{ana: {{mail: ana@vendas.example}}}}\n{MAILBOXES}calendars:\n  {entry}\n"
    problems: list[Problem] = []
    parse_settings(Path("/office/quietcrm.yaml"), text, problems)
    (found,) = (one for one in problems if one.code == "E216")
    line = text.split("\n")[found.line - 1]
    assert line[found.column - 1 :].startswith(place)
    assert said in found.message
    assert found.help == help
