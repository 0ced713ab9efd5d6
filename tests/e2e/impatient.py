"""`quietcrm` whose workers may take three seconds for a step, so that a test need not wait for fifteen minutes."""

from __future__ import annotations

import functools
import sys

import daemon.app
from daemon.cli.main import main
from daemon.watchdog import Watchdog

if __name__ == "__main__":
    daemon.app.Watchdog = functools.partial(Watchdog, longest=3.0)  # type: ignore[attr-defined, misc, assignment]
    del sys.argv[1]  # the program that we stand for
    main()
