"""Reads YAML into nodes with places. Every scalar stays text; what people do not need is refused with a remedy.

Works on ruamel's events, so that `0351`, `no`, `12:30` and `2020-01-01` reach the schema as written, and so that
aliases are refused before anything is expanded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any

from config.errors import Problem
from config.nodes import ListNode, MapNode, Node, Place, Scalar, last_line
from config.remedy import mend, removal
from config.text import LARGEST_FILE, SECRET_VALUE, STRANGE, read_text, strange_characters, too_large, without_strange
from config.traps import CURLY_MARKS, Breakdown, Mark, backslash, curly_quoted, suspects, value_at, without_remedy
from config.traps import quoted as in_quotes

DEEPEST = 32
MOST_NODES = 50_000
MOST_PROBLEMS = 100
MOST_REPAIRS = 12
BEYOND = 1 << 60
REPAIR_BUDGET = 400_000  # characters read again while remedies are tried
UNUSUAL = re.compile(
    r"""[\t\x85\u2028\u2029\ufeff]|^(?:%|---|\.\.\.)|(?:^|[\s\[{,])\?(?![^\s\]},])|["'] *:\S""", re.MULTILINE
)
"""What libyaml may take otherwise: Tabs, rare line ends, directives, several documents, `? ` before a key, and a colon
that stands between a closing quote and whatever follows (`["New order":]`)."""
CUT = re.compile(r" #\S")


class _Stop(Exception):
    """The events cannot be followed any further; `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class _Broken(Exception):
    """YAML itself gave up, or met something that only makes sense in quotes."""

    def __init__(self, breakdown: Breakdown) -> None:
        super().__init__(breakdown.text)
        self.breakdown = breakdown


def read_yaml(path: Path, text: str | None, problems: list[Problem]) -> Node | None:
    """Read `text` (or the file, if None) into nodes; faults are appended to `problems`. Never raises.

    After a fault with a sure remedy the reading goes on as if it were mended, so one run names all of them. A node
    may therefore come back together with problems: use it for further checks only. None if nothing could be read.
    """
    if text is None:
        text = read_text(path, problems)
        if text is None:
            return None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > LARGEST_FILE:
        problems.append(too_large(path))
        return None
    strange = strange_characters(path, text)
    if strange:
        problems.extend(strange)
        text = without_strange(text)
    sound = _read_sound(path, text)
    if sound is not None:
        return sound
    found: list[Problem] = []
    node = _read_repairing(path, text, found)
    lines = text.split("\n")
    problems.extend(_hide_secret(problem, lines) for problem in found)
    return node


def _hide_secret(problem: Problem, lines: list[str]) -> Problem:
    """A remedy that would repeat a password says where to put it instead."""
    secret = SECRET_VALUE.search(lines[problem.line - 1]) if problem.line <= len(lines) else None
    if secret is None or not problem.help.startswith("write: ") or problem.column > secret.end():
        return problem
    if problem.column - 1 >= secret.start("value") - 1:
        return replace(problem, help="write: {env: MAIL_PASSWORD}")
    return replace(problem, help="put a space after the colon and write {env: MAIL_PASSWORD} there")


def _read_sound(path: Path, text: str) -> Node | None:
    """The nodes of a text in which nothing is wrong, read by libyaml: a fifteenth of the time. None where anything is
    wrong, or might be read otherwise there: then the precise reader says what."""
    if UNUSUAL.search(text) or _parse_fast is None:
        return None
    builder = _Builder(path, text, _parse_fast)
    try:
        root = builder.build()
    except (_Stop, _Broken, IndexError):  # libyaml places what is missing at the end on a line behind it
        return None
    return None if builder.problems else root


def _parse_precisely(text: str) -> Iterator[Any]:
    from ruamel.yaml import YAML  # 4 MB, where something is wrong

    events: Iterator[Any] = YAML(typ="safe", pure=True).parse(StringIO(text))
    return events


def _fast_parser() -> Callable[[str], Iterator[Any]] | None:
    """None where PyYAML was built without libyaml."""
    try:
        from yaml import CSafeLoader, parse
    except ImportError:
        return None
    return lambda text: parse(text, Loader=CSafeLoader)


_parse_fast = _fast_parser()


def _read_repairing(path: Path, text: str, problems: list[Problem]) -> Node | None:
    budget = [REPAIR_BUDGET]
    for _ in range(MOST_REPAIRS):
        builder = _Builder(path, text)
        try:
            root = builder.build()
        except _Stop as stop:
            problems.extend((*builder.problems, stop.problem))
            return None
        except _Broken as broken:
            problem, mended = _explain(broken.breakdown, text, budget)
            problems.append(problem)
            if mended is None or problem.code == "E020":  # a guess too vague to build on
                problems.extend(builder.problems)
                return None
            text = mended
        else:
            problems.extend(builder.problems)
            return root
    return None


def _explain(breakdown: Breakdown, text: str, budget: list[int]) -> tuple[Problem, str | None]:
    """The first suspicion whose remedy lets YAML read on beyond the place of the breakdown, and the mended text."""
    tried: set[str] = set()
    for problem in suspects(breakdown):
        mended = mend(text, problem)
        if mended is None or mended in tried or budget[0] < 0:
            continue
        tried.add(mended)
        budget[0] -= len(text)
        if _first_break(breakdown.path, mended) > breakdown.at.line:
            return problem, _same_length(text, mended, problem)
    return without_remedy(breakdown), None


def _same_length(text: str, mended: str, problem: Problem) -> str:
    """`mended` with blank lines for the removed ones, so that later problems name lines of the file."""
    lines = mended.split("\n")
    removed = text.count("\n") + 1 - len(lines)
    return "\n".join([*lines[: problem.line - 1], *[""] * removed, *lines[problem.line - 1 :]])


def _first_break(path: Path, text: str) -> int:
    """The line where reading `text` breaks, or BEYOND."""
    try:
        _Builder(path, text).build()
    except _Broken as broken:
        return broken.breakdown.at.line
    except _Stop:
        return 0
    return BEYOND


@dataclass
class _Open:
    """A list or mapping whose end is still to come."""

    place: Place
    mapping: bool
    children: list[Node] = field(default_factory=list)
    keys: list[Scalar] = field(default_factory=list)


class _Builder:
    """Turns the events of one text into nodes. An explicit stack: depth costs no recursion."""

    def __init__(self, path: Path, text: str, parse: Callable[[str], Iterator[Any]] = _parse_precisely) -> None:
        self.path = path
        self.parse = parse
        self.text = text
        self.lines = text.split("\n")
        self.may_be_cut = " #" in text
        self.may_be_curly = not CURLY_MARKS.isdisjoint(text)
        self.problems: list[Problem] = []
        self.stack: list[_Open] = []
        self.root: Node | None = None
        self.documents = 0
        self.count = 0
        self.last: tuple[Mark, Mark, str | None] | None = None

    def build(self) -> Node | None:
        """The root node; None for an empty file (with a problem). Raises _Stop or _Broken."""
        for event in self._events():
            kind = type(event).__name__.removesuffix("Event")
            if kind == "DocumentStart":
                self._open_document(event)
            elif kind in ("MappingStart", "SequenceStart"):
                self._open(event, mapping=kind == "MappingStart")
            elif kind in ("MappingEnd", "SequenceEnd"):
                self._close(event)
            elif kind == "Scalar":
                self._scalar(event)
            elif kind == "Alias":
                self._refuse_alias(event)
        if self.root is None or (isinstance(self.root, Scalar) and not self.root.text):
            problem = self._problem("E023", f"{self.path.name} is empty", Mark(1, 1), 1, "write it with: quietcrm init")
            raise _Stop(problem)
        return self.root

    def _events(self) -> Iterator[Any]:
        try:
            yield from self.parse(self.text)
        except (_Stop, _Broken):
            raise
        except Exception as error:
            from ruamel.yaml.error import MarkedYAMLError

            if isinstance(error, MarkedYAMLError):
                raise _Broken(self._breakdown(error)) from None
            # ruamel's scanner lets ValueError, IndexError and the like escape on some broken input.
            text = f"{type(error).__name__} in the YAML reader"
            raise _Broken(self._plain_breakdown(self.last[1] if self.last else Mark(1, 1), text)) from None

    def _breakdown(self, error: Any) -> Breakdown:
        since = _mark(error.context_mark) if error.context_mark is not None else None
        at = _mark(error.problem_mark) if error.problem_mark is not None else since or Mark(1, 1)
        text = " ".join(str(error.problem or error.context or "unknown fault").split())
        context = " ".join(str(error.context or "").split())
        return Breakdown(self.path, self.lines, at, text, since, context, self.last)

    def _plain_breakdown(self, at: Mark, text: str) -> Breakdown:
        return Breakdown(self.path, self.lines, at, text, at, "", self.last)

    def _open_document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            mark = _mark(event.start_mark)
            help = "remove this line, and keep one document in the file"
            raise _Stop(self._problem("E014", "a second document begins here", mark, 3, help))

    def _open(self, event: Any, *, mapping: bool) -> None:
        mark = _mark(event.start_mark)
        self._count(mark)
        self._refuse_marks(event)
        if self._starts(mark, "{{"):
            raise _Broken(self._plain_breakdown(mark, "a mapping as a key"))
        if len(self.stack) >= DEEPEST:
            help = "write it flatter; nothing needs so many levels"
            raise _Stop(self._problem("E016", f"nested more than {DEEPEST} levels deep", mark, 1, help))
        self.stack.append(_Open(self._place(mark, event.end_mark), mapping))

    def _close(self, event: Any) -> None:
        done = self.stack.pop()
        begun = Mark(done.place.line, done.place.column)
        if self._starts(begun, ("[", "{")):
            done.place = self._place(begun, event.end_mark)
        if done.mapping:
            self._add(MapNode(self._entries(done), done.place))
        else:
            self._add(ListNode(tuple(done.children), done.place))

    def _scalar(self, event: Any) -> None:
        mark, end = _mark(event.start_mark), _mark(event.end_mark)
        self._count(mark)
        self._refuse_marks(event)
        style = event.style or None
        self.last = (mark, end, style)
        place = self._place(mark, event.end_mark)
        if style is None and not event.value:
            end = self._after_key(mark)
            place = Place(self.path, end.line, end.column)
        scalar = Scalar(event.value, place, style is not None)
        if style is None:
            if self.may_be_cut:
                self._check_cut(scalar, end)
            if self.may_be_curly:
                self._check_curly(scalar)
        elif STRANGE.search(event.value):
            self.problems.extend(backslash(self._plain_breakdown(mark, "an escape"), mark))
        self._add(scalar)

    def _after_key(self, mark: Mark) -> Mark:
        """Where an empty value stands: behind its key's colon (YAML gives the place of whatever follows)."""
        top = self.stack[-1] if self.stack else None
        if top is None or not top.mapping or len(top.keys) == len(top.children):
            return mark
        key = top.keys[-1].place
        colon = self.lines[key.line - 1].find(":", key.column + key.span - 2)
        return Mark(key.line, colon + 2) if colon >= 0 else mark

    def _add(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        if top.mapping and len(top.keys) == len(top.children):
            top.keys.append(self._key(node))
        else:
            top.children.append(node)

    def _key(self, node: Node) -> Scalar:
        if isinstance(node, Scalar):
            if node.text == "<<" and not node.quoted:
                self._fault("E012", "merge keys are not used here", node.place, "remove this line")
            elif not node.text:
                self._fault("E019", "a key is empty", node.place, "remove this line, or write a name before the colon")
            return node
        help = "write a plain name before the colon, or quotes around the text"
        self._fault("E019", "a list or mapping cannot be a key", node.place, help)
        return Scalar("", node.place)

    def _entries(self, done: _Open) -> tuple[tuple[Scalar, Node], ...]:
        """The entries with the first of equal keys; every later one is a problem."""
        seen: dict[str, Scalar] = {}
        entries = []
        for key, value in zip(done.keys, done.children, strict=True):
            first = seen.setdefault(key.text, key)
            if first is key:
                entries.append((key, value))
            elif len(self.problems) < MOST_PROBLEMS:
                self._duplicate(first, key, value)
        return tuple(entries)

    def _duplicate(self, first: Scalar, key: Scalar, value: Node) -> None:
        help = f"{removal(self.lines, key, last_line(value))}, or join it with line {first.place.line}"
        self._fault("E007", f'"{key.text}" stands here twice, first on line {first.place.line}', key.place, help)

    def _check_cut(self, scalar: Scalar, end: Mark) -> None:
        line = self.lines[end.line - 1]
        match = CUT.match(line, end.column - 1)
        if match is None or len(self.problems) >= MOST_PROBLEMS or line[end.column - 2 : end.column - 1].isspace():
            return
        start = scalar.place.column - 1 if scalar.place.line == end.line and scalar.text else end.column
        whole = line[start:].rstrip()
        place = Place(self.path, end.line, start + 1, len(whole))
        message = 'the text is cut off by " #": put quotes around it, or a second space before # for a comment'
        self._fault("E008", message, place, f"write: {in_quotes(whole)}")

    def _check_curly(self, scalar: Scalar) -> None:
        """Quotes that a word processor made are part of the text to YAML: no address or pattern would ever match."""
        inner = curly_quoted(scalar.text)
        if inner is not None and len(self.problems) < MOST_PROBLEMS:
            message = "curly quotes are part of the text here; YAML wants straight ones"
            self._fault("E028", message, scalar.place, f"write: {in_quotes(inner)}")

    def _refuse_alias(self, event: Any) -> None:
        mark = _mark(event.start_mark)
        raise _Broken(self._plain_breakdown(mark, "an alias (*name)"))

    def _refuse_marks(self, event: Any) -> None:
        if event.anchor is None and not _has_tag(event):
            return
        mark = _mark(event.start_mark)
        scalar = type(event).__name__ == "ScalarEvent"
        if scalar and any(value[0] in "&!" for _, value in value_at(self.lines[mark.line - 1], mark.column)):
            raise _Broken(self._plain_breakdown(mark, "an anchor or a tag"))
        code, what = ("E012", "an anchor (&name)") if event.anchor is not None else ("E013", "a tag (!name)")
        raise _Stop(self._problem(code, f"{what} is not used here", mark, 1, "write the values out, without it"))

    def _count(self, mark: Mark) -> None:
        self.count += 1
        if self.count > MOST_NODES:
            help = "split the file; long word lists belong into lists/"
            raise _Stop(self._problem("E017", f"more than {MOST_NODES} values in one file", mark, 1, help))

    def _starts(self, mark: Mark, text: str | tuple[str, ...]) -> bool:
        return self.lines[mark.line - 1].startswith(text, mark.column - 1)

    def _place(self, mark: Mark, end: Any) -> Place:
        span = end.column + 1 - mark.column if end.line + 1 == mark.line else 1
        return Place(self.path, mark.line, mark.column, max(span, 1))

    def _fault(self, code: str, message: str, place: Place, help: str) -> None:
        self.problems.append(self._problem(code, message, Mark(place.line, place.column), place.span, help))

    def _problem(self, code: str, message: str, mark: Mark, span: int, help: str) -> Problem:
        return Problem(
            code=code, message=message, path=self.path, line=mark.line, column=mark.column, span=span, help=help
        )


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)


def _has_tag(event: Any) -> bool:
    return getattr(event, "tag", None) is not None or getattr(event, "ctag", None) is not None
