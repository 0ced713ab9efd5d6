"""Configuration files as text: size, encoding and characters that no configuration needs."""

from __future__ import annotations

import re
from pathlib import Path

from config.errors import Problem

LARGEST_FILE = 1024 * 1024
# Line ends that YAML knows and editors hide, controls, surrogates, a BOM in the middle, non-characters.
# A space that is none (U+00A0) at the start of a line looks like indentation and is text to YAML.
FALSE_INDENT = re.compile("^[ \t]*\u00a0[ \t\u00a0]*", re.MULTILINE)
STRANGE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
SECRET_VALUE = re.compile(
    r"""\b\w*(?:password|secret|token|passwd)["']?[ \t]*:[ \t]*(?P<value>[^\s{][^,}]*)""", re.IGNORECASE
)
LOGIN_IN_URL = re.compile(r"://[^\s:/@]*:(?P<value>[^\s@]+)@")
WIDE_MARKS = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))


def is_editors(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or what editors lay beside the file they hold open:
    `.words.txt.swp`, `words.txt~`, `#words.txt#`."""
    return name.startswith((".", "#")) or name.endswith("~")


def read_text(path: Path, problems: list[Problem]) -> str | None:
    """The file's text with `\\n` line ends and no BOM; None (and a problem) if it cannot be had."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        help = f"create it with: quietcrm init, or make {path.name} readable"
        problems.append(Problem(code="E022", message=f"{path.name} cannot be opened: {reason}", path=path, help=help))
        return None
    return decode_text(path, raw, problems)


def decode_text(path: Path, raw: bytes, problems: list[Problem]) -> str | None:
    """UTF-8 bytes (a BOM is fine) to text; None and a problem with the line of the first wrong byte otherwise."""
    if len(raw) > LARGEST_FILE:
        problems.append(too_large(path))
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.append(_not_utf8(path, raw, error.start))
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def too_large(path: Path) -> Problem:
    """The problem for a file beyond LARGEST_FILE."""
    help = "split it: rules may lie in several files, long word lists in lists/"
    return Problem(code="E015", message=f"{path.name} is larger than 1 MB", path=path, line=1, column=1, help=help)


def strange_characters(path: Path, text: str) -> list[Problem]:
    """A problem for every invisible or impossible character (at most 20)."""
    found = [_false_indent(path, text, match) for match in list(FALSE_INDENT.finditer(text))[:20]]
    for match in list(STRANGE.finditer(text))[:20]:
        line, column = _position(text, match.start())
        message = f"an invisible character (U+{ord(match[0]):04X})"
        found.append(Problem(code="E021", message=message, path=path, line=line, column=column, help="remove it"))
    return found


def without_strange(text: str) -> str:
    """`text` as it reads once those problems are mended."""
    return FALSE_INDENT.sub(lambda match: " " * len(match[0]), STRANGE.sub("", text))


def without_secrets(line: str) -> str:
    """`line` with every literal password replaced by as many asterisks; references to secrets stay readable."""
    for pattern in (SECRET_VALUE, LOGIN_IN_URL):
        line = pattern.sub(_starred, line)
    return line


def _starred(match: re.Match[str]) -> str:
    start, end = (at - match.start() for at in match.span("value"))
    return match[0][:start] + "*" * (end - start) + match[0][end:]


def _position(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _false_indent(path: Path, text: str, match: re.Match[str]) -> Problem:
    line, column = _position(text, match.start())
    return Problem(
        code="E021",
        message="a no-break space in the indentation (U+00A0)",
        path=path,
        line=line,
        column=column,
        span=len(match[0]),
        help=f"indent with {len(match[0])} spaces",
    )


def _not_utf8(path: Path, raw: bytes, at: int) -> Problem:
    wide = next((name for mark, name in WIDE_MARKS if raw.startswith(mark)), None)
    line = 1 if wide else raw.count(b"\n", 0, at) + 1
    start = raw.rfind(b"\n", 0, at) + 1
    column = 1 if wide else len(raw[start:at].decode("utf-8-sig", "replace")) + 1
    message = f"the file is {wide}, not UTF-8" if wide else "the file is not UTF-8 here"
    return Problem(code="E018", message=message, path=path, line=line, column=column, help="save the file as UTF-8")
