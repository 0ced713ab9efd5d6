"""A look back from the command line, and the same look by the writer that brings it about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from connectors import factory
from connectors.errors import ConnectorError
from connectors.factory import Surroundings
from connectors.model import Message, Unreadable
from connectors.parsing import ParserPool
from connectors.protocols import Rereader, Source
from daemon.app import App, hash_key, looking
from daemon.clock import SystemClock
from daemon.errors import Refused
from daemon.hindsight import Hindsight
from daemon.office import Office
from daemon.replaying import Place, ReadAgain, Replay, Review, Tell


def review(directory: Path, since: datetime, rule: str | None, tell: Tell) -> tuple[Office, Review]:
    """What today's files would have done since. Reads only, beside a running daemon too."""
    with looking(directory) as (office, store), _sources(office, directory) as read_again:
        replay = Replay(
            store=store,
            office=office,
            key=hash_key(directory),
            read_again=read_again,
            now=SystemClock().now(),
            rule=rule,
        )
        return office, replay.since(since, tell)


@contextmanager
def _sources(office: Office, directory: Path) -> Iterator[ReadAgain]:
    """Sources of our own, each opened when it is first asked."""
    parser = ParserPool()
    today = SystemClock().now().astimezone(office.settings.zone).date()
    opened: dict[str, Source] = {}

    def read_again(account: str, places: Sequence[Place]) -> Sequence[Message | Unreadable]:
        if account not in office.settings.accounts:
            return ()
        if account not in opened:
            around = Surroundings(base=directory, today=today, markup=office.rules.reads_markup)
            opened[account] = factory.build_source(account, office.settings.accounts[account], parser, around)
        return _asked(opened[account], places)

    try:
        yield read_again
    finally:
        for source in opened.values():
            source.close()
        parser.close()


def _asked(source: object, places: Sequence[Place]) -> Sequence[Message | Unreadable]:
    if not isinstance(source, Rereader):
        return ()
    try:
        return source.reread(places)
    except ConnectorError:
        return ()  # told as "cannot be told" for each of its mails


def chosen(found: Review) -> dict[str, Any]:
    """What names the mails of a look back to the writer, as plain data."""
    some = [one for one in found.planned if one.size]
    return {
        "ids": [one.difference.mail for one in some if one.difference.mail is not None],
        "identities": [one.difference.identity for one in some if one.difference.mail is None],
    }


def bring_about(app: App, args: Mapping[str, Any]) -> dict[str, Any]:
    """Judge the named mails again and write down what differs, if it comes to as many changes as the person confirmed
    and the rules are the ones that person looked at. Raises Refused."""
    if args["rules"] != app.office.rules.hash:
        raise Refused("the daemon runs other rules than the files hold", hint="load them: quietcrm reload")

    def read_again(account: str, places: Sequence[Place]) -> Sequence[Message | Unreadable]:
        return _asked(app.pollers.get(account), places)

    now = app.clock.now()
    replay = Replay(
        store=app.store, office=app.office, key=app.key, read_again=read_again, now=now, rule=args.get("rule")
    )
    found = replay.only([int(one) for one in args["ids"]], [str(one) for one in args["identities"]])
    if found.to_apply != args["confirm"]:
        message = f"it comes to {found.to_apply} changes, not {args['confirm']}; nothing was done"
        raise Refused(message, hint="look again, without --apply")
    with app.store.writing() as session:
        hindsight = Hindsight(session=session, office=app.office, key=app.key, now=now)
        mails = hindsight.bring_about(found.planned)
    return {"mails": mails, "changes": found.to_apply}
