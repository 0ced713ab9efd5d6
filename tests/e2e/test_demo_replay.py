"""Looking back over the sample office: one word of a rule is changed, and exactly the mails that change are named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import SQLModel

from daemon.app import opened
from daemon.clock import HeldClock
from daemon.demo.play import ENDS, INSTALLED, play
from daemon.looking_back import chosen, review
from daemon.requests import answer
from store.engine import Store

QUIETCRM = Path(sys.executable).parent / "quietcrm"
WEEK = INSTALLED.date().isoformat()
BOOKKEEPING = {"change", "action_done", "rule_loaded", "account", "account_folder"}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "out"
    play(out)
    return out / "office"


@pytest.fixture
def office(played: Path, tmp_path: Path) -> Path:
    shutil.copytree(played, tmp_path / "office")
    return tmp_path / "office"


def rewrite(office: Path, old: str, new: str) -> None:
    path = office / "rules" / "20-sales.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def replay(office: Path, *more: str, code: int = 0) -> dict[str, Any]:
    words = [QUIETCRM, "--config", office, "rules", "replay", "--json", *more]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    return dict(json.loads(done.stdout))


def told(found: dict[str, Any]) -> dict[str, tuple[list[str], list[str]]]:
    return {
        mail["subject"]: ([one["slot"] for one in mail["add"]], [one["slot"] for one in mail["drop"]])
        for mail in found["mails"]
    }


def rows(store: Store) -> dict[str, list[dict[str, Any]]]:
    with store.session() as session:
        return {
            name: sorted((dict(row) for row in session.execute(select(found)).mappings()), key=repr)
            for name, found in SQLModel.metadata.tables.items()
            if name not in BOOKKEEPING
        }


def test_the_rules_as_they_were_would_do_what_they_did(office: Path) -> None:
    found = replay(office, "--since", WEEK)
    assert (found["looked"], found["mails"], found["untold"]) == (30, [], [])


def test_one_word_less_in_a_rule(office: Path) -> None:
    rewrite(office, "amassad*, ", "")
    drops = ["create:case", "draft", "remind", "tag:complaint"]
    assert told(replay(office, "--since", WEEK)) == {"Caixas amassadas na entrega de hoje": ([], drops)}
    assert told(replay(office, "--since", WEEK, "--rule", "quote-sent")) == {}


def test_one_word_more_in_a_rule_done_and_taken_back(office: Path) -> None:
    rewrite(office, "complaint: [reclam*", "complaint: [trays, reclam*")
    found = replay(office, "--since", "2026-09-01", "--apply", code=7)
    mails = told(found)
    assert mails
    assert all(adds == ["create:case", "tag:complaint", "draft", "remind"] for adds, _ in mails.values())
    office_now, again = review(office, INSTALLED - timedelta(days=60), None, lambda done, total: None)
    clock = HeldClock(ENDS + timedelta(hours=1))
    with opened(office, clock) as app:
        before = rows(app.store)
        args = {**chosen(again), "rule": None, "rules": office_now.rules.hash, "confirm": found["changes"]}
        answer(app, "rules.replay", args)
        assert len(rows(app.store)["case"]) == len(before["case"]) + len(mails)
        since = clock.now().isoformat()
        tried = answer(app, "rules.undo", {"rule": "complaint", "since": since})
        done = answer(app, "rules.undo", {"rule": "complaint", "since": since, "confirm": len(tried["undone"])})
        assert done["refused"] == []
        assert rows(app.store) == before
