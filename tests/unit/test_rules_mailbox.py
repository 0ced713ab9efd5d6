"""What rules do to the mail itself: categories, flags, folders; and the condition on categories."""

from __future__ import annotations

from datetime import date

import pytest
from rule_samples import NOW, decide, fired, mail, office, one_rule, sound_rules
from trial_samples import outcome

from rules.clock import GrammarError
from rules.hours import OfficeHours
from rules.mailbox_actions import parse_day
from rules.office import office_of

HOURS: OfficeHours = office_of(office()).hours


def args(then: str, **changes: object) -> list[tuple[str, str, dict[str, object]]]:
    decision = decide(one_rule("{known: yes}", then), mail(**changes))
    return [(one.slot, one.verb, dict(one.args)) for one in decision.actions]


@pytest.mark.parametrize(
    ("then", "slot", "verb", "wanted"),
    [
        ('{category: "CRM: lead"}', "category:crm: lead", "category", {"category": "CRM: lead"}),
        ('{uncategory: "CRM: lead"}', "category:crm: lead", "uncategory", {"category": "CRM: lead"}),
        ('{category: "{{ customer.name }}"}', "category:{{ customer.name }}", "category", {"category": "Padaria Sol"}),
        ("{move: CRM/Pedidos}", "move", "move", {"folder": "CRM/Pedidos"}),
        ('{move: "CRM / {{ customer.name }}"}', "move", "move", {"folder": "CRM/Padaria Sol"}),
        ("{flag: today}", "flag", "flag", {"day": date(2026, 11, 18)}),
        ("{flag: 3 days}", "flag", "flag", {"day": date(2026, 11, 21)}),
    ],
)
def test_what_is_asked_for(then: str, slot: str, verb: str, wanted: dict[str, object]) -> None:
    assert args(then) == [(slot, verb, wanted)]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("today", date(2026, 11, 18)),
        ("Tomorrow", date(2026, 11, 19)),
        ("2 business days", date(2026, 11, 20)),
        ("1 week", date(2026, 11, 25)),
        ("friday", date(2026, 11, 20)),
        ("next business day", date(2026, 11, 19)),
        ("2026-12-24", date(2026, 12, 24)),
    ],
)
def test_days_of_a_flag(text: str, day: date) -> None:
    assert parse_day(text).after(NOW, HOURS) == day


@pytest.mark.parametrize("text", ["soon", "", "3 hours", "today 17:00", "friday 10:00", "-1 days"])
def test_what_is_no_day(text: str) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_day(text)
    assert "today" in caught.value.hint


def test_what_a_customer_is_called_makes_no_folder_inside_another() -> None:
    ((_, _, made),) = args('{move: "CRM/{{ mail.subject }}"}', subject="A/S ../x\\y \r\n z")
    assert made == {"folder": "CRM/A-S ..-x-y z"}
    assert args('{move: "CRM/{{ mail.subject }}"}', subject="") == []


TWO = """rules:
  - {name: a, when: mail arrives, then: {category: x, flag: today, move: A}}
  - {name: b, when: mail arrives, then: {category: [X, y], uncategory: x, flag: 3 days, move: B}}
"""


def test_the_first_rule_moves_and_categories_add_up() -> None:
    decision = decide(sound_rules(TWO), mail(), explain=True)
    assert [(one.rule, one.verb, one.slot) for one in decision.actions] == [
        ("a", "category", "category:x"), ("a", "flag", "flag"), ("a", "move", "move"), ("b", "category", "category:y"),
    ]  # fmt: skip
    assert dict(decision.traces[1].shadowed) == {"category:x": "a", "move": "a"}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('{category: "CRM: private"}', True),
        ('{category: "crm: PRIVATE"}', True),
        ('{category: "CRM: *"}', True),
        ("{category: yes}", True),
        ("{category: no}", False),
        ('{category: ["not CRM: private"]}', False),
        ('{category: "CRM"}', False),
    ],
)
def test_the_condition_on_categories(condition: str, holds: bool) -> None:
    message = mail(categories=("Urgente", "CRM: private"))
    assert (fired(decide(one_rule(condition), message)) == ["probe"]) is holds
    assert fired(decide(one_rule("{category: yes}"), mail())) == []


MARKING = """rules:
  - name: marks
    when: mail arrives
    if: {known: yes, none: [{category: done}]}
    then: {category: "CRM: lead", flag: 2 days, move: CRM/Orders}
"""
MARIA = "{from: maria@padariasol.example, subject: Forno}"
DONE = "{from: maria@padariasol.example, subject: Forno, category: Done}"


@pytest.mark.parametrize(
    ("mail", "expect", "passes"),
    [
        (MARIA, "{category: 'crm: lead', flag: 2 days, move: CRM/Orders}", True),
        (MARIA, "{flag: yes, move: yes, category: yes}", True),
        (MARIA, "{flag: 2026-11-22}", True),
        (MARIA, "{flag: 3 days}", False),
        (MARIA, "{not: move}", False),
        (DONE, "nothing", True),
        (DONE, "{not: [move, category, flag, uncategory]}", True),
    ],
)
def test_rule_tests_speak_of_marks(mail: str, expect: str, passes: bool) -> None:
    assert outcome(mail, expect, rules=MARKING).passed is passes
