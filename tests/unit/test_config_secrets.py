"""Secrets come from where the reference says, never show themselves, and loose files are told."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest

from config.errors import Problem
from config.load import parse_settings
from config.secrets import Secret, SecretRef, SecretUnavailable, parse_ref, resolve

CANARY = "kanarienvogel-7"
OFFICE = """company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
internal: ["@vendas.example"]
team: {ana: {mail: ana@vendas.example}}
accounts:
  ana: {type: imap, host: 127.0.0.1, login: ana, password: {file: secrets/ana}}
"""


class Drawer(keyring.backend.KeyringBackend):
    """A keyring backend in memory."""

    priority = 1.0  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept = {("quietcrm-ana", "quietcrm"): CANARY}

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def get_password(self, service: str, username: str) -> str | None:
        if service == "locked":
            raise keyring.errors.KeyringLocked("locked")
        return self.kept.get((service, username))


@pytest.fixture
def drawer() -> object:
    before = keyring.get_keyring()
    keyring.set_keyring(Drawer())
    yield
    keyring.set_keyring(before)


@pytest.mark.parametrize("kind", ["env", "file", "credential", "keyring"])
def test_parse_and_print(kind: str) -> None:
    ref = parse_ref({kind: "name"})
    assert ref is not None
    assert (ref.kind, ref.name, str(ref)) == (kind, "name", f"{{{kind}: name}}")


@pytest.mark.parametrize(
    "wrong", ["hunter2", {}, {"env": ""}, {"env": "A", "file": "b"}, {"vault": "x"}, {"env": ["A"]}, None]
)
def test_anything_else_is_no_reference(wrong: object) -> None:
    assert parse_ref(wrong) is None


def test_env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANA_PASSWORD", CANARY)
    assert resolve(SecretRef("env", "ANA_PASSWORD"), base=tmp_path).reveal() == CANARY
    monkeypatch.delenv("ANA_PASSWORD")
    with pytest.raises(SecretUnavailable, match="ANA_PASSWORD is not set") as caught:
        resolve(SecretRef("env", "ANA_PASSWORD"), base=tmp_path)
    assert caught.value.hint


def test_file_below_base_with_one_line_end_taken_off(tmp_path: Path) -> None:
    (tmp_path / "ana").write_text(f" {CANARY} \r\n")
    assert resolve(SecretRef("file", "ana"), base=tmp_path).reveal() == f" {CANARY} "
    assert resolve(SecretRef("file", str(tmp_path / "ana")), base=Path("/elsewhere")).reveal() == f" {CANARY} "


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"x" * 100_000])
def test_unusable_files_say_what_to_do(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "ana").write_bytes(content)
    with pytest.raises(SecretUnavailable) as caught:
        resolve(SecretRef("file", "ana"), base=tmp_path)
    assert caught.value.hint


def test_credential_of_the_service_manager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ana").write_text(CANARY + "\n")
    with pytest.raises(SecretUnavailable, match="CREDENTIALS_DIRECTORY"):
        resolve(SecretRef("credential", "ana"), base=tmp_path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert resolve(SecretRef("credential", "ana"), base=Path("/elsewhere")).reveal() == CANARY
    with pytest.raises(SecretUnavailable, match="not a credential name"):
        resolve(SecretRef("credential", "../ana"), base=tmp_path)


@pytest.mark.usefixtures("drawer")
def test_keyring(tmp_path: Path) -> None:
    assert resolve(SecretRef("keyring", "quietcrm-ana"), base=tmp_path).reveal() == CANARY
    for service in ("unknown", "locked"):
        with pytest.raises(SecretUnavailable):
            resolve(SecretRef("keyring", service), base=tmp_path)


def test_a_secret_hides_itself(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(CANARY)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").debug("%s %r %s", secret, secret, {"password": secret})
    shown = [caplog.text, str(secret), repr([secret]), f"{secret}", f"{secret:>20}", f"{secret!r}"]
    try:
        raise RuntimeError(secret)
    except RuntimeError:
        shown.append(traceback.format_exc())
    assert not any(CANARY in text for text in shown)
    assert not hasattr(secret, "__dict__")
    for copier in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            copier(secret)


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize(("mode", "codes"), [(0o600, []), (0o400, []), (0o640, ["W301"]), (0o604, ["W301"])])
def test_loose_files_are_a_warning_with_its_place(tmp_path: Path, mode: int, codes: list[str]) -> None:
    (tmp_path / "secrets").mkdir()
    file = tmp_path / "secrets" / "ana"
    file.write_text(CANARY)
    file.chmod(mode)
    problems: list[Problem] = []
    assert parse_settings(tmp_path / "quietcrm.yaml", OFFICE, problems) is not None
    assert [(one.code, one.line, one.column, one.warning) for one in problems] == [(c, 5, 67, True) for c in codes]


def test_a_missing_file_is_a_warning(tmp_path: Path) -> None:
    problems: list[Problem] = []
    assert parse_settings(tmp_path / "quietcrm.yaml", OFFICE, problems) is not None
    assert [(one.code, one.warning) for one in problems] == [("W302", True)]
