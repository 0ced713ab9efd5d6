"""Sequences as files: what they may say, every fault with its place and remedy, versions."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rule_samples import SETTINGS, decide, mail, office, one_rule, rules_of, sound_rules

from config.codes import CODES
from config.errors import Problem
from config.remedy import mend
from rules.decision import Decision
from rules.moments import Delay
from rules.pacing import Gap, Pace
from rules.reader import Reader
from rules.sequence import Sequence, StopWhen, stricter
from rules.sequences import read_version

APOS_PROPOSTA = """\
# file: sequences/apos-proposta.yaml
name: apos-proposta
mode: draft                           # draft = rep sends | ask = digest line "send 3" | auto = sent after hold
enter: {once_per: deal, exclusive: yes}
steps:
  - {wait: 3 business days, template: quote, reply: yes}
  - {wait: 7 business days, remind: {who: owner, text: "Ligar ou desistir? {{ customer.name }}"}}
stop_when: [replied, meeting booked, bounced, unsubscribed, stage changed, colleague replied]   # read again
out_of_office: {pause_until: their_return, else: 5 business days}
send: {hours: customer, days: mon-fri, holidays: [BR-SP], per_day: 40, gap: 2-6 minutes}        # outside: wait
done: {stage: lost}
"""
HEAD = "name: probe\nsteps: [{template: quote}]\n"


def read(text: str, **options: object) -> tuple[Sequence | None, list[Problem]]:
    ruleset, problems = rules_of("rules: []\n", sequence=text, **options)  # type: ignore[arg-type]
    return next(iter(ruleset.sequences.values()), None), problems


def sound(text: str) -> Sequence:
    found, problems = read(text)
    assert problems == []
    assert found is not None
    return found


def test_everything_a_sequence_says() -> None:
    found = sound(APOS_PROPOSTA)
    assert (found.name, found.mode, found.exclusive, found.once.scope) == ("apos-proposta", "draft", True, "deal")
    first, second = found.steps
    assert (first.wait, first.mail and first.mail.template, first.mail and first.mail.reply) == (
        Delay(3, "day", True),
        "quote",
        True,
    )
    assert (second.wait, second.mail, second.shown) == (Delay(7, "day", True), None, "remind owner")
    assert found.stop_when == StopWhen()
    assert found.pace == Pace(
        hours="customer",
        days=(0, 1, 2, 3, 4),
        holidays=("BR-SP",),
        per_day=40,
        gap=Gap(timedelta(minutes=2), timedelta(minutes=6)),
    )
    assert [effect.shown for effect in found.done] == ["stage: lost"]
    assert (found.declined, found.expired) == ("stop", "next")


def test_what_is_left_out_is_the_careful_thing() -> None:
    found = sound(HEAD)
    assert (found.mode, found.exclusive, found.once.scope) == ("draft", True, "deal")
    assert found.stop_when == StopWhen()
    assert found.pace == Pace()


def test_bounced_and_unsubscribed_end_every_sequence() -> None:
    found = sound(HEAD + "stop_when: [{tag: [vip, gold]}, {stage: customer}]\n")
    assert found.stop_when == StopWhen(
        signs=frozenset(("bounced", "unsubscribed")),
        tags=frozenset(("vip", "gold")),
        stages=frozenset(("customer",)),
    )


MENDED: list[tuple[str, str, int, int, int, str]] = [
    (HEAD + "stepz: []\n", "E101", 3, 1, 5, 'did you mean "steps"?'),
    (HEAD + "mode: autoo\n", "E104", 3, 7, 5, 'did you mean "auto"?'),
    (HEAD + "stop_when: [repplied]\n", "E104", 3, 13, 8, 'did you mean "replied"?'),
    (HEAD + "stop_when: [{stage: leed}]\n", "E206", 3, 21, 4, 'did you mean "lead"?'),
    (HEAD + "enter: {once_per: dael}\n", "E104", 3, 19, 4, 'did you mean "deal"?'),
    (HEAD + "enter: {once_per: deal every 9 dys}\n", "E202", 3, 19, 16, "write: per deal every 30 days"),
    (HEAD + "enter: {exclusive: perhaps}\n", "E103", 3, 20, 7, "write: yes"),
    (HEAD + "send: {hour: customer}\n", "E101", 3, 8, 4, 'did you mean "hours"?'),
    (HEAD + "send: {hours: custmer}\n", "E104", 3, 15, 7, 'did you mean "customer"?'),
    (HEAD + "send: {gap: 6-2 minutes}\n", "E202", 3, 13, 11, "write: 2-6 minutes"),
    (HEAD + "send: {gap: short}\n", "E202", 3, 13, 5, "write: 2-6 minutes"),
    (HEAD + "send: {per_day: many}\n", "E201", 3, 17, 4, "write: 40"),
    (HEAD + "out_of_office: {else: 5 busines days}\n", "E202", 3, 23, 14, "write: 5 business days"),
    (HEAD + "drafts: {expired: nex}\n", "E104", 3, 19, 3, 'did you mean "next"?'),
    (HEAD + "done: {stage: losst}\n", "E206", 3, 15, 5, 'did you mean "lost"?'),
    (HEAD + "done: {segmnt: x}\n", "E101", 3, 8, 6, 'did you mean "segment"?'),
    ("name: probe\nsteps: [{template: qoute}]\n", "E403", 2, 20, 5, 'did you mean "quote"?'),
    ("name: probe\nsteps: [{tmplate: quote}]\n", "E101", 2, 10, 7, 'did you mean "template"?'),
    ("name: probe\nsteps: [{wait: 3 busines days, template: quote}]\n", "E202", 2, 16, 14, "write: 3 business days"),
    (
        "name: probe\nsteps:\n  - template: quote\n  - remind: {text: Call}\n",
        "E102",
        4,
        5,
        1,
        "add: wait: 3 business days",
    ),
    ("steps: [{template: quote}]\n", "E102", 1, 1, 1, "add: name: s"),
]


@pytest.mark.parametrize(("text", "code", "line", "column", "span", "help"), MENDED)
def test_fault_and_remedy(text: str, code: str, line: int, column: int, span: int, help: str) -> None:
    _, problems = read(text)
    assert [(one.code, one.line, one.column, one.span) for one in problems] == [(code, line, column, span)]
    assert problems[0].help.startswith(help)


ADVICE: list[tuple[str, str, int, str]] = [
    ("name: probe\nsteps: []\n", "E105", 2, "`steps` needs a list"),
    ("name: probe\nsteps: [{wait: 3 days}]\n", "E443", 2, "does nothing"),
    ("name: probe\nsteps: [{wait: 0 days, template: quote}]\n", "E202", 2, "out of range"),
    (
        "name: probe\nsteps: [{template: quote, name: a}, {wait: 1 day, template: quote, name: a}]\n",
        "E441",
        2,
        "a step",
    ),
    ("name: all\nsteps: [{template: quote}]\n", "E212", 1, "cannot be the name"),
    ("- name: probe\n", "E105", 1, "holds no steps"),
    (HEAD + "mode: auto\n", "E414", 2, "may not leave by itself"),
    (HEAD + "stop_when: [meeting booked]\ndone: {stage: lost}\n", "E444", 3, "would become lost"),
    (HEAD + "send: {holidays: XX}\n", "E209", 3, "no holidays"),
    (HEAD + "out_of_office: {pause_until: never}\n", "E104", 3, "cannot be"),
    ("name: probe\nsteps: [{template: quote, send: quote}]\n", "E101", 2, 'unknown part of a step "send"'),
    ("name: probe\nsteps: [{reply: yes, tag: x}]\n", "E102", 2, "needs a template"),
    (
        "name: probe\nsteps: [{tag: vip}, {wait: 1 day, template: quote}]\nstop_when: [replied, {tag: vip}]\n",
        "E443",
        2,
        "step 2 is never reached",
    ),
]


@pytest.mark.parametrize(("text", "code", "line", "message"), ADVICE)
def test_fault_with_advice(text: str, code: str, line: int, message: str) -> None:
    found, problems = read(text)
    assert found is None
    assert [(one.code, one.line) for one in problems] == [(code, line)]
    assert message in problems[0].message
    assert problems[0].help
    assert code in CODES


def test_a_remedy_that_can_be_carried_out_mends_the_file() -> None:
    for text, *_ in MENDED:
        _, (problem,) = read(text)
        mended = mend(text, problem)
        if mended is not None and not text.endswith(("stepz: []\n", "9 dys}\n", "autoo\n")):
            assert read(mended)[1] == [], text


def test_all_faults_at_once() -> None:
    text = "name: probe\nmode: autoo\nsteps: [{template: qoute}, {wait: 1 dy, tag: x}]\nsend: {gap: x}\n"
    _, problems = read(text)
    assert [(one.code, one.line) for one in problems] == [("E104", 2), ("E403", 3), ("E202", 3), ("E202", 4)]


def test_auto_with_a_template_that_may_leave_by_itself() -> None:
    found, problems = read(HEAD + "mode: auto\n", settings=office(send={"auto_templates": ["quote"]}))
    assert problems == []
    assert found is not None
    assert found.mode == "auto"


def test_a_version_changes_with_what_it_does_and_with_nothing_else() -> None:
    first = sound(APOS_PROPOSTA)
    assert sound(APOS_PROPOSTA.replace("# read again", "# x") + "about: For people.\n").version == first.version
    assert sound(APOS_PROPOSTA.replace("wait: 3", "wait: 4")).version != first.version


def test_what_the_store_keeps_of_a_version_reads_as_it_was() -> None:
    first = sound(APOS_PROPOSTA)
    problems: list[Problem] = []
    reader = Reader(settings=SETTINGS, problems=problems, templates=frozenset(("quote",)))
    again = read_version(first.name, first.version, first.content, reader)
    assert problems == []
    assert again is not None
    assert (again.version, again.pace, again.stop_when, len(again.steps)) == (
        first.version,
        first.pace,
        first.stop_when,
        2,
    )
    gone = Reader(settings=SETTINGS, problems=problems, templates=frozenset())
    assert read_version(first.name, first.version, first.content, gone) is None
    assert [one.code for one in problems] == ["E403"]


def test_the_stricter_mode() -> None:
    assert [stricter("auto", "draft"), stricter("auto", "ask"), stricter("ask", "ask")] == ["draft", "ask", "ask"]


# --- in rules


def _actions(decision: Decision) -> list[tuple[str, str]]:
    return [(one.verb, one.args["sequence"]) for one in decision.actions]


def test_rules_start_and_stop_sequences_and_all_of_them_do() -> None:
    ruleset = sound_rules("""rules:
  - {name: a, when: mail arrives, then: {start: after-quote, stop: all}}
  - {name: b, when: mail arrives, then: {start: [after-quote]}}
""")
    decision = decide(ruleset, mail())
    assert _actions(decision) == [("start", "after-quote"), ("stop", "all")]
    assert {trace.rule: trace.shadowed for trace in decision.traces} == {"a": {}, "b": {}}


@pytest.mark.parametrize(
    ("condition", "inside", "held"),
    [
        ("{in_sequence: any}", ("after-quote",), True),
        ("{in_sequence: any}", (), False),
        ("{in_sequence: after-quote}", ("after-quote",), True),
        ("{in_sequence: not any}", (), True),
        ("{in_sequence: not after-quote}", ("after-quote",), False),
        ("{none: [{in_sequence: any}]}", ("after-quote",), False),
    ],
)
def test_in_sequence(condition: str, inside: tuple[str, ...], held: bool) -> None:
    from dataclasses import replace

    from rule_samples import DIRECTORY, SOL, fired

    directory = replace(DIRECTORY, customers={1: replace(SOL, sequences=frozenset(inside))})
    assert bool(fired(decide(one_rule(condition), mail(), directory))) is held
