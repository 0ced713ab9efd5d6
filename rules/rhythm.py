"""When a customer will order again, by how often they ordered before. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import date, timedelta
from statistics import median_low

LEAST = 3
"""Two orders are one gap: that is no rhythm."""
REMEMBERED = 7
"""Newer orders tell more than those of years ago."""


def next_order(days: Iterable[date]) -> date | None:
    """The day after the last order by the middle one of the gaps between the last seven; None without a rhythm.

    Several orders on one day count as one.
    """
    known = sorted(set(days))[-REMEMBERED:]
    if len(known) < LEAST:
        return None
    gaps = [(later - earlier).days for earlier, later in itertools.pairwise(known)]
    return known[-1] + timedelta(days=median_low(gaps))
