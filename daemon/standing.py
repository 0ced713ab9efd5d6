"""Where customers stand, who did how much, and who fell silent: what `report` says beside meetings. Reads only."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from daemon.office import Office
from store import counting
from store.meetings import CHANNEL as MEETING

HUMAN = "human"


def pipeline(session: Session, office: Office) -> list[dict[str, Any]]:
    """The shape of `report pipeline --json`: the stages in their order, then those no longer in the settings; owners
    with how many of the customers are theirs, "" for nobody's."""
    owners: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for (stage, owner), count in sorted(counting.by_stage(session).items()):
        owners[stage][owner] = count
    known = office.settings.stages.order
    others = sorted(owners.keys() - set(known))
    return [
        {"stage": stage, "known": stage in known, "customers": sum(owners[stage].values()), "owners": owners[stage]}
        for stage in (*known, *others)
    ]


def activity(session: Session, office: Office, since: datetime, until: datetime) -> list[dict[str, Any]]:
    """The shape of `report activity --json`: per person of the team what is in the history of that time; `automatic`
    are bounces, replies by machines and the like. Who is no longer in the team, and nobody ("") come last, if they
    have any."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (rep, channel, kind, direction), count in counting.by_rep(session, since, until).items():
        found[rep][_sort(channel, kind, direction)] += count
    others = sorted(found.keys() - office.settings.team.keys(), key=lambda rep: (not rep, rep))
    sorts = ("mails_in", "mails_out", "automatic", "meetings", "other")
    return [{"rep": rep, **{name: found[rep][name] for name in sorts}} for rep in (*office.settings.team, *others)]


def _sort(channel: str, kind: str, direction: str) -> str:
    if channel == MEETING:
        return "meetings"
    if channel != "mail":
        return "other"
    if kind != HUMAN:
        return "automatic"
    return "mails_in" if direction == "in" else "mails_out"


def silence(session: Session, now: datetime, days: int, limit: int) -> list[dict[str, Any]]:
    """The shape of `report silence --json`: customers without a mail of either side for so many days, the longest
    silent first."""
    return [
        {
            "id": one.id,
            "customer": one.name,
            "stage": one.stage,
            "owner": one.owner,
            "last_in": one.last_in_at,
            "last_out": one.last_out_at,
            "days": (now - one.last_at).days,
        }
        for one in counting.silent(session, now - timedelta(days=days), limit)
    ]
