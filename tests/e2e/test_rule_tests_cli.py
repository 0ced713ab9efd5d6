"""rules test and record on the sample office, through the program; and what a failing test holds up."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from config import good
from config.errors import ConfigError
from config.state import state_directory
from daemon.cli.main import main
from daemon.demo.sample import write_office
from daemon.loading import boot, load_settled

COMPLAINT = "20-reclamacao-padaria.eml"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def office(tmp_path: Path) -> Path:
    write_office(tmp_path / "office")
    for rep in ("ana", "boris"):
        for part in ("cur", "new", "tmp"):
            (tmp_path / "office/mail" / rep / part).mkdir(parents=True)
    return tmp_path / "office"


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], office: Path) -> Call:
    """Run a command on the office in this process; exit code, stdout, stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["quietcrm", "--config", str(office), *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capfd.readouterr()
        return code, said.out, said.err

    return run


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")


def sample_mail(name: str) -> Path:
    return Path(str(files("config") / "examples" / "demo" / "mail" / "ana" / "Inbox" / name))


def test_every_test_of_the_sample_office_passes_and_names_each_rule(call: Call, office: Path) -> None:
    code, out, _ = call("rules", "test")
    assert code == 0
    assert "19 tests, all pass" in out
    assert "✗" not in out
    code, listed, _ = call("rules", "test", "--json")
    told = json.loads(listed)
    assert (code, told["failed"], len(told["tests"])) == (0, 0, 19)
    fired = {rule["rule"] for one in told["tests"] for rule in one["decision"]["rules"] if rule["result"] == "fired"}
    rules = [line.split("name: ")[1] for file in (office / "rules").iterdir() for line in _names(file)]
    assert fired == set(rules)


def _names(file: Path) -> list[str]:
    return [line for line in file.read_text("utf-8").splitlines() if line.startswith("  - name: ")]


def test_a_failing_test_says_what_was_expected_what_came_and_why(call: Call, office: Path) -> None:
    change(office / "rules/20-sales.yaml", "      tag: complaint\n", "      tag: moan\n")
    code, out, err = call("rules", "test")
    assert code == 1
    assert "✗ a complaint opens a case, and word leaves by itself" in out
    assert "expected  tag: complaint\n      came      tag:moan [complaint]" in out
    assert "complaint  [rules/20-sales.yaml:32]  fired" in out
    assert "→ done: tag: moan" in out
    assert "19 tests, 1 failed" in out
    assert "quietcrm check" in err
    code, out, _ = call("check")
    assert code == 1
    assert 'error[E420]: the test "a complaint opens a case, and word leaves by itself" fails' in out
    assert "--> tests/20-sales.yaml:50:" in out
    code, out, _ = call("check", office / "rules/20-sales.yaml")
    assert code == 0  # the file itself has no fault
    _, out, _ = call("check", "--json")
    assert [one["code"] for one in json.loads(out)["items"]] == ["E420"]


def test_tests_are_chosen_by_name_part_of_a_name_or_file(call: Call, office: Path) -> None:
    assert "1 test, all pass" in call("rules", "test", "a customer wants to renew")[1]
    assert "3 tests, all pass" in call("rules", "test", "10-keep-out.yaml")[1]
    assert "3 tests, all pass" in call("rules", "test", office / "tests/10-keep-out.yaml")[1]
    assert "4 tests, all pass" in call("rules", "test", "COMPLAINT")[1]
    code, _, err = call("rules", "test", "a customer wants to rennew")
    assert code == 4
    assert 'did you mean "a customer wants to renew"?' in err


def test_the_folder_of_another_office_may_be_named(call: Call) -> None:
    code, out, _ = call("rules", "test", files("config") / "examples" / "care-pt")
    assert code == 0
    assert "18 tests, all pass" in out


def test_faults_of_the_files_run_nothing(call: Call, office: Path) -> None:
    change(office / "tests/10-keep-out.yaml", "ignore: newsletter", "ignroe: newsletter")
    code, out, err = call("rules", "test")
    assert (code, out) == (3, "")
    assert "error[E101]" in err
    assert 'did you mean "ignore"?' in err


def test_faults_of_tests_are_told_beside_faults_of_rules(call: Call, office: Path) -> None:
    change(office / "tests/10-keep-out.yaml", "ignore: newsletter", "ignroe: newsletter")
    change(office / "rules/20-sales.yaml", "      tag: check-address", "      tga: check-address")
    _, out, _ = call("check", "--json")
    assert [(one["code"], Path(one["file"]).name) for one in json.loads(out)["items"]] == [
        ("E101", "20-sales.yaml"),
        ("E101", "10-keep-out.yaml"),
    ]


def test_without_tests_the_next_step_is_named(call: Call, office: Path) -> None:
    for file in (office / "tests").iterdir():
        file.unlink()
    code, out, _ = call("rules", "test")
    assert code == 0
    assert "rules record FILE.eml" in out


def test_a_mail_in_a_file_is_read_as_the_daemon_reads_it(call: Call, office: Path) -> None:
    (office / "tests/mail").mkdir()
    (office / "tests/mail/complaint.eml").write_bytes(sample_mail(COMPLAINT).read_bytes())
    given = "now: 2026-11-18 10:00\ngiven: {customers: [{name: Sol, domain: padariasol.example, owner: ana}]}\n"
    test = "tests:\n  - {name: real, mail: mail/complaint.eml, expect: {rules: [complaint], customer: Sol}}\n"
    (office / "tests/30.yaml").write_text(given + test)
    assert call("rules", "test", "real")[:1] == (0,)
    (office / "tests/mail/complaint.eml").unlink()
    code, _, err = call("rules", "test", "real")
    assert code == 3
    assert "error[E423]: mail/complaint.eml: there is no such file" in err


def test_a_recorded_mail_knows_the_customer_and_names_nobody(call: Call, office: Path) -> None:
    assert call("customer", "import", office / "customers.csv", "--apply")[0] == 0
    code, out, err = call("rules", "record", sample_mail(COMPLAINT), "--name", "crushed boxes", "--out", "crushed")
    assert (code, err) == (0, "")
    text = (office / "tests/crushed.yaml").read_text("utf-8")
    assert text in out
    assert "rules: [complaint]" in text
    assert "segment: gold" in text
    for word in ("Maria", "Padaria", "padariasol"):
        assert word not in text
    code, out, _ = call("rules", "test", "crushed boxes")
    assert (code, out.splitlines()[-1]) == (0, "1 test, all pass")
    assert call("check")[0] == 0


def test_recording_overwrites_nothing_and_finds_a_free_name(call: Call, office: Path) -> None:
    mail = sample_mail(COMPLAINT)
    assert call("rules", "record", mail)[0] == 0
    before = (office / "tests/20-reclamacao-padaria.yaml").read_text()
    code, _, err = call("rules", "record", mail)
    assert code == 7
    assert "--out NAME" in err
    assert (office / "tests/20-reclamacao-padaria.yaml").read_text() == before
    code, out, _ = call("rules", "record", mail, "--out", "again.yaml", "--json")
    assert (code, json.loads(out)["name"]) == (0, "20-reclamacao-padaria (2)")
    assert call("rules", "record", office / "gone.eml")[0] == 4


# --- the gate -------------------------------------------------------------------------------------------------------


def test_a_set_whose_tests_fail_is_not_taken(office: Path) -> None:
    assert load_settled(office).hash
    change(office / "rules/20-sales.yaml", "      tag: complaint\n", "      tag: moan\n")
    with pytest.raises(ConfigError) as refused:
        load_settled(office)
    assert [(one.code, one.path.name, one.line) for one in refused.value.problems] == [("E420", "20-sales.yaml", 50)]


def test_a_start_falls_back_on_the_last_set_that_passed(office: Path) -> None:
    state = state_directory(office)
    good.keep(good.stage(office, state))
    change(office / "tests/20-sales.yaml", "      tag: complaint\n", "      tag: moan\n")
    started = boot(office)
    assert "error[E420]" in started.trouble
    assert started.office.files != office
    change(office / "tests/20-sales.yaml", "      tag: moan\n", "      tag: complaint\n")
    assert boot(office).trouble == ""
