"""What somebody meets who uses the program for the first time: an office without a database, wrong names, a narrow
terminal."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_cli import Answer, Call, call, fresh, letter, office

from daemon.cli.demo import folded
from daemon.cli.screen import table

__all__ = ["call", "fresh", "office"]
CALENDAR = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nEND:VCALENDAR\n"


def at(call: Call, folder: Path) -> Callable[..., Answer]:
    return lambda *words: call("--config", folder, *words)


@pytest.mark.parametrize("words", [("rules", "list"), ("sequences", "list"), ("templates", "list")])
def test_what_the_files_tell_needs_no_database(call: Call, fresh: Path, words: tuple[str, ...]) -> None:
    answer = at(call, fresh)(*words)
    assert (answer.code, "database" in answer.err) == (0, False)
    assert not (fresh / "state" / "crm.db").exists()


@pytest.mark.parametrize(
    ("name", "why"), [("a b", "without spaces"), ("", "without spaces"), ("pаuse", "letters of Cyrillic and Latin")]
)
def test_a_rule_with_a_name_nobody_can_type(call: Call, fresh: Path, name: str, why: str) -> None:
    answer = at(call, fresh)("rules", "new", name)
    assert answer.code == 2
    assert why in " ".join(answer.err.replace("│", " ").split())
    assert list((fresh / "rules").iterdir()) == [fresh / "rules" / "10.yaml"]


@pytest.mark.parametrize("name", ["followup", "avaliação-2", "счёт"])
def test_names_of_one_alphabet(call: Call, fresh: Path, name: str) -> None:
    assert at(call, fresh)("rules", "new", name).code == 0


def test_a_folder_of_mails_leaves_calendars_out(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "1.eml").write_bytes(letter(1, "price list"))
    (folder / "2.ics").write_text(CALENDAR)
    answer = call("read", folder)
    assert (answer.code, answer.out.count("kind:")) == (0, 1)
    assert "1 calendar file is left out" in answer.err


def test_init_says_that_new_answers_are_not_taken(call: Call, fresh: Path) -> None:
    before = (fresh / "quietcrm.yaml").read_text()
    answer = at(call, fresh)("init", "--company", "Other", "--no-input")
    assert "answers given here are not taken" in answer.err
    assert (fresh / "quietcrm.yaml").read_text() == before


@pytest.mark.parametrize("name", ["Acmee", "ACNE"])
def test_a_name_that_is_nearly_a_customers(call: Call, office: Path, name: str) -> None:
    answer = at(call, office)("customer", "show", name)
    assert answer.code == 4
    assert 'did you mean "Acme' in answer.err
    assert "did you mean" not in at(call, office)("customer", "show", "Zzzz").err


@pytest.mark.parametrize("path", ["nofile.eml", "mails/old.eml", "here/nothing"])
def test_a_mail_file_that_is_not_there(call: Call, fresh: Path, path: str) -> None:
    answer = at(call, fresh)("rules", "explain", path)
    assert answer.code == 4
    assert f"there is no file {path}" in answer.err


def test_a_mailbox_path_that_is_wrong_is_a_matter_of_the_settings(call: Call, fresh: Path) -> None:
    settings = fresh / "quietcrm.yaml"
    settings.write_text(settings.read_text().replace("path: Maildir", "path: Maildri"))
    answer = at(call, fresh)("doctor")
    assert answer.code == 3
    assert "Maildri" in answer.out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("columns", "shown"), [(100, False), (160, True)])
def test_a_table_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, shown: bool) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    rows = [["a-rule-with-a-long-name" * 2, "watch", "a sentence that tells what it is for " * 4]]
    table(["rule", "mode", "about"], rows, beside=("about",))
    lines = re.sub(r"\x1b\[\d+m", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= columns
    assert ("about" in terminal.getvalue()) == shown


def test_init_in_a_language_without_starter_files_writes_nothing(call: Call, tmp_path: Path) -> None:
    """With settings that say `de` over templates in English, the first check would end in faults."""
    words = ("init", "--company", "X", "--zone", "UTC", "--rep", "ana", "--mail", "ana@vendas.example", "--host", "h")
    answer = call("--config", tmp_path / "de", *words, "--language", "de", "--no-input")
    assert answer.code == 2
    assert '"de" is none of' in answer.err
    assert not (tmp_path / "de").exists()
    assert call("--config", tmp_path / "br", *words, "--language", "pt-BR", "--no-input").code == 0
    assert (tmp_path / "br" / "templates" / "resposta-orcamento.md").exists()


def test_a_table_without_rows_is_no_empty_box(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    table(["no.", "what"], [])
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "none found\n")


def test_what_is_no_mail_is_not_poured_over_the_terminal(call: Call, tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(bytes(range(256)) * 40)
    answer = call("read", tmp_path / "program")
    assert "this does not look like a mail" in answer.out
    assert len(answer.out) < 300


def test_a_calendar_is_no_mail_to_explain(call: Call, fresh: Path, tmp_path: Path) -> None:
    (tmp_path / "2.ics").write_text(CALENDAR)
    answer = at(call, fresh)("rules", "explain", tmp_path / "2.ics")
    assert (answer.code, "quietcrm read" in answer.err) == (7, True)


def test_a_long_line_of_the_demo_is_broken_between_words() -> None:
    line = "  past: " + ", ".join(["Padaria Sol 5", "Студия Тон 3"] * 8)
    lines = folded(line, 100)
    assert (max(map(len, lines)) <= 100, len(lines)) == (True, 3)
    assert " ".join(one.strip() for one in lines) == line.strip()
    assert lines[1].startswith("      ")
    path = "  " + "demo-out/" * 20
    assert "".join(folded(path, 100)).strip() == path.strip()
