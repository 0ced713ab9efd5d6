"""Measures the rows of docs/speed.md on this machine, beside peers in the same run.

    .venv/bin/python -m bench.run [--quick] [--runs 5] [--rows 1,5,9] [--out FILE] [--page]

--quick reads 1,000 mails once and only shows that everything runs. --page writes the table into docs/speed.md.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))  # its server harness

from bench import cloud, exchange, reading, sending, sizes, standing
from bench.corpus import Corpus, cache_folder, make_corpus
from bench.laboratory import Laboratory
from bench.report import HEAD, measured, read_json, write_json, write_page
from bench.rows import Row, medians
from daemon.logs import configure_logs

SMALL, MIDDLE, BIG = 1000, 5000, 20_000

_Work = tuple[set[int], Callable[[], list[Row]]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    given = _parser().parse_args(arguments)
    wanted = {int(number) for number in given.rows.split(",")} if given.rows else set(range(1, 26))
    runs = 1 if given.quick else given.runs
    sizes = (SMALL, SMALL, SMALL) if given.quick else (SMALL, MIDDLE, BIG)
    corpora = {size: make_corpus(size) for size in sizes}
    small, middle, big = (corpora[size] for size in sizes)
    configure_logs(form="json", level="warning")
    with Laboratory() as lab:
        rows = measure(lab, (small, middle, big), runs, wanted, quick=given.quick)
    lines = {row.number: measured(row, runs) for row in rows}
    lines = (read_json(given.out) if given.keep else {}) | lines
    say(HEAD + "\n".join(lines[number]["line"] for number in sorted(lines)))
    write_json(lines, list(corpora.values()), given.out)
    if given.page:
        write_page(lines, list(corpora.values()), "make bench " + shlex.join(arguments or sys.argv[1:]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench.run", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="1,000 mails, one run, no Django")
    parser.add_argument("--runs", type=int, default=5, help="runs of each client; the median counts")
    parser.add_argument("--rows", default="", help="only these, e.g. 1,5,9")
    parser.add_argument("--out", type=Path, default=cache_folder() / "results.json", help="where the JSON goes")
    parser.add_argument("--page", action="store_true", help="write the table into docs/speed.md")
    parser.add_argument("--keep", action="store_true", help="keep the rows of --out that are not measured now")
    return parser


def measure(
    lab: Laboratory, corpora: tuple[Corpus, Corpus, Corpus], runs: int, wanted: set[int], *, quick: bool
) -> list[Row]:
    """The wanted rows; corpora from small to big. What has no peer is measured in rounds, so that a moment of other
    work on the machine does not fall on all runs of one row."""
    small, middle, big = corpora
    ends = [small] if quick else [small, big]
    beside_peers: list[_Work] = [
        ({1, 2, 3, 18}, lambda: reading.read_big(lab, big, runs)),
        ({6}, lambda: reading.read_far(lab, small, runs)),
        ({21, 22}, lambda: exchange.read_exchange(small.count if quick else middle.count, runs)),
        ({25}, lambda: cloud.read_first(small if quick else middle, runs)),
        ({4}, lambda: [] if quick else reading.read_beside_django(lab, middle, runs)),
        ({14, 17}, lambda: sizes.start(100, 1000) if quick else sizes.start(10_000, 1_000_000)),
    ]
    alone: list[_Work] = [
        ({5}, lambda: reading.count_bytes(lab, middle)),
        ({7, 8}, lambda: standing.poll_unchanged(lab, ends)),
        ({9}, lambda: standing.hear_new_mail(lab, small)),
        ({11, 12}, lambda: sizes.match(200 if quick else 2000)),
        ({15}, lambda: sending.send_follow_ups(200 if quick else 1000)),
        ({24}, lambda: cloud.poll_unchanged(small if quick else middle)),
        ({13}, lambda: standing.weigh(lab, [small], rest=1) if quick else standing.weigh(lab, [middle, big])),
    ]
    rounds = [_work_through(alone, wanted) for _ in range(runs)]
    return medians(rounds) + _work_through(beside_peers, wanted)


def _work_through(works: Sequence[_Work], wanted: set[int]) -> list[Row]:
    rows: list[Row] = []
    for numbers, work in works:
        if numbers & wanted:
            reading.tell(f"rows {', '.join(map(str, sorted(numbers)))}")
            rows += (found := work())
            reading.tell("\n".join(row.as_markdown() for row in found))
    return rows


def say(text: str) -> None:
    """To stdout."""
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
