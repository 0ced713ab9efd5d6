"""Who gets no mail: keyed hashes of addresses and domains, so that the wish outlives the person's record.

A person is the same one in upper case, in lower case and under any "+tag" of the address.
"""

from __future__ import annotations

from sqlmodel import Session

from daemon.directory import untagged
from store import changes, suppressions
from store.customers import Actor
from store.hashing import HashKey
from store.tables import Suppression

UNSUBSCRIBED = "unsubscribed"
BOUNCED = "bounced"
COMPLAINED = "complained"
BY_ADMIN = "admin"


def address_hashes(key: HashKey, address: str) -> list[str]:
    """The address as it is, and without its tag."""
    plain = address.strip().lower()
    return list(dict.fromkeys((key.address(plain), key.address(untagged(plain)))))


def why_blocked(session: Session, key: HashKey, address: str) -> str:
    """Why an address gets no mail ("unsubscribed"), "" if it does. Its domain and those above count too."""
    wanted = address_hashes(key, address)
    domain = address.rpartition("@")[2].strip().lower()
    while "." in domain:
        wanted.append(key.domain(domain))
        domain = domain.partition(".")[2]
    found = suppressions.which(session, wanted, "mail")
    return next((found[one] for one in wanted if one in found), "")


def block(
    session: Session, key: HashKey, address: str, reason: str, *, contact_id: int | None, by: Actor
) -> int | None:
    """From now on the address gets no mail. The number of the change, which can be undone; None if nothing changed.

    A wish of the person holds for the address without its tag too. An address that does not exist says nothing about
    another one.
    """
    hashes = [key.address(address)] if reason == BOUNCED else address_hashes(key, address)
    known = suppressions.which(session, hashes, "mail")
    fresh = [one for one in hashes if one not in known]
    if not suppressions.add(session, fresh, "mail", reason, by.now) or contact_id is None:
        return None
    rows = [_row(one, reason, by) for one in fresh]
    return _note(session, contact_id, by, before={}, after={"rows": {Suppression.__tablename__: rows}})


def unblock(
    session: Session, key: HashKey, address: str, *, contact_id: int | None, by: Actor, only: str = ""
) -> int | None:
    """The address gets mail again (`only`: if this was the reason). The number of the change, None if it did anyway.

    What an erasure left is not lifted here: that person is to be readmitted.
    """
    known = suppressions.which(session, address_hashes(key, address), "mail")
    lifted = {one: why for one, why in known.items() if why != "erased" and only in ("", why)}
    if not lifted:
        return None
    suppressions.lift(session, lifted, "mail")
    if contact_id is None:
        return None
    rows = [_row(one, why, by) for one, why in lifted.items()]
    return _note(session, contact_id, by, before={"rows": {Suppression.__tablename__: rows}}, after={})


def _row(hashed: str, reason: str, by: Actor) -> dict[str, object]:
    return {"hash": hashed, "purpose": "mail", "reason": reason, "created_at": by.now}


def _note(session: Session, contact_id: int, by: Actor, *, before: dict[str, object], after: dict[str, object]) -> int:
    row = ("contact", contact_id)
    return changes.note(session, at=by.now, actor=by.name, what="rows", row=row, before=before, after=after)
