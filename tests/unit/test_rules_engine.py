"""Order, slots, shadows, history, kinds, people and moments: what a decision is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rule_samples import DIRECTORY, NOW, SETTINGS, SOL, decide, fired, mail, moment, office, one_rule, sound_rules

from connectors.model import Address, Bounce, Kind, Message
from rules.decision import Action, Decision, Outcome
from rules.engine import SEVERAL, evaluate
from rules.facts import CustomerFacts, Directory, Moment
from rules.load import RuleSet

STRANGER = Address("joao@nova.example", "João Lima")
EMPTY = RuleSet()


def verbs(decision: Decision) -> list[str]:
    return [action.slot for action in decision.actions]


def args(decision: Decision, slot: str) -> Mapping[str, Any]:
    return next(action.args for action in decision.actions if action.slot == slot)


def results(decision: Decision) -> dict[str, str]:
    return {trace.rule: trace.result for trace in decision.traces}


def rule(name: str, then: str, condition: str = "{}", extra: str = "") -> str:
    return f"  - {{name: {name}, when: mail arrives, if: {condition}, then: {then}{', ' + extra if extra else ''}}}\n"


def rules(*lines: str) -> RuleSet:
    return sound_rules("rules:\n" + "".join(lines))


# --- outcomes without rules


def test_known_customers_are_logged_by_default() -> None:
    decision = decide(EMPTY, mail())
    assert (decision.outcome, decision.logged_by, decision.actions) == (Outcome.LOG, "", ())


@pytest.mark.parametrize("kind", list(Kind))
def test_the_default_log_takes_every_kind(kind: Kind) -> None:
    assert decide(EMPTY, mail(kind=kind)).outcome is Outcome.LOG


def test_unknown_people_are_unmatched() -> None:
    assert decide(EMPTY, mail(sender=STRANGER)).outcome is Outcome.UNMATCHED


def test_internal_mail_is_internal_whatever_rules_say() -> None:
    ruleset = one_rule("{}", then="{log: yes}")
    decision = decide(ruleset, mail(sender=Address("ana@vendas.example"), to=(Address("bruno@partner.example"),)))
    assert (decision.outcome, decision.traces) == (Outcome.INTERNAL, ())


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": Address("gerente@banco.example")},
        {"cc": (Address("gerente@banco.example"),)},
        {"bounce": Bounce(recipients=("gerente@banco.example",), hard=True, reason="other"), "kind": Kind.BOUNCE},
    ],
)
def test_never_log_by_the_settings(changes: dict[str, Any]) -> None:
    assert decide(one_rule("{}", then="{log: yes}"), mail(**changes)).outcome is Outcome.NEVER_LOG


@pytest.mark.parametrize("forbidden", ["maria@sol.example", "sol.example"])
def test_never_log_by_the_store(forbidden: str) -> None:
    directory = replace(DIRECTORY, never_log=frozenset((forbidden,)))
    assert decide(EMPTY, mail(), directory).outcome is Outcome.NEVER_LOG


def test_a_lost_mail_is_history_of_its_customer() -> None:
    bounce = Bounce(recipients=("maria@sol.example",), hard=True, reason="user_unknown")
    report = mail(sender=Address("mailer-daemon@vendas.example"), kind=Kind.BOUNCE, bounce=bounce)
    assert decide(EMPTY, report).outcome is Outcome.LOG


def test_unknown_lead_makes_a_lead_of_every_stranger_who_writes() -> None:
    settings = office(unknown="lead")
    decision = decide(EMPTY, mail(sender=STRANGER, subject="Oi"), settings=settings)
    assert (decision.outcome, verbs(decision)) == (Outcome.LOG, ["create:lead"])
    assert args(decision, "create:lead")["fields"]["title"] == "Oi"
    assert decide(EMPTY, mail(sender=STRANGER, kind=Kind.BULK), settings=settings).outcome is Outcome.UNMATCHED
    old = evaluate(EMPTY, mail(sender=STRANGER), DIRECTORY, settings, Moment(now=NOW, baseline=None))
    assert old.outcome is Outcome.UNMATCHED


# --- order and slots


def test_first_claim_wins_and_the_trace_names_who_was_shadowed() -> None:
    ruleset = rules(rule("a", "{stage: proposal, tag: one}"), rule("b", "{stage: customer, tag: two}"))
    decision = decide(ruleset, mail())
    assert [(action.rule, action.slot) for action in decision.actions] == [
        ("a", "stage"),
        ("a", "tag:one"),
        ("b", "tag:two"),
    ]
    assert args(decision, "stage")["to"] == "proposal"
    assert decision.traces[1].shadowed == {"stage": "a"}
    assert decision.traces[1].done == ("tag: two",)


@pytest.mark.parametrize(
    ("first", "second", "slot"),
    [
        ("{log: headers}", "{log: yes}", "log"),
        ("{file_under: Mercado Lua}", "{file_under: Padaria Sol}", "file_under"),
        ("{create: lead}", "{create: {lead: {title: x}}}", "create:lead"),
        ("{owner: ana}", "{owner: bruno}", "owner"),
        ("{segment: a}", "{segment: b}", "segment"),
        ("{set: {x: 1}}", "{set: {x: 2}}", "set:x"),
        ("{set: {contact.x: 1}}", "{set: {contact.x: 2}}", "set:contact.x"),
        ("{draft: quote}", "{draft: {template: quote, reply: yes}}", "draft"),
        ("{tag: vip}", "{untag: vip}", "tag:vip"),
    ],
)
def test_single_answer_slots(first: str, second: str, slot: str) -> None:
    decision = decide(rules(rule("a", first), rule("b", second)), mail())
    assert decision.traces[1].shadowed == {slot: "a"}
    assert verbs(decision).count(slot) == (slot != "log")


def test_different_things_share_nothing() -> None:
    ruleset = rules(rule("a", "{create: lead, set: {x: 1}}"), rule("b", "{create: [case, task], set: {contact.x: 2}}"))
    decision = decide(ruleset, mail())
    assert verbs(decision) == ["create:lead", "set:x", "create:case", "create:task", "set:contact.x"]


def test_additive_effects_all_happen_and_repeats_are_merged() -> None:
    ruleset = rules(
        rule("a", "{tag: [x, y], remind: {in: 1 day, text: Ligar}}"),
        rule("b", "{tag: [y, z], remind: [{in: 1 day, text: Ligar}, {in: 2 days, text: Ligar}]}"),
    )
    decision = decide(ruleset, mail())
    assert verbs(decision) == ["tag:x", "tag:y", "remind", "tag:z", "remind:2"]
    assert decision.traces[1].shadowed == {}


def test_ignore_rules_run_first_and_end_the_run() -> None:
    ruleset = rules(rule("a", "{tag: x}"), rule("b", "{ignore: private}", "{folder: Private}"))
    decision = decide(ruleset, mail(folder="Private"))
    assert (decision.outcome, decision.reason, decision.logged_by) == (Outcome.IGNORED, "private", "b")
    assert decision.actions == ()
    assert decide(ruleset, mail()).outcome is Outcome.LOG


def test_stop_ends_the_run() -> None:
    ruleset = rules(rule("a", "{tag: x}", "{subject: caixas}", "stop: yes"), rule("b", "{tag: y}"))
    assert verbs(decide(ruleset, mail(subject="caixas"))) == ["tag:x"]
    assert results(decide(ruleset, mail(subject="caixas"), explain=True)) == {"a": "fired", "b": "stopped"}
    assert verbs(decide(ruleset, mail())) == ["tag:y"]


def test_watch_does_nothing_and_takes_no_slot() -> None:
    ruleset = rules(
        rule("w", "{stage: lost}", extra="mode: watch, stop: yes"),
        rule("i", "{ignore: x}", extra="mode: watch"),
        rule("a", "{stage: proposal}"),
    )
    decision = decide(ruleset, mail())
    assert verbs(decision) == ["stage"]
    assert results(decision) == {"w": "watched", "i": "watched", "a": "fired"}
    assert {trace.rule: trace.done for trace in decision.traces}["w"] == ("stage: lost",)


def test_of_old_mail_a_watching_rule_says_that_it_would_do_nothing() -> None:
    ruleset = rules(rule("w", "{stage: lost, log: headers}", extra="mode: watch"))
    history = Moment(now=NOW, baseline=None)
    (trace,) = evaluate(ruleset, mail(), DIRECTORY, SETTINGS, history).traces
    assert (trace.result, trace.done) == ("too_old", ("log: headers",))


def test_off_is_off() -> None:
    ruleset = rules(rule("a", "{tag: x}", extra="mode: off"))
    assert decide(ruleset, mail()).actions == ()
    assert results(decide(ruleset, mail(), explain=True)) == {"a": "off"}


def test_direction_of_rules() -> None:
    ruleset = sound_rules(
        "rules:\n"
        "  - {name: in, when: mail arrives, then: {tag: in}}\n"
        "  - {name: out, when: mail sent, then: {tag: out}}\n"
        "  - {name: both, when: [mail sent, mail arrives], then: {tag: both}}\n"
    )
    sent = mail(sender=Address("ana@vendas.example"), to=(Address("maria@sol.example"),))
    assert fired(decide(ruleset, mail())) == ["in", "both"]
    assert fired(decide(ruleset, sent)) == ["out", "both"]
    assert results(decide(ruleset, mail(), explain=True))["out"] == "not_for"


# --- kinds


@pytest.mark.parametrize("kind", [Kind.AUTO_REPLY, Kind.OUT_OF_OFFICE, Kind.BOUNCE, Kind.BULK])
def test_automatic_mail_is_seen_only_by_rules_that_name_it(kind: Kind) -> None:
    names = {
        Kind.AUTO_REPLY: "automated",
        Kind.OUT_OF_OFFICE: "out_of_office",
        Kind.BOUNCE: "bounce",
        Kind.BULK: "newsletter",
    }
    name = names[kind]
    ruleset = rules(
        rule("plain", "{tag: a}"),
        rule("names", "{tag: b}", f"{{is: {name}}}"),
        rule("deep", "{tag: c}", f"{{any: [{{all: [{{is: [{name}, reply]}}]}}, {{tag: x}}]}}"),
        rule("negative", "{tag: d}", f"{{none: [{{is: {name}}}]}}"),
        rule("not", "{tag: e}", f"{{is: not {name}}}"),
        rule("ignores", "{ignore: x}", "{subject: nothing}"),
    )
    decision = decide(ruleset, mail(kind=kind), explain=True)
    assert results(decision) == {
        "ignores": "failed",
        "plain": "not_seen",
        "names": "fired",
        "deep": "fired",
        "negative": "not_seen",
        "not": "not_seen",
    }


@pytest.mark.parametrize("kind", [Kind.HUMAN, Kind.NOTICE, Kind.INVITATION, Kind.FEEDBACK])
def test_other_kinds_are_seen_by_all(kind: Kind) -> None:
    assert fired(decide(one_rule("{}"), mail(kind=kind))) == ["probe"]


# --- history


def history_of(message: Message, ruleset: RuleSet, **changes: Any) -> Decision:
    return evaluate(ruleset, message, DIRECTORY, SETTINGS, replace(moment(ruleset), **changes))


def test_mail_before_the_baseline_is_logged_and_never_acted_upon() -> None:
    ruleset = rules(rule("a", "{log: headers, file_under: Mercado Lua, tag: x, draft: quote}"))
    decision = history_of(mail(), ruleset, baseline=NOW + timedelta(seconds=1))
    assert (decision.outcome, verbs(decision), results(decision)) == (
        Outcome.HEADERS,
        ["file_under"],
        {"a": "too_old"},
    )
    assert history_of(mail(), ruleset, baseline=None).actions == decision.actions
    assert verbs(history_of(mail(), ruleset, baseline=NOW)) == ["file_under", "tag:x", "draft"]


def test_ignore_works_on_history() -> None:
    ruleset = rules(rule("a", "{ignore: private}"))
    assert history_of(mail(), ruleset, baseline=None).outcome is Outcome.IGNORED


def test_an_old_date_makes_history_of_newly_arrived_mail() -> None:
    ruleset = rules(rule("a", "{tag: x}"))
    late = history_of(mail(sent_at=NOW - timedelta(days=33)), ruleset, baseline=NOW - timedelta(days=30))
    assert late.actions == ()
    slow = history_of(mail(sent_at=NOW - timedelta(days=31)), ruleset, baseline=NOW - timedelta(days=30))
    assert verbs(slow) == ["tag:x"]
    undated = history_of(mail(sent_at=None), ruleset)
    assert verbs(undated) == ["tag:x"]


def test_a_rule_sees_only_mail_later_than_its_own_first_loading() -> None:
    ruleset = rules(rule("old", "{tag: x}"), rule("new", "{tag: y, log: headers}"))
    loaded = {"old": NOW - timedelta(days=1), "new": NOW + timedelta(minutes=1)}
    decision = history_of(mail(), ruleset, loaded=loaded)
    assert (verbs(decision), results(decision)) == (["tag:x"], {"old": "fired", "new": "too_old"})
    assert decision.outcome is Outcome.HEADERS
    unloaded = history_of(mail(received_at=NOW - timedelta(seconds=1)), ruleset, loaded={})
    assert unloaded.actions == ()


# --- logging


def test_log_headers_and_no() -> None:
    assert decide(rules(rule("a", "{log: headers}")), mail()).outcome is Outcome.HEADERS
    dropped = decide(rules(rule("a", "{log: no}"), rule("b", "{tag: x}")), mail())
    assert (dropped.outcome, dropped.logged_by, dropped.actions) == (Outcome.IGNORED, "a", ())


@pytest.mark.parametrize("then", ["{log: yes}", "{create: lead}", "{create: customer}", "{file_under: Novo}"])
def test_what_logs_a_stranger(then: str) -> None:
    decision = decide(one_rule("{}", then=then), mail(sender=STRANGER))
    assert (decision.outcome, decision.logged_by) == (Outcome.LOG, "probe")


@pytest.mark.parametrize("then", ["{tag: x}", "{draft: quote}", "{remind: {in: 1 day}}", "{create: case}"])
def test_what_does_not_log_a_stranger_does_nothing_and_says_why(then: str) -> None:
    decision = decide(one_rule("{}", then=then), mail(sender=STRANGER))
    assert (decision.outcome, decision.actions) == (Outcome.UNMATCHED, ())
    assert results(decision) == {"probe": "failed"}
    assert decision.traces[0].checks[-1].seen == "nobody known"


def test_file_under_resolves_names_and_addresses() -> None:
    for text, number in (("mercado lua", 2), ("maria@sol.example", 1), ("novo@lua.example", 2), ("Nova", None)):
        decision = decide(one_rule("{}", then=f"{{file_under: {text}}}"), mail(sender=STRANGER))
        assert args(decision, "file_under") == {"customer": text, "customer_id": number}


def test_file_under_nothing_is_nothing() -> None:
    ruleset = one_rule("{}", then='{file_under: "{{ contact.title }}"}')
    assert decide(ruleset, mail(sender=STRANGER)).outcome is Outcome.UNMATCHED


# --- people


@pytest.mark.parametrize(
    ("who", "changes", "expected"),
    [
        ("owner", {}, "bruno"),
        ("owner", {"sender": Address("x@lua.example")}, "ana"),
        ("owner", {"sender": Address("x@lua.example"), "to": (Address("bruno@partner.example"),)}, "bruno"),
        ("owner", {"sender": Address("x@lua.example"), "to": ()}, "ana"),  # the mailbox's
        ("owner", {"sender": Address("x@lua.example"), "to": (), "account": "gone"}, "ana"),  # the admin
        ("sender", {}, "ana"),
        ("sender", {"sender": Address("bruno@partner.example"), "to": (Address("x@lua.example"),)}, "bruno"),
        ("bruno", {}, "bruno"),
        ("admin", {}, "ana"),
    ],
)
def test_who_is_reminded(who: str, changes: dict[str, Any], expected: str) -> None:
    ruleset = one_rule("{}", then=f"{{remind: {{who: {who}, in: 1 day}}}}")
    assert args(decide(ruleset, mail(**changes)), "remind")["rep"] == expected


def test_a_new_owner_is_the_owner_of_everything_in_the_same_decision() -> None:
    ruleset = rules(rule("a", "{draft: quote, remind: {in: 1 day}}"), rule("b", "{owner: ana}"))
    decision = decide(ruleset, mail())
    assert {args(decision, slot)["rep"] for slot in ("draft", "remind", "owner")} == {"ana"}


def test_turns_are_even_and_the_same_each_time() -> None:
    ruleset = one_rule("{}", then="{owner: {round_robin: [ana, bruno]}, remind: {in: 1 day}}")
    picked = []
    for number in range(300):
        one = decide(ruleset, mail(message_id=f"{number}@x"))
        assert args(one, "owner")["rep"] == args(one, "remind")["rep"]
        picked.append(args(one, "owner")["rep"])
    assert 100 < picked.count("ana") < 200
    assert picked[0] == args(decide(ruleset, mail(message_id="0@x", account="other")), "owner")["rep"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "maria@sol.example"),
        ({"reply_to": (Address("pedidos@sol.example"),)}, "pedidos@sol.example"),
        ({"reply_to": (Address("vendas@vendas.example"),)}, "maria@sol.example"),
        ({"sender": Address("ana@vendas.example"), "to": (Address("x@lua.example"),)}, "x@lua.example"),
    ],
)
def test_where_a_draft_goes(changes: dict[str, Any], expected: str) -> None:
    decision = decide(one_rule("{}", then="{draft: {template: quote, reply: yes}}"), mail(**changes))
    assert args(decision, "draft")["to"] == expected
    assert args(decision, "draft")["reply"] is True


def test_a_draft_to_somebody_else() -> None:
    ruleset = one_rule("{}", then='{draft: {template: quote, to: "{{ owner.mail }}"}}')
    assert args(decide(ruleset, mail()), "draft")["to"] == "bruno@partner.example"
    nobody = one_rule("{}", then='{draft: {template: quote, to: "{{ contact.title }}"}, tag: x}')
    assert verbs(decide(nobody, mail())) == ["tag:x"]


# --- moments


def at(text: str) -> datetime:
    """Wall-clock time of the office, three hours behind UTC."""
    return datetime.fromisoformat(f"{text}-03:00").astimezone(UTC)


@pytest.mark.parametrize(
    ("when", "due", "late"),
    [
        ("in: 1 business day", at("2026-11-19T10:00"), at("2026-11-24T10:00")),
        ("in: 4 business hours", at("2026-11-18T14:00"), at("2026-11-23T14:00")),
        ("in: 3 business days", at("2026-11-23T10:00"), at("2026-11-28T10:00")),
        ("in: 10 days", at("2026-11-28T10:00"), at("2026-12-03T10:00")),
        ("at: next business day 09:30", at("2026-11-19T09:30"), at("2026-11-24T09:30")),
        ("at: friday 14:00", at("2026-11-20T14:00"), at("2026-11-25T14:00")),
        ("in: 1 day, late_after: 2 days", at("2026-11-19T10:00"), at("2026-11-21T10:00")),
    ],
)
def test_reminders_come_due(when: str, due: datetime, late: datetime) -> None:
    found = args(decide(one_rule("{}", then=f"{{remind: {{{when}}}}}"), mail()), "remind")
    assert (found["due_at"], found["late_after"], found["unless"]) == (due, late, "replied")


@pytest.mark.parametrize(
    ("parts", "due", "late", "unless"),
    [
        ("", at("2026-11-18T10:00"), at("2026-11-19T10:00"), ""),
        (", in: 3 days", at("2026-11-21T10:00"), at("2026-11-23T10:00"), "replied"),
        (", at: friday 17:00", at("2026-11-20T17:00"), at("2026-11-23T17:00"), "replied"),
        (", in: 1 day, unless: never", at("2026-11-19T10:00"), at("2026-11-20T10:00"), ""),
        (", in: 1 day, unless: mail sent", at("2026-11-19T10:00"), at("2026-11-20T10:00"), "mail sent"),
        (", unless: replied, late_after: 2 hours", at("2026-11-18T10:00"), at("2026-11-18T12:00"), "replied"),
    ],
)
def test_drafts_come_due(parts: str, due: datetime, late: datetime, unless: str) -> None:
    found = args(decide(one_rule("{}", then=f"{{draft: {{template: quote{parts}}}}}"), mail()), "draft")
    assert (found["due_at"], found["late_after"], found["unless"]) == (due, late, unless)


def test_moments_count_from_the_arrival_however_late_the_mail_is_found() -> None:
    ruleset = one_rule("{}", then="{remind: {in: 1 day}}")
    found = evaluate(ruleset, mail(), DIRECTORY, SETTINGS, replace(moment(ruleset), now=NOW + timedelta(days=9)))
    assert args(found, "remind")["due_at"] == NOW + timedelta(days=1)


# --- values


def test_texts_are_filled_in() -> None:
    then = (
        '{create: {case: {title: "{{ mail.subject }}", priority: high, due: 4 business hours, colour: blue}}, '
        'set: {last_topic: "{{ mail.subject }}", contact.seen: "yes"}, segment: "{{ customer.stage }}", '
        'remind: {text: "{{ contact.first_name }} de {{ customer.name }}, {{ owner.name }}"}, '
        "stage: {to: lead, back: yes}, untag: vip}"
    )
    decision = decide(one_rule("{}", then=then), mail(subject="Forno <b>frio</b>"))
    assert {action.slot: action.args for action in decision.actions if action.verb != "remind"} == {
        "create:case": {
            "what": "case",
            "fields": {
                "title": "Forno <b>frio</b>",
                "priority": "high",
                "colour": "blue",
                "due_at": at("2026-11-18T14:00"),
            },
        },
        "set:last_topic": {"target": "customer", "field": "last_topic", "value": "Forno <b>frio</b>"},
        "set:contact.seen": {"target": "contact", "field": "seen", "value": "yes"},
        "segment": {"segment": "lead"},
        "stage": {"to": "lead", "back": True},
        "tag:vip": {"tag": "vip"},
    }
    assert args(decision, "remind")["text"] == "Maria de Padaria Sol, bruno"


def test_text_of_a_mail_is_never_a_template() -> None:
    decision = decide(one_rule("{}", then='{tag: "{{ mail.subject }}"}'), mail(subject="{{ owner.mail }} {% x %}"))
    assert decision.actions[0].args == {"tag": "{{ owner.mail }} {% x %}"}


def test_values_that_are_missing_are_left_out() -> None:
    ruleset = one_rule("{}", then='{create: {lead: {title: "De {{ contact.title }}: {{ mail.subject }}"}}}')
    decision = decide(ruleset, mail(sender=None, sent_by=STRANGER))
    assert args(decision, "create:lead")["fields"]["title"] == "De :"


def test_a_decision_as_data_holds_no_text_of_the_mail() -> None:
    ruleset = one_rule("{text: segredo}", then="{create: lead}")
    data = decide(ruleset, mail(text="segredo: 4711")).as_dict()
    assert "4711" not in str(data)
    assert data["actions"] == [{"rule": "probe", "verb": "create", "slot": "create:lead"}]


def test_customers_that_the_directory_does_not_describe_are_still_logged() -> None:
    directory = Directory(domains={"sol.example": (9,)})
    decision = decide(one_rule("{known: yes, none: [{stage: lead}]}"), mail(), directory)
    assert (decision.outcome, verbs(decision)) == (Outcome.LOG, ["tag:hit"])


def test_an_owner_who_left_is_nobody() -> None:
    directory = replace(DIRECTORY, customers={1: CustomerFacts(id=1, name="Sol", owner="carla")})
    decision = decide(one_rule("{}", then="{remind: {in: 1 day}}"), mail(), directory)
    assert args(decision, "remind")["rep"] == "ana"
    assert SOL.owner == "bruno"
    assert isinstance(decision.actions[0], Action)


def test_nothing_is_changed_while_it_is_unclear_whose_record_it_is() -> None:
    shared = replace(DIRECTORY, contacts={}, domains={"sol.example": (1, 2)})
    then = "{tag: x, stage: lost, owner: ana, set: {a: b}, create: case, remind: {in: 1 day}}"
    decision = decide(one_rule("{}", then=then), mail(), shared)
    assert (decision.outcome, verbs(decision)) == (Outcome.LOG, ["create:case", "remind"])
    assert decision.traces[0].shadowed == dict.fromkeys(["tag:x", "stage", "owner", "set:a"], SEVERAL)
    copy = mail(sender=Address("x@lua.example"), cc=(Address("y@sol.example"),))
    clear = replace(shared, domains={"sol.example": (1, 3), "lua.example": (2,)})
    assert "tag:x" in verbs(decide(one_rule("{}", then=then), copy, clear))
