"""libyaml reads sound files as the precise reader does, to the place of each word, and never takes a broken one."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from random import Random

import pytest
from campaigns.mutations import KINDS, offices
from campaigns.slips import EIGHT
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config import reading
from config.errors import Problem
from config.nodes import Node
from config.reading import read_yaml

ROOT = Path(__file__).parents[2]
FILES = sorted(ROOT.glob("config/**/*.yaml"))
PATH = Path("rules/10.yaml")
OFFICES = {name: files for name, files in offices().items() if name in ("escritorio", "start-ru", "care-pt")}
PIECES = [
    *"{}[],:#'\"|>-?&*!%@` \n\\/ab0~", "  ", "\n  ", ": ", "- ", " #", "\n\n", "---\n", "...\n", "{{", "}}", "|\n",
    ">-\n", '""', "''", "? ", "é", "ж", "\u00a0", "\\n", "\\x41", "\\ud83d", "\x85", "\u2028", "\ufeff", "\t", "“", "’",
]  # fmt: skip
FRAGMENTS = [
    "\n".join(lines[at : at + 6])
    for path in FILES
    if (lines := path.read_text(encoding="utf-8").split("\n"))
    for at in range(0, len(lines), 5)
]


@pytest.fixture(autouse=True, scope="module")
def _has_libyaml() -> None:
    assert reading._parse_fast is not None, "PyYAML was built without libyaml: every start is slow"


def precisely(text: str) -> tuple[Node | None, list[Problem]]:
    problems: list[Problem] = []
    node = reading._read_repairing(PATH, text, problems)
    return node, problems


def same(text: str) -> bool:
    """Whether libyaml was good enough; what it says is what the other says."""
    node = reading._read_sound(PATH, text)
    if node is not None:
        assert precisely(text) == (node, [])
    return node is not None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_shipped_file_is_read_by_libyaml_with_the_same_result(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    problems: list[Problem] = []
    node = read_yaml(PATH, text, problems)
    assert (node, problems) == precisely(text)
    assert same(text) or problems


@pytest.mark.parametrize("slip", [*EIGHT.values(), *KINDS], ids=lambda slip: getattr(slip, "__name__", "slip"))
@pytest.mark.parametrize("name", sorted(OFFICES))
def test_slips_of_the_hand_are_found_as_before(slip, name: str) -> None:  # type: ignore[no-untyped-def]
    made = (slip(dict(OFFICES[name]), Random(seed)) for seed in range(4))
    for mutation in islice((one for one in made if one is not None), 3):
        same(mutation.files.get(mutation.file, b"").decode(errors="replace"))  # b"": the file is gone


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize(
    "rest", [":]", " :]", ":, c]", ":c]", ':"c"]', ":[c]]", ":{c: d}]", ":# c\n]", ": ]", ": c]", ":\n]"]
)
def test_a_quoted_key_in_brackets(quote: str, rest: str) -> None:
    """libyaml takes it with nothing behind the colon too."""
    same(f"subject: [{quote}Novo pedido{quote}, {quote}New order{quote}{rest}\n")


@settings(max_examples=300)
@given(st.sampled_from(FRAGMENTS), st.lists(st.tuples(st.floats(0, 1), st.sampled_from(PIECES), st.booleans())))
@example("a: b\n", [(1.0, "? ", False)])
@example("?", [])
@example('a: ["b", "c"]\n', [(0.8, ":", False)])
@example("{a", [])
@example("a: [b,{ c: d]", [])
def test_whatever_is_changed(text: str, changes: list[tuple[float, str, bool]]) -> None:
    for where, piece, replaces in changes[:4]:
        at = round(where * len(text))
        text = text[:at] + piece + text[at + replaces :]
    same(text)


def test_without_libyaml_all_is_read_precisely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_parse_fast", None)
    assert reading._read_sound(PATH, "a: b\n") is None
    assert read_yaml(PATH, "a: b\n", []) == precisely("a: b\n")[0]
