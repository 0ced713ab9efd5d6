"""The reference pages are made from the code and up to date; every setting and every code is described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from config.codes import ABOUT, CODES
from config.reference import PAGES
from config.schema import annotation_at, members, model_at, settings_of, tag_of
from config.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PAGES)
def test_page_is_up_to_date(name: str) -> None:
    page = ROOT / "docs" / "reference" / name
    assert page.read_text("utf-8") == PAGES[name](), "run: .venv/bin/python -m config.reference docs/reference"


def models() -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = [Settings]
    for name in settings_of(Settings):
        kinds = members(annotation_at([name, "NAME"]))
        singles = [model_at([name]), model_at([name, "NAME"])]
        found.extend((*kinds, *(one for one in singles if one is not None)))
    return found


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_every_setting_has_a_description_and_an_example(model: type[BaseModel]) -> None:
    for name, field in settings_of(model).items():
        assert field.description, name
        assert field.examples, name


def test_union_members_are_found_by_their_tag() -> None:
    assert [tag_of(one) for one in members(annotation_at(["accounts", "x"]))] == [
        "imap",
        "graph",
        "exchange",
        "maildir",
        "mbox",
        "eml",
        "memory",
    ]


def test_every_code_used_here_is_in_the_table_and_the_other_way_round() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "config").glob("*.py") if path.name != "codes.py")
    used = set(re.findall(r'"([EW][0-3]\d\d)"', sources))
    known = {code for code in CODES if code[0] == "W" or code < "E400"}
    assert used - known == set()
    assert set(ABOUT) <= set(CODES)
    assert {code for code in known if code[1] < "4"} - used == set()
