"""What `init` writes loads without a fault, in every language, and never replaces what is there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from config.errors import Problem
from config.load import load_settings, read_lists
from config.reading import read_yaml
from config.references import MAIL_PROVIDERS
from config.starter import LANGUAGES, StarterAnswers, starter_files, write_starter

ANSWERS = StarterAnswers(
    company="Vendas & Filhos: Bolos",
    zone="America/Sao_Paulo",
    language="pt",
    rep="ana",
    mail="ana@vendas.example",
    host="imap.vendas.example",
)


@pytest.mark.parametrize("language", [*LANGUAGES, "de"])
def test_starter_loads(tmp_path: Path, language: str) -> None:
    written = write_starter(tmp_path, dataclasses.replace(ANSWERS, language=language))
    settings = load_settings(tmp_path)
    assert settings.company.name == ANSWERS.company
    assert settings.company.language == language
    assert settings.admin == "ana"
    assert settings.internal == ("@vendas.example",)
    assert {path.parent.name for path in written} == {tmp_path.name, "rules", "templates", "lists", "tests"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_rules_and_lists_are_sound_yaml_and_name_templates_that_exist(tmp_path: Path, language: str) -> None:
    write_starter(tmp_path, dataclasses.replace(ANSWERS, language=language))
    problems: list[Problem] = []
    rules = tmp_path / "rules" / "10-first.yaml"
    read_yaml(rules, None, problems)
    assert list(read_lists(tmp_path, problems)) == ["never_log"]
    assert problems == []
    templates = {path.stem for path in (tmp_path / "templates").iterdir()}
    assert len(templates) == 2
    assert all(f"template: {name}," in rules.read_text("utf-8") for name in templates)


def test_every_language_writes_the_same_kinds_of_files() -> None:
    counts = {len(starter_files(dataclasses.replace(ANSWERS, language=language))) for language in LANGUAGES}
    assert counts == {6}


def test_a_second_run_writes_nothing(tmp_path: Path) -> None:
    assert write_starter(tmp_path, ANSWERS)
    settings = tmp_path / "quietcrm.yaml"
    settings.write_text(settings.read_text("utf-8") + "# mine\n", "utf-8")
    (tmp_path / "rules" / "10-first.yaml").unlink()
    assert write_starter(tmp_path, dataclasses.replace(ANSWERS, company="Other")) == []
    assert settings.read_text("utf-8").endswith("# mine\n")


def test_a_run_that_broke_off_is_completed(tmp_path: Path) -> None:
    write_starter(tmp_path, ANSWERS)
    (tmp_path / "quietcrm.yaml").unlink()
    assert write_starter(tmp_path, ANSWERS) == [tmp_path / "quietcrm.yaml"]


def test_sender_and_unusual_ports(tmp_path: Path) -> None:
    local = dataclasses.replace(
        ANSWERS,
        host="127.0.0.1",
        port=14143,
        security="none",
        smtp_host="127.0.0.1",
        smtp_port=14125,
        smtp_security="none",
        password="{file: secrets/ana}",
        login="ana",
    )
    write_starter(tmp_path, local)
    settings = load_settings(tmp_path)
    account, sender = settings.accounts["ana"], settings.senders["ana"]
    assert account.type == "imap"
    assert (account.port, account.security, account.login) == (14143, "none", "ana")
    assert sender.type == "smtp"
    assert (sender.port, str(sender.password)) == (14125, "{file: secrets/ana}")


@pytest.mark.parametrize("kind", ["maildir", "mbox", "eml"])
def test_files_instead_of_a_server(tmp_path: Path, kind: str) -> None:
    write_starter(tmp_path, dataclasses.replace(ANSWERS, account_type=kind, path="Correio de Ana"))
    account = load_settings(tmp_path).accounts["ana"]
    assert account.type == kind
    assert account.path == tmp_path / "Correio de Ana"


def test_a_provider_everybody_uses_is_not_internal(tmp_path: Path) -> None:
    provider = min(MAIL_PROVIDERS)
    write_starter(tmp_path, dataclasses.replace(ANSWERS, mail=f"office@{provider}"))
    settings = load_settings(tmp_path)
    assert not settings.is_internal(f"customer@{provider}")
    assert settings.is_internal(f"office@{provider}")
