"""The last good configuration, kept whole in the state folder: what runs when the files on disk do not.

`config.good` is a link to `config.good.HASH`, a folder with copies of every configuration file; HASH is the one of
`config.load.config_hash`. Setting the link is one step, so whatever dies meanwhile, a complete set is there. Passwords
are not in it: the files name only the places where they lie.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from config.load import config_files, config_hash

LINK = "config.good"
_FOLDER = re.compile(r"config\.good\.(?P<hash>[0-9a-f]{12})")


def stage(directory: Path, state: Path) -> Path:
    """Copy the configuration files of `directory` into the state folder; the folder named by their hash, on disk when
    this returns. Raises OSError."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = Path(tempfile.mkdtemp(prefix=f".{LINK}.", dir=state))
    try:
        for path in config_files(directory):
            _copy(path, scratch / path.relative_to(directory))
        target = state / f"{LINK}.{config_hash(scratch)}"
        if _is_sound(target):
            return target
        shutil.rmtree(target, ignore_errors=True)
        for folder in (scratch, *(path for path in scratch.rglob("*") if path.is_dir())):
            _sync(folder)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def staged_hash(staged: Path) -> str:
    """The hash of the files in a folder that `stage` made."""
    return staged.name.removeprefix(f"{LINK}.")


def keep(staged: Path) -> None:
    """Make a staged folder the last good set. The one before it stays until the next. Raises OSError."""
    state, link = staged.parent, staged.parent / LINK
    before = link.readlink().name if link.is_symlink() else ""
    if before == staged.name:
        return
    if not before:
        shutil.rmtree(link, ignore_errors=True)  # a folder copied here by hand
    draft = state / f".{LINK}.new"
    draft.unlink(missing_ok=True)
    draft.symlink_to(staged.name)
    draft.replace(link)
    _sync(state)
    for path in [*state.glob(f"{LINK}.*"), *state.glob(f".{LINK}.*")]:
        if path.name not in (before, staged.name):
            shutil.rmtree(path, ignore_errors=True)


def find(state: Path) -> Path | None:
    """The folder with the last good set; None if there is none or it is damaged."""
    folder = (state / LINK).resolve()
    return folder if folder.is_dir() and _is_sound(folder) else None


def bring_back(files: Path, state: Path) -> None:
    """Make the files of a backup the last good set. Raises OSError."""
    keep(stage(files, state))


def _is_sound(folder: Path) -> bool:
    """Whether it holds what its name says. A folder that somebody copied under another name is believed."""
    named = _FOLDER.fullmatch(folder.name)
    return folder.is_dir() and (named is None or named["hash"] == config_hash(folder))


def _copy(source: Path, target: Path) -> None:
    try:
        content = source.read_bytes()
    except (FileNotFoundError, PermissionError):
        return  # then the hash is another one, and the caller sees it
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
