"""What a YAML file says, with the place of every word. All scalars are text; a schema gives them a type later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: `line` and `column` count from 1 (characters), `span` is how many to underline.

    other   of a rule that a blueprint makes: where it is used, or for what the use gave, where it is put in
    """

    path: Path
    line: int
    column: int
    span: int = 1
    other: Place | None = None


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value as written, quotes removed; `quoted` is True for '...', "..." and block text (| and >)."""

    text: str
    place: Place
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list; `place` is its first character."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class MapNode:
    """A mapping in the order written; keys are unique. `place` is its first character."""

    entries: tuple[tuple[Scalar, Node], ...]
    place: Place

    def get(self, name: str) -> Node | None:
        """The value under `name`, or None."""
        return next((value for key, value in self.entries if key.text == name), None)

    def key(self, name: str) -> Scalar | None:
        """The key `name` itself (for its place), or None."""
        return next((key for key, _ in self.entries if key.text == name), None)


Node = Scalar | ListNode | MapNode


def plain(node: Node) -> object:
    """The node as dict, list and str, without places."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return {key.text: plain(value) for key, value in node.entries}


def last_line(node: Node) -> int:
    """The last line that a node surely reaches."""
    while not isinstance(node, Scalar):
        children = node.items if isinstance(node, ListNode) else tuple(value for _, value in node.entries)
        if not children:
            return node.place.line
        node = children[-1]
    return node.place.line + (node.text.count("\n") if node.quoted else 0)
