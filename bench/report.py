"""Writes what was measured: JSON for machines, the generated part of docs/speed.md for people."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.corpus import ROOT, Corpus
from bench.rows import Row

PAGE = ROOT / "docs" / "speed.md"
MARKS = ("<!-- measured: begin, written by make bench -->", "<!-- measured: end -->")
HEAD = "| # | what | must | aim | measured | holds | remarks |\n|---|---|---|---|---|---|---|\n"


def measured(row: Row, runs: int) -> dict[str, Any]:
    """A row as it is kept: its line of the table, single runs, and of which commit it speaks, when."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    commit = _say("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    return {**row.as_dict(), "line": row.as_markdown(), "runs": runs, "commit": commit, "at": now}


def read_json(path: Path) -> dict[int, dict[str, Any]]:
    """The rows of an earlier run by number; none if there was none."""
    if not path.exists():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return {row["row"]: row for row in rows if "line" in row}


def write_json(lines: Mapping[int, Mapping[str, Any]], corpora: Sequence[Corpus], path: Path) -> None:
    """Everything, single runs included."""
    data = {
        "machine": machine(),
        "corpora": {str(one.count): {"bytes": one.bytes, "generator": one.generator} for one in corpora},
        "rows": [lines[number] for number in sorted(lines)],
    }
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_page(
    lines: Mapping[int, Mapping[str, Any]], corpora: Sequence[Corpus], command: str, page: Path = PAGE
) -> None:
    """Put the table between the marks of the page; the prose around it stays."""
    sizes = ", ".join(f"{one.count:,} mails = {one.bytes / 1e6:,.0f} MB" for one in corpora)
    text = "\n".join(
        (
            MARKS[0],
            "",
            f"{machine()}; Dovecot on loopback; {corpora[0].generator}: {sizes}.",
            f"Last command: `{command}`. {_of_which(lines)}",
            "",
            HEAD + "\n".join(str(lines[number]["line"]) for number in sorted(lines)),
            "",
            MARKS[1],
        )
    )
    old = page.read_text(encoding="utf-8") if page.exists() else "\n".join(("# Speed", "", *MARKS, ""))
    pattern = re.compile(re.escape(MARKS[0]) + ".*?" + re.escape(MARKS[1]), re.DOTALL)
    page.write_text(pattern.sub(lambda _: text, old, count=1), encoding="utf-8")


def _of_which(lines: Mapping[int, Mapping[str, Any]]) -> str:
    """ "Rows 1, 2 at 1a2b3c4 on 2026-11-22; rows 4 at ...": what was measured together."""
    groups: dict[tuple[str, str], list[int]] = {}
    for number in sorted(lines):
        groups.setdefault((str(lines[number]["commit"]), str(lines[number]["at"])[:10]), []).append(number)
    parts = (f"rows {', '.join(map(str, some))} at {commit} on {day}" for (commit, day), some in groups.items())
    return "; ".join(parts).capitalize() + "."


def machine() -> str:
    """Cores, processor and system, without a name."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), platform.machine())
    cores = sum(line.startswith("processor") for line in info)
    return f"{cores} cores ({model}), Linux {platform.release().split('-')[0]}, Python {sys.version.split()[0]}"


def _say(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
