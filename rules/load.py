"""Loads rules, blueprints, lists, templates and sequences into a RuleSet; every fault is named with its place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from config.errors import Problem
from config.lists import read_lists
from config.nodes import ListNode, MapNode, Node, Scalar
from config.reading import read_yaml
from config.settings import Settings
from rules.extract import extracted_names
from rules.reader import Reader, entries
from rules.rule_files import read_rule_files
from rules.ruleset import Rule, RuleSet, index_rules
from rules.schema import read_rule
from rules.sequences import read_sequences, sequence_files, sequence_names
from rules.templates import Template, TemplateNames, load_templates
from rules.word_lists import merge_words

__all__ = ["Rule", "RuleSet", "load_ruleset"]

FILE_KEYS = ("words", "rules")


def load_ruleset(
    directory: Path, settings: Settings, problems: list[Problem], *, office: Path | None = None
) -> RuleSet:
    """Read the rules, blueprints, lists, templates and sequences below `directory`. Never raises for what is in them.

    Faults are appended to `problems`, all of them; what is sound is in the answer. `office`: the office's own folder,
    if `directory` is an older copy: files to attach lie only there.
    """
    faults: list[Problem] = []
    # A template whose file has a fault is named once, there; not again by every rule that uses it.
    named = frozenset(path.stem for path in (directory / "templates").glob("*.md"))
    files = read_rule_files(directory, Reader(settings=settings, problems=faults, templates=named))
    extracted = frozenset(_extracted(files))
    company = settings.company
    names = TemplateNames(language=company.language, written=company.languages, extracted=extracted)
    templates = load_templates(directory / "templates", problems, names=names, base=office)
    reader = Reader(
        settings=settings,
        problems=problems,
        lists=read_lists(directory, problems),
        templates=frozenset(templates) | named,
        template_needs={name: _needed(template) & extracted for name, template in templates.items()},
        template_names={name: _needed(template) for name, template in templates.items()},
        template_languages={name: template.languages for name, template in templates.items()},
        office=office or directory,
        older=office is not None,
        sequences=sequence_names(directory),
    )
    _check_auto_templates(directory, reader)
    before = len(problems)
    problems += faults
    reader.lists = merge_words(reader, [words for root in files if (words := root.get("words"))])
    rules = tuple(_read_rules(files, reader))
    sequences = read_sequences(sequence_files(directory, problems), reader)
    problems[before:] = sorted(_once_each(problems[before:]), key=lambda one: (str(one.path), one.line, one.column))
    return RuleSet(
        rules=rules,
        templates=MappingProxyType(templates),
        sequences=MappingProxyType(sequences),
        lists=MappingProxyType(dict(reader.lists)),
        hash=content_hash(directory),
        index=index_rules(rules),
    )


def _once_each(problems: list[Problem]) -> list[Problem]:
    """A fault in a blueprint is told for the first of the rules that use it."""
    return list({(one.code, one.path, one.line, one.column, one.message): one for one in reversed(problems)}.values())


def _check_auto_templates(directory: Path, reader: Reader) -> None:
    """A name in `send: auto_templates` that is no template would let nothing leave, and nobody would know why."""
    if set(reader.settings.send.auto_templates) <= reader.templates:
        return
    root = read_yaml(directory / "quietcrm.yaml", None, [])
    send = root.get("send") if isinstance(root, MapNode) else None
    named = send.get("auto_templates") if isinstance(send, MapNode) else None
    items = named.items if isinstance(named, ListNode) else (named,)
    for item in items:
        if isinstance(item, Scalar) and item.text not in reader.templates:
            reader.unknown("template", item, reader.templates, code="E403")


def content_hash(directory: Path) -> str:
    """Twelve hex digits over rules, blueprints, lists, templates and sequences."""
    digest = hashlib.sha256()
    for pattern in ("rules/*.yaml", "blueprints/*.yaml", "lists/*.txt", "templates/*.md", "sequences/*.yaml"):
        for path in sorted(directory.glob(pattern)):
            try:
                content = path.read_bytes()
            except OSError:
                continue  # told as a problem by whoever reads it
            digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def _extracted(files: list[MapNode]) -> Iterator[str]:
    """Every name that some rule takes out of mail."""
    for root in files:
        rules = root.get("rules")
        for rule in rules.items if isinstance(rules, ListNode) else ():
            if isinstance(rule, MapNode):
                yield from extracted_names(rule.get("extract"))


def _needed(template: Template) -> frozenset[str]:
    """The names that a template writes, in any language, without an `or` behind them."""
    return frozenset(one for language, names in template.used.items() for one in names - template.optional[language])


def _read_rules(files: list[MapNode], reader: Reader) -> Iterator[Rule]:
    names: dict[str, Scalar] = {}
    for root in files:
        for key, value in entries(root, reader, FILE_KEYS, "part of a rules file"):
            if key.text == "rules":
                for node in _rule_nodes(value, reader):
                    rule = read_rule(node, reader)
                    if rule and _is_new(rule, node, names, reader):
                        yield rule


def _rule_nodes(node: Node, reader: Reader) -> Iterator[MapNode]:
    if not isinstance(node, ListNode):
        reader.report("E105", "`rules` needs a list", node.place, 'write "- name: ..." for each rule')
        return
    for item in node.items:
        if isinstance(item, MapNode):
            yield item
        else:
            reader.report("E105", "a rule needs a mapping", item.place, "write for example name: my-rule")


def _is_new(rule: Rule, node: MapNode, names: dict[str, Scalar], reader: Reader) -> bool:
    name = node.get("name")
    if not isinstance(name, Scalar):
        return False
    first = names.setdefault(rule.name, name)
    if first is name:
        return True
    where = f"{first.place.path.name}:{first.place.line}"
    other = _free_name(rule.name, names)
    reader.report("E405", f'a rule "{rule.name}" is in {where} already', name.place, f'rename to "{other}"')
    return False


def _free_name(name: str, taken: Mapping[str, Scalar]) -> str:
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"
