"""Whatever stands in names and subjects, the finished mail has the planned header: on every Python at hand."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_texts import INJECTION, hostile_texts, word

ROOT = Path(__file__).resolve().parents[2]
CODE = f"import sys; sys.path[:0] = {[str(ROOT), str(Path(__file__).parent)]!r}; import hostile_reading as h; h.main()"


def candidates() -> list[str]:
    """Programs that may be a Python: ours, those on the PATH, those that pyenv keeps."""
    names = [f"python3.{minor}" for minor in range(11, 16)]
    folders = os.environ.get("PATH", "").split(os.pathsep)
    found = [shutil.which(name, path=folder) for name in names for folder in folders]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    kept = [str(path) for path in sorted(pyenv.glob("versions/3.*/bin/python3"))]
    return [sys.executable, *filter(None, found), *kept]


def interpreters() -> dict[str, str]:
    """Version -> program, of every CPython from 3.11 on."""
    question = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    programs: dict[str, str] = {}
    for program in dict.fromkeys(candidates()):
        done = subprocess.run([program, "-I", "-S", "-c", question], capture_output=True, text=True, timeout=60)
        version = done.stdout.strip()  # a shim of pyenv for a version that is not chosen answers with an error
        if done.returncode == 0 and tuple(map(int, version.split("."))) >= (3, 11):
            programs.setdefault(version, program)
    return programs


def read(program: str, texts: list[tuple[str, str]]) -> dict[str, Any]:
    """Render and read under another Python, with nothing but the standard library."""
    done = subprocess.run(
        [program, "-I", "-S", "-B", "-c", CODE], input=json.dumps(texts), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_hostile_names_and_subjects_change_no_header(record_property: Callable[[str, object], None]) -> None:
    texts = hostile_texts()
    programs = interpreters()
    record_property("pythons", ", ".join(sorted(programs)))
    assert ".".join(map(str, sys.version_info[:3])) in programs
    for version, program in programs.items():
        found = read(program, texts)
        print(f"Python {found['version']}: {found['rendered']} mails rendered, {len(found['held'])} held back")
        assert found["version"].startswith(version)
        assert found["odd"] == []
        assert (found["rendered"], found["held"]) == (len(texts), [])


def test_the_texts_are_hostile() -> None:
    """They hold what they should; a generator that went tame would prove nothing."""
    texts = [text for pair in hostile_texts() for text in pair]
    double = base64.b64encode(word(INJECTION).encode()).decode()
    for needle in (
        "\r\n",
        "\0",
        "\u2028",
        "\ud800",
        "\u202e",
        '"',
        "<evil@",
        ",",
        "=?utf-8?Q?",
        word(INJECTION),
        double,
    ):
        assert sum(needle in text for text in texts) >= 10, needle
    assert sum(len(text) == 1000 for text in texts) >= 300
    assert len(texts) == 4000
