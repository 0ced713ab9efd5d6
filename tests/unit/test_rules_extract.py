"""`extract`: where values come from, what becomes of them, what the trace says."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_samples import DIRECTORY, NOW, QUOTE, SETTINGS, decide, fired, mail, moment, rules_of, sound_rules

from config.errors import Problem
from connectors.model import Attachment, Kind
from rules.amounts import read_money
from rules.decision import Decision
from rules.engine import evaluate
from rules.explain import as_dict, explain
from rules.load import RuleSet, load_ruleset

SHOP = r"""
rules:
  - name: shop
    when: mail arrives
    if: {subject: {starts: [Novo pedido]}, is: automated}
    extract:
      pedido: {jsonld: Order.orderNumber, regex: 'pedido\s*(?:n[º°o.]*\s*)?#?(\d{4,})', required: yes}
      total: {jsonld: Order.price, regex: 'total:?\s*(R\$\s*[\d.]+,\d{2})', as: money}
      cliente: {regex: 'cliente:\s*(\S+@\S+)', as: address}
      entrega: {regex: 'entrega:\s*(\S+)', as: date}
    then:
      file_under: "{{ cliente }}"
      create: {order: {number: "{{ pedido }}", total: "{{ total }}"}}
      set: {next_delivery: "{{ entrega }}"}
      tag: "pedido-{{ pedido }}"
      remind: {text: "Pedido {{ pedido }} de {{ total }}"}
"""
EVERYTHING = sound_rules(SHOP)
TEXT = "Cliente: Maria@SOL.example\nTotal: R$ 1.250,00\nEntrega: 24/12/2026\n"


def notice(text: str = TEXT, **changes: object):  # type: ignore[no-untyped-def]
    return mail(**{"subject": "Novo pedido nº 88123", "text": text, "kind": Kind.NOTICE, **changes})


def args(decision: Decision) -> dict[str, object]:
    return {action.slot: dict(action.args) for action in decision.actions}


def value(decision: Decision, name: str) -> str:
    return next(one.value for trace in decision.traces for one in trace.extracted if one.name == name)


def test_values_go_into_every_action() -> None:
    done = args(decide(sound_rules(SHOP), notice()))
    assert done["file_under"] == {"customer": "maria@sol.example", "customer_id": 1}
    assert done["create:order"] == {
        "what": "order",
        "fields": {"number": "88123", "amount": 125_000, "currency": "BRL"},
    }
    assert done["set:next_delivery"] == {"target": "customer", "field": "next_delivery", "value": "2026-12-24"}
    assert done["tag:pedido-{{ pedido }}"] == {"tag": "pedido-88123"}
    assert done["remind"]["text"] == "Pedido 88123 de R$ 1.250,00"  # type: ignore[index]


def test_data_of_the_html_comes_before_patterns() -> None:
    data = (("Order.orderNumber", "77"), ("Order.priceCurrency", "USD"), ("Order.price", "10.5"))
    done = args(decide(sound_rules(SHOP), notice(markup=data)))
    assert done["create:order"]["fields"] == {"number": "77", "amount": 1050, "currency": "USD"}  # type: ignore[index]


def test_a_way_that_finds_another_kind_of_thing_gives_way_to_the_next() -> None:
    decision = decide(sound_rules(SHOP), notice(markup=(("Order.price", "on request"),)))
    assert value(decision, "total") == "R$ 1.250,00"


def test_without_a_required_value_the_rule_does_not_match() -> None:
    ruleset = sound_rules(SHOP)
    message = notice(subject="Novo pedido")
    assert decide(ruleset, message).actions == ()
    decision = decide(ruleset, message, explain=True)
    (trace,) = decision.traces
    assert trace.result == "failed"
    check = trace.checks[-1]
    assert (check.condition, check.held, check.seen) == ("extract pedido", False, "nothing")
    lines = "\n".join(explain(decision, message, ruleset, {}))
    assert "✗ extract pedido: jsonld: Order.orderNumber, regex: " in lines
    assert "saw: nothing" in lines


def test_the_trace_shows_each_value_and_what_was_seen_instead() -> None:
    ruleset = sound_rules(SHOP)
    message = notice("Cliente: maria@sol.example\nEntrega: amanha\n")
    decision = decide(ruleset, message, explain=True)
    lines = explain(decision, message, ruleset, {})
    assert "    = pedido: 88123  (regex)" in lines
    assert "    = cliente: maria@sol.example  (regex, address)" in lines
    assert "    = total: none, saw: nothing" in lines
    assert '    = entrega: none, saw: "amanha" (regex), which is no date' in lines
    data = as_dict(decision, message, ruleset, {})["rules"][0]["extracted"]
    assert {"name": "pedido", "by": "regex", "value": "88123", "missed": ""} in data


def test_what_is_kept_of_a_decision_holds_no_text_of_the_mail() -> None:
    kept = str(decide(sound_rules(SHOP), notice(subject="Novo pedido nº 4711-")).as_dict()["rules"][0]["extracted"])
    assert "maria" not in kept.lower()
    assert "{'name': 'pedido', 'by': 'regex'}" in kept


def test_amount_that_is_no_money_stays_text() -> None:
    rules = """
    rules:
      - name: shop
        when: mail arrives
        extract: {total: {regex: 'total (.+)'}}
        then: {create: {order: {total: "{{ total }}", currency: eur}}}
    """
    fields = args(decide(sound_rules(rules), mail(text="total on request")))["create:order"]["fields"]  # type: ignore[index]
    assert fields == {"total": "on request", "currency": "eur"}
    fields = args(decide(sound_rules(rules), mail(text="total 12,50")))["create:order"]["fields"]  # type: ignore[index]
    assert fields == {"amount": 1250, "currency": "EUR"}


@pytest.mark.parametrize(
    ("way", "wanted"),
    [
        ('"*boleto*.pdf"', "Boleto-0815.pdf"),
        (r"{regex: 'boleto-(\d+)'}", "0815"),
        ('["*.pdf", "not foto*"]', "Boleto-0815.pdf"),
    ],
)
def test_names_of_attachments(way: str, wanted: str) -> None:
    ruleset = sound_rules(
        f"rules:\n  - name: x\n    when: mail arrives\n    extract: {{n: {{attachment_name: {way}, required: yes}}}}\n"
        '    then: {tag: "{{ n }}"}\n'
    )
    files = tuple(Attachment(name=name, content_type="application/pdf") for name in ("foto.pdf", "Boleto-0815.pdf"))
    assert value(decide(ruleset, mail(attachments=files)), "n") == wanted
    assert fired(decide(ruleset, mail())) == []


def test_a_value_is_data_and_never_a_template() -> None:
    rules = """
    rules:
      - name: x
        when: mail arrives
        extract: {word: {regex: 'word (.+)'}}
        then: {tag: "{{ word }}"}
    """
    decision = decide(sound_rules(rules), mail(text="word {{ customer.name }}{% if 1 %}"))
    assert [action.args["tag"] for action in decision.actions] == ["{{ customer.name }}{% if 1 %}"]


def test_each_rule_sees_its_own_values_only() -> None:
    rules = """
    rules:
      - {name: a, when: mail arrives, extract: {n: {regex: 'one (.)'}}, then: {tag: "a{{ n }}"}}
      - {name: b, when: mail arrives, extract: {n: {regex: 'two (.)'}}, then: {tag: "b{{ n }}"}}
    """
    decision = decide(sound_rules(rules), mail(text="one 1 two 2"))
    assert sorted(str(action.args["tag"]) for action in decision.actions) == ["a1", "b2"]


# --- templates


def office_files(tmp_path: Path, rule: str, template: str) -> tuple[RuleSet, list[Problem]]:
    for folder, name, text in (("rules", "10.yaml", rule), ("templates", "quote.md", template)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(dedent(text), encoding="utf-8")
    problems: list[Problem] = []
    return load_ruleset(tmp_path, SETTINGS, problems), problems


WITH_NUMBER = QUOTE.replace("tudo bem", "tudo bem").replace("!\n", "! Pedido {{ pedido }}.\n")
DRAFTING = """
rules:
  - name: shop
    when: mail arrives
    extract: {pedido: {regex: 'pedido (.+)'}}
    then: {draft: quote}
"""


def test_a_template_may_write_the_values_of_its_rule(tmp_path: Path) -> None:
    ruleset, problems = office_files(tmp_path, DRAFTING, WITH_NUMBER)
    assert problems == []
    decision = evaluate(ruleset, mail(text="pedido 7"), DIRECTORY, SETTINGS, moment(ruleset, NOW + timedelta(hours=1)))
    assert args(decision)["draft"]["values"] == {"pedido": "7"}  # type: ignore[index]


def test_a_rule_without_the_value_cannot_use_that_template(tmp_path: Path) -> None:
    other = DRAFTING + "  - name: other\n    when: mail arrives\n    then: {draft: quote}\n"
    _, (problem,) = office_files(tmp_path, other, WITH_NUMBER)
    assert (problem.code, problem.line, problem.column) == ("E418", 9, 19)
    assert "{{ pedido }}" in problem.message


def test_a_template_with_another_word_for_it_needs_no_value(tmp_path: Path) -> None:
    other = DRAFTING + "  - name: other\n    when: mail arrives\n    then: {draft: quote}\n"
    _, problems = office_files(tmp_path, other, WITH_NUMBER.replace("{{ pedido }}", '{{ pedido | or("seu") }}'))
    assert problems == []


def test_a_dormant_rule_is_read_too() -> None:
    ruleset, problems = rules_of(SHOP.replace("    when:", "    mode: off\n    when:"))
    assert problems == []
    assert not ruleset.reads_markup
    assert sound_rules(SHOP).reads_markup


@given(
    st.text(max_size=200) | st.text("R$ 0123456789.,/-:@ab\n", max_size=80),
    st.lists(
        st.tuples(st.sampled_from(["Order.orderNumber", "Order.price", "Order.priceCurrency"]), st.text(max_size=30))
    ),
)
def test_whatever_a_mail_says_a_value_is_what_it_is_said_to_be(text: str, pairs: list[tuple[str, str]]) -> None:
    view = notice(f"Total: {text}\nCliente: {text}\nEntrega: {text}", markup=tuple(pairs))
    for trace in decide(EVERYTHING, view, explain=True).traces:
        for one in trace.extracted:
            assert bool(one.value) is not bool(one.missed)
            assert len(one.value) <= 500
            assert "\n" not in one.value
            if one.value and one.kind == "money":
                assert read_money(one.value, "pt")
            if one.value and one.kind == "date":
                assert date.fromisoformat(one.value)
