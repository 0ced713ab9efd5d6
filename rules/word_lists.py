"""`words:` of rule files joined with lists/*.txt; `$name` inside a list stands for another one."""

from __future__ import annotations

from collections.abc import Mapping

from config.nodes import Node, Scalar
from config.values import NAME
from rules.reader import Reader

_DEEPEST = 8


def merge_words(reader: Reader, sections: list[Node]) -> Mapping[str, tuple[str, ...]]:
    """All word lists by name, `$name` replaced. Faults go to the reader."""
    found: dict[str, list[Scalar]] = {}
    for section in sections:
        mapping = reader.mapping(section, "`words`", "{price: [quote, quotation]}")
        for key, value in mapping.entries if mapping else ():
            if _is_new(key, found, reader):
                found[key.text] = reader.scalars(value, f'the list "{key.text}"')
    known = {**reader.lists, **{name: tuple(one.text for one in entries) for name, entries in found.items()}}
    reader.lists = known
    expanded = {name: _expanded(entries, found, reader, (name,)) for name, entries in found.items()}
    return {**known, **expanded}


def _is_new(key: Scalar, found: Mapping[str, list[Scalar]], reader: Reader) -> bool:
    if not NAME.fullmatch(key.text):
        help = "use letters, digits, - and _"
        reader.report("E212", f'"{key.text}" cannot be the name of a list', key.place, help)
        return False
    if key.text not in found and key.text not in reader.lists:
        return True
    where = f"{found[key.text][0].place.path.name}" if found.get(key.text) else f"lists/{key.text}.txt"
    other = f"{key.text}-2"
    reader.report("E406", f'a list "{key.text}" is in {where} already', key.place, f'rename to "{other}"')
    return False


def _expanded(
    entries: list[Scalar], found: Mapping[str, list[Scalar]], reader: Reader, path: tuple[str, ...]
) -> tuple[str, ...]:
    words: dict[str, None] = {}
    for entry in entries:
        name = entry.text.removeprefix("$")
        if not entry.text.startswith("$") or not name:
            words[entry.text] = None
        elif name in path or len(path) > _DEEPEST:
            if len(path) == 1 or name == path[0]:
                reader.report("E411", f'the list "{path[0]}" contains itself', entry.place, f'take "{entry.text}" away')
        elif name in found:
            words |= dict.fromkeys(_expanded(found[name], found, reader, (*path, name)))
        else:
            words |= dict.fromkeys(reader.word_list(Scalar(name, entry.place)) if len(path) == 1 else ())
    return tuple(words)
