"""The files of rules as nodes, with every use of a blueprint written out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from config.errors import Problem
from config.nodes import MapNode
from config.reading import read_yaml
from rules.blueprints import read_blueprints, written_out
from rules.reader import Reader


def read_rule_files(directory: Path, reader: Reader) -> list[MapNode]:
    """The roots of rules/*.yaml in the order of their names. Faults of YAML and of blueprints go to the reader."""
    roots = list(read_roots(directory / "rules", reader.problems, "rules:"))
    blueprints = read_blueprints(read_roots(directory / "blueprints", reader.problems, "rule:"), reader)
    return [written_out(root, blueprints, reader) for root in roots]


def read_roots(folder: Path, problems: list[Problem], first_line: str) -> Iterator[MapNode]:
    """The mappings of the files in a folder, in the order of their names. `first_line` is what a file begins with."""
    for path in sorted(folder.glob("*.y*ml")):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.suffix != ".yaml":
            help = f'rename the file to "{path.stem}.yaml"'
            problems.append(Problem(code="E101", message=f"{path.name} would not be read", path=path, help=help))
            continue
        root = read_yaml(path, None, problems)
        if isinstance(root, MapNode):
            yield root
        elif root is not None:
            place, what = root.place, first_line.rstrip(":")
            message = f"{path.name} holds no {what}"
            help = f"add the line: {first_line}"
            problems.append(
                Problem(code="E105", message=message, path=path, line=place.line, column=place.column, help=help)
            )
