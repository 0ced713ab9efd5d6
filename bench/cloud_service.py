"""The fake Microsoft 365 in a process of its own, with a corpus in it: `python -m bench.cloud_service MAILDIR`.

Prints its port and serves until its input ends.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))  # its server harness

from campaigns.graph_app import REP
from servers.graph import GraphServer


def main() -> None:
    """Fill it and serve."""
    with GraphServer() as server:
        box = server.add_mailbox(REP)
        files = sorted((Path(sys.argv[1]) / "cur").iterdir(), key=lambda path: path.stat().st_mtime)
        for path in files:
            box.deliver(path.read_bytes(), at=datetime.fromtimestamp(path.stat().st_mtime, UTC), seen=True)
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
