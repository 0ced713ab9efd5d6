"""Seeded slips of the hand in the files of an office: what an admin does to them on a bad day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from config.load import config_files
from config.starter import LANGUAGES, StarterAnswers, starter_files

Files = dict[str, bytes]
EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
SAFETY = {
    "never_log": "never_log: [segredo@banco.example]",
    "poll": "poll: {every: 1 second}",
    "log": "log: {format: json}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One slip.

    line    where it was made, 0 for a file as a whole
    lines   one of these must be named; () where it may be no fault, or be missed elsewhere
    """

    kind: str
    file: str
    line: int
    files: Mapping[str, bytes]
    lines: frozenset[int] = frozenset()


Slip = Callable[[Files, Random], Mutation | None]


def offices() -> dict[str, Files]:
    """The shipped examples that a daemon can run here, by name: Maildirs only."""
    found = {f"start-{language}": _starter(language) for language in LANGUAGES}
    for settings in sorted(EXAMPLES.glob("*/quietcrm.yaml")):
        folder = settings.parent
        paths = [*config_files(folder), *sorted((folder / "attachments").glob("*"))]
        found[folder.name] = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    for files in found.values():
        said = {line.partition(":")[0] for line in files["quietcrm.yaml"].decode().split("\n")}
        more = "\n".join(line for name, line in SAFETY.items() if name not in said)
        files["quietcrm.yaml"] += f"\n{more}\n".encode()
        files["lists/never_log.txt"] = files.get("lists/never_log.txt", b"") + b"\n@contador.example\n"
    return found


def _starter(language: str) -> Files:
    answers = StarterAnswers(
        company="Vendas",
        zone="America/Sao_Paulo",
        language=language,
        rep="ana",
        mail="ana@vendas.example",
        account_type="maildir",
        path="mail/ana",
    )
    return {path.as_posix(): text.encode() for path, text in starter_files(answers).items()}


def mutate(files: Files, rng: Random) -> Mutation:
    """One slip in one file of an office."""
    while True:
        slip = rng.choice(KINDS)
        for _ in range(50):  # in another line, where this one has nothing to slip on
            found = slip(files, rng)
            if found is not None and dict(found.files) != files:
                return found


def _on_a_line(kind: str, change: Callable[[str, Random], str | None], *, sure: bool = False) -> Slip:
    """A slip in one line that says something, of a YAML file."""

    def slip(files: Files, rng: Random) -> Mutation | None:
        name = rng.choice([name for name in sorted(files) if name.endswith(".yaml")])
        lines = files[name].decode().split("\n")
        number = rng.choice([n for n, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")])
        changed = change(lines[number], rng)
        if changed is None or changed == lines[number]:
            return None
        text = "\n".join([*lines[:number], changed, *lines[number + 1 :]])
        at = number + 1
        sure_of = frozenset((at,) if sure else ())
        return Mutation(kind=kind, file=name, line=at, files={**files, name: text.encode()}, lines=sure_of)

    return slip


def _key_of(line: str) -> tuple[str, str, str] | None:
    """(indentation and dash, key, the rest from the colon on)."""
    head, colon, rest = line.partition(":")
    bare = head.lstrip(" -")
    if not colon or not bare.replace("_", "").replace("-", "").isalnum():
        return None
    return head[: len(head) - len(bare)], bare, colon + rest


def _misspell(line: str, rng: Random) -> str | None:
    parts = _key_of(line)
    if parts is None or len(parts[1]) < 3:
        return None
    at = rng.randrange(len(parts[1]) - 1)
    key = parts[1]
    return parts[0] + key[:at] + key[at + 1] + key[at] + key[at + 2 :] + parts[2]


def _value(*values: str) -> Callable[[str, Random], str | None]:
    def change(line: str, rng: Random) -> str | None:
        parts = _key_of(line)
        if parts is None or not parts[2][1:].strip():
            return None
        return f"{parts[0]}{parts[1]}: {rng.choice(values)}"

    return change


def _without(signs: str) -> Callable[[str, Random], str | None]:
    def change(line: str, rng: Random) -> str | None:
        places = [at for at, sign in enumerate(line) if sign in signs]
        at = rng.choice(places) if places else None
        return None if at is None else line[:at] + line[at + 1 :]

    return change


def _indent(line: str, rng: Random) -> str:
    return rng.choice([" " + line, "   " + line, line[1:] if line.startswith(" ") else " " + line])


def _garble(line: str, rng: Random) -> str:
    at = rng.randrange(len(line))
    return line[:at] + rng.choice("{}[]:,-'\"#&*!|>%@` x") + line[at + rng.choice((0, 1)) :]


def _tab(line: str, rng: Random) -> str | None:
    return "\t" + line.lstrip() if line.startswith(" ") else None


def _unprintable(line: str, rng: Random) -> str:
    return line.replace(":", ":\x07", 1) if ":" in line else line + "\x07"


def _whole(kind: str, folder: str, change: Callable[[bytes, Random], bytes | None]) -> Slip:
    """A slip that concerns a file as a whole; None = the file goes."""

    def slip(files: Files, rng: Random) -> Mutation | None:
        names = [name for name in sorted(files) if name.startswith(folder)]
        if not names:
            return None
        name = rng.choice(names)
        content = change(files[name], rng)
        left = {other: text for other, text in files.items() if other != name}
        return Mutation(kind=kind, file=name, line=0, files=left if content is None else {**left, name: content})

    return slip


def _latin(content: bytes, rng: Random) -> bytes:
    return content.replace(b"\n", "\nação".encode("latin-1"), 1)


KINDS: tuple[Slip, ...] = (
    _on_a_line("a line is gone", lambda line, _: ""),
    _on_a_line("a line stands twice", lambda line, _: f"{line}\n{line}"),
    _on_a_line("a key is misspelt", _misspell),
    _on_a_line("a sign is wrong", _garble),
    _on_a_line("a Tab", _tab, sure=True),
    _on_a_line("a quote is missing", _without("\"'")),
    _on_a_line("a bracket is missing", _without("[]{}")),
    _on_a_line("the indent is wrong", _indent),
    _on_a_line("an unseen character", _unprintable, sure=True),
    _on_a_line("a trap of YAML", _value("@x", "`x`", "%x", "{{ x }}", "*x", "a: b", "&x y", "!x y"), sure=True),
    _on_a_line("a wrong type", _value("{a: b}", "[[x]]", "no", "0351", "12:30", "")),
    _on_a_line("a bad value", _value("31/02/2026", "3 dyas", "$nowhere", "[]", "x" * 400)),
    _whole("a template is gone", "templates/", lambda content, _: None),
    _whole("a list is gone", "lists/", lambda content, _: None),
    _whole("the settings are gone", "quietcrm.yaml", lambda content, _: None),
    _whole("a template names nobody", "templates/", lambda content, _: content + b"\n{{ custmer.name }}\n"),
    _whole("a template without its head", "templates/", lambda content, _: content.replace(b"---\n", b"", 1)),
    _whole("a file was cut", "", lambda content, rng: content[: rng.randrange(len(content))]),
    _whole("a file is empty", "", lambda content, _: b""),
    _whole("a file is not UTF-8", "", _latin),
    _whole("a file of zeros", "", lambda content, _: b"\0" * len(content)),
)
