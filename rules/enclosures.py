"""Files that go with a mail: named by templates (`attach:` in the head) and by rules (`attach:` of draft and send).

They lie in `attachments/` or beside the templates; `{{ lang }}` in a name stands for the language of the mail. What is
wrong is found at load, for every language a template is written in; the files themselves are read when a mail is made.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from config.errors import Problem
from config.nodes import Scalar
from config.values import did_you_mean
from rules.front_matter import problem_at

FOLDERS = ("attachments", "templates")
LARGEST = 10 << 20
MOST = 15 << 20
"""Bytes of one file, and of all of a mail: what most mail servers take, with the third that base64 adds."""
_LANG = re.compile(r"\{\{\s*lang\s*\}\}")
_PLAIN = re.compile(r"[^\W_][^\x00-\x1f\x7f/\\\"<>|:*?]{0,119}")
_NEVER_TAKEN = re.compile(
    r".*\.(?:ade|adp|bat|chm|cmd|com|cpl|exe|hta|ins|isp|jar|jse?|lib|lnk|mde|ms[cipt]|pif|scr|sct|shb|sys|vb[es]?|vxd|"
    r"ws[cfh])",
    re.IGNORECASE,
)
"""Endings that large mail providers refuse whatever is in the file."""


def file_name(source: str, language: str) -> str:
    """The name in one language."""
    return _LANG.sub(language, source)


def find_file(base: Path, name: str) -> Path | None:
    """The file of this name below an office's folder, None if there is none."""
    return next((path for folder in FOLDERS if (path := base / folder / name).is_file()), None)


def content_type(name: str) -> str:
    """The content type by the name's ending."""
    kind, encoding = mimetypes.guess_type(name, strict=False)
    return kind if kind and not encoding else "application/octet-stream"


def check_enclosures(
    items: Sequence[Scalar], languages: Iterable[str], base: Path, *, gone: bool = False
) -> list[Problem]:
    """What is wrong with files to attach. `gone`: the rules are an older copy, so a missing file is no fault."""
    problems: list[Problem] = []
    sizes = dict.fromkeys(languages, 0)
    for item in items:
        faults = list(_check_name(item))
        problems += faults
        for language in sizes if not faults else ():
            path = find_file(base, file_name(item.text, language))
            if path is None:
                problems.append(_missing(item, file_name(item.text, language), base, warning=gone))
                break
            sizes[language] += path.stat().st_size
            if path.stat().st_size > LARGEST:
                problems.append(_too_large(item, f"{path.name} has {_mb(path.stat().st_size)}", LARGEST))
                break
    largest = max(sizes.values(), default=0)
    if largest > MOST and not problems:
        problems.append(_too_large(items[-1], f"together the files have {_mb(largest)}", MOST))
    return problems


def _check_name(item: Scalar) -> Iterable[Problem]:
    plain = _LANG.sub("pt", item.text)
    if "{{" in plain or "{%" in plain:
        yield problem_at(
            item.place, "E516", f'"{item.text}": a name of a file knows only {{{{ lang }}}}', "write it out"
        )
    elif not _PLAIN.fullmatch(plain):
        help = f"put it into {FOLDERS[0]}/ and write its name, without folders: price-list.pdf"
        yield problem_at(item.place, "E516", f'"{item.text}" is no plain name of a file', help)
    elif _NEVER_TAKEN.fullmatch(plain):
        help = "put it on your web site and write the address into the text"
        yield problem_at(item.place, "E516", f'mail servers take no "{plain}"', help)


def _missing(item: Scalar, name: str, base: Path, *, warning: bool) -> Problem:
    there = sorted(path.name for folder in FOLDERS for path in (base / folder).glob("*") if path.suffix != ".md")
    help = did_you_mean(name, there, f"put the file into {FOLDERS[0]}/")
    return problem_at(item.place, "E516", f'there is no file "{name}" in {" or ".join(FOLDERS)}', help, warning=warning)


def _too_large(item: Scalar, words: str, most: int) -> Problem:
    help = "make it smaller, or put it on your web site and write the address into the text"
    return problem_at(item.place, "E516", f"{words}, more than the {_mb(most)} that mail servers take", help)


def _mb(size: int) -> str:
    return f"{size / (1 << 20):.0f} MB"
