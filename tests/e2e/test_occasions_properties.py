"""What rules do at occasions depends neither on when it was looked, nor on restarts, repetition, trouble in between or
the order in which the records came in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from maildir_offices import MaildirOffice
from offices import START
from sqlalchemy import text

from daemon.app import App, opened
from daemon.requests import answer
from store import customers, interactions
from store.engine import Store
from store.errors import StoreUnavailable
from store.interactions import Touch

RULES = """\
rules:
  - {name: quiet, when: {customer silent: 2 days}, once: per customer every 30 days, then: {tag: quiet}}
  - {name: still, when: {customer silent: 60 hours}, if: {none: [{tag: vip}]}, then: {remind: {who: ana, text: x}}}
  - {name: birthday, when: {date comes: 0 days before contact.birthday}, then: {draft: parabens}}
  - {name: before, when: {date comes: 1 business day before renewal}, then: {tag: soon, set: {told: "yes"}}}
  - {name: after, when: {date comes: 1 day after renewal}, then: {untag: soon}}
  - {name: morning, when: {clock: 08:00}, if: {tag: soon}, then: {tag: "seen"}}
  - {name: office, when: {clock: mon-fri 17:30}, then: {remind: {who: ana, text: y}}}
  - {name: told, when: {record changed: told}, then: {tag: told}}
  - {name: tagged, when: {record changed: tag}, if: {tag: told}, then: {segment: gold}}
"""
TEMPLATE = "---\nname: parabens\nsubject: Parabéns!\n---\nTudo de bom, {{ contact.first_name }}.\n"
ZONES = ("", "Asia/Tokyo", "America/Los_Angeles", "Europe/Lisbon", "Pacific/Chatham")
PEOPLE = 8
SPAN = timedelta(days=3)
LONGEST = timedelta(hours=3)


def rows() -> list[list[Any]]:
    """Customers whose dates lie around the days that are lived through."""
    found = []
    for number in range(PEOPLE):
        birthday = (START + timedelta(days=1 + number % 4)).strftime("%d/%m" if number % 2 else "--%m-%d")
        renewal = (START + timedelta(days=1 + number % 5)).strftime("%d/%m/%Y" if number % 3 else "%Y-%m-%d")
        zone = ZONES[number % len(ZONES)]
        one = {"company": f"C{number}", "name": f"P{number}", "email": f"p@c{number}.example", "birthday": birthday}
        found.append([number + 2, one | {"renewal": renewal, "contact.zone": zone, "zone": zone}])
    return found


def letters(session: Any, order: list[int]) -> None:
    """The last mails, noted in that order."""
    for number in order:
        (customer,) = customers.by_name(session, f"C{number}")
        at = START - timedelta(days=1, hours=5 * number)
        interactions.touch(session, [Touch(at=at, direction="out", customer_ids=[customer])])


def steps(rng: Random | None) -> Iterator[timedelta]:
    """How the time is cut: two hours at a time, or anyhow."""
    left = SPAN
    while left:
        step = min(left, timedelta(hours=2) if rng is None else LONGEST * rng.random())
        left -= step
        yield step


class Trouble:
    """The database goes away in the middle of some looks."""

    def __init__(self, rng: Random, monkeypatch: pytest.MonkeyPatch) -> None:
        from daemon import effects

        perform = effects.perform

        def err(*given: Any) -> None:
            perform(*given)
            if rng.random() < 0.3:
                raise StoreUnavailable("gone for a moment", hint="wait")

        monkeypatch.setattr(effects, "perform", err)


def live(folder: Path, rng: Random | None) -> dict[str, list[tuple[Any, ...]]]:
    """Live through the days; what was done, in the end."""
    office = MaildirOffice(folder, rules=RULES)
    office.write()
    (folder / "templates" / "proposta.md").unlink()
    (folder / "templates" / "parabens.md").write_text(TEMPLATE, "utf-8")
    given, order = rows(), list(range(PEOPLE))
    if rng is not None:
        rng.shuffle(given)
        rng.shuffle(order)
    with opened(folder, office.clock) as app:
        answer(app, "customer.import", {"rows": given})
        with app.store.writing() as session:
            letters(session, order)
    times = list(steps(rng))
    while times:
        lived = len(times) if rng is None else rng.randrange(4, 20)
        with opened(folder, office.clock) as app:
            for step in times[:lived]:
                office.clock.move(step)
                for _ in range(1 if rng is None else rng.randrange(1, 3)):
                    with suppress(StoreUnavailable):
                        app.occasions.look()
            settle(app)
            found = outcome(app.store)
        times = times[lived:]
    return found


def settle(app: App) -> None:
    """Look again until nothing is left: what changes set off, and what trouble put off."""
    while True:
        with suppress(StoreUnavailable):
            if not app.occasions.look():
                return


def outcome(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that rules left behind, without numbers and the times at which it was written."""
    questions = {
        "history": "SELECT subject, at FROM interaction WHERE channel = 'occasion'",
        "tags": "SELECT c.name, t.tag FROM customer_tag t JOIN customer c ON c.id = t.customer_id",
        "segments": "SELECT name, segment, fields FROM customer",
        "drafts": "SELECT recipient, template, due_at, late_after FROM outbox",
        "reminders": "SELECT c.name, r.rule, r.due_at FROM reminder r LEFT JOIN customer c ON c.id = r.customer_id",
        "hits": "SELECT name, hits FROM rule_loaded",
    }
    with store.session() as session:
        found = {name: sorted(map(tuple, session.execute(text(sql)).all()), key=str) for name, sql in questions.items()}
    # A change is written when it is found: its own moment is the moment of the look.
    found["history"] = [one if not one[0].startswith("record") else one[:1] for one in found["history"]]
    found["history"].sort(key=str)
    return found


@pytest.fixture(scope="module")
def regular(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Any, ...]]]:
    """What comes of a daemon that never sleeps."""
    return live(tmp_path_factory.mktemp("regular") / "office", None)


def test_much_happens_at_all(regular: dict[str, list[tuple[Any, ...]]]) -> None:
    kinds = {str(one[0]).partition(":")[0] for one in regular["history"]}
    assert kinds == {"customer silent", "date comes", "clock", "record changed"}
    assert {tag for _, tag in regular["tags"]} >= {"quiet", "told", "seen"}
    assert "gold" in {segment for _, segment, _ in regular["segments"]}
    assert len(regular["drafts"]) > PEOPLE / 2


@pytest.mark.parametrize("seed", range(2))
def test_nothing_depends_on_when_it_is_looked(
    regular: dict[str, list[tuple[Any, ...]]], seed: int, tmp_path: Path
) -> None:
    assert live(tmp_path / "office", Random(seed)) == regular


def test_nor_on_trouble_in_between(
    regular: dict[str, list[tuple[Any, ...]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = Random(7)
    Trouble(rng, monkeypatch)
    assert live(tmp_path / "office", rng) == regular
