"""rules new: what it writes loads as it is, watches, and each line that sleeps in it is right when woken."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from test_config_broken import SOUND
from test_editor_schemas import FOLDER
from typer.testing import CliRunner

from daemon.cli.main import app
from daemon.errors import Refused
from daemon.office import load_office
from daemon.writing import LANGUAGES, new_rule, write_rule

ASLEEP = re.compile(r"^( *)# - (.*)$", re.MULTILINE)


@pytest.fixture
def office(tmp_path: Path) -> Path:
    (tmp_path / "quietcrm.yaml").write_text(SOUND)
    return tmp_path


def run(office: Path, *arguments: str) -> str:
    answer = CliRunner().invoke(app, ["--config", str(office), *arguments])
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_what_it_writes_loads_and_only_watches(office: Path) -> None:
    told = run(office, "rules", "new", "my-rule")
    assert told.startswith("written: rules/90-my-rule.yaml")
    (rule,) = load_office(office).rules.rules
    assert (rule.name, rule.mode, rule.whens) == ("my-rule", "watch", ("mail arrives",))
    assert (office / FOLDER / "rules.schema.json").is_file()
    run(office, "check")
    found = json.loads(run(office, "rules", "new", "second", "--json"))
    assert found["file"].endswith("rules/90-second.yaml")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sleeping_line_is_right_when_woken(office: Path, language: str) -> None:
    text = new_rule("probe", language, "lead")
    asleep = list(ASLEEP.finditer(text))
    assert len(asleep) >= 12
    (office / "rules").mkdir()
    file = office / "rules" / "1.yaml"
    for line in asleep:
        key = line[2].partition(":")[0]
        woken = text[: line.start()] + f"{line[1]}{line[2]}" + text[line.end() :]
        own = f"{line[1]}{line[2]}"  # a part that stands there awake gives way to the one that was asleep
        lines = [one for one in woken.split("\n") if one == own or not one.startswith(f"{line[1]}{key}:")]
        file.write_text("\n".join(lines), encoding="utf-8")
        load_office(office)
    every = ASLEEP.sub(lambda one: one[0] if one[2].startswith("when") else f"{one[1]}{one[2]}", text)
    file.write_text(every, encoding="utf-8")
    load_office(office)


def test_all_languages_hold_the_same_rule() -> None:
    told = re.compile(r"#(?! -).*|\"[^\"]*\"|\[.*\]|about:.*|set:.*")
    plain = {told.sub("", new_rule("x", language, "lead")) for language in LANGUAGES}
    assert len(plain) == 1


def test_another_language_gets_the_english_one() -> None:
    assert new_rule("x", "de", "lead") == new_rule("x", "en", "lead")
    assert new_rule("x", "pt-BR", "lead") == new_rule("x", "pt", "lead")


@pytest.mark.parametrize("name", ["two words", "", "-x", "ask", "asked-before"])
def test_a_name_that_cannot_be_or_is_taken(office: Path, name: str) -> None:
    (office / "rules").mkdir()
    (office / "rules" / "1.yaml").write_text(
        "rules:\n  - {name: ask, was: asked-before, when: mail arrives, then: {tag: x}}\n"
    )
    with pytest.raises(Refused):
        write_rule(load_office(office), name)
    assert len(list((office / "rules").iterdir())) == 1


def test_a_file_that_is_there_is_left_alone(office: Path) -> None:
    run(office, "rules", "new", "mine")
    file = office / "rules" / "90-mine.yaml"
    file.write_text("rules: []\n")
    with pytest.raises(Refused):
        run(office, "rules", "new", "mine")
    assert file.read_text() == "rules: []\n"
