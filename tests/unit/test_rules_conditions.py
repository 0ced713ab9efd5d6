"""Every condition with mail that fulfils it and mail that does not; list semantics; what the trace says."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rule_samples import DIRECTORY, LUA, MARIA, NOW, SOL, decide, fired, mail, one_rule

from connectors.model import Address, Attachment, Kind
from rules.facts import CustomerFacts, Directory

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
OUT = {"sender": Address("ana@vendas.example"), "to": (Address("maria@sol.example"),)}
PDF = Attachment(name="Proposta São João.PDF", content_type="application/pdf", size=6_000_000)
ICS = Attachment(name="invite.ics", content_type="text/calendar")
TEN = tuple(Address(f"p{number}@x.example") for number in range(11))


def local(text: str) -> dict[str, Any]:
    """Arrival at a wall-clock time of the office."""
    return {"received_at": datetime.fromisoformat(text).replace(tzinfo=SAO_PAULO)}


DATA = (("Order.number", "7"), ("Person.name", "Maria"))
HOLDS: list[tuple[str, dict[str, Any], bool]] = [
    # people
    ("{from: maria@sol.example}", {}, True),
    ("{from: MARIA@SOL.example}", {}, True),
    ("{from: ana@vendas.example}", {}, False),
    ('{from: "@sol.example"}', {}, True),
    ('{from: "@sol.example"}', {"sender": Address("x@a.sol.example")}, False),
    ('{from: "@*.sol.example"}', {"sender": Address("x@a.sol.example")}, True),
    ('{from: "@*.sol.example"}', {}, False),
    ('{from: "*a@sol.example"}', {}, True),
    ('{from: "m*@*.example"}', {}, True),
    ("{from: $rivals}", {"sender": Address("a@rival.example")}, True),
    ("{from: $rivals}", {}, False),
    ('{from: ["@sol.example", not maria@sol.example]}', {}, False),
    ("{from: not joao@sol.example}", {}, True),
    ("{from: not maria@sol.example}", {}, False),
    ("{from: [$rivals, not maria@sol.example]}", {"sender": Address("a@rival.example")}, True),
    ("{from: maria@sol.example}", {"sender": None, "sent_by": Address("maria@sol.example")}, False),
    ("{to: ana@vendas.example}", {}, True),
    ("{cc: ana@vendas.example}", {}, False),
    ('{cc: "@lua.example"}', {"cc": (Address("x@lua.example"),)}, True),
    ('{anyone: "@lua.example"}', {"bcc": (Address("x@lua.example"),)}, True),
    ('{anyone: "@lua.example"}', {"reply_to": (Address("x@lua.example"),)}, True),
    ('{anyone: "@lua.example"}', {}, False),
    ("{from: joão@sól.example}", {"sender": Address("joão@xn--sl-5ja.example")}, True),
    # words
    ("{subject: orçamento}", {"subject": "Orcamento de 200 caixas"}, True),
    ("{subject: orcamento}", {"subject": "ORÇAMENTO!"}, True),
    ("{subject: orçamento}", {"subject": "orçamentos"}, False),
    ("{subject: orçament*}", {"subject": "Seus orçamentos"}, True),
    ("{subject: счет}", {"subject": "Выставите СЧЁТ"}, True),
    ("{subject: мой}", {"subject": "мои"}, False),
    ("{subject: price list}", {"subject": "the Price-List, please"}, True),
    ("{subject: price list}", {"subject": "listed prices"}, False),
    ("{subject: price li*}", {"subject": "our price listing"}, True),
    ("{subject: orçamento}", {"subject": "orc\u0327amento"}, True),
    ("{subject: orçamento}", {"subject": "orça\u00admento"}, True),
    ("{subject: [pedido, not urgente]}", {"subject": "pedido urgente"}, False),
    ("{subject: [pedido, not urgente]}", {"subject": "pedido novo"}, True),
    ("{subject: not urgente}", {"subject": "pedido novo"}, True),
    ('{subject: "not working"}', {"subject": "It is not working"}, True),
    ("{subject: $complaint}", {"subject": "printer not working"}, True),
    ("{subject: $complaint}", {"subject": "forno com DEFEITOS"}, True),
    ("{body: atraso}", {"text": "Desculpe o atraso."}, True),
    ("{body: atraso}", {"subject": "atraso", "quoted": "> atraso"}, False),
    ("{text: atraso}", {"subject": "atraso"}, True),
    ("{text: atraso}", {"text": "um atraso"}, True),
    ("{text: fim comeco}", {"subject": "o fim", "text": "começo"}, False),
    ("{text: {has_all: [forno, defeito*]}}", {"subject": "Forno", "text": "com defeitos"}, True),
    ("{text: {has_all: [forno, defeito*]}}", {"subject": "Forno"}, False),
    ("{subject: {is: Novo pedido}}", {"subject": "novo pedido!"}, True),
    ("{subject: {is: Novo pedido}}", {"subject": "novo pedido 7"}, False),
    ("{subject: {is: Novo ped*}}", {"subject": "novo pedido"}, True),
    ("{subject: {is: [Novo pedido, not x]}}", {"subject": "novo pedido"}, True),
    ("{subject: {is: not novo pedido}}", {"subject": "novo pedido"}, False),
    ("{subject: {starts: [Novo pedido, New order]}}", {"subject": "New order 12"}, True),
    ("{subject: {starts: [Novo pedido, New order]}}", {"subject": "A new order"}, False),
    ("{subject: {ends: final}}", {"subject": "Aviso Final."}, True),
    ("{subject: {ends: final}}", {"subject": "final aviso"}, False),
    ("{subject: {ends: fin*}}", {"subject": "aviso finais"}, True),
    ("{subject: {ends: fin*}}", {"subject": "finais aviso"}, False),
    (r"{subject: {regex: 'pedido\s+n[º°o]\s*\d{4,}'}}", {"subject": "Pedido\u00a0Nº 88123"}, True),
    (r"{subject: {regex: 'pedido\s+n[º°o]\s*\d{4,}'}}", {"subject": "Pedido Nº 881"}, False),
    (r"{subject: {regex: '\bação\b'}}", {"subject": "REAÇÃO"}, False),
    (r"{subject: {regex: '\bação\b'}}", {"subject": "a AÇÃO!"}, True),
    ("{subject: {regex: acao}}", {"subject": "ação"}, False),
    (r"{text: {regex: ['x{3}', 'y+z']}}", {"text": "ayyz"}, True),
    (r"{text: {has: pedido, regex: '\d{5}', not: teste}}", {"text": "pedido 12345"}, True),
    (r"{text: {has: pedido, regex: '\d{5}', not: teste}}", {"text": "teste pedido 12345"}, False),
    # header
    ("{header: {X-Shop: acme}}", {"headers": (("x-shop", "Acme Store"),)}, True),
    ("{header: {X-Shop: acme}}", {"headers": (("x-mailer", "Acme"),)}, False),
    ("{header: {X-Shop: yes}}", {"headers": (("x-shop", ""),)}, True),
    ("{header: {X-Shop: yes}}", {"headers": (("x-store", "1"),)}, False),
    ("{header: {X-Shop: no}}", {}, True),
    ("{header: {X-A: {regex: '^v2$'}}}", {"headers": (("x-a", "v1"), ("x-a", "v2"))}, True),
    # language
    ("{language: ru}", {"text": "Добрый день, пришлите, пожалуйста, договор и счёт на оплату."}, True),
    ("{language: [ru, pt]}", {"text": "Добрый день, пришлите, пожалуйста, договор и счёт на оплату."}, True),
    ("{language: not ru}", {"text": "Добрый день, пришлите, пожалуйста, договор и счёт на оплату."}, False),
    ("{language: pt}", {"subject": "ok"}, True),  # the contact's
    # attachments
    ('{attachment: ["*proposta*.pdf"]}', {"attachments": (PDF,)}, True),
    ('{attachment: "proposta sao joao.pdf"}', {"attachments": (PDF,)}, True),
    ('{attachment: ["*.xls", "*.doc"]}', {"attachments": (PDF,)}, False),
    ('{attachment: ["*.pdf", "not *joao*"]}', {"attachments": (PDF,)}, False),
    ("{attachment: yes}", {"attachments": (PDF,)}, True),
    ("{attachment: no}", {"attachments": (PDF,)}, False),
    ("{attachment: no}", {}, True),
    ("{attachment: {type: pdf, larger: 5 MB}}", {"attachments": (PDF,)}, True),
    ("{attachment: {type: pdf, larger: 6 MB}}", {"attachments": (PDF,)}, False),
    ("{attachment: {type: pdf, smaller: 6 MB}}", {"attachments": (PDF,)}, True),
    ("{attachment: {type: [sheet, image]}}", {"attachments": (PDF,)}, False),
    ("{attachment: {type: not pdf}}", {"attachments": (PDF,)}, False),
    ('{attachment: {name: "*.ics", type: invite}}', {"attachments": (PDF, ICS)}, True),
    ("{attachment: {type: pdf, name: invite.ics}}", {"attachments": (PDF, ICS)}, False),
    # sort of mail
    ("{direction: in}", {}, True),
    ("{direction: out}", {}, False),
    ("{direction: out}", OUT, True),
    ("{is: reply}", {"subject": "Re: caixas"}, True),
    ("{is: reply}", {"subject": "RES: caixas"}, True),
    ("{is: reply}", {"subject": "Отв: x", "references": ("a@x",)}, True),
    ("{is: reply}", {"references": ("a@x",)}, True),
    ("{is: reply}", {"subject": "Fwd: caixas", "references": ("a@x",)}, False),
    ("{is: reply}", {"subject": "Requisito: caixas"}, False),
    ("{is: forward}", {"subject": "ENC: caixas"}, True),
    ("{is: forward}", {"subject": "[lista] Fwd: caixas"}, True),
    ("{is: not reply}", {}, True),
    ("{is: automated}", {"kind": Kind.NOTICE}, True),
    ("{is: automated}", {"kind": Kind.AUTO_REPLY}, True),
    ("{is: automated}", {"kind": Kind.INVITATION}, False),
    ("{is: [automated, not bounce]}", {"kind": Kind.NOTICE}, True),
    ("{is: newsletter}", {"kind": Kind.BULK}, True),
    ("{is: bounce}", {"kind": Kind.BOUNCE}, True),
    ("{is: out_of_office}", {"kind": Kind.OUT_OF_OFFICE}, True),
    ("{is: [newsletter, out_of_office]}", {"kind": Kind.OUT_OF_OFFICE}, True),
    ("{is: invite}", {"kind": Kind.INVITATION}, True),
    ("{is: invite}", {"attachments": (ICS,)}, True),
    ("{is: first_contact}", {}, False),
    ("{is: first_contact}", {"sender": Address("joao@nova.example")}, True),
    ("{is: internal}", {}, False),
    ("{is: from_rep}", OUT, True),
    ("{is: from_rep}", {"sender": Address("vendas@vendas.example"), "to": (Address("a@b.example"),)}, False),
    ("{is: to_many}", {"to": TEN}, True),
    ("{is: to_many}", {"to": TEN[:10]}, False),
    # place
    ("{token: yes}", {"subject": "Re: x [CRM-4f2k]"}, True),
    ("{token: 4F2K}", {"subject": "Re: x [CRM-4f2k]"}, True),
    ("{token: no}", {"subject": "Re: x [CRM]"}, True),
    ("{plus: acme}", {"to": (Address("crm+Acme@vendas.example"),)}, True),
    ("{plus: yes}", {"to": (Address("maria+acme@sol.example"),)}, False),
    ("{folder: Private}", {"folder": "INBOX.Private"}, True),
    ("{folder: private}", {"folder": "CRM/Private"}, True),
    ("{folder: INBOX}", {"folder": "INBOX/Other"}, False),
    ('{folder: "INBOX*"}', {"folder": "INBOX/Other"}, True),
    ("{mailbox: ana}", {}, True),
    ("{mailbox: not ana}", {}, False),
    ("{size: {larger: 1 MB}}", {"size": 2_000_000}, True),
    ("{size: {larger: 1 MB}}", {"size": -1}, False),
    ("{size: {larger: 1 KB, smaller: 2 KB}}", {"size": 1500}, True),
    ("{size: {smaller: 2 KB}}", {"size": 2500}, False),
    # customer
    ("{known: yes}", {}, True),
    ("{known: no}", {}, False),
    ("{known: yes}", {"cc": (Address("x@lua.example"),)}, False),
    ("{customer: padaria sol}", {}, True),
    ('{customer: "mercado *"}', {"cc": (Address("x@lua.example"),)}, True),
    ("{customer: not padaria sol}", {}, False),
    ("{stage: lead}", {}, True),
    ("{stage: [proposal, customer]}", {}, False),
    ("{segment: [gold, ouro]}", {}, True),
    ("{tag: VIP}", {}, True),
    ("{tag: [not vip]}", {}, False),
    ("{owner: bruno}", {}, True),
    ("{owner: ana}", {}, False),
    ("{country: br}", {}, True),
    ("{field: {contract: GOLD}}", {}, True),
    ("{field: {contract: gold, boxes: 12, paid: yes}}", {}, True),
    ("{field: {contract: silver}}", {}, False),
    ("{field: {nothing: x}}", {}, False),
    ("{last_in: {older: 30 days}}", {}, True),
    ("{last_out: {older: 30 days}}", {}, False),
    ("{last_contact: {newer: 2 weeks}}", {}, True),
    ("{last_contact: {older: 5 days, newer: 15 days}}", {}, True),
    ("{last_in: {older: 1 day}}", {"sender": Address("x@lua.example")}, False),
    ("{open: case}", {}, True),
    ("{open: [lead, order]}", {}, False),
    ("{none: [{open: case}]}", {}, False),
    # time
    ("{time: business_hours}", {}, True),
    ("{time: business_hours}", local("2026-11-18T18:00"), False),
    ("{time: business_hours}", local("2026-11-18T17:59"), True),
    ("{time: outside_hours}", local("2026-11-16T10:00"), True),  # an extra holiday
    ("{time: 18:00-23:00}", local("2026-11-18T22:59"), True),
    ("{time: 18:00-23:00}", local("2026-11-18T23:00"), False),
    ("{time: 22:00-06:00}", local("2026-11-18T05:00"), True),
    ("{time: [outside_hours, 09:00-11:00]}", {}, True),
    ("{day: wed}", {}, True),
    ("{day: [sat, sun]}", {}, False),
    ("{day: mon-fri}", local("2026-11-20T23:59"), True),
    ("{day: fri}", {"received_at": datetime.fromisoformat("2026-11-21T01:00+00:00")}, True),
    ("{date: 2026-11-01..2026-11-18}", {}, True),
    ("{date: 2026-11-19..2026-12-18}", {}, False),
    ("{date: 2026-11-18}", {}, True),
    ("{holiday: yes}", local("2026-11-16T10:00"), True),
    ("{holiday: no}", {}, True),
    # groups
    ("{any: [{stage: lost}, {subject: caixas}]}", {"subject": "caixas"}, True),
    ("{any: [{stage: lost}, {subject: caixas}]}", {"subject": "latas"}, False),
    ("{any: {stage: lost, subject: caixas}}", {"subject": "caixas"}, False),
    ("{all: [{known: yes}, {any: [{tag: x}, {tag: vip}]}]}", {}, True),
    ("{none: [{tag: x}, {stage: lost}], known: yes}", {}, True),
    ("{none: [{all: [{tag: vip}, {stage: lost}]}]}", {}, True),
    ("{none: [{none: [{tag: vip}]}]}", {}, True),
    ("{jsonld: Order}", {"markup": DATA}, True),
    ("{jsonld: order.NUMBER}", {"markup": DATA}, True),
    ("{jsonld: Order.num}", {"markup": DATA}, False),
    ("{jsonld: [Flight, Person.name]}", {"markup": DATA}, True),
    ("{jsonld: [Order, not Person]}", {"markup": DATA}, False),
    ("{jsonld: Ord}", {"markup": DATA}, False),
    ("{jsonld: yes}", {"markup": DATA}, True),
    ("{jsonld: yes}", {}, False),
    ("{jsonld: no}", {}, True),
    ("{none: [{jsonld: Order}]}", {}, True),
]


@pytest.mark.parametrize(("condition", "changes", "expected"), HOLDS)
def test_condition(condition: str, changes: dict[str, Any], expected: bool) -> None:
    decision = decide(one_rule(condition, then="{log: yes}"), mail(**changes))
    assert (fired(decision) == ["probe"]) is expected


@pytest.mark.parametrize(("condition", "changes", "expected"), HOLDS)
def test_trace_agrees_with_the_answer(condition: str, changes: dict[str, Any], expected: bool) -> None:
    trace = decide(one_rule(condition, then="{log: yes}"), mail(**changes), explain=True).traces[0]
    assert trace.result == ("fired" if expected else "failed")
    assert [check.held for check in trace.checks] == [True] * (len(trace.checks) - 1) + [expected]
    assert all(check.wanted and check.seen for check in trace.checks)


def test_empty_if_is_always() -> None:
    ruleset = one_rule("{}")
    assert fired(decide(ruleset, mail())) == ["probe"]


def test_two_customers_with_one_address_have_no_single_stage() -> None:
    other = CustomerFacts(id=3, name="Sol Dois", stage="lead")
    also = type(MARIA)(id=12, customer_id=3, emails=MARIA.emails)
    both = Directory(contacts={"maria@sol.example": (MARIA, also)}, customers={1: SOL, 3: other})
    assert fired(decide(one_rule("{stage: lead}"), mail(), both)) == []
    assert fired(decide(one_rule('{customer: "sol dois"}'), mail(), both)) == ["probe"]


def test_trace_shows_the_first_failing_condition_with_the_value_seen() -> None:
    ruleset = one_rule("{known: yes, stage: [proposal, customer], subject: caixas}")
    checks = decide(ruleset, mail(), explain=True).traces[0].checks
    assert [(check.condition, check.held) for check in checks] == [("known", True), ("stage", False)]
    assert (checks[-1].wanted, checks[-1].seen) == ("proposal, customer", "lead")


def test_trace_never_quotes_the_body() -> None:
    ruleset = one_rule(r"{body: {has: [segredo*], regex: 'segredo (\w+)'}, text: zebra}")
    decision = decide(ruleset, mail(text="o segredo guardado"), explain=True)
    assert "guardado" not in str(decision.as_dict())
    assert "segredo*" in decision.traces[0].checks[0].seen


def test_first_contact_looks_at_the_customer_too() -> None:
    quiet = Directory(domains={"lua.example": (2,)}, customers={2: LUA})
    new = mail(sender=Address("nova@lua.example"))
    assert fired(decide(one_rule("{is: first_contact}"), new, quiet)) == ["probe"]
    talked = CustomerFacts(id=2, name="Lua", last_out_at=NOW - timedelta(days=3))
    busy = Directory(domains={"lua.example": (2,)}, customers={2: talked})
    assert fired(decide(one_rule("{is: first_contact}"), new, busy)) == []


def test_conditions_ask_the_time_of_arrival_not_the_clock() -> None:
    ruleset = one_rule("{last_in: {newer: 39 days}}")
    assert fired(decide(ruleset, mail())) == []
    assert fired(decide(ruleset, mail(received_at=NOW - timedelta(days=2)))) == ["probe"]
    assert DIRECTORY.customers[1].last_in_at == NOW - timedelta(days=40)


@pytest.mark.parametrize(
    ("condition", "reads"),
    [("{jsonld: Order}", True), ("{any: [{known: yes}, {none: [{jsonld: yes}]}]}", True), ("{known: yes}", False)],
)
def test_only_rules_that_ask_for_data_have_the_html_read(condition: str, reads: bool) -> None:
    assert one_rule(condition).reads_markup is reads
