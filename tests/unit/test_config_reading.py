"""Reading YAML: scalars stay text, traps get their own sentence, nothing raises and nothing explodes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import Problem
from config.load import parse_settings
from config.nodes import ListNode, MapNode, Node, Scalar, plain
from config.reading import DEEPEST, MOST_NODES, read_yaml
from config.remedy import mend
from config.text import LARGEST_FILE, decode_text

FILE = Path("quietcrm.yaml")
SOUND = """# the office
company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
internal: ["@vendas.example", '@vendas.com.example']
team:
  ana: {mail: ana@vendas.example, digest: 08:00}
  олег:
    mail: oleg@vendas.example
    aliases:
      - office@vendas.example
accounts:
  ana:
    type: imap
    rep: ana
    host: 127.0.0.1
    security: none
    login: ana
    password: {env: ANA_PASSWORD}
    since: 2020-01-01
hours: {mon-fri: 09:00-18:00, extra: [2027-02-09]}
"""


def read(text: str) -> tuple[Node | None, list[Problem]]:
    problems: list[Problem] = []
    return read_yaml(FILE, text, problems), problems


@pytest.mark.parametrize(
    "word", ["0351", "no", "NO", "12:30", "2020-01-01", "1e3", "0x1F", "010", "~", "null", ".5", "=", "yes"]
)
def test_plain_words_stay_text(word: str) -> None:
    node, problems = read(f"a: {word}\n{word}: b\n")
    assert node is not None
    assert plain(node) == {"a": word, word: "b"}
    assert problems == []


def test_places_count_from_one() -> None:
    node, _ = read('a:\n  - b\n  - {ключ: "знач"}\n')
    assert isinstance(node, MapNode)
    items = node.get("a")
    assert isinstance(items, ListNode)
    inner = items.items[1]
    assert isinstance(inner, MapNode)
    value = inner.get("ключ")
    assert isinstance(value, Scalar)
    assert (value.place.line, value.place.column, value.place.span, value.quoted) == (3, 12, 6, True)
    assert (inner.place.line, inner.place.column, inner.place.span) == (3, 5, 14)


TRAPS = [
    ("E001", "a:\n\tb: c\n", 2, {"a": {"b": "c"}}),
    ("E001", "a:\n  b: c\n\td: e\n", 3, {"a": {"b": "c", "d": "e"}}),
    ("E001", "rules:\n  - name: x\n\tif: y\n", 3, None),
    ("E002", "draft: {{ t }}\n", 1, {"draft": "{{ t }}"}),
    ("E002", "draft: {{ t }} and more\n", 1, {"draft": "{{ t }} and more"}),
    ("E002", "{draft: {{ t }}, to: x}\n", 1, {"draft": "{{ t }}", "to": "x"}),
    ("E003", "a:\n  title: Re: quote\n", 2, {"a": {"title": "Re: quote"}}),
    ("E004", "a: @x.example\n", 1, {"a": "@x.example"}),
    ("E004", "a: [b, @x.example]\n", 1, {"a": ["b", "@x.example"]}),
    ("E005", "a: *@x.example\n", 1, {"a": "*@x.example"}),
    ("E005", "a:\n  - *proposta*.pdf\n", 2, {"a": ["*proposta*.pdf"]}),
    ("E005", "a: {b: *.pdf, c: d}\n", 1, {"a": {"b": "*.pdf", "c": "d"}}),
    ("E006", "a: `b`\n", 1, {"a": "`b`"}),
    ("E006", "a: 10\nb: %c\n", 2, {"a": "10", "b": "%c"}),
    ("E007", "a: b\nc: d\na: e\n", 3, {"a": "b", "c": "d"}),
    ("E008", "a: Pedido #12\n", 1, {"a": "Pedido #12"}),
    ("E008", "a: b\nchannel: #sales\n", 2, {"a": "b", "channel": "#sales"}),
    ("E009", 'a: "b\nc: "d"\n', 2, {"a": "b", "c": "d"}),
    ("E009", "a: 'b\nc: d\n", 1, {"a": "b", "c": "d"}),
    ("E010", "a:\n  b: c\n   d: e\n", 3, {"a": {"b": "c", "d": "e"}}),
    ("E010", "a:\n    b: c\n  d: e\n", 3, {"a": {"b": "c", "d": "e"}}),
    ("E010", "a:\n  - b\n - c\n", 3, {"a": ["b", "c"]}),
    ("E011", "a: [b, c\nd: e\n", 2, {"a": ["b", "c"], "d": "e"}),
    ("E012", "a: &b c\n", 1, {"a": "&b c"}),
    ("E012", "a: &b\n  c: d\n", 1, None),
    ("E012", "<<: {b: c}\nd: e\n", 1, {"d": "e"}),
    ("E013", "a: !b c\n", 1, {"a": "!b c"}),
    ("E014", "a: b\n---\nc: d\n", 2, {"a": "b", "c": "d"}),
    ("E019", "? [a, b]\n: c\n", 1, None),
    ("E021", "a: b\x07\n", 1, {"a": "b"}),
    ("E021", "a:\n\u00a0\u00a0b: c\n", 2, {"a": {"b": "c"}}),
    ("E023", "# nothing\n", 1, None),
    ("E024", "a:b\nc: d\n", 1, {"a": "b", "c": "d"}),
    ("E025", "a: b\nc\nd: e\n", 2, {"a": "b", "d": "e"}),
    ("E026", "a: 'it's'\n", 1, {"a": "it's"}),
    ("E027", 'a: "\\d+"\n', 1, {"a": "\\d+"}),
    ("E027", 'a: "\\bpedido"\n', 1, {"a": "\\bpedido"}),
]


@pytest.mark.parametrize(("code", "text", "line", "meant"), TRAPS)
def test_trap_has_its_code_line_and_remedy(code: str, text: str, line: int, meant: object) -> None:
    _, problems = read(text)
    assert [(one.code, one.line) for one in problems] == [(code, line)]
    assert problems[0].help
    if meant is not None:
        mended = mend(text, problems[0])
        assert mended is not None
        node, left = read(mended)
        assert left == []
        assert node is not None
        assert plain(node) == meant


def test_an_open_quote_names_the_line_it_was_opened_on() -> None:
    _, problems = read('a: "b\nc: d\ne: "f"\n')
    assert (problems[0].line, problems[0].help) == (3, 'add " at the end of line 1, where the quote was opened')


def test_a_comment_is_no_cut_text() -> None:
    assert read("a: b  #old\nc: d # note\ne: f\n#g: h\ni:  #none\n  j: k\n")[1] == []


def test_several_traps_are_told_at_once() -> None:
    _, problems = read("a: @x\nb: *c\nd: {{ t }}\ne: Re: x\nf: g\nf: h\n")
    assert sorted(one.code for one in problems) == ["E002", "E003", "E004", "E005", "E007"]


def test_bombs_are_refused_without_growing() -> None:
    laughs = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    tracemalloc.start()
    bombs = [
        laughs,
        "a: " + "[" * 100_000,
        "a: " + "{a: " * 50_000,
        "[x, " * 10_000,
        "- " * 50_000,
        "- [" + "{{ " * 100_000,
    ]
    for text in [*bombs, "x" * (LARGEST_FILE + 1)]:
        node, problems = read(text)
        assert node is None
        assert problems[0].code in ("E012", "E015", "E016", "E020")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40_000_000


def test_long_lines_and_many_faults_come_to_an_end() -> None:
    lines = [
        "b: " + "x " * 20_000 + ": c",
        "- " + " " * 20_000 + "@",
        "a: *b" * 4_000,
        "{" + "a: b, " * 4_000 + "}",
    ]
    lines += ["{{ t }} " * 4_000, "a: b\n" + "x" * 20_000 + ":y", '- "' + "\\" * 20_000, "a: b #c\n" * 2_000]
    for text in lines:
        _, problems = read(text)
        assert 1 <= len(problems) <= 120
        assert all(len(one.message) < 400 for one in problems)


def test_caps_on_depth_and_number() -> None:
    assert read("[" * DEEPEST + "]" * DEEPEST)[1] == []
    assert read("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1))[1][0].code == "E016"
    assert read("- x\n" * (MOST_NODES + 1))[1][0].code == "E017"


def test_bom_and_line_ends_of_every_system() -> None:
    problems: list[Problem] = []
    text = decode_text(FILE, b"\xef\xbb\xbfa: b\r\nc: d\re: f\n", problems)
    assert text is not None
    node = read_yaml(FILE, text, problems)
    assert node is not None
    assert plain(node) == {"a": "b", "c": "d", "e": "f"}
    assert problems == []


@pytest.mark.parametrize(
    ("raw", "line", "column"),
    [("a: b\nc: preço\n".encode("cp1252"), 2, 7), ("а: б\n".encode("koi8-r"), 1, 1), ("a: b".encode("utf-16"), 1, 1)],
)
def test_other_encodings_are_named_with_the_line(tmp_path: Path, raw: bytes, line: int, column: int) -> None:
    path = tmp_path / "quietcrm.yaml"
    path.write_bytes(raw)
    problems: list[Problem] = []
    assert read_yaml(path, None, problems) is None
    assert [(one.code, one.line, one.column, one.help) for one in problems] == [
        ("E018", line, column, "save the file as UTF-8")
    ]


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    problems: list[Problem] = []
    assert read_yaml(tmp_path / "none.yaml", None, problems) is None
    assert read_yaml(tmp_path, None, problems) is None
    assert [one.code for one in problems] == ["E022", "E022"]


NASTY = st.sampled_from(list("\t\"'[]{}:#&*!|>%@`-?,~\\\n \x00\u00a0\u2028\ufeff\U0001f600é")) | st.text(max_size=3)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = SOUND
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 6)))
        text = text[:start] + draw(NASTY) + text[end:]
    return text


def check_places(text: str, problems: list[Problem]) -> None:
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for problem in problems:
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 2
        assert problem.span >= 1
        assert problem.help


@settings(max_examples=250, deadline=None)
@given(mutated())
def test_mutated_settings_never_raise_and_name_a_line(text: str) -> None:
    problems: list[Problem] = []
    found = parse_settings(FILE, text, problems)
    assert found is not None or problems
    check_places(text, problems)
    for problem in problems:
        mend(text, problem)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="ab:-?&*!|>'\"%@`{}[],# \n\t\\~<", max_size=40))
def test_any_text_never_raises_and_names_a_line(text: str) -> None:
    node, problems = read(text)
    assert node is not None or problems
    check_places(text, problems)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_never_raise(raw: bytes) -> None:
    problems: list[Problem] = []
    text = decode_text(FILE, raw, problems)
    assert (text is None) == bool(problems)
    if text is not None:
        read_yaml(FILE, text, problems)
