"""The questions that each batch of mail and each screen asks must use an index, however big the store is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session
from store_samples import NOW

from store import (
    coming,
    customers,
    history,
    interactions,
    meetings,
    outbox,
    quarantine,
    reminders,
    schema,
    sending,
    suppressions,
    unmatched,
)
from store.engine import open_store
from store.identity import Identity

QUESTIONS: dict[str, Callable[[Session], Any]] = {
    "addresses": lambda session: customers.lookup_addresses(session, ["a@b.example"]),
    "domains": lambda session: customers.lookup_domains(session, ["b.example"]),
    "facts": lambda session: customers.facts(session, [1, 2]),
    "names": lambda session: customers.by_name(session, "Acme"),
    "known mail": lambda session: interactions.find_known(session, [Identity("m:1", "2")]),
    "threads": lambda session: interactions.by_message_ids(session, ["x@y.example"]),
    "repeated ids": lambda session: interactions.repeated_ids(session, ["x@y.example"]),
    "timeline": lambda session: history.timeline(session, 1),
    "log of a rule": lambda session: history.log(session, rule="vip"),
    "log of a customer": lambda session: history.log(session, customer=1, rule="vip", since=NOW),
    "one mail": lambda session: history.find(session, "x@y.example"),
    "unmatched by hash": lambda session: unmatched.find_for(session, ["a:1"]),
    "unmatched known": lambda session: unmatched.known(session, ["i:1"]),
    "questions": lambda session: unmatched.questions(session, NOW),
    "due drafts": lambda session: outbox.due(session, NOW),
    "drafts of sends given up": lambda session: sending.left_in_drafts(session, ["ana"], 20),
    "drafts of customers": lambda session: outbox.of_customers(session, [1], states=["planned", "placed"]),
    "reminders in a calendar": lambda session: reminders.items(session, ["placed"], "ana"),
    "reminders to settle": lambda session: reminders.unsettled(session),
    "reminders of a mail": lambda session: reminders.of_events(session, ["m:1"]),
    "stranded reminders": lambda session: reminders.stranded(session, ["ana"]),
    "leftovers of reminders": lambda session: reminders.leftovers(session, "ana"),
    "tokens": lambda session: reminders.customers_by_token(session, ["4F2K"]),
    "suppressed": lambda session: suppressions.which(session, ["a:1"], "log"),
    "who fell silent": lambda session: coming.last_heard(session, NOW, NOW),
    "whose date comes": lambda session: coming.dated_on(session, "contact", "birthday", {1224, 1225}),
    "what was changed": lambda session: coming.changes_behind(session, 7, 100),
    "what was undone": lambda session: coming.undone_since(session, NOW),
    "the next customers": lambda session: coming.customers_behind(session, 5, 100),
    "what happened before": lambda session: coming.recorded(session, ["a|b"]),
    "what happened to meetings before": lambda session: coming.recorded(session, ["a|meeting 1|b|customer 2"]),
    "known meetings": lambda session: meetings.find(session, ["e:1:"]),
    "a series of meetings": lambda session: meetings.of_series(session, ["u"]),
    "meetings that begin": lambda session: meetings.starting(session, NOW, NOW),
    "meetings that end": lambda session: meetings.ending(session, NOW, NOW),
    "copies at a place": lambda session: meetings.copies_at(session, "ana", [("Work", "a.ics")]),
    "lost meetings": lambda session: meetings.lost(session, "ana", NOW, NOW),
    "attempts": lambda session: quarantine.attempts(session, "a", "f", "r"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_walks_through_a_whole_table(question: str, tmp_path: Path) -> None:
    schema.upgrade("sqlite:///crm.db", tmp_path, backup_to=tmp_path)
    store = open_store("sqlite:///crm.db", base=tmp_path)
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", note)
    with store.session() as session:
        QUESTIONS[question](session)
        plans = [
            row[3]
            for statement, parameters in list(asked)
            for row in session.connection().exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)
        ]
    store.close()
    assert plans
    assert [plan for plan in plans if plan.startswith("SCAN") and "VIRTUAL TABLE" not in plan] == []
