"""What must hold for any rules and any mail: the index changes nothing, repetition and order change nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rule_samples import DIRECTORY, NOW, SETTINGS, mail, moment, rules_of

from connectors.model import Address, Attachment, Bounce, FolderRole, Kind, Message
from rules.decision import Decision, Outcome
from rules.engine import evaluate
from rules.facts import Directory, Moment, Thread
from rules.load import RuleSet
from rules.text_match import Joined, _any_words, fold_words, folded, phrase, word_set, words_of

FEW = ["caixas", "orçamento", "orcamentos", "price", "list", "счёт", "мой", "pedido", "x1"]
PEOPLE = ["maria@sol.example", "denis@lua.example", "new@a.sol.example", "j@nova.example", "ana@vendas.example"]


def written(values: list[str]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


words = st.lists(
    st.sampled_from([*FEW, "orçament*", "pri*", "p*", "ca*", "price list", "price li*", "pedido x1"]),
    min_size=1,
    max_size=3,
)
word_tests = st.builds(
    lambda name, test, values: f"{name}: {{{test}: {written(values)}}}",
    st.sampled_from(["subject", "body", "text"]),
    st.sampled_from(["has", "has_all", "is", "starts", "ends", "not"]),
    words,
)
address_tests = st.builds(
    lambda name, values: f"{name}: {written(values)}",
    st.sampled_from(["from", "to", "anyone"]),
    st.lists(
        st.sampled_from([*PEOPLE, "@sol.example", "@*.sol.example", "*@nova.example", "not j@nova.example"]),
        min_size=1,
        max_size=3,
    ),
)
fact_tests = st.sampled_from(
    [
        "known: yes",
        "known: no",
        "stage: [lead, lost]",
        "stage: not lead",
        "segment: ouro",
        "tag: [VIP, x]",
        "tag: [not vip]",
        "owner: bruno",
        "is: newsletter",
        "is: not reply",
        "is: [first_contact, bounce]",
        "folder: Private",
        "language: ru",
        r"subject: {regex: '\bpedido\b'}",
        "attachment: yes",
        "time: business_hours",
    ]
)
singles = st.one_of(word_tests, address_tests, fact_tests)


def grouped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda kind, members: f"{kind}: [{', '.join('{' + one + '}' for one in members)}]",
        st.sampled_from(["any", "all", "none"]),
        st.lists(inner, min_size=1, max_size=3),
    )


conditions = st.lists(st.recursive(singles, grouped, max_leaves=4), max_size=3, unique_by=lambda one: one.split(":")[0])
effects = st.sampled_from(
    [
        "tag: x",
        "untag: x",
        "tag: [y, z]",
        "stage: proposal",
        "stage: lost",
        "log: headers",
        "log: yes",
        "log: no",
        "ignore: why",
        "create: lead",
        "create: {case: {title: '{{ mail.subject }}'}}",
        "owner: ana",
        "draft: quote",
        "remind: {in: 1 business day}",
        "file_under: Mercado Lua",
        "set: {a: b}",
    ]
)
rule_parts = st.tuples(
    conditions,
    effects,
    st.sampled_from(["mail arrives", "mail sent", "[mail arrives, mail sent]"]),
    st.sampled_from(["on", "on", "on", "watch", "off"]),
    st.sampled_from(["yes", "no", "no", "no"]),
)


def assembled(parts: list[tuple[list[str], str, str, str, str]]) -> RuleSet:
    lines = ["rules:"]
    for number, (tests, then, when, mode, stop) in enumerate(parts):
        lines.append(f"  - name: r{number}\n    when: {when}\n    mode: {mode}\n    stop: {stop}")
        lines.append(f"    if: {{{', '.join(tests)}}}\n    then: {{{then}}}")
    ruleset, problems = rules_of("\n".join(lines) + "\n")
    assert problems == []
    return ruleset


rulesets = st.lists(rule_parts, min_size=1, max_size=8).map(assembled)
texts = st.lists(st.sampled_from([*FEW, "lista", "de", "orc\u0327amento"]), max_size=6).map(" ".join)
addresses = st.sampled_from([Address(person) for person in PEOPLE])
messages = st.builds(
    mail,
    subject=texts | st.builds("Re: {}".format, texts),
    text=texts,
    sender=st.none() | addresses,
    to=st.lists(addresses, max_size=3).map(tuple),
    kind=st.sampled_from(Kind),
    folder=st.sampled_from(["INBOX", "INBOX.Private"]),
    references=st.sampled_from([(), ("t1@x",)]),
    attachments=st.sampled_from([(), (Attachment(name="a.pdf", content_type="application/pdf"),)]),
)
KNOWN = replace(DIRECTORY, threads={"t1@x": Thread(customers=(2,))})
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def run(ruleset: RuleSet, message: Message, **changes: Any) -> Decision:
    return evaluate(ruleset, message, KNOWN, SETTINGS, moment(ruleset), **changes)


@quick
@given(rulesets, st.lists(messages, min_size=1, max_size=6))
def test_the_index_changes_nothing(ruleset: RuleSet, mails: list[Message]) -> None:
    for message in mails:
        short, full = run(ruleset, message), run(ruleset, message, explain=True)
        assert replace(short, traces=()) == replace(full, traces=())
        told = [trace for trace in full.traces if trace.result in ("fired", "watched", "too_old")]
        assert [trace for trace in short.traces if trace.result != "failed"] == told


@quick
@given(rulesets, st.lists(messages, min_size=2, max_size=5), st.randoms())
def test_order_and_repetition_change_nothing(ruleset: RuleSet, mails: list[Message], chance: Any) -> None:
    first = [(message, run(ruleset, message)) for message in mails]
    again = first * 2
    chance.shuffle(again)
    for message, decision in again:
        assert run(ruleset, message) == decision


@quick
@given(rulesets, messages)
def test_what_holds_for_every_decision(ruleset: RuleSet, message: Message) -> None:
    decision = run(ruleset, message)
    assert len({(action.rule, action.slot) for action in decision.actions}) == len(decision.actions)
    slots = [action.slot for action in decision.actions if not action.slot.startswith("remind")]
    assert len(set(slots)) == len(slots)
    if decision.outcome not in (Outcome.LOG, Outcome.HEADERS):
        assert decision.actions == ()
    history = evaluate(ruleset, message, KNOWN, SETTINGS, Moment(now=NOW, baseline=None))
    assert {action.verb for action in history.actions} <= {"file_under"}


anything = st.text(max_size=40)
wild_address = st.builds(Address, anything, anything)
times = st.integers(0, 7_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
wild = st.builds(
    Message,
    account=anything,
    folder=anything,
    folder_role=st.sampled_from(FolderRole),
    ref=anything,
    message_id=anything,
    references=st.lists(anything, max_size=2).map(tuple),
    in_reply_to=anything,
    sent_at=st.none() | times,
    received_at=times,
    sender=st.none() | wild_address,
    sent_by=st.none() | wild_address,
    reply_to=st.lists(wild_address, max_size=1).map(tuple),
    to=st.lists(wild_address, max_size=2).map(tuple),
    subject=anything,
    text=anything,
    headers=st.lists(st.tuples(anything, anything), max_size=2).map(tuple),
    attachments=st.lists(st.builds(Attachment, name=anything, content_type=anything), max_size=2).map(tuple),
    kind=st.sampled_from(Kind),
    bounce=st.none() | st.builds(Bounce, recipients=st.tuples(anything), hard=st.none(), reason=anything),
    size=st.integers(-1, 10**12),
)
EVERYTHING = rules_of(
    """
    rules:
      - name: everything
        when: [mail arrives, mail sent]
        if:
          any:
            - {from: "*a@*", to: ["@x.example"], cc: not a@b.example, anyone: "@*.x.example"}
            - {subject: {starts: a, ends: b, is: c, not: d}, header: {X-A: yes}}
            - {text: {regex: '\\b\\w+\\b'}}
            - {attachment: {name: "*a*", type: pdf, larger: 1 KB}, size: {smaller: 1 MB}}
            - {is: [reply, forward, first_contact, to_many, from_rep, invite, automated], token: yes, plus: yes}
            - {language: pt, time: business_hours, day: mon-fri, date: 2026-01-01, holiday: no, folder: "*"}
            - {last_contact: {older: 1 day}, field: {a: b}, open: case, customer: x, country: BR}
            - {known: no}
            - {known: yes}
        then:
          create: {lead: {title: "{{ mail.subject }} {{ contact.first_name }}", day: "{{ mail.date }}"}, task: {}}
          remind: {in: 2 business days, text: "{{ mail.from }} {{ mail.text }}"}
          draft: {template: quote, at: next business day 09:30}
          owner: {round_robin: [ana, bruno]}
    """.replace("\n    ", "\n")
)


@settings(deadline=None)
@given(wild)
def test_no_mail_raises(message: Message) -> None:
    ruleset, problems = EVERYTHING
    assert problems == []
    for explain in (False, True):
        decision = evaluate(
            ruleset, message, Directory(), SETTINGS, moment(ruleset, message.received_at), explain=explain
        )
        assert decision.as_dict()["outcome"] == decision.outcome.value
        if decision.outcome is Outcome.LOG:
            assert {action.verb for action in decision.actions} >= {"create", "remind", "owner"}


@given(st.text(max_size=200))
def test_folding_by_table_is_folding_by_unicode(text: str) -> None:
    assert words_of(text) == _any_words(text)


@given(st.text(alphabet="aáâãçÇéÉîñöüßøæłıяйёЁіїщ0½²º_-.,!“”’–—\u00a0\u00ad €№", max_size=60))
def test_folding_by_table_is_folding_by_unicode_for_the_usual(text: str) -> None:
    assert words_of(text) == _any_words(text)


@given(st.text(max_size=60))
def test_folding_twice_is_folding_once(text: str) -> None:
    once = fold_words(text)
    assert fold_words(once) == once
    assert fold_words(text.upper().lower()) == fold_words(text.lower())


@given(
    st.lists(st.sampled_from([*FEW, "listing", "prices"]), max_size=8),
    st.lists(st.sampled_from(FEW), min_size=1, max_size=3),
)
def test_a_word_set_finds_what_each_of_its_phrases_finds(text: list[str], wanted: list[str]) -> None:
    every = [*wanted, wanted[0] + "*", " ".join(wanted)]
    haystack = folded(" - ".join(text))
    expected = any(phrase(one).needle in haystack.line for one in every)
    assert word_set(every).found_in(haystack) is expected
    assert bool(word_set(every).first_in(haystack)) is expected


def test_no_phrase_reaches_from_the_subject_into_the_text() -> None:
    both = Joined(folded("the price"), folded("list of boxes"))
    assert not word_set(["price list"]).found_in(both)
    assert word_set(["list of"]).found_in(both)
