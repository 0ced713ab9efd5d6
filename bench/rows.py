"""The rows of docs/speed.md: what is promised, and what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value against what it must and aims to be. `unit` is written behind the number."""

    value: float
    must: float
    aim: float
    unit: str = ""
    least: bool = False
    """True where more is better."""
    word: str = ""

    @property
    def verdict(self) -> str:
        """aim, must or missed."""
        return "aim" if self._holds(self.aim) else "must" if self._holds(self.must) else "**missed**"

    def _holds(self, bound: float) -> bool:
        return self.value >= bound if self.least else self.value <= bound

    def shown(self, number: float) -> str:
        """A number of this figure, short."""
        digits = 0 if number >= 100 or number == int(number) else 1 if number >= 10 else 2
        text = f"{number:,.{digits}f}{self.unit}"
        return f"{self.word} {text}".strip()


@dataclass(slots=True)
class Row:
    """One line of the table. Without figures, `note` says why it was not measured."""

    number: int
    what: str
    figures: Sequence[Figure] = ()
    note: str = ""
    raw: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        figures = [
            {"what": one.word, "value": one.value, "must": one.must, "aim": one.aim, "verdict": one.verdict}
            for one in self.figures
        ]
        return {"row": self.number, "what": self.what, "figures": figures, "note": self.note, "raw": self.raw}

    def as_markdown(self) -> str:
        """The line of the table."""
        if not self.figures:
            return f"| {self.number} | {self.what} | | | not measured | | {self.note} |"
        cells = [
            "; ".join(one.shown(number) for one, number in zip(self.figures, numbers, strict=True))
            for numbers in (
                [one.must for one in self.figures],
                [one.aim for one in self.figures],
                [one.value for one in self.figures],
            )
        ]
        verdicts = ", ".join(one.verdict for one in self.figures)
        return f"| {self.number} | {self.what} | {cells[0]} | {cells[1]} | {cells[2]} | {verdicts} | {self.note} |"


def medians(rounds: Sequence[Sequence[Row]]) -> list[Row]:
    """One row of each number from several rounds: each figure the median, the single values kept in `raw`. A row that
    could not be measured in some round says so."""
    found = []
    for same in zip(*rounds, strict=True):
        if failed := next((row for row in same if not row.figures), None):
            found.append(failed)
            continue
        values = list(zip(*([one.value for one in row.figures] for row in same), strict=True))
        figures = [
            replace(one, value=statistics.median(several)) for one, several in zip(same[0].figures, values, strict=True)
        ]
        note = "; ".join(part for part in (same[-1].note, f"median of {len(same)} rounds") if part)
        found.append(Row(same[0].number, same[0].what, figures, note, {"values": values}))
    return found
