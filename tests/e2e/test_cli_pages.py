"""The examples of docs/how-to are right: each configuration on the pages passes `check`, each command exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from config.errors import Problem
from config.show import render_problems
from config.starter import StarterAnswers, write_starter
from daemon.cli.main import app
from daemon.cli.reference import commands
from daemon.office import read_office
from daemon.trials import check_tests

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PAGES = [DOCS / "quick-start.md", *sorted((DOCS / "how-to").glob("*.md"))]
FENCE = re.compile(r"^```(\w+).*\n((?:.*\n)*?)^```$", re.MULTILINE)
STARTER = StarterAnswers(
    company="Vendas",
    zone="Europe/Lisbon",
    language="en",
    rep="ana",
    mail="ana@vendas.example",
    host="mail.vendas.example",
)


def examples(language: str) -> list[tuple[str, str]]:
    """(page and number, text) of every fenced block in a language."""
    found = []
    for page in PAGES:
        texts = [text for words, text in FENCE.findall(page.read_text("utf-8")) if words == language]
        found += [(f"{page.stem}-{number}", text) for number, text in enumerate(texts, 1)]
    return found


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in examples("yaml")])
def test_every_example_passes_check(text: str, tmp_path: Path) -> None:
    """A rules file stands beside the starter's lists and templates; settings are completed by what they leave out."""
    write_starter(tmp_path, STARTER)
    if re.search(r"^rules:", text, re.MULTILINE):
        (tmp_path / "rules/10-first.yaml").write_text(text)
        (tmp_path / "tests/10-first.yaml").unlink()
    elif re.search(r"^tests:", text, re.MULTILINE):
        (tmp_path / "tests/10-first.yaml").write_text(text)
    elif re.search(r"^steps:", text, re.MULTILINE):
        (tmp_path / "sequences").mkdir(exist_ok=True)
        (tmp_path / "sequences/one.yaml").write_text(text)
    else:
        (tmp_path / "quietcrm.yaml").write_text(completed(text))
    for name in re.findall(r"\{file: ([\w.]+)\}", text):
        (tmp_path / name).touch(mode=0o600)
    for name in re.findall(r"attach: ([\w.]+)", text):
        (tmp_path / "attachments").mkdir(exist_ok=True)
        (tmp_path / "attachments" / name).touch()
    let_leave(tmp_path, text)
    problems: list[Problem] = []
    check_tests(tmp_path, read_office(tmp_path, problems), problems)
    assert not problems, render_problems(problems, base=tmp_path)


def let_leave(office: Path, text: str) -> None:
    """The templates that a page lets leave by themselves; for a rule that sends, the settings that allow it."""
    named = re.findall(r"auto_templates: \[([\w-]+)\]", text)
    sent = re.findall(r"send: \{template: ([\w-]+)", text)
    told = re.findall(r"\{channel: (\w+)", text)
    if told:
        with (office / "quietcrm.yaml").open("a", encoding="utf-8") as settings:
            settings.write(f"\nchannels: {{{told[0]}: {{env: ADDRESS}}}}\n")
    for name in {*named, *sent}:
        (office / f"templates/{name}.md").write_text(f"---\nname: {name}\nsubject: Thanks\n---\nIt has arrived.\n")
    if sent:
        with (office / "quietcrm.yaml").open("a", encoding="utf-8") as settings:
            settings.write(f"\nsend: {{auto_templates: [{', '.join(sent)}]}}\n")


def completed(text: str) -> str:
    """The part of quietcrm.yaml on the page, with the parts that every file needs."""
    needed = {
        "company": "company: {name: Vendas, zone: Europe/Lisbon, language: en}\n",
        "internal": 'internal: ["@vendas.example"]\n',
        "team": "team: {ana: {mail: ana@vendas.example}}\n",
        "stages": "stages: {open: [lead, proposal], won: customer, lost: lost}\n",
    }
    return text + "".join(line for name, line in needed.items() if not re.search(rf"^{name}:", text, re.MULTILINE))


def test_there_are_examples() -> None:
    assert len(examples("yaml")) > 8


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_on_the_pages_exists(page: Path) -> None:
    """Words behind `quietcrm` name a command, and every option named is one of it."""
    known = {path[1:]: command for path, command in commands(typer.main.get_command(app), ("quietcrm",))}
    for line in command_lines(page.read_text("utf-8")):
        words = shlex.split(line.partition(' "$(')[0])
        plain = [word for word in words if not word.startswith("-")]
        path = next((tuple(plain[:size]) for size in (2, 1) if tuple(plain[:size]) in known), None)
        assert path is not None, line
        options = {option for parameter in known[path].params for option in parameter.opts} | {"--help"}
        assert {word for word in words if word.startswith("--")} <= options, line


def command_lines(text: str) -> list[str]:
    """What stands behind `quietcrm ` in blocks of commands and between backticks."""
    blocks = "".join(block for words, block in FENCE.findall(text) if words == "sh").replace("\\\n", " ")
    lines = re.findall(r"(?:^|/|\()quietcrm ([^>&|;\n)]+)", blocks, re.MULTILINE)
    lines += re.findall(r"`quietcrm ([a-z][^`]*)`", FENCE.sub("", text).replace("\n", " "))
    return [line for line in lines if line.strip()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).is_file(), target
