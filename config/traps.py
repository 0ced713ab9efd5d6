"""What probably went wrong when YAML gives up: the usual traps, each with a remedy that may be tried out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.errors import Problem

LINE_HEAD = re.compile(
    r"""(?P<head>[ \t]*(?:-[ ]+)*(?:(?:"[^"]*"|'[^']*'|[^\s"'{\[#:,][^:#{\[]*):[ ]+)?)(?P<value>.*)"""
)
FLOW_TOKEN = re.compile(r"(?:\{\{.*?\}\}|[^,\[\]{}])*")
LONGEST_LINE = 2000  # nobody wrote that by hand, and the patterns below would take their time
JINJA = re.compile(r"\{\{.*?\}\}")
TIGHT_COLON = re.compile(r"(?P<head>[ \t]*(?:-[ ]+)*)(?P<key>[A-Za-z_][\w.-]*):(?P<value>[^\s:/].*)")
DOUBLE = "\u201c\u201d\u201e\u201f"  # curly quotes, as word processors and mail programs make them
CURLY = re.compile(
    f"[{DOUBLE}](?P<behind>[^{DOUBLE}]*)[{DOUBLE}]?|(?P<before>[^{DOUBLE}]+)[{DOUBLE}]"
    "|[\u2018\u201a](?P<single>[^\u2018\u2019]*)[\u2018\u2019]"
)
CURLY_MARKS = frozenset(f"{DOUBLE}\u2018\u2019\u201a")
LONE_WORD = re.compile(r"[ \t]*(?:-[ ]+)*(?P<word>[^\s:#][^:#]*?)[ \t]*$")


@dataclass(frozen=True, slots=True)
class Mark:
    """A position, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where and how YAML stopped. `last` is the last complete value before it: start, end and quote style."""

    path: Path
    lines: list[str]
    at: Mark
    text: str
    since: Mark | None = None
    context: str = ""
    last: tuple[Mark, Mark, str | None] | None = None

    def source(self, number: int) -> str:
        """Line `number`, or ""."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def problem(self, code: str, message: str, mark: Mark, span: int, help: str) -> Problem:
        """A problem that begins at `mark`, inside the file."""
        line = min(max(mark.line, 1), max(len(self.lines), 1))
        column = min(max(mark.column, 1), len(self.source(line)) + 1)
        return Problem(
            code=code, message=message, path=self.path, line=line, column=column, span=max(span, 1), help=help
        )


def quoted(text: str) -> str:
    """`text` as a quoted YAML scalar on one line."""
    if '"' not in text and "\\" not in text:
        return f'"{text}"'
    return "'" + text.replace("'", "''") + "'"


def curly_quoted(text: str) -> str | None:
    """What stands between the curly quotes around a text, or beside the half of a pair; None without them.

    A pair that opens and closes inside a longer text is the text's own.
    """
    found = CURLY.fullmatch(text)
    return next((part.strip() for part in found.groups() if part is not None), None) if found else None


def suspects(broken: Breakdown) -> Iterator[Problem]:
    """Problems that would explain the breakdown, the most telling first. Their remedies are guesses to be tried."""
    lines = (broken.at.line, broken.since.line if broken.since else broken.at.line)
    if any(len(broken.source(number)) > LONGEST_LINE for number in lines):
        return
    for trap in TRAPS:
        yield from trap(broken)


def without_remedy(broken: Breakdown) -> Problem:
    """The last resort: what YAML said, and where to look."""
    before = max((n for n in range(1, broken.at.line) if broken.source(n).strip()), default=broken.at.line)
    look = f"look at lines {before} and {broken.at.line}" if before != broken.at.line else f"look at line {before}"
    help = f"{look}: indentation in spaces, a space after each colon, quotes around text with special characters"
    return broken.problem("E020", f"this cannot be read as YAML ({broken.text})", broken.at, 1, help)


def value_at(line: str, column: int) -> Iterator[tuple[int, str]]:
    """The unquoted text that may be meant at `column`: as an item inside brackets, then as the rest of the line."""
    opening = max(line.rfind(mark, 0, column - 1) for mark in "[{,") + 1
    if opening:
        start = opening + len(line[opening:]) - len(line[opening:].lstrip())
        key = re.match(r"[\w.-]+:[ ]+", line[start:])
        start += key.end() if key else 0
        token = FLOW_TOKEN.match(line, start)
        if token and token[0].strip():
            yield start + 1, token[0].rstrip()
    yield from _block_value(line)


def _block_value(line: str) -> Iterator[tuple[int, str]]:
    match = LINE_HEAD.fullmatch(line)
    if match and match["value"].strip():
        value = re.sub(r"\s+#\s.*$|\s+$", "", match["value"])
        yield len(match["head"]) + 1, value


def _tabs(broken: Breakdown) -> Iterator[Problem]:
    line = broken.source(broken.at.line)
    lead = line[: len(line) - len(line.lstrip())]
    if "\t" not in lead:
        return
    mark = Mark(broken.at.line, lead.index("\t") + 1)
    for width in (*_indents(broken, broken.at.line), len(lead.expandtabs(2))):
        help = f"indent with {width} spaces"
        yield broken.problem("E001", "a Tab in the indentation; YAML wants spaces", mark, lead.count("\t"), help)


STARTERS = {
    "@": ("E004", "text that starts with @ needs quotes"),
    "*": ("E005", "text that starts with * needs quotes"),
    "`": ("E006", "text that starts with ` needs quotes"),
    "%": ("E006", "text that starts with % needs quotes"),
    "&": ("E012", "text that starts with & needs quotes; anchors are not used here"),
    "!": ("E013", "text that starts with ! needs quotes; tags are not used here"),
}


def _starters(broken: Breakdown) -> Iterator[Problem]:
    for mark in (broken.at, broken.since or broken.at):
        line = broken.source(mark.line)
        for column, value in value_at(line, mark.column):
            if value[0] in STARTERS and column <= mark.column:
                code, message = STARTERS[value[0]]
                yield broken.problem(code, message, Mark(mark.line, column), len(value), f"write: {quoted(value)}")


def _jinja(broken: Breakdown) -> Iterator[Problem]:
    for number in dict.fromkeys((broken.at.line, broken.since.line if broken.since else broken.at.line)):
        line = broken.source(number)
        for found in JINJA.finditer(line):
            for column, value in value_at(line, found.start() + 1):
                if "{{" in value and column <= found.start() + 1:
                    help = f"write: {quoted(value)}"
                    yield broken.problem("E002", "{{ ... }} outside quotes", Mark(number, column), len(value), help)


def _inner_colon(broken: Breakdown) -> Iterator[Problem]:
    line = broken.source(broken.at.line)
    if "mapping values" not in broken.text and "got ':'" not in broken.text:
        return
    for column, value in value_at(line, broken.at.column):
        if column <= broken.at.column and ": " in value + " ":
            help = f"write: {quoted(value)}"
            mark = Mark(broken.at.line, column)
            yield broken.problem("E003", '": " inside text needs quotes around the text', mark, len(value), help)


def _tight_colon(broken: Breakdown) -> Iterator[Problem]:
    for number in _near(broken):
        match = TIGHT_COLON.fullmatch(broken.source(number)[:LONGEST_LINE].rstrip())
        if match:
            span = len(match["key"]) + 1 + len(match["value"])
            help = f"write: {match['key']}: {match['value']}"
            mark = Mark(number, len(match["head"]) + 1)
            yield broken.problem("E024", "a space is missing after the colon", mark, span, help)


def _quotes(broken: Breakdown) -> Iterator[Problem]:
    if broken.last and broken.last[2] in ("'", '"'):
        start, end, quote = broken.last
        if end.line > start.line and end.line == broken.at.line:
            help = f"add {quote} at the end of line {start.line}, where the quote was opened"
            yield broken.problem("E009", f"a quote is not closed ({quote})", broken.at, 1, help)
        elif end.line == broken.at.line:
            yield from _quote_in_quotes(broken, start, str(quote))
    if "quoted scalar" in broken.context and broken.since:
        since, line = broken.since, broken.source(broken.since.line)
        quote = line[since.column - 1 : since.column] or '"'
        yield from _open_in_brackets(broken, since, quote)
        help = f"add {quote} at the end of line {since.line}"
        yield broken.problem("E009", f"a quote is not closed ({quote})", since, len(line) - since.column + 1, help)
    if "escape character" in broken.text and broken.since:
        yield from backslash(broken, broken.since)


def _open_in_brackets(broken: Breakdown, since: Mark, quote: str) -> Iterator[Problem]:
    """{tag: "x}: the quote ends before the brackets that are open on its line."""
    line = broken.source(since.line)
    found = re.fullmatch(rf"{quote}([^{quote}]*?)\s*[}}\]]+\s*", line[since.column - 1 :])
    if found and re.search(r"[{\[]", line[: since.column - 1]):
        help = f"write: {quoted(found[1])}"
        yield broken.problem("E009", f"a quote is not closed ({quote})", since, len(found[1]) + 1, help)


def _quote_in_quotes(broken: Breakdown, start: Mark, quote: str) -> Iterator[Problem]:
    rest = broken.source(start.line)[start.column - 1 :]
    item = re.match(rf"{quote}.*?{quote}(?=\s*(?:[,}}\]]|$))", rest)
    for value in (item[0] if item else "", re.sub(r"\s+#\s.*$|\s+$", "", rest)):
        inner = value[1:-1] if len(value) > 2 and value.endswith(quote) else value
        message = f"the text goes on after its closing quote ({quote})"
        yield broken.problem("E026", message, start, len(value), f"write: {quoted(inner)}")


def backslash(broken: Breakdown, since: Mark) -> Iterator[Problem]:
    """The trap of a Windows path in double quotes, where YAML takes `\\` for an escape (YAML 1.2, 7.3.1)."""
    line = broken.source(since.line)
    closing = re.match(r'"((?:\\.|[^"\\])*)"', line[since.column - 1 :])
    if closing:
        help = "write: '" + closing[1].replace("'", "''") + "'"
        yield broken.problem("E027", "a backslash inside double quotes", since, closing.end(), help)


def _brackets(broken: Breakdown) -> Iterator[Problem]:
    if broken.since is None or "flow" not in broken.context:
        return
    closing = "]" if "sequence" in broken.context else "}"
    help = f"add {closing} at the end of line {broken.since.line}, where the bracket was opened"
    yield broken.problem("E011", f"a bracket is not closed, {closing} is missing", broken.at, 1, help)


def _indentation(broken: Breakdown) -> Iterator[Problem]:
    for number in _near(broken):
        line = broken.source(number)
        lead = len(line) - len(line.lstrip(" "))
        before = next((n for n in range(number - 1, 0, -1) if broken.source(n).strip()), number)
        above = broken.source(before)
        deepest = len(line) if above.rstrip().endswith(":") else _indent(above)
        for width in _indents(broken, number):
            if width != lead and width <= deepest:
                help = f"indent with {width} spaces, like the lines around it (line {before} may be the wrong one)"
                yield broken.problem("E010", "the indentation fits nowhere", Mark(number, 1), max(lead, 1), help)


def _lone_word(broken: Breakdown) -> Iterator[Problem]:
    if "could not find expected ':'" not in broken.text and broken.at.line > 2:
        return
    for number in _near(broken):
        match = LONE_WORD.fullmatch(broken.source(number)[:LONGEST_LINE])
        if match:
            mark = Mark(number, match.start("word") + 1)
            help = f"remove this line, or write it as {match['word']}: value"
            yield broken.problem(
                "E025", f'"{match["word"]}" is no setting: the colon is missing', mark, len(match["word"]), help
            )


def _any_value(broken: Breakdown) -> Iterator[Problem]:
    for mark in (broken.at, broken.since or broken.at):
        for column, value in value_at(broken.source(mark.line), mark.column):
            help = f"write: {quoted(value)}"
            yield broken.problem("E020", "this text needs quotes", Mark(mark.line, column), len(value), help)


def _near(broken: Breakdown) -> list[int]:
    since = broken.since.line if broken.since and "simple key" in broken.context else broken.at.line
    before = next((n for n in range(broken.at.line - 1, 0, -1) if broken.source(n).strip()), broken.at.line)
    return list(dict.fromkeys((since, broken.at.line, before)))


def _indents(broken: Breakdown, number: int) -> list[int]:
    """Indentations line `number` may be meant to have, the likeliest first: as its neighbours, or below an open key."""
    above_it = [line for line in broken.lines[: number - 1] if line.strip() and "\t" not in line]
    before = [width for line in above_it for width in _beginnings(line)]
    above = next((line for line in reversed(broken.lines[: number - 1]) if line.strip()), "")
    below = next((line for line in broken.lines[number:] if line.strip() and "\t" not in line), "")
    if above.rstrip().endswith(":"):
        nearest = [width for width in (_indent(below), _indent(above) + 2) if width > _indent(above)]
    else:
        nearest = []
    return list(dict.fromkeys((*nearest, *reversed(before[-12:]))))


def _beginnings(line: str) -> tuple[int, ...]:
    """Where a line beside this one may begin: at its dash, at the key behind the dash."""
    item = re.match(r" *- +(?=\S)", line)
    return (_indent(line), item.end()) if item else (_indent(line),)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


TRAPS = (
    _tabs,
    _starters,
    _jinja,
    _inner_colon,
    _tight_colon,
    _quotes,
    _brackets,
    _lone_word,
    _indentation,
    _any_value,
)
