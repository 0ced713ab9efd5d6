"""Rule tests: what passes, what fails and how it is told, the clock, and faults of the files with place and remedy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from trial_samples import HEAD, STATE, judge, outcome

from config.codes import CODES
from config.errors import Problem
from connectors.model import Address, Message
from rules.trials import problems_of

STRANGER = "{from: joao@nova.example, subject: Orcamento de 200 caixas"
MARIA = "{from: Maria Lima <maria@padariasol.example>, subject: Forno com defeito"
SHOP = "{from: no-reply@shop.example, subject: '88123', is: [automated], header: {X-Shop: main}"

NEW = f"{STRANGER}}}"
BROKEN_OVEN = f"{MARIA}}}"
QUOTE_SENT = "{when: mail sent, to: maria@padariasol.example, subject: Q, attachment: new-quote.pdf}"
PASS = [
    (f"{STRANGER}, is: [first_contact]}}", "{rules: [price], create: lead, not: [send, move, create case]}"),
    (NEW, "{create: {lead: {title: orcamento DE 200  caixas}}, remind: {who: ana, in: 1 business day}}"),
    (NEW, "{draft: {template: quote, reply: yes, to: joao@nova.example, unless: never}, customer: nobody}"),
    (NEW, '{remind: {who: owner, text: "Answer joao@nova.example", at: 2026-11-23 10:00, unless: replied}}'),
    (f"{STRANGER}, is: [reply]}}", "nothing"),
    ("{from: spy@rival.example, subject: price}", "{ignore: private, rules: [never], log: no, not: create}"),
    ("{from: x@nova.example, subject: price, folder: CRM/Private}", "{ignore: yes}"),
    ("{from: news@nova.example, subject: price, is: newsletter}", "{ignore: automated, rules: [machines]}"),
    (SHOP + "}", "{rules: [order], create: {order: {number: 88123}}, file_under: padaria sol, log: headers}"),
    (SHOP + "}", "{ignore: no, log: headers}"),
    (SHOP + ", jsonld: {Order.price: '1250.00', Order.priceCurrency: BRL}}", "{extract: {total: '1250.00 BRL'}}"),
    ("{from: a@nova.example, subject: sure, auth: pass}", "{rules: [sure]}"),
    ("{from: a@nova.example, subject: sure, auth: fail}", "{rules: []}"),
    (SHOP + ", body: 'Total: R$ 1.250,00'}", "{extract: {total: '1.250,00'}}"),
    (f"{MARIA}, is: [automated, out_of_office]}}", "nothing"),
    (BROKEN_OVEN, "{rules: [complaint], create: {case: {due: 4 business hours}}, tag: [hot, complaint]}"),
    (BROKEN_OVEN, "{owner: [ana, bruno], tag: yes, customer: Padaria Sol, not: [tag cold, create:lead]}"),
    (f"{MARIA}, time: outside_hours}}", "{rules: [complaint, on-duty], remind: {who: bruno, at: 2026-11-23 09:30}}"),
    (f'{MARIA}, time: "22:00"}}', "{rules: [complaint, on-duty]}"),
    (f"{MARIA}, time: business_hours}}", "{rules: [complaint]}"),
    ("{from: olga@romashka.example, subject: defeito}", "{rules: [silent], tag: back-again}"),
    ("{from: o.s@personal.example, subject: x}", "{customer: ООО Ромашка, log: yes}"),
    ("{from: x@nova.example, subject: 'About [CRM-4f2k] defeito'}", "{customer: Padaria Sol, rules: [complaint]}"),
    ("{from: x@nova.example, subject: defeito, thread: padaria sol}", "{customer: Padaria Sol, rules: [complaint]}"),
    (QUOTE_SENT, "{rules: [sent], stage: proposal}"),
    (
        "{direction: out, to: maria@padariasol.example, subject: Q, attachment: [{name: a-quote.pdf, size: 5 MB}]}",
        "{draft: {template: thanks, in: 3 business days, unless: replied}, set: {last_quote: q}}",
    ),
    ("{from: ana@vendas.example, to: maria@padariasol.example, subject: x, is: [from_rep]}", "nothing"),
    ("{bounced: maria@padariasol.example, subject: Undelivered}", "{rules: [bounced, dead], tag: check-address}"),
    ("{when: delivery failed, bounced: maria@padariasol.example}", "{rules: [bounced, dead], tag: [dead]}"),
    (BROKEN_OVEN.replace("{", "{when: contact unsubscribed, "), "{rules: [complaint, farewell], tag: farewell}"),
    ("{from: x@nova.example, subject: hello}", "{rules: [], log: no}"),
    ("{from: ana@vendas.example, to: bruno@partner.example, subject: x, is: internal}", "nothing"),
]  # fmt: skip

FAIL = [
    (NEW, "nothing", "nothing", "price: create lead, draft quote, remind owner"),
    (NEW, "{rules: []}", "rules", "price"),
    (NEW, "{draft: thanks}", "draft", "draft quote to joao@nova.example"),
    (NEW, "{draft: {template: quote, reply: no}}", "draft", "draft quote to joao@nova.example"),
    (NEW, "{create: {lead: {title: other}}}", "create", "create:lead"),
    (NEW, "{remind: {who: bruno}}", "remind", "remind ana"),
    (NEW, "{remind: {in: 2 business days}}", "remind", "remind ana"),
    (NEW, "{remind: {at: monday 10:01}}", "remind", "remind ana"),
    (NEW, "{not: [remind]}", "not", "remind ana"),
    (NEW, "{not: [create lead]}", "not", "create:lead"),
    (NEW, "{not: log}", "not", "logged"),
    (NEW, "{ignore: yes}", "ignore", "not ignored"),
    (NEW, "{log: no}", "log", "yes (create:lead)"),
    (NEW, "{customer: Padaria Sol}", "customer", "nobody"),
    (BROKEN_OVEN, "{rules: [complaint, on-duty]}", "rules", "complaint"),
    (BROKEN_OVEN, "{tag: [hot, cold]}", "tag", "tag:hot"),
    (BROKEN_OVEN, "{stage: lead}", "stage", "none"),
    (BROKEN_OVEN, "{set: {last_quote: x}}", "set", "none"),
    (BROKEN_OVEN, "{create: {case: {due: 5 business hours}}}", "create", "create:case"),
    (SHOP + "}", "{file_under: Shop}", "file_under", "file_under"),
    (SHOP + "}", "{extract: {total: '1,00'}}", "extract", "total: none"),
    (NEW, "{extract: {total: '1,00'}}", "extract", "no values"),
    ("{from: spy@rival.example, subject: x}", "{not: ignore}", "not", "ignored: private"),
    ("{from: spy@rival.example, subject: x}", "{ignore: automated}", "ignore", "private"),
    ("{from: spy@rival.example, subject: x}", "nothing", "nothing", "never: ignore: private"),
    ("{from: x@nova.example, subject: hello}", "{rules: [off]}", "rules", "none"),
]


@pytest.mark.parametrize(("mail", "expect"), PASS)
def test_what_comes_as_expected_passes(mail: str, expect: str) -> None:
    verdict = outcome(mail, expect)
    assert verdict.passed, [(one.expectation.key, one.expectation.wanted, one.came) for one in verdict.failures]
    assert verdict.traces == ()


@pytest.mark.parametrize(("mail", "expect", "key", "came"), FAIL)
def test_what_comes_otherwise_fails_and_says_what_came(mail: str, expect: str, key: str, came: str) -> None:
    verdict = outcome(mail, expect)
    assert [one.expectation.key for one in verdict.failures] == [key]
    assert came in verdict.failures[0].came
    (problem,) = problems_of([verdict])
    assert (problem.code, problem.line) == ("E420", STATE + 3)
    assert 'quietcrm rules test "probe"' in problem.help


def test_a_failure_shows_the_rules_that_it_is_about() -> None:
    verdict = outcome("{from: maria@padariasol.example, subject: Re. price}", "{draft: quote}")
    assert [trace.rule for trace in verdict.traces] == ["price", "sent"]
    assert "price did not fire, is: first_contact, not reply, saw none of these" in problems_of([verdict])[0].help


def test_each_line_of_expect_fails_at_its_own_place() -> None:
    verdict = outcome(f"{MARIA}}}", "{rules: [price], tag: cold}")
    places = [(one.line, one.column) for one in problems_of([verdict])]
    assert places == [(STATE + 3, 21), (STATE + 3, 35)]


@pytest.mark.parametrize(
    ("when", "rules"),
    [
        ("after: 31 days", "[complaint, silent]"),
        ("after: 29 days", "[complaint, on-duty]"),  # a Saturday
        ("at: 2026-12-25 10:00", "[complaint, silent]"),
        ("at: 20:00", "[complaint, on-duty]"),
        ("at: 10:00", "[complaint]"),
        ("at: saturday 10:00", "[complaint, on-duty]"),
        ("after: 1 business day", "[complaint]"),
    ],
)
def test_the_clock_of_a_test_is_moved(when: str, rules: str) -> None:
    text = f"{HEAD}  - name: probe\n    {when}\n    mail: {MARIA}}}\n    expect: {{rules: {rules}}}\n"
    verdicts, problems = judge(text)
    assert problems == []
    assert problems_of(verdicts) == []


def test_the_clock_may_stand_in_another_zone() -> None:
    verdicts, problems = judge(
        "now: 2026-11-20 10:00 Asia/Tokyo\ntests:\n  - {name: x, mail: {from: a@nova.example}, expect: nothing}\n"
    )
    assert problems == []
    assert verdicts[0].trial.message.received_at == datetime(2026, 11, 20, 1, 0, tzinfo=UTC)


def test_a_mail_may_lie_in_a_file() -> None:
    mail = Message(
        account="file",
        folder="/tmp",
        ref="x",
        message_id="a@nova.example",
        sent_at=None,
        received_at=datetime(2020, 1, 1, tzinfo=UTC),
        sender=Address("joao@nova.example"),
        to=(Address("ana@vendas.example"),),
        subject="price",
    )
    text = f"{HEAD}  - name: probe\n    mail: a.eml\n    expect: {{rules: [price], remind: {{in: 1 business day}}}}\n"
    verdicts, problems = judge(text, mails={"a.eml": mail})
    assert problems == []
    assert problems_of(verdicts) == []
    answered = replace(mail, in_reply_to="x@y", references=("x@y",))
    verdicts, _ = judge(text, mails={"a.eml": answered})
    assert len(problems_of(verdicts)) == 2


# --- faults ---------------------------------------------------------------------------------------------------------


def mail(text: str) -> str:
    """A test with that mail; A stands for its sender."""
    return f"  - name: x\n    mail: {text.replace('A', 'from: a@b.example', 1)}\n    expect: nothing"


def expect(text: str) -> str:
    return f"  - name: x\n    mail: {{from: a@b.example}}\n    expect: {text}"


BROKEN: list[tuple[str, str, int, int, int, str]] = [
    ("  - name: x\n    mial: {from: a@b.example}\n    expect: nothing", "E101", 2, 5, 4, 'did you mean "mail"?'),
    (mail("{form: a@b.example}"), "E101", 2, 12, 4, 'did you mean "from"?'),
    (mail("{from: ab.example}"), "E205", 2, 18, 10, "write for example"),
    (mail("{subject: hi}"), "E102", 2, 11, 13, "add: from:"),
    (expect("nothin"), "E104", 3, 13, 6, 'did you mean "nothing"?'),
    (expect("{rule: [price]}"), "E101", 3, 14, 4, 'did you mean "rules"?'),
    (expect("{rules: [prise]}"), "E424", 3, 22, 5, 'did you mean "price"?'),
    (expect("{draft: qote}"), "E403", 3, 21, 4, 'did you mean "quote"?'),
    (expect("{draft: {templat: quote}}"), "E101", 3, 22, 7, 'did you mean "template"?'),
    (expect("{stage: leed}"), "E206", 3, 21, 4, 'did you mean "lead"?'),
    (expect("{remind: anna}"), "E206", 3, 22, 4, 'did you mean "ana"?'),
    (expect("{create: laed}"), "E101", 3, 22, 4, 'did you mean "lead"?'),
    (expect("{not: [sned]}"), "E101", 3, 20, 4, 'did you mean "send"?'),
    (expect("{remind: {in: 1 busines day}}"), "E202", 3, 27, 13, "write: 1 business days"),
    (expect("{remind: {at: soon}}"), "E203", 3, 27, 4, "write for example"),
    (expect("{}"), "E106", 3, 13, 2, "write for example: nothing"),
    (mail("{A, is: [automatd]}"), "E104", 2, 36, 8, 'did you mean "automated"?'),
    (mail("{A, is: [not first_contact]}"), "E421", 2, 36, 17, "name the customer"),
    (mail("{A, is: forward}"), "E421", 2, 35, 7, 'begin the subject with "Fwd: "'),
    (mail("{A, is: from_rep}"), "E421", 2, 35, 8, "write an address of the team"),
    (mail("{A, to: c@d.example, direction: out}"), "E421", 2, 59, 3, "change `from`"),
    (mail("{direction: out}"), "E102", 2, 11, 16, "add: to:"),
    (mail("{A, when: mail snt}"), "E104", 2, 37, 8, 'did you mean "mail sent"?'),
    (mail("{A, time: outside}"), "E203", 2, 37, 7, "write outside_hours"),
    (mail("{A, when: delivery failed}"), "E421", 2, 37, 15, "add: bounced:"),
    (mail("{A, auth: maybe}"), "E104", 2, 37, 5, "write: pass"),
    (mail("{A, auth: pass, mailbox: other}"), "E419", 2, 31, 4, "add `authserv`"),
    (mail("{A, mailbox: anna}"), "E206", 2, 40, 4, 'did you mean "ana"?'),
    (mail("{A, thread: Padaria Sul}"), "E206", 2, 39, 11, 'did you mean "Padaria Sol"?'),
    (mail("gone.eml"), "E423", 2, 11, 8, "put the mail at"),
    (mail("{A}\n    at: teatime"), "E203", 3, 9, 7, "write for example"),
    (mail("{A}\n    after: 3 dias"), "E202", 3, 12, 6, "write: 3 days"),
    (mail("{A}\n    at: 12:00\n    after: 3 days"), "E413", 4, 5, 5, "keep one"),
    ("  - name: x\n    mail: {from: a@b.example}", "E102", 1, 5, 1, "add: expect: nothing"),
    ("  - name: x\n    expect: nothing", "E102", 1, 5, 1, "add: mail:"),
    ("  - mail: {from: a@b.example}\n    expect: nothing", "E102", 1, 5, 1, "add: name:"),
    ("  - name: x\n    event: {when: meeting missed}\n    expect: nothing", "E421", 2, 19, 14, "they wait for: none"),
    (expect("{start: x}"), "E442", 3, 21, 1, "take it away"),
]  # fmt: skip


def faults(text: str) -> list[Problem]:
    verdicts, problems = judge(text)
    assert all(one.code in CODES and one.help and one.path.name == "10.yaml" for one in problems)
    assert verdicts == []
    return problems


@pytest.mark.parametrize(("test", "code", "line", "column", "span", "help"), BROKEN)
def test_a_fault_is_named_with_place_and_remedy(
    test: str, code: str, line: int, column: int, span: int, help: str
) -> None:
    problems = faults(f"{HEAD}{test}\n")
    assert [(one.code, one.line - STATE, one.column, one.span) for one in problems] == [(code, line, column, span)]
    assert problems[0].help.startswith(help)


GIVEN: list[tuple[str, str, int, str]] = [
    ("{nme: Acme}", "E101", 8, 'did you mean "name"?'),
    ("{domain: acme.example}", "E102", 7, "add: name:"),
    ("{name: A, domain: acme}", "E205", 25, "write for example padariasol.example"),
    ("{name: A, stage: leed}", "E206", 24, 'did you mean "lead"?'),
    ("{name: A, owner: anna}", "E206", 24, 'did you mean "ana"?'),
    ("{name: A, open: cas}", "E104", 23, 'did you mean "case"?'),
    ("{name: A, language: português}", "E213", 27, "write: pt"),
    ("{name: A, zone: Europe/Lisbonn}", "E204", 23, 'did you mean "Europe/Lisbon"?'),
    ("{name: A, zone: Brasilia}", "E204", 23, 'did you mean "America/Sao_Paulo" or "Europe/Bratislava"?'),
    ("{name: A, last_in: 3 dias}", "E203", 26, "write: 3 days"),
    ("{name: A, contacts: [{name: B}]}", "E102", 28, "add: mail:"),
    ("{name: A, contacts: [{name: B, mail: b}]}", "E205", 44, "write for example"),
]


@pytest.mark.parametrize(("customer", "code", "column", "help"), GIVEN)
def test_a_fault_of_what_is_given(customer: str, code: str, column: int, help: str) -> None:
    text = f"now: 2026-11-20 10:00\ngiven:\n  customers:\n    - {customer}\ntests: []\n"
    problems = faults(text)
    assert [(one.code, one.line, one.column) for one in problems] == [(code, 4, column)]
    assert problems[0].help.startswith(help)


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("tests: []\n", "E102", 1),
        ("now: today\ntests: []\n", "E203", 1),
        ("now: 2026-02-30 10:00\ntests: []\n", "E203", 1),
        ("now: 2026-11-20 10:00 Mars/Sea\ntests: []\n", "E203", 1),
        ("now: 2026-11-20 10:00\n", "E102", 1),
        ("now: 2026-11-20 10:00\ntests: {}\n", "E105", 2),
        ("now: 2026-11-20 10:00\ntest: []\ntests: []\n", "E101", 2),
        ("- name: x\n", "E105", 1),
    ],
)
def test_a_fault_of_the_file(text: str, code: str, line: int) -> None:
    assert [(one.code, one.line) for one in faults(text)] == [(code, line)]


def test_a_name_stands_once() -> None:
    test = "  - {name: x, mail: {from: a@nova.example}, expect: nothing}\n"
    verdicts, problems = judge(HEAD + test + test)
    assert len(verdicts) == 1
    assert [(one.code, one.line, one.help) for one in problems] == [("E422", STATE + 2, 'rename to "x (2)"')]


def test_every_fault_of_a_file_is_named_at_once() -> None:
    text = f"{HEAD}  - name: x\n    mial: 1\n    expect: {{rules: [prise], draft: qote}}\n"
    assert [one.code for one in faults(text)] == ["E101", "E424", "E403"]
