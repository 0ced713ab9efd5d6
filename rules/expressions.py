"""Finds what is wrong with the {{ ... }} and {% ... %} of a text by reading it, without rendering anything.

A closed subset of Jinja: names with dots, the filters of rules.sandbox, `if`, comparisons, `a if b else c`, and `for`
over one given list, not nested. Everything else is refused. Loads Jinja, see rules.sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from jinja2 import TemplateSyntaxError, nodes

from config.values import closest
from rules.sandbox import FILTERS, environment

_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Getattr,
    nodes.Filter,
    nodes.Const,
    nodes.If,
    nodes.For,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Compare,
    nodes.Operand,
    nodes.CondExpr,
    nodes.List,
    nodes.Tuple,
)
_SINGLE = re.compile(r"\{\{[^{}]*\}\}")
_LOOP_VARIABLE = re.compile(r"\{%-?\s*for\s+(\w+)\s+in\b")
_SINGLE_BRACES = re.compile(r"(?<![{%])\{\s*(?P<name>[a-z_]+(?:\.[a-z_]+)+)\s*\}(?!\})")
_VALUE_AS_LINK = re.compile(r"(?<=\]\()\s*<?\s*\{\{")
_IMAGE = re.compile(r"!\[[^\]\n]*\]\(")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One mistake; `line` and `column` count from 1 inside the text that was checked."""

    code: str
    message: str
    line: int
    column: int
    span: int
    help: str


@dataclass(slots=True)
class Findings:
    """What reading a text tells.

    used        every dotted name it writes or asks for, without those of loop variables
    optional    the names that have an `or` behind them
    """

    faults: list[Fault] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    optional: set[str] = field(default_factory=set)


def read_expressions(source: str, known: frozenset[str]) -> Findings:
    """Check a text against the names it may use ("contact.name"; "customer.fields.*" allows any name below)."""
    found = Findings()
    found.faults += _text_faults(source)
    try:
        tree = environment().parse(source)
    except TemplateSyntaxError as error:
        found.faults.append(_syntax_fault(source, error))
        _read_singly(source, known, found)
        return found
    _Walk(source, known, found).visit(tree, frozenset(), looping=False)
    return found


def _read_singly(source: str, known: frozenset[str], found: Findings) -> None:
    """Check each {{ ... }} on its own where the text as a whole cannot be read, so that no mistake hides another."""
    walk = _Walk(source, known, found)
    for match in _SINGLE.finditer(source):
        try:
            tree = environment().parse("\n" * source.count("\n", 0, match.start()) + match[0])
        except TemplateSyntaxError:
            continue  # told already, as the first syntax error or after that is mended
        walk.visit(tree, frozenset(_LOOP_VARIABLE.findall(source)), looping=False)


def _text_faults(source: str) -> Iterator[Fault]:
    """Mistakes that are no mistakes of Jinja."""
    for match in _SINGLE_BRACES.finditer(source):
        yield _fault_at(source, match, "E512", "a name in single braces", f"write: {{{{ {match['name']} }}}}")
    for match in _VALUE_AS_LINK.finditer(source):
        help = "write the start of the address out, for example (https://shop.example/{{ ... }})"
        yield _fault_at(source, match, "E513", "a value cannot be the whole address of a link", help)
    for match in _IMAGE.finditer(source):
        yield _fault_at(source, match, "E514", "an image cannot be used", "take it out: prepared mail has no images")


def _fault_at(source: str, match: re.Match[str], code: str, message: str, help: str) -> Fault:
    line = source.count("\n", 0, match.start()) + 1
    column = match.start() - source.rfind("\n", 0, match.start())
    return Fault(code=code, message=message, line=line, column=column, span=len(match[0]), help=help)


def _syntax_fault(source: str, error: TemplateSyntaxError) -> Fault:
    lines = source.split("\n")
    number = min(max(error.lineno, 1), len(lines))
    text = lines[number - 1]
    column = next((at for at in (text.find("{%"), text.find("{{"), text.find("}}")) if at >= 0), 0) + 1
    message = f"not understood: {error.message}"
    help = "each {{ needs its }} and each {% if %} its {% endif %}"
    return Fault(
        code="E508", message=message, line=number, column=column, span=max(len(text) - column + 1, 1), help=help
    )


class _Walk:
    """One walk over the tree of a text."""

    def __init__(self, source: str, known: frozenset[str], found: Findings) -> None:
        self._lines = source.split("\n")
        self._known = known
        self._found = found
        self._groups = {name[:at] for name in known for at, sign in enumerate(name) if sign == "."}
        self._searched: dict[tuple[int, str], int] = {}

    def visit(self, node: nodes.Node, local: frozenset[str], *, looping: bool) -> None:
        """Check a node and what is below it; `local` holds the loop variables."""
        if not isinstance(node, _ALLOWED):
            self._refuse(node, f'"{type(node).__name__.lower()}" cannot be used in a template')
        elif isinstance(node, nodes.Name | nodes.Getattr):
            self._visit_name(node, local)
        elif isinstance(node, nodes.Filter):
            self._visit_filter(node, local, looping)
        elif isinstance(node, nodes.For):
            self._visit_for(node, local, looping)
        else:
            if isinstance(node, nodes.TemplateData):
                self._visit_data(node)
            for child in node.iter_child_nodes():
                self.visit(child, local, looping=looping)

    def _visit_name(self, node: nodes.Node, local: frozenset[str]) -> None:
        name = dotted(node)
        if name is None:
            self._refuse(node, "only names with dots can be used")
        elif any(part.startswith("_") for part in name.split(".")):
            self._add("E511", f'"{name}" begins with an underscore', node, name, "use a name that a template knows")
        elif name.split(".")[0] not in local:
            self._check_known(node, name)

    def _check_known(self, node: nodes.Node, name: str) -> None:
        self._found.used.add(name)
        if name in self._known or f"{name.rpartition('.')[0]}.*" in self._known:
            return
        if name in self._groups:
            below = sorted(one for one in self._known if one.startswith(f"{name}."))
            example = f"{name}.name" if f"{name}.name" in below else below[0]
            self._add("E509", f'"{name}" is a group of values', node, name, f'rename to "{example}"')
            return
        near = self._nearest(name)
        help = (
            f'did you mean "{near}"?'
            if near
            else f"there are: {', '.join(sorted({one.split('.')[0] for one in self._known}))}"
        )
        self._add("E509", f'unknown name "{name}"', node, name, help)

    def _nearest(self, name: str) -> str:
        """The known name most like this one; a misspelt group keeps its field ("custmer.fields.x")."""
        group, _, last = name.rpartition(".")
        near = closest(group, self._groups) if group else ""
        if near and (f"{near}.{last}" in self._known or f"{near}.*" in self._known):
            return f"{near}.{last}"
        return closest(name, (one for one in self._known if not one.endswith("*")))

    def _visit_filter(self, node: nodes.Filter, local: frozenset[str], looping: bool) -> None:
        if node.name not in FILTERS:
            near = closest(node.name, FILTERS)
            help = f'did you mean "{near}"?' if near else f"the filters are: {', '.join(FILTERS)}"
            self._add("E510", f'unknown filter "{node.name}"', node, node.name, help)
        if node.node is None or node.kwargs or node.dyn_args or node.dyn_kwargs:
            self._refuse(node, "a filter stands behind a name, its arguments are plain text")
            return
        if not all(isinstance(argument, nodes.Const) for argument in node.args):
            self._refuse(node, "the argument of a filter must be a text in quotes")
        if len(node.args) != 1 if node.name == "or" else len(node.args) > (node.name != "first"):
            self._refuse(node, f'wrong number of arguments for "{node.name}"')
        name = _filtered_name(node)
        if name and node.name == "or":
            self._found.optional.add(name)
        self.visit(node.node, local, looping=looping)

    def _visit_for(self, node: nodes.For, local: frozenset[str], looping: bool) -> None:
        if looping or node.recursive:
            self._refuse(node, "a loop inside a loop cannot be used in a template")
            return
        if dotted(node.iter) is None or not isinstance(node.target, nodes.Name):
            self._refuse(node, "a loop goes over one given list, for example {% for item in order.items %}")
            return
        self.visit(node.iter, local, looping=looping)
        inner = local | {node.target.name, "loop"}
        below = [*node.body, *node.else_, *([node.test] if node.test else [])]
        for child in below:
            self.visit(child, inner, looping=True)

    def _visit_data(self, node: nodes.TemplateData) -> None:
        for sign in ("{{", "}}", "{%", "%}"):
            if sign in node.data:
                self._add("E508", f"{sign} would stand in the mail as it is", node, sign, "take it out")

    def _refuse(self, node: nodes.Node, message: str) -> None:
        help = "take it out; names, filters, {% if %} and {% for %} over a list are what there is"
        self._add("E515", message, node, r"\{[{%]", help)

    def _add(self, code: str, message: str, node: nodes.Node, word: str, help: str) -> None:
        number = min(max(node.lineno, 1), len(self._lines))
        line = self._lines[number - 1]
        pattern = rf"(?<![\w.]){re.escape(word)}(?![\w])" if word[0].isalpha() else word
        at = re.compile(pattern).search(line, self._searched.get((number, word), 0))
        column = at.start() + 1 if at else 1
        self._searched[number, word] = at.end() if at else 0
        span = len(at[0]) if at else max(len(line), 1)
        self._found.faults.append(Fault(code=code, message=message, line=number, column=column, span=span, help=help))


def dotted(node: nodes.Node) -> str | None:
    """ "contact.name" for names with dots, None for anything else."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        before = dotted(node.node)
        return f"{before}.{node.attr}" if before else None
    return None


def _filtered_name(node: nodes.Filter) -> str | None:
    inner: nodes.Node | None = node
    while isinstance(inner, nodes.Filter):
        inner = inner.node
    return dotted(inner) if inner is not None else None
