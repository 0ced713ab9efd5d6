"""What can go wrong with the store; drivers' errors are translated into these.

StoreError
+-- StoreBusy           another process holds the write lock longer than 30 s: try again
+-- StoreUnavailable    no connection, disk full, read-only: back off and try again
+-- StoreNewer          the schema was made by a newer quietcrm
+-- StoreOlder          the schema wants `db upgrade` first
+-- StoreDamaged        the database file is broken: restore a backup
+-- AlreadyRunning      another quietcrm writes to this store
+-- NotFound            no such row
+-- Conflict            the row is not in the state the caller thinks it is in
"""

from __future__ import annotations

from config.errors import QuietcrmError


class StoreError(QuietcrmError):
    """Root of all errors of the store."""


class StoreBusy(StoreError):
    """Somebody else holds the write lock for too long."""


class StoreUnavailable(StoreError):
    """The database does not answer or cannot be written now; trying again later may help."""


class StoreNewer(StoreError):
    """The schema was made by a newer release than this one."""


class StoreOlder(StoreError):
    """The schema is older than this release, or there is none yet."""


class StoreDamaged(StoreError):
    """The database is broken, or a backup does not hold what it says."""


class AlreadyRunning(StoreError):
    """Another process writes to this store."""


class NotFound(StoreError):
    """There is no such row."""


class Conflict(StoreError):
    """The row is in another state than the call needs."""
