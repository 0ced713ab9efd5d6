"""GetItem for several items, whatever the server says of single ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from connectors.exchange.link import Answer, Link
from connectors.exchange.trouble import Unanswered
from connectors.exchange.words import Element, M, item_ids

__all__ = ["GONE", "Getter"]

GONE = frozenset({"ErrorItemNotFound", "ErrorInvalidIdMalformed", "ErrorInvalidId", "ErrorInvalidIdEmpty",
                  "ErrorMessageNotFound", "ErrorFolderNotFound"})  # fmt: skip
"""Codes that say of an item that it is not there (any more)."""
_TRIES = 3


class Getter:
    """Gets items over a link. Remembers, as long as it lives, on which the server breaks down."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._failures: Counter[str] = Counter()

    def get(self, shape: Element, refs: Sequence[str]) -> list[tuple[str, Answer | str]]:
        """(id, answer, or the reason why there will never be one), in one request. A server that breaks down over one
        item is asked for each by itself; the one on which it breaks down three times in a row is given up. Raises
        ConnectorError."""
        try:
            answers = self._link.ask(M.GetItem(shape, item_ids(refs)))
            for ref in refs:
                self._failures.pop(ref, None)
            if len(answers) == len(refs):
                return list(zip(refs, answers, strict=True))
        except Unanswered:
            if len(refs) == 1:
                self._failures[refs[0]] += 1
                if self._failures[refs[0]] < _TRIES:
                    raise
                return [(refs[0], "the server breaks down over it")]
        return [self.get(shape, [ref])[0] for ref in refs]

    def get_all(self, shape: Element, refs: Sequence[str], at_once: int) -> Iterator[tuple[str, Element | str]]:
        """(id, the item, or why it cannot be read) of those that are there, `at_once` in one request."""
        for start in range(0, len(refs), at_once):
            for ref, answer in self.get(shape, refs[start : start + at_once]):
                if isinstance(answer, str):
                    yield ref, answer
                elif answer.is_good:
                    yield from ((ref, element) for element in answer.within("Items"))
                elif answer.code not in GONE:
                    yield ref, f"the server refused it: {answer.words}"
