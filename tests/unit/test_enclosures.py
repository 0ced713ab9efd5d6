"""Files that go with mail: what is wrong with them is found at load, in every language, and they are read in bounds."""

from __future__ import annotations

from pathlib import Path

import pytest
from rule_samples import QUOTE, decide, mail, office

from config.errors import Problem
from daemon.enclosures import FileTrouble, read_again, read_files, references, told
from rules.enclosures import LARGEST, content_type
from rules.load import load_ruleset

TEMPLATE = QUOTE.replace("name: quote\n", "name: quote\nattach: {}\n") + "--- ru ---\nПривет\n"
TEMPLATE = TEMPLATE.replace('{pt: "Re: {{ mail.subject }}"}', "Olá")
RULE = """rules:
  - name: probe
    when: mail arrives
    if: {{known: yes}}
    then: {{draft: {{template: quote, attach: {}}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("templates", "rules", "attachments"):
        (tmp_path / name).mkdir()
    (tmp_path / "attachments/price-pt.pdf").write_bytes(b"%PDF pt")
    (tmp_path / "attachments/price-ru.pdf").write_bytes(b"%PDF ru")
    (tmp_path / "templates/terms.pdf").write_bytes(b"%PDF terms")
    return tmp_path


def load(folder: Path, attach: str = "[]", of_rule: str = "[terms.pdf]", older: Path | None = None) -> list[Problem]:
    (folder / "templates/quote.md").write_text(TEMPLATE.replace("attach: {}", f"attach: {attach}"), "utf-8")
    (folder / "rules/10.yaml").write_text(RULE.format(of_rule), "utf-8")
    problems: list[Problem] = []
    load_ruleset(folder, office(), problems, office=older)
    return problems


def test_files_of_template_and_rule_are_there_in_each_language(folder: Path) -> None:
    assert load(folder, '["price-{{ lang }}.pdf", terms.pdf]') == []
    problems: list[Problem] = []
    ruleset = load_ruleset(folder, office(), problems)
    (action,) = decide(ruleset, mail()).actions
    assert action.args["attach"] == ["terms.pdf"]
    assert ruleset.templates["quote"].attach == ("price-{{ lang }}.pdf", "terms.pdf")


@pytest.mark.parametrize(
    ("attach", "words", "help"),
    [
        ("prize-pt.pdf", 'no file "prize-pt.pdf"', 'did you mean "price-pt.pdf"?'),
        ('"price-{{ lang }}.txt"', 'no file "price-pt.txt"', "price-pt.pdf"),
        ('"{{ customer.name }}.pdf"', "knows only", "write it out"),
        ("../quietcrm.yaml", "no plain name", "attachments/"),
        ("/etc/passwd", "no plain name", "attachments/"),
        ("sub/price.pdf", "no plain name", "attachments/"),
        ("setup.exe", "mail servers take no", "web site"),
        ("evil.pdf.js", "mail servers take no", "web site"),
        ("large.pdf", "large.pdf has 11 MB", "smaller"),
        ("[a.pdf, b.pdf]", "together the files have 18 MB", "smaller"),
    ],
)
def test_what_is_wrong_is_named_with_a_remedy(folder: Path, attach: str, words: str, help: str) -> None:
    for name, size in (("large.pdf", 11), ("a.pdf", 9), ("b.pdf", 9)):
        with (folder / "attachments" / name).open("wb") as file:
            file.truncate(size << 20)
    for problems, line in ((load(folder, attach), 3), (load(folder, "[]", attach), 5)):
        assert [(one.code, one.line) for one in problems] == [("E516", line)]
        assert words in problems[0].message
        assert help in problems[0].help


def test_a_language_without_its_file(folder: Path) -> None:
    (folder / "attachments/price-ru.pdf").unlink()
    (problem,) = load(folder, '"price-{{ lang }}.pdf"')
    assert 'no file "price-ru.pdf"' in problem.message


def test_an_older_copy_of_the_rules_finds_the_files_of_the_office(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "config.good"
    for name in ("templates", "rules"):
        (copy / name).mkdir(parents=True)
    assert load(copy, '"price-{{ lang }}.pdf"', older=folder) == []
    (problem,) = load(copy, "gone.pdf", older=folder)
    assert problem.warning


def test_a_file_is_noticed_when_it_changes(folder: Path) -> None:
    files = read_files(folder, ["price-{{ lang }}.pdf", "terms.pdf", "price-ru.pdf"], "ru")
    assert [(one.name, one.content) for one in files] == [("price-ru.pdf", b"%PDF ru"), ("terms.pdf", b"%PDF terms")]
    kept = references(files)
    assert read_again(folder, kept) == files
    (folder / "templates/terms.pdf").write_bytes(b"%PDF other")
    assert told(folder, kept) == [{"name": "price-ru.pdf", "changed": False}, {"name": "terms.pdf", "changed": True}]
    with pytest.raises(FileTrouble, match="changed"):
        read_again(folder, kept)
    (folder / "templates/terms.pdf").unlink()
    with pytest.raises(FileTrouble, match="no file"):
        read_again(folder, kept)


def test_a_file_that_grew_is_not_read(folder: Path) -> None:
    with (folder / "attachments/price-pt.pdf").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(FileTrouble, match="larger"):
        read_files(folder, ["price-pt.pdf"], "pt")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.pdf", "application/pdf"),
        ("a.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("a.tar.gz", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_the_content_type_is_that_of_the_name(name: str, kind: str) -> None:
    assert content_type(name) == kind
