"""The last good configuration in the state folder: whole, private, swapped in one step, kept by backup and restore."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from config import good
from config.errors import ConfigError
from config.load import config_files, config_hash
from daemon.app import opened
from daemon.loading import boot, load_settled
from store.backup import backup, restore

SETTINGS = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
internal: ["@vendas.example"]
never_log: ["segredo@banco.example"]
team: {ana: {mail: ana@vendas.example}}
accounts:
  ana: {type: maildir, rep: ana, path: ana}
"""
RULES = "rules:\n  - name: private\n    when: mail arrives\n    if: {from: $banks}\n    then: {ignore: private}\n"


@pytest.fixture
def office(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    for name, text in {
        "quietcrm.yaml": SETTINGS,
        "rules/10.yaml": RULES,
        "lists/banks.txt": "@bank.example\n",
        "templates/deep/note.txt": "kept too",
        "tests/mail/one.eml": "From: a@b.example\n\nx\n",
        "rules/.10.yaml.swp": "an editor's",
        "lists/#banks.txt#": "an editor's",
        "lists/banks.txt~": "an editor's",
        "password": "secret",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def keep(office: Path) -> Path:
    good.keep(good.stage(office, office / "state"))
    found = good.find(office / "state")
    assert found is not None
    return found


def test_every_file_is_kept_for_us_alone_and_no_password(office: Path) -> None:
    kept = keep(office)
    names = sorted(path.relative_to(kept).as_posix() for path in config_files(kept))
    assert names == [
        "lists/banks.txt",
        "quietcrm.yaml",
        "rules/10.yaml",
        "templates/deep/note.txt",
        "tests/mail/one.eml",
    ]
    assert config_hash(kept) == config_hash(office)
    assert not [path for path in kept.rglob("*") if path.is_file() and "secret" in path.read_text()]
    assert kept.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in config_files(kept)} == {0o600}


def test_only_this_one_and_the_one_before_lie_there(office: Path) -> None:
    kept = []
    for number in range(4):
        (office / "lists" / "banks.txt").write_text(f"@bank{number}.example\n")
        kept.append(keep(office))
    state = office / "state"
    assert sorted(path.name for path in state.iterdir()) == sorted(["config.good", kept[-2].name, kept[-1].name])
    inode = kept[-1].stat().st_ino
    assert keep(office).stat().st_ino == inode, "nothing is written where it lies there already"


def test_whatever_dies_before_the_link_is_set_leaves_the_old_set(office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = keep(office)
    (office / "lists" / "banks.txt").write_text("")

    def die(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("_copy", "_sync"):
        with monkeypatch.context() as patch:
            patch.setattr(good, name, die)
            with pytest.raises(OSError, match="No space"):
                good.keep(good.stage(office, office / "state"))
        assert good.find(office / "state") == first
    (office / "state" / ".config.good.leftover").mkdir()
    assert keep(office) != first
    assert not list((office / "state").glob(".config.good*"))


@pytest.mark.parametrize("harm", ["changed", "gone", "more", "link"])
def test_a_damaged_set_is_not_used(office: Path, harm: str) -> None:
    kept = keep(office)
    if harm == "changed":
        (kept / "lists" / "banks.txt").write_text("")
    elif harm == "gone":
        (kept / "lists" / "banks.txt").unlink()
    elif harm == "more":
        (kept / "rules" / "20.yaml").write_text("rules: []\n")
    else:
        shutil.rmtree(kept)
    assert good.find(office / "state") is None
    (office / "quietcrm.yaml").write_text("compny: {}\n")
    with pytest.raises(ConfigError):
        boot(office)
    (office / "quietcrm.yaml").write_text(SETTINGS)
    assert keep(office) == kept, "and the next good one mends it"


def test_a_start_takes_the_files_or_the_last_good_set_whole(office: Path) -> None:
    sound = boot(office)
    assert (sound.trouble, sound.office.files) == ("", office)
    kept = keep(office)
    (office / "rules" / "10.yaml").write_text(RULES.replace("from", "frmo"))
    (office / "lists" / "banks.txt").write_text("")
    (office / "quietcrm.yaml").write_text(SETTINGS.replace("never_log", "nevr_log"))
    start = boot(office)
    assert start.office.files == kept
    assert start.office.directory == office
    assert start.office.hash == sound.office.hash
    assert start.office.settings == sound.office.settings, "mailboxes lie where they lay"
    assert start.office.rules.lists == {"banks": ("@bank.example",)}
    assert [rule.place for rule in start.office.rules.rules] == ["rules/10.yaml:2"]
    assert "--> quietcrm.yaml:3:1" in start.trouble
    assert "nevr_log" in start.trouble


def test_without_a_last_good_set_a_start_is_refused(office: Path) -> None:
    (office / "rules" / "10.yaml").write_text(RULES.replace("from", "frmo"))
    with pytest.raises(ConfigError) as caught:
        boot(office)
    assert [(one.code, one.line) for one in caught.value.problems] == [("E101", 4)]


def test_files_that_never_rest_are_not_taken(office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import daemon.loading as loading

    real, turns = loading.load_office, iter(range(100))

    def load_while_someone_writes(directory: Path) -> object:
        office = real(directory)
        (directory / "lists" / "banks.txt").write_text(f"@bank{next(turns)}.example\n")
        return office

    with monkeypatch.context() as patch:
        patch.setattr(loading, "load_office", load_while_someone_writes)
        with pytest.raises(Exception, match="changed while they were read"):
            load_settled(office)
    assert load_settled(office).rules.lists["banks"] == ("@bank4.example",)


def test_backup_and_restore_keep_one_set_whole(office: Path, tmp_path: Path) -> None:
    with opened(office) as app:
        url = app.office.settings.store_url(office)
    kept = keep(office)
    saved = {path.relative_to(kept): path.read_text() for path in config_files(kept)}
    archive = backup(url, office, tmp_path / "saved.tar.gz")
    (office / "rules" / "20.yaml").write_text("rules: []\n")
    (office / "lists" / "banks.txt").unlink()
    assert keep(office) != kept
    restore(archive, url, office, force=True)
    found = good.find(office / "state")
    assert found is not None
    assert {path.relative_to(found): path.read_text() for path in config_files(found)} == saved
    assert (office / "state" / "config.good").is_symlink()
