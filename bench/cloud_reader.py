"""quietcrm that reads a mailbox in the fake Microsoft 365 once: `python -m bench.cloud_reader DIR URL`.

Signed in by a token that never ends, for signing in is no part of what is measured.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))  # its server harness

from campaigns.graph_app import ServiceTime, be_quiet, swift

from daemon.app import opened


def main() -> None:
    """One pass over everything; says how many mails it saw."""
    be_quiet()
    directory, url = Path(sys.argv[1]), sys.argv[2]
    with swift(ServiceTime(url)), opened(directory) as app:
        print(json.dumps({"seen": app.pollers["ana"].poll().seen}))


if __name__ == "__main__":
    main()
