"""Broken rule files: code, line, column and caret are exact, and the remedy, carried out, makes the file pass."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_samples import QUOTE, SETTINGS, office, rules_of

from config.codes import CODES
from config.errors import Problem
from config.load import read_settings
from config.remedy import mend
from rules.load import load_ruleset

HEAD = "rules:\n  - name: probe\n    when: mail arrives\n"
THEN = "    then: {tag: x}\n"
BLOCK = """rules:
  - name: first
    about: A rule in block style.
    when: mail arrives
    if:
      known: yes
      none:
        - subjet: caixas
    then:
      tag: x
"""


def condition(text: str) -> str:
    return f"{HEAD}    if: {{{text}}}\n{THEN}"


def action(text: str) -> str:
    return f"{HEAD}    then: {{{text}}}\n"


MENDED: list[tuple[str, str, int, int, int, str]] = [
    (condition("subjet: {has: x}"), "E101", 4, 10, 6, 'did you mean "subject"?'),
    (BLOCK, "E101", 8, 11, 6, 'did you mean "subject"?'),
    (condition("subject: {hass: x}"), "E101", 4, 20, 4, 'did you mean "has"?'),
    (condition("stage: leed"), "E206", 4, 17, 4, 'did you mean "lead"?'),
    (condition("stage: [lead, propsal]"), "E206", 4, 24, 7, 'did you mean "proposal"?'),
    (condition("is: [reply, not newsleter]"), "E104", 4, 26, 9, 'did you mean "newsletter"?'),
    (condition("from: acme.example"), "E205", 4, 16, 12, 'write: "@acme.example"'),
    (condition("known: perhaps"), "E103", 4, 17, 7, "write: yes"),
    (condition("text: $complant"), "E402", 4, 16, 9, 'did you mean "$complaint"?'),
    (condition("mailbox: anna"), "E206", 4, 19, 4, 'did you mean "ana"?'),
    (condition("last_in: {older: 30 dias}"), "E202", 4, 27, 7, "write: 30 days"),
    (condition("last_in: {olde: 30 days}"), "E101", 4, 20, 4, 'did you mean "older"?'),
    (condition("size: {larger: 5 mega}"), "E201", 4, 25, 6, "write: 5 MB"),
    (condition("date: 18.11.2026"), "E203", 4, 16, 10, "write: 2026-11-18"),
    (condition("time: 18-23"), "E203", 4, 16, 5, "write: 18:00-23:00"),
    (condition("time: busines_hours"), "E104", 4, 16, 13, 'did you mean "business_hours"?'),
    (condition("language: português"), "E213", 4, 20, 9, "write: pt"),
    (condition("attachment: {type: pfd}"), "E104", 4, 29, 3, 'did you mean "pdf"?'),
    (condition("open: cas"), "E104", 4, 16, 3, 'did you mean "case"?'),
    (condition("direction: inn"), "E104", 4, 21, 3, 'did you mean "in"?'),
    (condition("text: [a*b*, c]"), "E407", 4, 17, 4, "write: a*"),
    (condition("title: x"), "E425", 4, 10, 5, 'did you mean "subject"?'),
    (condition("owner: anna"), "E206", 4, 17, 4, 'did you mean "ana"?'),
    (action("tagg: x"), "E101", 4, 12, 4, 'did you mean "tag"?'),
    (action("start: after-qoute"), "E442", 4, 19, 11, 'did you mean "after-quote"?'),
    (action("stop: after-qoute"), "E442", 4, 18, 11, 'did you mean "after-quote"?'),
    (condition("in_sequence: after-qoute"), "E442", 4, 23, 11, 'did you mean "after-quote"?'),
    (action("sendd: quote"), "E101", 4, 12, 5, 'did you mean "send"?'),
    (action("send: qoute"), "E403", 4, 18, 5, 'did you mean "quote"?'),
    (action("send: {template: quote, repl: yes}"), "E101", 4, 36, 4, 'did you mean "reply"?'),
    (action("send: {template: quote, late_after: 2 busines days}"), "E202", 4, 48, 14, "write: 2 business days"),
    (action("draft: qoute"), "E403", 4, 19, 5, 'did you mean "quote"?'),
    (action("draft: {template: quote, repl: yes}"), "E101", 4, 37, 4, 'did you mean "reply"?'),
    (action("remind: {in: 2 busines days}"), "E202", 4, 25, 14, "write: 2 business days"),
    (action("remind: {who: anna}"), "E206", 4, 26, 4, 'did you mean "ana"?'),
    (action("remind: {unless: answered}"), "E104", 4, 29, 8, "write: replied"),
    (action('remind: {text: "Ola {{ custmer.name }}"}'), "E509", 4, 35, 12, 'did you mean "customer.name"?'),
    (action("create: {leed: {}}"), "E101", 4, 21, 4, 'did you mean "lead"?'),
    (action("create: {case: {titel: x}}"), "E101", 4, 28, 5, 'did you mean "title"?'),
    (action("stage: {to: proposl}"), "E206", 4, 24, 7, 'did you mean "proposal"?'),
    (action("log: maybe"), "E104", 4, 17, 5, "write: yes"),
    (HEAD.replace("arrives", "arives") + THEN, "E104", 3, 11, 11, 'did you mean "mail arrives"?'),
    (HEAD + "    once: customer\n" + THEN, "E104", 4, 11, 8, "write: per customer"),
    (HEAD + "    once: per contact each 3 days\n" + THEN, "E104", 4, 11, 23, "write: per contact"),
    (HEAD + "    once: per mail every 3 days\n" + THEN, "E104", 4, 11, 21, "write: per mail"),
    (HEAD + "    once: per deal every day\n" + THEN, "E202", 4, 11, 18, "write: per deal every 30 days"),
    (HEAD + "    once: daily\n" + THEN, "E104", 4, 11, 5, "write: per mail"),
    (HEAD + THEN + "    extract: {a: {regex: b, requird: yes}}\n", "E101", 5, 29, 7, 'did you mean "required"?'),
    (HEAD + THEN + "    extract: {a: {regex: b, as: mony}}\n", "E104", 5, 33, 4, 'did you mean "money"?'),
    (HEAD + THEN + "    extract: {a: {regex: b, required: yess}}\n", "E103", 5, 39, 4, "write: yes"),
    (HEAD + '    then: {tag: "{{ nr }}"}\n    extract: {nrr: {regex: b}}\n', "E509", 4, 21, 2, 'did you mean "nrr"?'),
    (HEAD + "    mode: of\n" + THEN, "E104", 4, 11, 2, 'did you mean "off"?'),
    (HEAD + "    stopp: yes\n" + THEN, "E101", 4, 5, 5, 'did you mean "stop"?'),
    (HEAD + THEN + HEAD.partition("\n")[2] + THEN, "E405", 5, 11, 5, 'rename to "probe-2"'),
    ("rules:\n  - name: probe\n" + THEN, "E102", 2, 5, 1, "add: when: mail arrives"),
    ("rules:\n  - when: mail arrives\n" + THEN, "E102", 2, 5, 1, "add: name: my-rule"),
    (HEAD, "E102", 2, 5, 1, "add: then: {log: yes}"),
    ("ruls:" + HEAD[6:] + THEN, "E101", 1, 1, 4, 'did you mean "rules"?'),
    (HEAD + THEN + "words:\n  complaint: [x]\n", "E406", 6, 3, 9, 'rename to "complaint-2"'),
    ("- name: probe\n  when: mail arrives\n  then: {tag: x}\n", "E105", 1, 1, 1, "add the line: rules:"),
]


SENDING = office(send={"auto_templates": ["quote"]}, channels={"oncall": {"env": "ONCALL"}})


@pytest.mark.parametrize(("text", "code", "line", "column", "span", "help"), MENDED)
def test_fault_and_remedy(text: str, code: str, line: int, column: int, span: int, help: str) -> None:
    _, problems = rules_of(text, settings=SENDING)
    assert [(one.code, one.line, one.column, one.span) for one in problems] == [(code, line, column, span)]
    assert problems[0].help.startswith(help)
    mended = mend(text, problems[0])
    assert mended is not None
    ruleset, left = rules_of(mended, settings=SENDING)
    assert left == []
    assert ruleset.rules


@pytest.mark.parametrize("text", [action("send: thanks"), action("send: {template: thanks, in: 1 day}")])
def test_both_remedies_for_a_template_that_may_not_leave_by_itself(text: str) -> None:
    _, (problem,) = rules_of(text, settings=SENDING)
    assert problem.help == 'add "thanks" to `send: auto_templates` in quietcrm.yaml, or write `draft: thanks`'
    allowed, left = rules_of(text, settings=office(send={"auto_templates": ["quote", "thanks"]}))
    assert left == []
    assert [one.verb for one in allowed.rules[0].effects] == ["send"]
    drafted, left = rules_of(text.replace("send:", "draft:"), settings=SENDING)
    assert left == []
    assert [one.verb for one in drafted.rules[0].effects] == ["draft"]


def when(trigger: str, condition: str = "", then: str = "{remind: {text: x}}") -> str:
    """A rule that waits for something else than a mail."""
    middle = f"    {condition}\n" if condition else ""
    return f"rules:\n  - name: probe\n    when: {trigger}\n{middle}    then: {then}\n"


ADVICE: list[tuple[str, str, int, int, str, str]] = [
    (condition(r"subject: {regex: '(a)\1'}"), "E404", 4, 31, "back-reference", "second time"),
    (condition(r"subject: {regex: 'x(?=y)'}"), "E404", 4, 29, "look-ahead", "second condition"),
    (condition('subject: "--"'), "E407", 4, 19, "neither letter nor digit", "regex"),
    (condition("from: $complaint"), "E409", 4, 16, 'the list holds "defeito*"', "mend that entry"),
    (condition("from: joao"), "E205", 4, 16, '"joao"', "@domain"),
    (condition("folder: []"), "E106", 4, 18, "`folder` has no value", "at least one"),
    (condition("subject: {}"), "E106", 4, 19, "tests nothing", "has"),
    (condition("day: montag"), "E203", 4, 15, "not a weekday", "mon-fri"),
    (condition('attendee: "@x.example"'), "E425", 4, 10, "`attendee` needs a meeting", "meeting missed"),
    (condition("auth: pass"), "E419", 4, 16, "whose word counts", "authserv"),
    (condition("jsonld: [Order, 88]"), "E417", 4, 26, "no type of schema.org data", "Order.orderNumber"),
    (condition("any: known"), "E105", 4, 15, "`any` needs a list", "known: yes"),
    (HEAD + "    if: [known]\n" + THEN, "E105", 4, 9, "`if` needs a mapping", "known: yes"),
    (action("move: CRM//x"), "E212", 4, 18, "cannot be a folder", "CRM/Orders"),
    (action("flag: soon"), "E203", 4, 18, "is not a day", "2 business days"),
    (action("flag: 3 hours"), "E203", 4, 18, "is not a day", "2 business days"),
    (action("flag: friday 10:00"), "E203", 4, 18, "is not a day", "2 business days"),
    (action("notify: {channel: oncal}"), "E206", 4, 30, '"oncal"', 'did you mean "oncall"?'),
    (action("notify: {text: x}"), "E102", 4, 20, "`notify` needs a channel", "channel: oncall"),
    (action("stop: yes"), "E104", 4, 18, "`stop` in `then` names a sequence", "beside `then`"),
    (action("draft: {template: quote, attach: x.pdf}"), "E516", 4, 45, 'no file "x.pdf"', "attachments/"),
    (action("ignore: x, tag: y"), "E408", 4, 23, "`tag` beside `ignore`", "rule of its own"),
    (action("log: no, tag: y"), "E408", 4, 21, "`tag` beside `log: no`", "rule of its own"),
    (action("remind: {in: 1 day, at: friday}"), "E413", 4, 32, "`at` beside `in`", "keep one"),
    (action("remind: {in: next business day}"), "E203", 4, 25, "no length of time", "`at: next business day`"),
    (action("send: thanks"), "E414", 4, 18, "may not leave by itself", "send: auto_templates"),
    (action("send: {template: thanks}"), "E414", 4, 29, "may not leave by itself", "draft: thanks"),
    (action("send: {reply: yes}"), "E102", 4, 18, "`send` needs a template", "quote"),
    (action("send: quote, draft: thanks"), "E408", 4, 25, "`draft` beside `send`", "rule of its own"),
    (action("draft: {reply: yes}"), "E102", 4, 19, "needs a template", "quote"),
    (action("draft: {template: quote, to: maria}"), "E205", 4, 41, '"maria"', "contact.email"),
    (action("set: {owner: ana}"), "E101", 4, 18, '`set` cannot change "owner"', "action `owner`"),
    (action("owner: carla"), "E206", 4, 19, 'unknown person "carla"', "ana, bruno"),
    (action("tag: {a: b}"), "E105", 4, 17, "takes one value", "without"),
    (HEAD + "    then: x\n", "E105", 4, 11, "`then` needs a mapping", "tag"),
    (HEAD + "    then: {}\n", "E106", 4, 11, "`then` does nothing", "log: yes"),
    (HEAD + THEN + "    extract: {a: {regex: '(?=b)'}}\n", "E404", 5, 27, "look-ahead", "second condition"),
    (HEAD + THEN + "    extract: {a: {jsonld: number}}\n", "E417", 5, 27, "no path", "Order.orderNumber"),
    (HEAD + THEN + "    extract: {a: {as: money}}\n", "E102", 5, 18, "where it is found", "regex"),
    (HEAD + THEN + "    extract: {mail: {regex: b}}\n", "E212", 5, 15, "means something already", "another name"),
    (HEAD + THEN + "    extract: {no-way: {regex: b}}\n", "E212", 5, 15, "name of a value", "letters"),
    (HEAD + THEN + "    extract: {}\n", "E106", 5, 14, "names nothing", "at least one"),
    (HEAD + THEN + "    extract: x\n", "E105", 5, 14, "`extract` needs a mapping", "regex"),
    (HEAD + THEN + "    extract: {a: x}\n", "E105", 5, 18, "`a` needs a mapping", "regex"),
    (HEAD.replace("mail arrives", "{clock: mon 08:00}") + THEN, "E425", 4, 12, "the clock has none", "stage: lead"),
    (when("customer silent"), "E104", 3, 11, "needs to say more", "{customer silent: 21 days}"),
    (when("{customer silnt: 21 days}"), "E101", 3, 12, 'unknown `when` "customer silnt"', "customer silent"),
    (when("{customer silent: 21 dys}"), "E203", 3, 29, "not a length of time", "21 days"),
    (when("{customer silent: 2 business days}"), "E203", 3, 29, "business time", "30 days"),
    (when("{date comes: renewal_date}"), "E203", 3, 24, "how long before or after", "30 days before renewal_date"),
    (when("{date comes: 3 hours before birthday}"), "E203", 3, 24, "a date is a whole day", "1 day"),
    (when("{clock: moo 08:00}"), "E203", 3, 19, '"moo" is not a weekday', "mon-fri"),
    (when("{clock: mon-fri}"), "E203", 3, 19, "not a time of day", "09:30"),
    (when("{meeting soon: 1 day after}"), "E203", 3, 26, 'does not end with "before"', "1 day before"),
    (when("{record changed: my stage}"), "E203", 3, 28, "no name of a field", "stage"),
    (when("{meeting missed: yes}"), "E105", 3, 12, "stands alone", "when: meeting missed"),
    (when("{clock: mon 08:00, customer silent: 21 days}"), "E105", 3, 11, "is one pair", "write a list"),
    (when("meeting missed", "if: {subject: x}"), "E425", 4, 10, "`subject` needs a mail", "mail arrives"),
    (when("meeting missed", "if: {none: [{from: a@b.example}]}"), "E425", 4, 18, "`from` needs a mail", "mail arrives"),
    (when("meeting missed", "if: {title: x}", "{ignore: x}"), "E425", 5, 12, "`ignore` needs a mail", "mail arrives"),
    (when("meeting missed", "extract: {a: {regex: x}}"), "E425", 4, 5, "`extract` needs a mail", "mail arrives"),
    (when("meeting missed", "once: per thread"), "E425", 4, 11, "needs a mail", "mail arrives"),
    (when("meeting missed", then='{tag: "{{ mail.subject }}"}'), "E425", 4, 17, "mail. ...", "mail arrives"),
    (when("meeting missed", then="{draft: quote}"), "E425", 4, 19, "mail. ...", "mail arrives"),
    (when("meeting missed", then="{draft: {template: thanks, reply: yes}}"), "E425", 4, 30, "needs a mail", "mail"),
    (when("mail sent", then='{tag: "{{ changed.after }}"}'), "E425", 4, 17, "changed. ...", "record changed"),
    (HEAD.replace("probe", "two words") + THEN, "E212", 2, 11, "name of a rule", "without spaces"),
    ("rules: x\n", "E105", 1, 8, "`rules` needs a list", "- name"),
    ("rules:\n  - x\n", "E105", 2, 5, "a rule needs a mapping", "name"),
    ("words: {a: [$b], b: [$a]}\nrules: []\n", "E411", 1, 13, "", "away"),
    ("words: {a: [$nothing]}\nrules: []\n", "E402", 1, 13, "unknown word list", "lists/nothing.txt"),
]


@pytest.mark.parametrize(("text", "code", "line", "column", "message", "help"), ADVICE)
def test_fault_with_advice(text: str, code: str, line: int, column: int, message: str, help: str) -> None:
    _, problems = rules_of(text, settings=SENDING)
    first = problems[0]
    assert (first.code, first.line, first.column) == (code, line, column), problems
    assert message in first.message
    assert help in first.help
    assert {one.code for one in problems} == {code}


def test_every_code_is_in_the_table() -> None:
    used = {code for _, code, *_ in MENDED} | {code for _, code, *_ in ADVICE}
    assert used <= set(CODES)


def test_all_faults_at_once_in_order() -> None:
    text = condition("subjet: x, stage: leed, text: $nope") + THEN.replace("tag", "tagg").replace("then", "about")
    _, problems = rules_of(text)
    assert [one.code for one in problems] == ["E101", "E206", "E402", "E105"]
    assert [(one.line, one.column) for one in problems] == sorted((one.line, one.column) for one in problems)


OFF = """rules:
  - name: asleep
    mode: off
    when: [mail filed, mail arrives]
    if: {known: yes}
    then: {remind: {as: calendar, in: 1 day}, move: CRM}
"""


def test_a_rule_that_is_off_is_checked_all_the_same() -> None:
    _, problems = rules_of(OFF.replace("known", "knwon").replace("in: 1 day", "in: 1 dy"))
    assert [(one.code, one.line) for one in problems] == [("E101", 5), ("E202", 6)]


@pytest.mark.parametrize(
    ("rest", "warned"),
    [
        ("", True),
        ("    if: {folder: Private}\n", False),
        ('    if: {from: "*@*"}\n', False),
        ("    mode: off\n", False),
    ],
)
def test_a_rule_that_would_empty_the_history_is_warned_of(rest: str, warned: bool) -> None:
    text = f"rules:\n  - name: all\n    when: mail arrives\n{rest}    then: {{ignore: private}}\n"
    _, problems = rules_of(text)
    assert [(one.code, one.warning) for one in problems] == [("W401", True)] * warned


def test_duplicate_keys_are_refused() -> None:
    _, problems = rules_of(HEAD + THEN + THEN)
    assert [one.code for one in problems] == ["E007"]


def load_files(tmp_path: Path, files: dict[str, str]) -> list[Problem]:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    problems: list[Problem] = []
    load_ruleset(tmp_path, SETTINGS, problems)
    return problems


def test_rules_run_in_the_order_of_file_names(tmp_path: Path) -> None:
    files = {
        "rules/20-b.yaml": HEAD.replace("probe", "b") + THEN,
        "rules/10-a.yaml": HEAD.replace("probe", "a") + THEN + HEAD[7:].replace("probe", "a2") + THEN,
        "rules/.hidden.yaml": "nonsense",
        "templates/x.txt": "no template",
    }
    assert load_files(tmp_path, files) == []
    ruleset = load_ruleset(tmp_path, SETTINGS, [])
    assert [rule.name for rule in ruleset.rules] == ["a", "a2", "b"]
    assert [rule.place for rule in ruleset.rules] == ["rules/10-a.yaml:2", "rules/10-a.yaml:5", "rules/20-b.yaml:2"]


def test_names_are_unique_across_files(tmp_path: Path) -> None:
    problems = load_files(tmp_path, {"rules/1.yaml": HEAD + THEN, "rules/2.yaml": HEAD + THEN})
    assert [(one.code, one.path.name, one.line) for one in problems] == [("E405", "2.yaml", 2)]
    assert "1.yaml:2" in problems[0].message


def test_a_broken_template_is_told_once(tmp_path: Path) -> None:
    files = {"rules/1.yaml": HEAD + "    then: {draft: quote}\n", "templates/quote.md": "no front matter"}
    assert [one.path.name for one in load_files(tmp_path, files)] == ["quote.md"]


AUTO = """company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
internal: ["@vendas.example"]
team: {ana: {mail: ana@vendas.example}}
send:
  auto_templates: [qoute]
"""


@pytest.mark.parametrize("wrong", ["[qoute]", "qoute", "\n    - quote\n    - qoute"])
def test_an_automatic_template_that_does_not_exist(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "quietcrm.yaml"
    file.write_text(AUTO.replace("[qoute]", wrong))
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "quote.md").write_text(QUOTE)
    problems: list[Problem] = []
    settings = read_settings(tmp_path, problems)
    assert settings is not None
    load_ruleset(tmp_path, settings, problems)
    (problem,) = problems
    assert (problem.code, problem.path, problem.span) == ("E403", file, 5)
    assert problem.help == 'did you mean "quote"?'
    mended = mend(file.read_text(), problem)
    assert mended is not None
    file.write_text(mended)
    after = read_settings(tmp_path, problems := [])
    assert after is not None
    load_ruleset(tmp_path, after, problems)
    assert problems == []


def test_other_endings_are_named(tmp_path: Path) -> None:
    problems = load_files(tmp_path, {"rules/1.yml": HEAD + THEN})
    assert [(one.code, one.help) for one in problems] == [("E101", 'rename the file to "1.yaml"')]


def test_hash_and_fingerprint(tmp_path: Path) -> None:
    load_files(tmp_path, {"rules/1.yaml": HEAD + THEN})
    first = load_ruleset(tmp_path, SETTINGS, [])
    load_files(tmp_path, {"rules/1.yaml": HEAD + "    about: why\n" + THEN})
    named = load_ruleset(tmp_path, SETTINGS, [])
    load_files(tmp_path, {"rules/1.yaml": HEAD + THEN.replace("x", "y")})
    changed = load_ruleset(tmp_path, SETTINGS, [])
    assert len({first.hash, named.hash, changed.hash}) == 3
    assert first.rules[0].fingerprint == named.rules[0].fingerprint != changed.rules[0].fingerprint
    assert len(first.hash) == 12


def test_an_empty_office_has_no_rules(tmp_path: Path) -> None:
    problems: list[Problem] = []
    assert load_ruleset(tmp_path, SETTINGS, problems).rules == ()
    assert problems == []


WORDS = """
    rules words name when if then mail arrives sent text subject from any all none not known yes tag draft remind in
    at create set stage owner log ignore mode off stop once has regex is [ ] { } : - , $x * ' " 1 day {{ a }} #
"""


@settings(deadline=None)  # each example writes and reads files
@given(st.lists(st.sampled_from(WORDS.split()) | st.just("\n  ") | st.just("\n    "), max_size=30).map(" ".join))
def test_no_text_raises(text: str) -> None:
    _, problems = rules_of(text)
    assert all(one.code in CODES and one.help for one in problems)


@settings(deadline=None)  # each example writes and reads files
@given(st.integers(0, len(BLOCK) - 1), st.sampled_from(list("{}[]:,-'\"#&*!|>%@` \n\tx")))
def test_no_slip_of_the_finger_raises(place: int, sign: str) -> None:
    for text in (BLOCK[:place] + sign + BLOCK[place:], BLOCK[:place] + BLOCK[place + 1 :]):
        _, problems = rules_of(text)
        assert all(one.code in CODES and one.help for one in problems)
