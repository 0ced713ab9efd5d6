"""When reading stops for want of room, and when it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.disk import BACK, LEAST, MOST, DiskGuard


@dataclass
class Disk:
    total: int
    free: int

    def __call__(self, _folder: Path) -> Disk:
        return self


@pytest.mark.parametrize(
    ("total", "enough"),
    [(500_000_000, LEAST), (20_000_000_000, 1_000_000_000), (4_000_000_000_000, MOST)],
    ids=["small: 100 MB", "usual: a twentieth", "huge: 10 GB"],
)
def test_the_floor(total: int, enough: int) -> None:
    disk = Disk(total, enough)
    guard = DiskGuard(Path("/var/lib/quietcrm"), disk)
    assert guard.trouble() == ""
    disk.free = enough - 1
    assert guard.trouble() == f"only {disk.free // 1_000_000} MB are free on the disk of /var/lib/quietcrm"
    disk.free = enough
    assert guard.trouble(), "it does not flutter"
    disk.free = int(enough * BACK) + 1
    assert guard.trouble() == "", "and goes on alone"


@given(st.lists(st.integers(0, 1_000_000_000), min_size=1, max_size=50))
def test_never_below_the_floor_and_never_stuck_above_it(frees: list[int]) -> None:
    disk = Disk(1_000_000_000, 0)
    guard = DiskGuard(Path(), disk)
    for disk.free in frees:
        trouble = guard.trouble()
        if disk.free < LEAST:
            assert trouble
        if disk.free > LEAST * BACK:
            assert not trouble


def test_a_folder_that_is_not_there_is_no_full_disk(tmp_path: Path) -> None:
    assert DiskGuard(tmp_path / "none").trouble() == ""
    assert isinstance(DiskGuard(tmp_path).trouble(), str), "measured for real"
