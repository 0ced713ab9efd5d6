"""The other opinion on files of the office: `jsonschema`, by the schemas that editors get.

Reads a text as quietcrm does (every scalar is text), as YAML 1.2 (what editors take) and as YAML 1.1 (PyYAML), where
`0351` is a number and `no` may be false.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from ruamel.yaml import YAML

from config.nodes import plain
from config.reading import read_yaml
from config.settings import Settings
from config.shapes import Names
from rules.file_schemas import rules_schema, sequence_schema


def readings(text: str) -> Iterator[Any]:
    """The data of a text by each way of reading it."""
    node = read_yaml(Path("x.yaml"), text, [])
    assert node is not None
    ways: tuple[Callable[[], Any], ...] = (
        lambda: plain(node),
        lambda: YAML(typ="safe", pure=True).load(text),
        lambda: yaml.safe_load(text),
    )
    for read in ways:
        with suppress(yaml.YAMLError):  # YAML 1.1 stumbles over "boxes?}" and the like
            yield json.loads(json.dumps(read(), default=str))


def refusals(schema: Any, text: str) -> list[str]:
    """What the schema has against a text, by whatever way it is read."""
    validator = jsonschema.Draft7Validator(schema)
    return [
        f"{'.'.join(map(str, fault.absolute_path))}: {fault.message[:300]}"
        for data in readings(text)
        for fault in validator.iter_errors(data)
    ]


def of_rules(text: str, settings: Settings, templates: tuple[str, ...], lists: tuple[str, ...]) -> list[str]:
    """The same for a file of rules in a small office."""
    return refusals(_schema(rules_schema, *_told(settings), templates, lists), text)


def of_sequence(text: str, settings: Settings, templates: tuple[str, ...]) -> list[str]:
    """The same for a file of one sequence."""
    return refusals(_schema(sequence_schema, *_told(settings), templates, ()), text)


def _told(settings: Settings) -> tuple[tuple[str, ...], ...]:
    people, stages = tuple(settings.team), settings.stages.order
    return people, stages, tuple(settings.accounts), tuple(settings.channels), settings.send.auto_templates


@cache
def _schema(
    make: Any, people: Any, stages: Any, mailboxes: Any, channels: Any, auto: Any, templates: Any, lists: Any
) -> Any:
    names = Names(
        people=people,
        stages=stages,
        mailboxes=mailboxes,
        channels=channels,
        auto_templates=auto,
        templates=templates,
        sequences=("after-quote",),
        lists=lists,
    )
    return make(names)
