"""The reading half of `campaigns.graph` as a process of its own, so that its memory is its own.

`python -m campaigns.graph_reader DIR URL` reads a number of seconds from its input, lets them pass, polls until there
is nothing more to read, and answers with one line of JSON: how many mails it has seen, and its memory in bytes. That is
its memory at rest: as in the daemon, the parsers end when no mail comes, and what was freed goes back to the system.
"""

from __future__ import annotations

import gc
import json
import sys
import time as real
from functools import partial
from pathlib import Path
from unittest.mock import patch

import psutil
from campaigns.graph_app import ServiceTime, be_quiet, swift

from connectors.parser_child import ParserLimits
from connectors.parsing import ParserPool
from daemon import app as building
from daemon.app import App, opened
from daemon.requests import answer
from store import accounts
from store.importing import read_csv

QUIET = 2
"""Polls without anything new after which there is nothing more to read."""
IDLE = 0.3
"""Seconds without mail after which parsers end; the daemon gives them a minute."""


def read(app: App, time: ServiceTime) -> int:
    """Poll, whatever fails, until all is read; how many mails were seen. After a failure a while passes, as it would
    between two polls of the daemon."""
    (poller,) = app.pollers.values()
    seen = quiet = 0
    while quiet < QUIET:
        poller.source.close()  # the next poll asks every folder
        counts = poller.poll()
        seen += counts.seen
        with app.store.session() as session:
            state = accounts.load(session, poller.account)
        if state is not None and state.state in ("failing", "parked"):
            time.sleep(60.0)
            quiet = 0
        else:
            quiet = 0 if counts.seen else quiet + 1
    return seen


def memory_at_rest() -> int:
    """Resident bytes of this process once its parsers have ended."""
    gc.collect()
    process = psutil.Process()
    while process.children():
        real.sleep(IDLE / 3)
    real.sleep(IDLE)
    return int(process.memory_info().rss)


def main() -> None:
    """Serve until the input ends."""
    be_quiet()
    directory, url = Path(sys.argv[1]), sys.argv[2]
    time = ServiceTime(url)
    pool = partial(ParserPool, limits=ParserLimits(idle=IDLE))
    with patch.object(building, "ParserPool", pool), swift(time), opened(directory) as app:
        rows = [[row.line, dict(row.values)] for row in read_csv(directory / "customers.csv")]
        answer(app, "customer.import", {"rows": rows})
        for line in sys.stdin:
            time.sleep(float(line))
            seen = read(app, time)
            print(json.dumps({"seen": seen, "memory": memory_at_rest(), "pauses": time.pauses}), flush=True)


if __name__ == "__main__":
    main()
