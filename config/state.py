"""Where quietcrm keeps its own files: database, hash key, lock, socket, backups."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

SYSTEM = {Path("/etc/quietcrm"): Path("/var/lib/quietcrm")}
"""The service's folders (systemd/quietcrm.service). A command typed into a shell has no STATE_DIRECTORY and must find
the same files as the service."""


def state_directory(directory: Path) -> Path:
    """The state folder of a configuration folder: systemd's StateDirectory, else its place for the system's own
    configuration, else DIR/state."""
    named = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(named) if named else SYSTEM.get(directory.absolute(), directory / "state")


def locate(directory: Path, path: str) -> Path:
    """A path of the settings as an absolute one: `state/...` lies in the state folder, anything else below DIR."""
    parts = PurePosixPath(path).parts
    if len(parts) > 1 and parts[0] == "state":
        return state_directory(directory).absolute().joinpath(*parts[1:])
    return directory.absolute() / path
