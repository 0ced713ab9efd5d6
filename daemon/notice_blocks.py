"""Blocks of a notice: a heading in the reader's language, and no more lines than anybody reads."""

from __future__ import annotations

from collections.abc import Sequence

from daemon.page import Block, Line
from daemon.phrases import phrase

LINES = 12


def block(
    name: str, lines: Sequence[Line], language: str, tone: str = "calm", note: str = "", count: int = 0
) -> list[Block]:
    """The block, or nothing where it has no lines. `count`: matters, where one line stands for several."""
    if not lines:
        return []
    more = phrase("more", language).format(len(lines) - LINES) if len(lines) > LINES else ""
    remark = " ".join(part for part in (f"{more}." if more else "", note) if part)
    every = max(count, len(lines))
    return [Block(name=name, title=phrase(name, language), lines=lines[:LINES], tone=tone, note=remark, count=every)]


def counted(shown: Sequence[Block], language: str) -> str:
    """ "held: 2, questions: 1": what the subject says."""
    return ", ".join(phrase(f"count_{one.name}", language).format(one.count or len(one.lines)) for one in shown)
