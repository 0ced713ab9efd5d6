"""The demonstration, run as people run it: the installed command, twice, in one folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_string, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

QUIETCRM = Path(sys.executable).parent / "quietcrm"
ACTIVE = re.compile(
    r"<(?:script|img|iframe|link|object|form|base|meta http)|\bsrc\s*=|url\(|\bon\w+\s*=|https?:|javascript:"
)


@dataclass(frozen=True)
class Played:
    """Two runs in one folder, and the Maildirs between them."""

    out: Path
    first: Mapping[str, Any]
    second: Mapping[str, Any]
    mails_after_first: frozenset[str]
    mails_after_second: frozenset[str]

    @property
    def office(self) -> Path:
        return self.out / "office"


def run(*words: str, cwd: Path | None = None) -> str:
    done = subprocess.run([QUIETCRM, *words], capture_output=True, text=True, timeout=240, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def files_in(folder: Path) -> frozenset[str]:
    return frozenset(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    work = tmp_path_factory.mktemp("demo")
    out = work / "demo-out"
    # A relative folder, as the default is.
    first = json.loads(run("demo", "--out", "demo-out", "--json", cwd=work))
    before = files_in(out / "office" / "mail")
    second = json.loads(run("demo", "--out", "demo-out", "--json", cwd=work))
    return Played(out, first, second, before, files_in(out / "office" / "mail"))


def by_customer(facts: Mapping[str, Any], what: str) -> dict[str, Mapping[str, Any]]:
    return {one["customer"]: one for one in facts[what]}


def by_itself(played: Played) -> list[Mapping[str, Any]]:
    return [one for one in played.first["drafts"] if one["way"] == "send"]


def test_every_mail_ends_as_something(played: Played) -> None:
    assert played.first["mails"] >= 60
    total: Counter[str] = Counter()
    for accounts in played.first["passes"].values():
        for counts in accounts.values():
            parts = {name: value for name, value in counts.items() if name not in ("seen", "skipped")}
            assert counts["seen"] == sum(parts.values()) + sum(counts["skipped"].values())
            total.update(parts)
            total.update(counts["skipped"])
            total["seen"] += counts["seen"]
    assert total["seen"] - total["own"] - len(by_itself(played)) == played.first["mails"]
    assert total["logged"] == len(played.first["logged"]) == played.first["new"] - len(played.first["meetings"])
    assert total["failed"] == total["quarantined"] == 0
    assert all(total[outcome] > 0 for outcome in ("logged", "duplicate", "unmatched", "internal", "ignored", "own"))


def test_every_sort_of_mail_is_there(played: Played) -> None:
    kinds = Counter(one["kind"] for one in played.first["logged"])
    assert kinds.keys() >= {"human", "bounce", "out_of_office", "notice"}
    reasons = {one["reason"] for one in played.first["left_out"]}
    assert reasons >= {"rule newsletters", "rule private", "only our own people", "no customer"}


def test_one_mail_in_two_mailboxes_is_one_row(played: Played) -> None:
    shared = [one for one in played.first["logged"] if {s["account"] for s in one["sightings"]} == {"ana", "boris"}]
    assert len(shared) == 3
    assert len({one["message_id"] for one in played.first["logged"]}) == len(played.first["logged"])


def test_old_mail_fires_no_rule(played: Played) -> None:
    past = [one for one in played.first["logged"] if one["past"]]
    assert len(past) > 20
    assert not [one["subject"] for one in past if one["rules"]]


def test_each_draft_has_its_fate(played: Played) -> None:
    fates = {name: one["state"] for name, one in by_customer(played.first, "drafts").items()}
    assert fates == {
        "Bistro Mar": "sent",
        "Oficina Rio": "withdrawn",
        "Завод Вектор": "cancelled",
        "Doces da Vila": "expired",
        "Padaria Sol": "sent",
        "Kafe Bereg": "placed",
        "Harbour Tea": "sent",
        "Green Fork Catering": "placed",
        "Hotel Serra": "placed",
        "Mercado Lua": "held",
    }
    answered = by_customer(played.first, "drafts")["Oficina Rio"]
    assert answered["reason"] == "the customer wrote"
    assert answered["placed_at"] < answered["settled_at"]


def test_one_mail_left_by_itself_and_its_copy_ended_no_reminder(played: Played) -> None:
    (mail,) = by_itself(played)
    assert (mail["customer"], mail["state"]) == ("Padaria Sol", "sent")
    assert mail["settled_at"] > mail["due_at"]
    sent = [path.read_text(errors="replace") for path in (played.office / "mail/ana/.Sent/cur").iterdir()]
    assert sum("X-Quietcrm: send" in text and "Auto-Submitted: auto-replied" in text for text in sent) == 1
    reminder = by_customer(played.first, "reminders")["Padaria Sol"]
    assert reminder["placed_at"] > mail["settled_at"], "Ana is still reminded to answer"
    assert reminder["reason"] == "the team wrote"
    notices = [path.read_text(errors="replace") for path in (played.office / "mail/ana/new").iterdir()]
    told = [message_from_string(text, policy=policy.default) for text in notices if "X-Quietcrm: notice" in text]
    assert any("ENVIADO AUTOMATICAMENTE\n- Padaria Sol" in plain(one) for one in told)


def plain(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def test_the_customers_answer_takes_the_reminder_away(played: Played) -> None:
    reminders = by_customer(played.first, "reminders")
    assert reminders["Oficina Rio"]["state"] == "withdrawn"
    assert reminders["Завод Вектор"]["state"] == "cancelled"
    assert reminders["Hotel Serra"]["state"] == "placed"
    names = [path.read_text(errors="replace") for path in (played.office / "mail" / "ana" / "new").iterdir()]
    assert sum("X-Quietcrm: reminder" in text for text in names) == 2


def test_the_draft_lies_in_the_drafts_folder(played: Played) -> None:
    shown = played.first["draft"]
    path = played.out.parent / shown["path"]
    assert path.parent == played.office / "mail" / "ana" / ".Drafts" / "cur"
    (seen,) = json.loads(run("read", "--json", str(path)))["items"]
    assert seen["to"] == ["compras@hotel-serra.example"]
    assert seen["text"].startswith("Boa tarde, Beatriz!")
    assert not ACTIVE.search(shown["html"])


def test_a_draft_to_somebody_new_is_in_the_language_of_their_mail(played: Played) -> None:
    (path,) = (played.office / "mail" / "boris" / ".Drafts" / "cur").iterdir()
    (seen,) = json.loads(run("read", "--json", str(path)))["items"]
    assert seen["to"] == ["orlov@kafe-bereg.example"]
    assert "Спасибо за обращение" in seen["text"]


def test_three_meetings_are_told(played: Played) -> None:
    """One was held and is followed up, one was missed and a reminder lies in the calendar, one has its brief."""
    held, missed, ahead = played.first["meetings"]
    drafts = {one["id"]: one for one in played.first["drafts"]}
    waiting = {one["id"]: one for one in played.first["reminders"]}
    assert [one["became"] for one in (held, missed, ahead)] == ["held", "missed", "ahead"]
    ((draft,), (reminder,)) = ([drafts[one] for one in held["draft"]], [waiting[one] for one in missed["reminder"]])
    assert (draft["rule"], draft["state"], draft["to"]) == ("met", "placed", "liam@greenfork.example")
    assert draft["placed_at"] > held["end"].replace("T", " ")
    assert "Compostable trays: volumes" in draft["text"]
    assert (reminder["rule"], reminder["state"], reminder["laid_as"]) == ("nobody-came", "placed", "event")
    calendar = played.office / "calendars" / "ana"
    (item,) = calendar.glob("quietcrm-*.ics")
    assert "Marcar outra data" in item.read_text(encoding="utf-8")
    assert not re.search("ATTENDEE|ORGANIZER|METHOD", item.read_text(encoding="utf-8"))
    assert (ahead["draft"], ahead["reminder"]) == ([], [])
    brief = played.first["brief"]
    assert "Linha de Páscoa" in brief["subject"]
    assert "Reclamação aberta: Caixas amassadas" in brief["text"]
    assert len(list(calendar.iterdir())) == 4, "three meetings and the reminder, and nothing else was written"


def test_the_notice_says_what_matters(played: Played) -> None:
    text = (played.out / "notice.txt").read_text(encoding="utf-8")
    html = (played.out / "notice.html").read_text(encoding="utf-8")
    for said in (
        "Hotel Serra",
        "Mercado Lua",
        "Doces da Vila",
        "compras@acmelog.example",
        "quietcrm outbox release 10",
    ):
        assert said in text
        assert said in html
    assert "Kafe Bereg" not in text, "Boris's matters are not Ana's"
    assert not ACTIVE.search(html)


def test_a_second_run_finds_everything_known(played: Played) -> None:
    assert played.second["new"] == 0
    assert played.second["first"] is False
    assert played.mails_after_second == played.mails_after_first
    for what in ("logged", "left_out", "drafts", "reminders", "draft", "reminder", "meetings", "brief"):
        assert played.second[what] == played.first[what]


def test_the_story_is_told_in_words(played: Played) -> None:
    story = run("demo", "--out", str(played.out))
    assert "  0 new: everything was known already" in story.splitlines()
    assert "\x1b[" not in story, "no colour where there is no terminal"
    assert 60 <= len(story.splitlines()) <= 130


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--json"),
        ("log", "--json"),
        ("customer", "list"),
        ("customer", "search", "padaria"),
        ("customer", "timeline", "Padaria Sol"),
        ("rules", "list"),
        ("rules", "explain", "37"),
        ("outbox", "list", "--json"),
        ("report", "meetings", "--month", "2026-11"),
        ("report", "pipeline"),
        ("report", "activity", "--month", "2026-11"),
        ("report", "silence", "--days", "1"),
        ("check",),
    ],
)
def test_every_command_works_on_it_afterwards(played: Played, words: tuple[str, ...]) -> None:
    assert run("--config", str(played.office), *words).strip()


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    done = subprocess.run(
        [QUIETCRM, "demo", "--out", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 7
    assert "--out DIR" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
