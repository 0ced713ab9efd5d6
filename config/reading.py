"""Reads YAML into nodes with places."""

from __future__ import annotations

from pathlib import Path

from config.errors import Problem
from config.nodes import Node


def read_yaml(path: Path, text: str | None, problems: list[Problem]) -> Node | None:
    """Read `text` (or the file, if None) into nodes; faults are appended to `problems`. Never raises."""
    raise NotImplementedError(path, text, problems, Node)
