"""The shape of the project: five packages, one direction, names that nobody else ships."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("daemon", "connectors", "store", "rules", "config")


def test_import_contracts_hold() -> None:
    """The layers of pyproject.toml, read by import-linter."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_ships_our_names(package: str) -> None:
    """Two distributions with one top-level name overwrite each other without a warning."""
    assert set(packages_distributions().get(package, [])) <= {"quietcrm"}  # an editable install lists no files
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin == str(REPOSITORY / package / "__init__.py")


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_says_what_it_is(package: str) -> None:
    tree = ast.parse((REPOSITORY / package / "__init__.py").read_text())
    assert ast.get_docstring(tree)
