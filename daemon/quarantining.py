"""Mail that could not be read or written: into quarantine, unless it is mail that we must not keep."""

from __future__ import annotations

import structlog

from connectors.model import Message, Unreadable
from daemon.batch import Work
from daemon.directory import untagged
from rules.decision import Outcome
from store import quarantine, suppressions
from store.hashing import HashKey

log = structlog.get_logger()


def keep_unreadable(work: Work, key: HashKey, failed: Unreadable) -> None:
    """A mail that no parser could read."""
    work.counts.seen += 1
    reason = _must_not_keep(work, key, failed)
    if reason:
        work.counts.skipped[reason] += 1
        return
    quarantine.put(work.session, failed, work.now)
    work.counts.quarantined += 1
    log.warning("message.quarantined", account=work.account, ref=failed.ref, stage=failed.stage)


def _must_not_keep(work: Work, key: HashKey, failed: Unreadable) -> str:
    settings = work.office.settings
    people = [person.key for person in failed.people]
    if people and all(settings.is_internal(person) for person in people):
        return Outcome.INTERNAL.value
    outside = [person for person in people if not settings.is_internal(person)]
    hashes = [key.address(one) for person in outside for one in (person, untagged(person))]
    if any(settings.is_never_log(person) for person in people) or suppressions.which(work.session, hashes, "log"):
        return Outcome.NEVER_LOG.value
    return ""


def put_aside(work: Work, message: Message, error: Exception) -> None:
    """A mail that was read, and that rules or rows failed on. Without its text: it lies in its mailbox."""
    log.error("message.failed", account=work.account, ref=message.ref, exc_info=error)
    failed = Unreadable(
        account=message.account,
        folder=message.folder,
        ref=message.ref,
        stage="store",
        reason=f"writing it failed with {type(error).__name__}",
        people=tuple(message.people()),
        message_id=message.message_id,
        received_at=message.received_at,
        size=message.size,
    )
    quarantine.put(work.session, failed, work.now)
    work.counts.failed += 1
