"""Eight slips that an admin makes, each surely a fault, with the lines of which one must be named.

Where YAML itself stumbles later than the slip was made (a quote or an indent), the line where PyYAML, which quietcrm
does not use, first knows is as good as the line of the slip. Where PyYAML never knows, the file says something else:
then the fault is where that does not fit, at last in a rule test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

import yaml
from campaigns.mutations import Files, Mutation, Slip

from rules import actions, conditions, schema, trial_mail, trial_world, trials
from rules.expectations import EXPECT
from rules.text_conditions import OPERATORS

_GRAMMAR = frozenset(schema.KEYS).union(
    conditions.CONDITIONS,
    conditions.GROUPS,
    actions.ACTIONS,
    EXPECT,
    OPERATORS,
    trials.TRIAL_KEYS,
    trial_world.CUSTOMER_KEYS,
    trial_mail.KEYS,
    ("template", "round_robin", "unless", "customers"),
)
_WORDS = (
    "company zone language internal team mail digest accounts type hours stages open senders send auto_templates hold "
    "unknown public_domains path since every format"
)
_SETTINGS = frozenset(_WORDS.split())
_OPEN = ("header", "field", "set", "extract", "with", "channels", "inputs", "default", "create", "words", "jsonld")
"""Parts that take names of anybody's choice below them."""
_KEY = re.compile(r"(?:(?<=^)|(?<=[\s{,]))(?P<key>[A-Za-z_]{4,}):(?= |$)")
_INLINE = re.compile(r"(?P<head>^ *(?:- )*)(?P<key>[A-Za-z_-]+): (?P<value>[^\s&*!|>%@`#].*)$")
_TEXT = re.compile(r"\b(?P<key>subject|text|body): (?=[\[{\"$\w])(?P<value>\{[^{}]*\}|\[[^\[\]]*\]|[^,{}\[\]#]+)")
_TIME = re.compile(
    r"\b(?P<key>in|at|older|newer|after|hold|every|since|now|digest|last_in|last_out|last_contact|clock): "
    r"(?P<value>[^,{}\[\]#\"]+)"
)
_QUOTE = re.compile(r"[\"']")

Change = Callable[[list[str], int, Random], tuple[list[str], int] | None]
"""The lines with a slip in line `n` (from 0), and the line that is wrong then; None where nothing is to slip on."""


def _slip(kind: str, change: Change, *, later: bool = False) -> Slip:
    def slip(files: Files, rng: Random) -> Mutation | None:
        name = rng.choice([name for name in sorted(files) if name.endswith(".yaml")])
        before = files[name].decode().split("\n")
        number = rng.choice([n for n, line in enumerate(before) if line.strip() and not line.lstrip().startswith("#")])
        found = change(before, number, rng)
        if found is None or found[0] == before:
            return None
        text = "\n".join(found[0])
        wrong = found[1] + 1
        known = _first_known(text) if later else set()
        lines = () if later and not known else {wrong, *known}
        return Mutation(kind=kind, file=name, line=wrong, files={**files, name: text.encode()}, lines=frozenset(lines))

    return slip


def _first_known(text: str) -> set[int]:
    """The lines that PyYAML names."""
    try:
        list(yaml.parse(text))
    except yaml.MarkedYAMLError as error:
        marks = (error.problem_mark, error.context_mark)
        return {mark.line + 1 for mark in marks if mark is not None}
    return set()


def _replaced(lines: list[str], number: int, line: str) -> tuple[list[str], int]:
    return [*lines[:number], line, *lines[number + 1 :]], number


def _comment_at(line: str) -> int:
    """Where a comment of the line begins, its end otherwise."""
    found = re.search(r"\s#\s", line)
    return found.start() if found else len(line)


def _misspelt(lines: list[str], number: int, rng: Random) -> tuple[list[str], int] | None:
    line = lines[number]
    known = [one for one in _KEY.finditer(line, 0, _comment_at(line)) if one["key"] in _GRAMMAR | _SETTINGS]
    if not known or _below_open(lines, number):
        return None
    one = rng.choice(known)
    if any(f"{name}: {{" in line[: one.start()] for name in _OPEN):
        return None
    at = rng.randrange(len(one["key"]) - 1)
    key = one["key"][:at] + rng.choice(("q", "")) + one["key"][at + 1 :]
    return _replaced(lines, number, line[: one.start()] + key + line[one.end("key") :])


def _below_open(lines: list[str], number: int) -> bool:
    """Whether the line stands below a part that takes any name."""
    indent = len(lines[number]) - len(lines[number].lstrip())
    for line in reversed(lines[:number]):
        width = len(line) - len(line.lstrip())
        if line.strip() and width < indent:
            indent = width
            if line.strip().removeprefix("- ").partition(":")[0] in _OPEN:
                return True
    return False


def _twice(lines: list[str], number: int, _rng: Random) -> tuple[list[str], int] | None:
    line = lines[number]
    found = _INLINE.match(line)
    if not found or "- " in found["head"] or line.count("{") != line.count("}") or line.count("[") != line.count("]"):
        return None
    if line.count('"') % 2 or line.count("'") % 2:
        return None
    return [*lines[: number + 1], line, *lines[number + 1 :]], number + 1


def _wrong_type(lines: list[str], number: int, _rng: Random) -> tuple[list[str], int] | None:
    found = _INLINE.match(lines[number])
    known = found and (found["key"] in _GRAMMAR or found["key"] in _SETTINGS) and found["key"] not in _OPEN
    if not found or not known or _below_open(lines, number):
        return None
    if lines[number].count("{") != lines[number].count("}") or lines[number].count("[") != lines[number].count("]"):
        return None
    return _replaced(lines, number, f"{found['head']}{found['key']}: {{qqq: {{a: b}}}}")


def _bad_pattern(lines: list[str], number: int, rng: Random) -> tuple[list[str], int] | None:
    line = lines[number]
    places = list(_TEXT.finditer(line, 0, _comment_at(line)))
    inside = any(line.count(sign) for sign in "{[")
    ends = [one for one in places if inside or one.end() >= len(line.rstrip())]
    if not ends or _below_open(lines, number):
        return None
    one = rng.choice(ends)
    pattern = rng.choice((r"(a", r"a)", r"[a", r"(?=a)b", r"(a)\1", r"a{1001}", "*a"))
    return _replaced(lines, number, f"{line[: one.start()]}{one['key']}: {{regex: '{pattern}'}}{line[one.end() :]}")


def _bad_date(lines: list[str], number: int, rng: Random) -> tuple[list[str], int] | None:
    line = lines[number]
    places = list(_TIME.finditer(line, 0, _comment_at(line)))
    if not places or _below_open(lines, number):
        return None
    one = rng.choice(places)
    bad = rng.choice(("31/02/2026", "2026-02-31", "2026-13-01 10:00", "25:61", "yesterday", "3 dyas"))
    return _replaced(lines, number, f"{line[: one.start()]}{one['key']}: {bad}{line[one.end() :]}")


def _tab(lines: list[str], number: int, _rng: Random) -> tuple[list[str], int] | None:
    line = lines[number]
    return _replaced(lines, number, "\t" + line.lstrip()) if line.startswith(" ") else None


def _quote(lines: list[str], number: int, rng: Random) -> tuple[list[str], int] | None:
    line = lines[number]
    places = [one.start() for one in _QUOTE.finditer(line, 0, _comment_at(line))]
    if not places:
        return None
    at = rng.choice(places)
    return _replaced(lines, number, line[:at] + line[at + 1 :])


def _indent(lines: list[str], number: int, rng: Random) -> tuple[list[str], int] | None:
    line = lines[number]
    changed = rng.choice([" " + line, "   " + line, line[1:] if line.startswith(" ") else " " + line])
    return _replaced(lines, number, changed)


EIGHT: dict[str, Slip] = {
    kind: _slip(kind, change, later=later)
    for kind, change, later in (
        ("missing quote", _quote, True),
        ("Tab", _tab, False),
        ("wrong indent", _indent, True),
        ("unknown name", _misspelt, False),
        ("duplicate key", _twice, False),
        ("wrong type", _wrong_type, False),
        ("bad pattern", _bad_pattern, False),
        ("bad date", _bad_date, False),
    )
}


def eighth(number: int, files: Files, rng: Random) -> Mutation:
    """The `number`-th slip in an office: each of the eight kinds in its turn."""
    slip = list(EIGHT.values())[number % len(EIGHT)]
    while True:
        found = slip(files, rng)
        if found is not None:
            return found
