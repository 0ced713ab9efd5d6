"""A set of hashes of mails, eight bytes each in memory and on disk: a mailbox may hold a hundred thousand of them."""

from __future__ import annotations

import base64
import hashlib
import sys
from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable
from itertools import pairwise

__all__ = ["Hashes", "hash_of"]

_BYTES = 8


def hash_of(ref: str) -> int:
    """The short form of a mail's id: 64 bits."""
    digest = hashlib.blake2b(ref.encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest()
    return int.from_bytes(digest, "big")


class Hashes:
    """Kept in order, so that looking one up takes a few comparisons and equal sets have equal texts."""

    __slots__ = ("_sorted",)

    def __init__(self, hashes: Iterable[int] = ()) -> None:
        self._sorted = array("Q", sorted(set(hashes)))

    def __len__(self) -> int:
        return len(self._sorted)

    def __contains__(self, one: int) -> bool:
        return self._place(one)[1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hashes) and self._sorted == other._sorted

    __hash__ = None  # type: ignore[assignment]

    def add(self, one: int) -> None:
        """No change if it is there."""
        if one not in self:
            insort(self._sorted, one)

    def discard(self, one: int) -> None:
        """No change if it is not there."""
        place, found = self._place(one)
        if found:
            del self._sorted[place]

    def keep(self, others: Hashes) -> None:
        """Only what is in `others` too stays."""
        self._sorted = array("Q", (one for one in self._sorted if one in others))

    def pack(self) -> str:
        """As text: base64 of the hashes, the most significant byte of each first."""
        return base64.b64encode(_swapped(self._sorted).tobytes()).decode("ascii")

    @classmethod
    def unpack(cls, text: str) -> Hashes:
        """From what `pack` wrote. Raises ValueError for anything else."""
        found = cls()
        found._sorted.frombytes(base64.b64decode(text, validate=True))
        found._sorted = _swapped(found._sorted)
        if any(one >= other for one, other in pairwise(found._sorted)):
            raise ValueError("hashes out of order")
        return found

    def _place(self, one: int) -> tuple[int, bool]:
        place = bisect_left(self._sorted, one)
        return place, place < len(self._sorted) and self._sorted[place] == one


def _swapped(hashes: array[int]) -> array[int]:
    """The same between this machine's order of bytes and that of the text."""
    if sys.byteorder == "big":
        return hashes
    swapped = hashes[:]
    swapped.byteswap()
    return swapped
