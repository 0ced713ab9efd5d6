"""The writer's lock on PostgreSQL outlives a restart of the server, unless somebody else was quicker."""

from __future__ import annotations

from pathlib import Path

import pytest
from servers.postgres import PostgresServer

from store.engine import open_store
from store.errors import AlreadyRunning, StoreUnavailable
from store.lock import WriterLock


def test_the_lock_is_taken_again_after_a_restart_of_the_server(tmp_path: Path) -> None:
    with PostgresServer() as server:
        url = server.new_database()
        stores = [open_store(url, base=tmp_path) for _ in range(2)]
        ours, theirs = map(WriterLock, stores)
        ours.acquire()
        server.stop()
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                ours.check()
        server.start()
        ours.check()
        with pytest.raises(AlreadyRunning):
            theirs.acquire()
        server.stop()
        server.start()
        theirs.acquire()
        for _ in range(2):
            with pytest.raises(AlreadyRunning):
                ours.check()
        theirs.release()
        for store in stores:
            store.close()
