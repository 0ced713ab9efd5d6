"""The head of a template file: YAML between two lines `---`, checked for its shape. What it says is checked later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from config.errors import Problem
from config.nodes import ListNode, MapNode, Node, Place, Scalar
from config.reading import read_yaml
from config.values import did_you_mean

KEYS = ("name", "subject", "needs", "attach", "fallback")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z]{2,4})?")
_NAME = re.compile(r"[^\W_][\w.-]{0,63}")
_SUBJECT_HELP = 'write: "Re: {{ mail.subject }}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontMatter:
    """What the head says.

    subjects    by language in lower case; "" = one for all
    attach      names of files, see rules.enclosures
    """

    name: str
    subjects: dict[str, Scalar] = field(default_factory=dict)
    subject_place: Place | None = None
    needs: tuple[Scalar, ...] = ()
    attach: tuple[Scalar, ...] = ()
    fallback: bool = False


def problem_at(place: Place, code: str, message: str, help: str, *, warning: bool = False) -> Problem:
    """A problem at a place."""
    return Problem(
        code=code,
        message=message,
        path=place.path,
        line=place.line,
        column=place.column,
        span=place.span,
        help=help,
        warning=warning,
        also=place.other,
    )


def read_front_matter(path: Path, text: str, problems: list[Problem]) -> FrontMatter | None:
    """Read the head; `text` begins with an empty line for the `---`, so that lines count right.

    Faults are appended to `problems`; None if it is no mapping at all.
    """
    node = read_yaml(path, text, problems)
    if not isinstance(node, MapNode):
        if node is not None or not problems:
            place = Place(path, 2, 1)
            problems.append(problem_at(place, "E105", "the head must be keys and values", 'begin with "name: ..."'))
        return None
    for key, _ in node.entries:
        if key.text not in KEYS:
            help = did_you_mean(key.text, KEYS, "remove this line")
            problems.append(problem_at(key.place, "E101", f'unknown key "{key.text}"', help))
    return FrontMatter(
        name=_name(node, path, problems),
        subjects=dict(_subjects(node, problems)),
        subject_place=(node.key("subject") or node).place,
        needs=_texts(node, "needs", problems),
        attach=_texts(node, "attach", problems),
        fallback=_fallback(node, problems),
    )


def _name(front: MapNode, path: Path, problems: list[Problem]) -> str:
    node = front.get("name")
    if node is None:
        return path.stem
    if not isinstance(node, Scalar):
        problems.append(problem_at(node.place, "E103", "the name must be text", f"write: {path.stem}"))
        return path.stem
    if not _NAME.fullmatch(node.text):
        help = "use letters, digits, - and _"
        problems.append(problem_at(node.place, "E212", f'"{node.text}" cannot be a name', help))
    return node.text


def _subjects(front: MapNode, problems: list[Problem]) -> Iterator[tuple[str, Scalar]]:
    node = front.get("subject")
    if node is None:
        help = 'add: subject: "Re: {{ mail.subject }}"'
        problems.append(problem_at(front.place, "E102", 'the "subject" is missing', help))
    elif isinstance(node, ListNode):
        help = 'write {pt: "...", en: "..."}'
        problems.append(problem_at(node.place, "E103", "the subject must be text or one text per language", help))
    elif isinstance(node, Scalar):
        yield from _subject("", node, problems)
    else:
        for key, value in node.entries:
            if not _LANGUAGE.fullmatch(key.text):
                help = 'write for example "pt" or "pt-BR"'
                problems.append(problem_at(key.place, "E213", f'"{key.text}" is not a language code', help))
            yield from _subject(key.text.lower(), value, problems)


def _subject(language: str, node: Node, problems: list[Problem]) -> Iterator[tuple[str, Scalar]]:
    if not isinstance(node, Scalar):
        problems.append(problem_at(node.place, "E103", "a subject must be text", _SUBJECT_HELP))
    elif not node.text.strip():
        problems.append(problem_at(node.place, "E106", "the subject is empty", _SUBJECT_HELP))
    else:
        yield language, node


def _texts(front: MapNode, key: str, problems: list[Problem]) -> tuple[Scalar, ...]:
    node = front.get(key)
    if node is None:
        return ()
    items = node.items if isinstance(node, ListNode) else (node,)
    for item in items:
        if not isinstance(item, Scalar):
            help = f"write the items as text: {key}: [one, two]"
            problems.append(problem_at(item.place, "E103", f'"{key}" is a text or a list of texts', help))
    return tuple(item for item in items if isinstance(item, Scalar))


def _fallback(front: MapNode, problems: list[Problem]) -> bool:
    node = front.get("fallback")
    if node is None:
        return False
    if not isinstance(node, Scalar) or node.text.lower() not in ("yes", "no", "true", "false"):
        problems.append(problem_at(node.place, "E104", '"fallback" is yes or no', "write: yes"))
        return False
    return node.text.lower() in ("yes", "true")
