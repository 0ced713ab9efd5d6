"""When files count as saved: two seconds after the last change, once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.watch import QUIET, Watch, signature


def settings(number: int) -> frozenset[tuple[str, int, int, int, int]]:
    return frozenset({("quietcrm.yaml", number, 0, 0, 0)})


@given(st.lists(st.tuples(st.floats(0.1, 5.0), st.integers(0, 2)), max_size=40))
def test_yes_once_for_each_change_and_never_sooner(looks: list[tuple[float, int]]) -> None:
    watch, at, last, changed, owed = Watch(settings(0)), 0.0, 0, 0.0, False
    for wait, number in looks:
        at += wait
        if number != last:
            last, changed, owed = number, at, True
            assert not watch.is_settled(settings(number), at)
            continue
        answer = watch.is_settled(settings(number), at)
        assert answer == (owed and at - changed >= QUIET)
        owed = owed and not answer


def test_it_can_be_asked_to_look_again() -> None:
    watch = Watch(settings(0))
    watch.look_again(100.0)
    assert [watch.is_settled(settings(0), at) for at in (101.0, 102.0, 103.0)] == [False, True, False]


@pytest.fixture
def office(tmp_path: Path) -> Path:
    (tmp_path / "one" / "rules").mkdir(parents=True)
    (tmp_path / "one" / "quietcrm.yaml").write_text("a: b\n")
    (tmp_path / "one" / "rules" / "10.yaml").write_text("rules: []\n")
    return tmp_path / "one"


def test_every_way_of_saving_is_seen(office: Path) -> None:
    rule, lists, tests = office / "rules" / "10.yaml", office / "lists", office / "tests" / "mail"
    lists.mkdir()
    tests.mkdir(parents=True)
    for change in (
        lambda: rule.write_text("rules: [ ]\n"),
        lambda: _replaced(rule, "rules: [  ]"),
        lambda: os.utime(rule, (1, 1)),
        lambda: rule.chmod(0o000),
        lambda: rule.rename(rule.with_name("20.yaml")),
        lambda: (lists / "a.txt").write_text("x"),
        lambda: (lists / "a.txt").unlink(),
        lambda: (tests / "a.eml").write_text("x"),
    ):
        before = signature(office)
        change()
        assert signature(office) != before


def _replaced(path: Path, text: str) -> None:
    """As editors save: a new file takes the old one's place, even with its size and time."""
    draft = path.with_name(".draft")
    draft.write_text(text)
    stat = path.stat()
    os.utime(draft, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    draft.replace(path)


def test_what_editors_and_quietcrm_lay_there_is_not_seen(office: Path) -> None:
    before = signature(office)
    for name in ("rules/.10.yaml.swp", "rules/10.yaml~", "rules/#10.yaml#", ".git/index", "state/crm.db", "password"):
        (office / name).parent.mkdir(exist_ok=True)
        (office / name).write_text("x")
    assert signature(office) == before


def test_folders_swapped_by_a_link_are_seen(office: Path, tmp_path: Path) -> None:
    for name in ("two", "three"):
        (tmp_path / name / "rules").mkdir(parents=True)
        for part in ("quietcrm.yaml", "rules/10.yaml"):
            (tmp_path / name / part).write_text((office / part).read_text())
    link = tmp_path / "current"
    link.symlink_to("one")
    seen = {signature(link)}
    for name in ("two", "three"):
        (tmp_path / "draft").symlink_to(name)
        (tmp_path / "draft").replace(link)
        seen.add(signature(link))
    inner = tmp_path / "three" / "rules"
    inner.rename(tmp_path / "rules.v1")
    inner.symlink_to(tmp_path / "one" / "rules")
    seen.add(signature(link))
    assert len(seen) == 4
    assert any(name.endswith("rules/10.yaml") for name, *_ in signature(link))
