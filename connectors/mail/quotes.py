"""Split a mail's text into what its writer newly wrote, the quoted conversation, and the signature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connectors.mail.quote_headers import (
    field_block_end,
    field_kind,
    find_attribution,
    is_rule_line,
    is_verb_ending,
    separator_kind,
)
from connectors.mail.signatures import signature_start

TEXT: Final = 0
QUOTED: Final = 1
SIGNATURE: Final = 2

_HEADER_LEADS: Final = frozenset("-_*=—–>")
_HEADER_ENDS: Final = frozenset(":：-*")
_INVISIBLE: Final = str.maketrans("", "", "\ufeff\u200b\u2060")
_WRAP_WIDTH: Final = 70
_PATIENCE: Final = 3000
"""After so many lines that looked like a header and were none, only ``>`` is heeded: the text is a listing."""


@dataclass(frozen=True, slots=True)
class ReplyParts:
    """One mail in three parts; each is made of lines of the body, blank lines at the edges off."""

    text: str
    """What the writer newly wrote; answers between quotes are joined by a blank line."""
    quoted: str
    """The quoted conversation with its header lines."""
    signature: str


def split_reply(body: str) -> ReplyParts:
    """Split a plain text body. Total and linear in the length of the body."""
    if "\r" in body:
        body = body.replace("\r\n", "\n").replace("\r", "\n")
    if not body.isascii() and ("\u200b" in body or "\ufeff" in body or "\u2060" in body):
        body = body.translate(_INVISIBLE)
    return split_lines(body.split("\n"))


def split_lines(lines: Sequence[str], marks: bytes | bytearray = b"") -> ReplyParts:
    """Split lines of which some are already known (by ``marks``, one per line) as ``QUOTED`` or ``SIGNATURE``."""
    scan = _Scan(lines, marks)
    scan.run()
    return scan.parts()


class _Scan:
    """One pass over the lines of one mail; ``kinds`` says for each line where it belongs."""

    def __init__(self, lines: Sequence[str], marks: bytes | bytearray) -> None:
        self.lines = lines
        self.stripped = [line.strip() for line in lines]
        self.kinds = bytearray(marks) if marks else bytearray(len(lines))
        self.marked = len(marks) > 0
        self.heads: dict[int, int] = {}
        """Lines that hold the end of the new text before a header begins, with the column of the header."""
        self.first_text = 0
        self.patience = _PATIENCE
        if marks and _is_marked_forward(self.stripped, self.kinds):
            self.kinds = bytearray(len(lines))

    def run(self) -> None:
        """Walk over the lines that may be a quote or a header of one."""
        kinds, resume = self.kinds, 0
        marked = any(kinds)
        for index, line in enumerate(self.stripped):
            if (
                line
                and (
                    line[0] in _HEADER_LEADS
                    or line[-1] in _HEADER_ENDS
                    or ":" in line[:26]
                    or (marked and kinds[index])
                )
                and index >= resume
            ):
                if line[0] == ">" and self._continues_quote(index, line):
                    kinds[index] = QUOTED
                else:
                    resume = self._visit(index, line)
        if QUOTED in kinds:
            self._close_gaps()

    def _continues_quote(self, index: int, line: str) -> bool:
        return (
            index > 0
            and self.kinds[index - 1] == QUOTED
            and self.stripped[index - 1].startswith(">")
            and line[-1] != "<"
            and not self.kinds[index]
        )

    def _visit(self, index: int, line: str) -> int:
        """Judge one line; return the index at which to go on."""
        if self.kinds[index] == SIGNATURE:
            return index + 1
        if self._is_quote(index):
            return self._visit_quote(index, line)
        if not self.patience:
            return index + 1
        start, end, column = index, index, 0
        if (kind := separator_kind(line)) is not None and self._is_separator(index, line):
            block = self._next_filled(index + 1)
            if block < len(self.stripped) and (block_end := self._block_end(block)) is not None:
                end = block_end
            if kind == "forward" and not self._has_text(index):
                self._mark(index, end)
                return end + 1
        elif field_kind(line) is not None and (block_end := field_block_end(self.stripped, index)) is not None:
            end = block_end
        else:
            found = find_attribution(self.stripped, index, quote_follows=self._quote_follows(index))
            if found is None:
                self.patience -= 1
                return index + 1
            start, column = found
        return self._take_header(start, end, column)

    def _take_header(self, start: int, end: int, column: int) -> int:
        if column:
            self.heads[start] = column
        if not self._quote_follows(end):
            end = len(self.stripped) - 1
        self._mark(start, end)
        self._take_rules_above(start)
        return end + 1

    def _visit_quote(self, index: int, line: str) -> int:
        """A quoted line; the first of a run may have a header above it that has not been seen as one."""
        if not self.patience:
            self.kinds[index] = QUOTED
            return index + 1
        before = self._previous_filled(index)
        if is_verb_ending(line) and before >= 0 and not self.stripped[before].startswith(">"):
            found = find_attribution(self.stripped, index, quote_follows=True)
            return self._take_header(found.start if found else index, index, 0)
        self.kinds[index] = QUOTED
        if before >= 0 and not self.kinds[before]:
            self.patience -= 1
            found = find_attribution(self.stripped, before, quote_follows=True)
            if found is not None:
                if found.column:
                    self.heads[found.start] = found.column
                self._mark(found.start, before)
        return index + 1

    def _is_quote(self, index: int) -> bool:
        if self.kinds[index] == QUOTED:
            return True
        line = self.stripped[index]
        if not line.startswith(">"):
            return False
        if line.startswith(">>") and line.endswith("<"):
            return False  # an ornament such as >>> www.shop.example <<<
        # A lone ">From" is a text line that passed through an mbox file.
        return not (line.startswith(">From ") and not self._neighbour_quoted(index))

    def _neighbour_quoted(self, index: int) -> bool:
        return any(
            0 <= near < len(self.stripped) and self.stripped[near].startswith(">") for near in (index - 1, index + 1)
        )

    def _is_separator(self, index: int, line: str) -> bool:
        """A separator without dashes counts only where header fields or a quote follow it."""
        if line.startswith(("--", "—", "__", "==", "**")):
            return True
        following = self._next_filled(index + 1)
        return following < len(self.stripped) and (
            self._is_quote(following) or field_kind(self.stripped[following]) is not None
        )

    def _block_end(self, index: int) -> int | None:
        if field_kind(self.stripped[index]) is None:
            return None
        return field_block_end(self.stripped, index)

    def _quote_follows(self, index: int) -> bool:
        following = self._next_filled(index + 1)
        return following < len(self.stripped) and self._is_quote(following)

    def _next_filled(self, index: int) -> int:
        """The next line with text; looks ahead a few lines only, as clients leave no more blank."""
        for near in range(index, min(index + 8, len(self.stripped))):
            if self.stripped[near]:
                return near
        return len(self.stripped)

    def _previous_filled(self, index: int) -> int:
        for near in range(index - 1, max(-1, index - 5), -1):
            if self.stripped[near]:
                return near
        return -1

    def _has_text(self, index: int) -> bool:
        """Whether new text stands above; the place found so far is kept, so all calls together are one pass."""
        while self.first_text < index and (not self.stripped[self.first_text] or self.kinds[self.first_text]):
            self.first_text += 1
        return self.first_text < index

    def _mark(self, start: int, end: int) -> None:
        self.kinds[start : end + 1] = bytes((QUOTED,)) * (end + 1 - start)

    def _take_rules_above(self, start: int) -> None:
        """Drawn lines and a bare "Original message" right above a header belong to it."""
        top = start
        for index in range(start - 1, -1, -1):
            line = self.stripped[index]
            if self.kinds[index]:
                break
            if line:
                if not (is_rule_line(line) or separator_kind(line) or _is_yandex_field(line)):
                    break
                top = index
        self._mark(top, start - 1)

    def _close_gaps(self) -> None:
        """Blank lines, wrapped ends of quoted lines and stray links between two quoted lines are quoted too."""
        kinds, gap = self.kinds, -1
        for index, kind in enumerate(kinds):
            if kind == QUOTED:
                if 0 <= gap < index and self._is_gap(gap, index):
                    self._mark(gap, index - 1)
                gap = index + 1

    def _is_gap(self, start: int, end: int) -> bool:
        filled = [index for index in range(start, end) if self.stripped[index]]
        if not filled:
            return True
        if SIGNATURE in self.kinds[start:end] or len(filled) > 1:
            return False
        line, quoted = self.stripped[filled[0]], self.stripped[start - 1]
        if line.startswith(("(http", "<http", "[http", "<mailto:")) and line.count(" ") <= 1:
            return True
        if line in {"<", ">", ",", ";", ".", "="}:
            return True
        first = line.split(" ", 1)[0]
        full = len(quoted) >= 60 and len(quoted) + 1 + len(first) > _WRAP_WIDTH
        return filled[0] == start and end == start + 1 and full and line[:1].islower()

    def parts(self) -> ReplyParts:
        """Put the lines together."""
        segments = self._segments()
        texts: list[str] = []
        signatures = ["\n".join(line for line, kind in zip(self.lines, self.kinds, strict=True) if kind == SIGNATURE)]
        before: list[str] = []
        for number, segment in enumerate(segments):
            cut = len(segment)
            if number in {0, len(segments) - 1}:
                cut = signature_start([line.strip() for line in segment[-64:]]) + max(0, len(segment) - 64)
            if text := _join(segment[:cut]):
                texts.extend((self._gap_after(texts, before), text))
            before = segment
            signatures.append(_join(segment[cut:]))
        return ReplyParts(
            text="".join(texts),
            quoted=self._quoted(),
            signature="\n".join(part for part in signatures if part.strip()).strip(),
        )

    def _gap_after(self, texts: Sequence[str], before: Sequence[str]) -> str:
        """The line ends between two runs of new text: a blank line if there was one above the quote, or in HTML."""
        if not texts:
            return ""
        return "\n\n" if self.marked or not before[-1].strip() else "\n"

    def _segments(self) -> list[list[str]]:
        """Runs of new text, without runs of blank lines only."""
        if not any(self.kinds):
            return [list(self.lines)]
        segments: list[list[str]] = []
        current: list[str] = []
        filled = False
        for index, kind in enumerate(self.kinds):
            if kind == TEXT:
                current.append(self.lines[index])
                filled = filled or bool(self.stripped[index])
                continue
            if index in self.heads:
                current.append(self.stripped[index][: self.heads[index]])
                filled = True
            if filled:
                segments.append(current)
            current, filled = [], False
        if filled:
            segments.append(current)
        return segments

    def _quoted(self) -> str:
        if QUOTED not in self.kinds:
            return ""
        return _join(
            [
                self.stripped[index][self.heads[index] :] if index in self.heads else self.lines[index]
                for index, kind in enumerate(self.kinds)
                if kind == QUOTED
            ]
        )


def _is_marked_forward(stripped: Sequence[str], kinds: bytearray) -> bool:
    """Everything is marked as quoted, and it is a forwarded message: then the forwarded text is the news."""
    first = -1
    for index, line in enumerate(stripped):
        if line and kinds[index] == TEXT:
            return False
        if line and first < 0 and kinds[index] == QUOTED:
            first = index
    return first >= 0 and separator_kind(stripped[first]) == "forward"


def _is_yandex_field(line: str) -> bool:
    """Yandex writes ``Кому: ...;`` and ``Тема: ...;`` above the line with the date."""
    return line.endswith(";") and field_kind(line) in {"to", "subject", "copy"}


def _join(lines: Sequence[str]) -> str:
    return "\n".join(lines).strip("\n\t \r\xa0")
