"""Patterns that hang `re`: `python -m campaigns.patterns`.

For each of the fifty of `campaigns.evil`: `re` does not answer within a second of processor time (in a child that the
system ends), and quietcrm answers for 64 KB and for 256 KB, searching and taking a value out, or refuses the pattern
when it is loaded. Times are processor time of this process, the best of three.

Then the heaviest patterns that are still taken, on texts that make a matcher keep every place in mind.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from random import Random

from campaigns.evil import EVIL

from rules.patterns import PatternError, Searchable, compile_pattern

SMALL, LARGE = 64 * 1024, 256 * 1024
MOST_RATIO = 8.0
MOST_SECONDS = 1.0
LEAST = 0.005
"""Seconds below which a ratio says nothing."""
HEAVY = (
    r"(.*a){50}$",
    r".*a.{98}b",
    r".*é.{98}b",
    r"\w*a\w{24}x",
    r"\w{25}x",
    r"(\w{1,5}\s){1,4}x",
    r"\b(\w{1,4}\W){1,5}x",
    r"(\w|\s){1,19}\W\b",
    r"([ab]|b[ab]){1,33}c",
    r"(a{1,7}){1,14}b",
    r"((a{1,4}){1,5}){1,5}b",
    r"[^a]*a[^b]{98}c",
)


@dataclass(frozen=True, slots=True)
class Time:
    """Seconds for the small and the large text."""

    small: float
    large: float

    def fault(self) -> str:
        """What is wrong with them, "" if nothing."""
        if self.large >= MOST_SECONDS:
            return f"{self.large:.2f} s for 256 KB"
        ratio = self.large / max(self.small, LEAST)
        return f"{ratio:.1f} times for four times the text" if ratio > MOST_RATIO else ""


def hangs(source: str, text: str) -> bool:
    """Whether `re` is still busy after a second of processor time."""
    code = "import re,sys\nsource,text=sys.stdin.read().split('\\0')\nre.compile(source,re.I).search(text)"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))

    ended = subprocess.run(
        [sys.executable, "-c", code], input=f"{source}\0{text}", text=True, capture_output=True, preexec_fn=limit
    )
    return ended.returncode < 0 or "RecursionError" in ended.stderr


def measure(source: str, pump: str, tail: str) -> Time:
    """Searching and capturing, small and large. Raises PatternError."""
    compile_pattern(source)
    return Time(*(min(_once(source, _text(pump, tail, size)) for _ in range(3)) for size in (SMALL, LARGE)))


def _once(source: str, text: str) -> float:
    pattern = compile_pattern(source)
    start = time.process_time()
    made = Searchable(text)
    pattern.search(made)
    pattern.capture(made)
    return time.process_time() - start


def _text(pump: str, tail: str, size: int) -> str:
    return (pump * (size // len(pump) + 1))[: size - len(tail)] + tail


def heavy_texts() -> list[tuple[str, str]]:
    """(pump, tail) of texts on which automata grow."""
    chance = Random(1)
    mixed = ["".join(chance.choices(signs, k=LARGE)) for signs in ("ab", "abé", "ab éçж.", "a a, ж")]
    return [("a", "!"), ("ab", "!"), ("ação joão ", "!"), *((text, "!") for text in mixed)]


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each pattern; 1 if one of them is too slow, or does not hang `re` after all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=len(EVIL), help="only so many of the fifty")
    options = parser.parse_args(arguments)
    faults = 0
    for source, pump, tail in EVIL[: options.count]:
        tame = "" if hangs(source, _text(pump, tail, LARGE)) else "`re` answers"
        faults += _tell(source, [(pump, tail)], tame)
    for source in HEAVY:
        faults += _tell(source, heavy_texts(), "")
    print(f"patterns: {min(options.count, len(EVIL))} that hang re, {len(HEAVY)} of the heaviest, {faults} faults")
    return 1 if faults else 0


def _tell(source: str, texts: list[tuple[str, str]], fault: str) -> bool:
    try:
        slowest = max((measure(source, pump, tail) for pump, tail in texts), key=lambda one: one.large)
    except PatternError as error:
        print(f"refused: {error.message:30}          {source}")
        return bool(fault)
    fault = fault or slowest.fault()
    print(
        f"{slowest.small * 1000:6.1f} ms, {slowest.large * 1000:6.1f} ms  {'FAULT ' + fault if fault else ''}  {source}"
    )
    return bool(fault)


if __name__ == "__main__":
    sys.exit(main())
