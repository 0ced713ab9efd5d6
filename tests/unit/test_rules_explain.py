"""A decision told to people, and as data."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from rule_samples import DIRECTORY, NOW, SETTINGS, decide, mail, office, sound_rules

from connectors.model import Address
from rules.engine import evaluate
from rules.explain import as_dict, explain
from rules.facts import Moment

RULES = """rules:
  - name: private
    when: [mail arrives, mail sent]
    if: {folder: Private}
    then: {ignore: private}
  - name: complaint
    when: mail arrives
    if: {known: yes, text: $complaint}
    then: {create: {case: {title: "{{ mail.subject }}"}}, draft: quote, stage: proposal}
  - name: follow-up
    when: mail arrives
    if: {stage: [lead, proposal], none: [{tag: quiet}]}
    then: {draft: {template: quote, in: 2 business days}, remind: {in: 1 day, text: Ligar}}
  - name: sent
    when: mail sent
    then: {tag: wrote}
  - name: trial
    mode: watch
    when: mail arrives
    then: {tag: trial}
  - name: rest
    mode: off
    when: mail arrives
    then: {tag: rest}
  - name: orders
    when: mail arrives
    if: {subject: [pedido*], known: yes}
    then: {tag: order}
"""
NAMES = {1: "Padaria Sol"}


def test_the_whole_story_of_a_mail() -> None:
    ruleset = sound_rules(RULES)
    message = mail(subject="Forno com defeito")
    lines = explain(decide(ruleset, message, explain=True), message, ruleset, NAMES, zone=SETTINGS.zone, now=NOW)
    assert lines == [
        "Forno com defeito",
        "  from maria@sol.example, arrived 2026-11-18 10:00",
        "  human mail in ana/INBOX",
        "",
        "About: Padaria Sol",
        "  ✓ address maria@sol.example: Padaria Sol",
        "  ✗ domain sol.example: Padaria Sol (address answered before)",
        "  contact: Maria Silva",
        "",
        "Rules:",
        "  private  [rules/10.yaml:2]  did not fire",
        "    ✗ folder: Private  saw: INBOX",
        "  complaint  [rules/10.yaml:6]  would fire",
        "    ✓ known: yes",
        '    ✓ text: $complaint  saw: "defeito*" in "Forno com defeito" and its text',
        "    → would do: create case",
        "    → would do: draft quote",
        "    → would do: stage: proposal",
        "  follow-up  [rules/10.yaml:10]  would fire",
        "    ✓ stage: lead, proposal  saw: lead",
        "    ✓ none: tag quiet  saw: tag vip",
        "    → would do: remind owner",
        "    - draft: complaint had claimed it before",
        "  sent  [rules/10.yaml:14]  not asked: its `when` is another",
        "  trial  [rules/10.yaml:17]  would have fired (mode: watch)",
        "    → would do: tag: trial",
        "  rest  [rules/10.yaml:21]  switched off",
        "  orders  [rules/10.yaml:25]  did not fire",
        '    ✗ subject: pedido*  saw: "Forno com defeito"',
        "",
        "Outcome: logged (its customer is known)",
        "  create:case  [complaint]",
        "  draft quote to maria@sol.example, in the Drafts of bruno, due 2026-11-18 10:00  [complaint]",
        "  stage proposal  [complaint]",
        "  remind bruno: Ligar, due 2026-11-19 10:00, unless replied  [follow-up]",
        f"Rules {ruleset.hash}, 2026-11-18 10:00",
    ]


def test_nobody_known() -> None:
    ruleset = sound_rules(RULES)
    message = mail(sender=Address("x@gmail.com"), subject="")
    lines = explain(decide(ruleset, message, explain=True), message, ruleset, {})
    assert lines[0] == "(no subject)"
    assert "About: nobody known" in lines
    assert "    ✗ known: yes  saw: no customer" in lines
    assert any(line.startswith("Outcome: not logged: nobody known") for line in lines)


def test_an_ignored_mail_names_its_rule() -> None:
    ruleset = sound_rules(RULES)
    message = mail(folder="INBOX.Private")
    lines = explain(decide(ruleset, message, explain=True), message, ruleset, NAMES)
    assert "Outcome: not logged, by private (private)" in lines


def test_old_mail_says_why_nothing_is_done() -> None:
    ruleset = sound_rules(RULES)
    message = mail(subject="defeito")
    decision = evaluate(ruleset, message, DIRECTORY, SETTINGS, Moment(now=NOW, baseline=None), explain=True)
    story = "\n".join(explain(decision, message, ruleset, NAMES))
    assert "complaint  [rules/10.yaml:6]  held, but the mail is older" in story
    assert "→ done" not in story
    assert decision.actions == ()


def test_without_explain_only_rules_that_held_are_told() -> None:
    ruleset = sound_rules(RULES)
    message = mail(subject="defeito")
    assert [trace.rule for trace in decide(ruleset, message).traces] == ["complaint", "follow-up", "trial"]


def test_as_data() -> None:
    ruleset = sound_rules(RULES)
    message = mail(subject="defeito", text="a senha é 4711")
    data = json.loads(json.dumps(as_dict(decide(ruleset, message, explain=True), message, ruleset, NAMES)))
    assert data["customers"] == ["Padaria Sol"]
    assert data["who"][0]["names"] == ["Padaria Sol"]
    assert data["config"] == ruleset.hash
    assert [rule["result"] for rule in data["rules"]][:3] == ["failed", "fired", "fired"]
    assert "4711" not in json.dumps(data)


def test_a_mail_that_leaves_by_itself_is_explained() -> None:
    sending = office(send={"auto_templates": ["quote"]})
    text = """rules:
  - name: receipt
    when: mail arrives
    if: {known: yes}
    then: {send: {template: quote, reply: yes, in: 1 hour}}
  - name: later
    when: mail arrives
    then: {draft: quote}
"""
    ruleset = sound_rules(text, settings=sending)
    message = mail()
    decision = decide(ruleset, message, settings=sending)
    shown = "\n".join(explain(decision, message, ruleset, NAMES))
    assert "send quote to maria@sol.example, for bruno, due 2026-11-18 14:00 UTC, unless replied  [receipt]" in shown
    assert "- draft: receipt had claimed it before" in shown
    (action,) = decision.actions
    assert (action.verb, action.slot) == ("send", "draft")
    assert action.args["late_after"] == datetime(2026, 11, 19, 14, 0, tzinfo=UTC)
