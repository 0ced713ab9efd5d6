"""The service and a command in a shell find the same state folder, and everything of ours lies in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import DEFAULT_STORE
from config.state import locate, state_directory
from daemon.app import bring_up_to_date, hash_key
from daemon.office import load_office
from store.backup import backup, restore
from store.engine import open_store, parse_url
from store.lock import WriterLock

SETTINGS = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
team: {ana: {mail: ana@vendas.example}}
"""


@pytest.fixture
def office(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "quietcrm.yaml").write_text(SETTINGS)
    return folder


def test_without_systemd_the_state_lies_beside_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert state_directory(tmp_path) == tmp_path / "state"
    assert locate(tmp_path, "state/crm.db") == tmp_path / "state" / "crm.db"
    assert locate(tmp_path, "other/crm.db") == tmp_path / "other" / "crm.db"
    assert locate(tmp_path, "/srv/crm.db") == Path("/srv/crm.db")


def test_a_shell_finds_the_state_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert state_directory(Path("/etc/quietcrm")) == Path("/var/lib/quietcrm")
    assert parse_url(DEFAULT_STORE, Path("/etc/quietcrm")).database == "/var/lib/quietcrm/crm.db"


def test_with_a_state_directory_nothing_is_written_beside_the_settings(
    office: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "var"
    monkeypatch.setenv("STATE_DIRECTORY", f"{state}:/var/lib/second")
    before = sorted(office.rglob("*"))
    loaded = load_office(office)
    url = loaded.settings.store_url(office)
    assert url == f"sqlite:///{state}/crm.db"
    store = open_store(url, base=office)
    with WriterLock(store):
        bring_up_to_date(url, loaded)
        hash_key(office)
    store.close()
    archive = backup(url, office, tmp_path / "saved.tar.gz")
    key = (state / "hash.key").read_bytes()
    for name in ("crm.db", "hash.key"):
        (state / name).unlink()
    restore(archive, url, office)
    assert (state / "hash.key").read_bytes() == key, "backup and restore know the folder too"
    assert sorted(path.name for path in state.iterdir()) == ["crm.db", "hash.key", "quietcrm.lock"]
    assert sorted(office.rglob("*")) == before
