"""What a try to send leaves in a mailbox of Microsoft 365 or Exchange: taken back, unless it leaves or left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from desk_contract import MAIL
from exchange_settings import settings_for as exchange_settings
from graph_world import ANA, Clock, graph_server
from graph_world import settings_for as graph_settings
from servers.ews import EwsServer
from servers.ews_store import Item
from servers.graph import Fault, GraphServer
from servers.graph_mailbox import FakeMail
from test_mailers import send

from connectors.errors import OutcomeUnknown, SendRejected
from connectors.exchange.mailer import ExchangeMailer
from connectors.graph.mailer import GraphMailer
from connectors.protocols import Drafting, Mailer


class GraphPlace:
    def __init__(self, server: GraphServer, clock: Clock) -> None:
        self.server, self.box = server, server.mailboxes[ANA]
        self.mailer = GraphMailer(graph_settings(server, clock))

    def lose_the_answer(self, *, done: bool) -> None:
        self.server.script = [("POST", "/send", Fault(status=504, after=done))]

    @property
    def drafts(self) -> list[FakeMail]:
        return self.box.in_folder("drafts")

    @property
    def sent(self) -> tuple[int, int]:
        return len(self.server.sent), len(self.box.in_folder("sentitems"))

    def edit(self) -> None:
        (draft,) = self.drafts
        later = self.box.clock() + timedelta(hours=1)
        self.box.clock = lambda: later
        self.box.change(draft, {"subject": "Melhor assim"})

    def hand_to_transport(self, name: str) -> None:
        (draft,) = self.drafts
        draft.fields["isDraft"] = name == "draft"
        self.box.move(draft, "outbox")

    def let_it_leave(self) -> None:
        (mail,) = self.box.in_folder("outbox")
        mail.fields["isDraft"] = False
        self.box.move(mail, "sentitems")


class ExchangePlace:
    def __init__(self, server: EwsServer) -> None:
        self.server, self.box = server, server.box
        self.mailer = ExchangeMailer(exchange_settings(server))

    def lose_the_answer(self, *, done: bool) -> None:
        self.server.faults.script("SendItem", "504-done" if done else "504")

    @property
    def drafts(self) -> list[Item]:
        return list(self.box.folder("drafts").items.values())

    @property
    def sent(self) -> tuple[int, int]:
        return len(self.server.sent), len(self.box.folder("sentitems").items)

    def edit(self) -> None:
        (draft,) = self.drafts
        draft.edited = draft.received + timedelta(hours=1)
        self.box.touch(draft)

    def hand_to_transport(self, name: str) -> None:
        (draft,) = self.drafts
        draft.submitted = name == "submitted"
        if name == "outbox":
            self.box.move(draft, self.box.folder("outbox"))

    def let_it_leave(self) -> None:
        (item,) = [one for one in self.box.items() if one.draft]
        item.draft = item.submitted = False
        self.box.move(item, self.box.folder("sentitems"))


Place = GraphPlace | ExchangePlace


@contextmanager
def _graph() -> Iterator[Place]:
    clock = Clock()
    with graph_server(clock) as server:
        yield GraphPlace(server, clock)


@contextmanager
def _exchange() -> Iterator[Place]:
    with EwsServer() as server:
        yield ExchangePlace(server)
        assert not server.violations


@pytest.fixture(params=[_graph, _exchange], ids=["graph", "exchange"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    make: Callable[[], object] = request.param
    with make() as made:  # type: ignore[attr-defined]
        yield made
        made.mailer.close()


def try_in_vain(place: Place, *, done: bool = False) -> None:
    place.lose_the_answer(done=done)
    with pytest.raises(OutcomeUnknown):
        send(place.mailer)


def test_both_are_mailers_that_draft(place: Place) -> None:
    assert isinstance(place.mailer, Mailer)
    assert isinstance(place.mailer, Drafting)


def test_a_draft_that_was_not_sent_is_taken_back(place: Place) -> None:
    try_in_vain(place)
    assert len(place.drafts) == 1
    assert place.mailer.take_back(MAIL.message_id)
    assert (len(place.drafts), place.sent) == (0, (0, 0))
    assert place.mailer.take_back(MAIL.message_id)


def test_a_draft_that_somebody_worked_on_is_theirs(place: Place) -> None:
    try_in_vain(place)
    place.edit()
    assert not place.mailer.take_back(MAIL.message_id)
    assert len(place.drafts) == 1


def test_what_left_stays_where_it_is(place: Place) -> None:
    try_in_vain(place, done=True)
    assert place.mailer.take_back(MAIL.message_id)
    assert place.sent == (1, 1)


def test_another_mail_in_drafts_is_none_of_ours(place: Place) -> None:
    try_in_vain(place)
    assert place.mailer.take_back("other@vendas.example")
    assert len(place.drafts) == 1


def test_what_left_after_all_is_not_sent_again_by_a_new_connection(place: Place) -> None:
    """The admin had it sent again, before anybody looked into Sent."""
    try_in_vain(place, done=True)
    place.mailer.close()
    assert "before" in send(place.mailer)
    assert (place.sent, len(place.drafts)) == ((1, 1), 0)


@pytest.mark.parametrize(
    ("place", "name"),
    [(_graph, "draft"), (_graph, "no draft"), (_exchange, "outbox"), (_exchange, "submitted")],
    indirect=["place"],
)
def test_what_is_on_its_way_is_neither_taken_back_nor_sent_again(place: Place, name: str) -> None:
    """The Outbox may call it a draft until it has left."""
    try_in_vain(place)
    place.hand_to_transport(name)
    place.mailer.take_back(MAIL.message_id)
    with pytest.raises(SendRejected, match="on its way") as caught:
        send(place.mailer)
    assert not caught.value.permanent
    assert caught.value.hint
    place.let_it_leave()
    assert "before" in send(place.mailer)
    assert place.sent == (0, 1)


@pytest.mark.parametrize("code", ["ErrorMailboxStoreUnavailable", "ErrorADUnavailable", "ErrorMailboxMoveInProgress"])
def test_a_store_that_breaks_down_may_have_sent(code: str) -> None:
    with _exchange() as place:
        assert isinstance(place, ExchangePlace)
        place.server.send_refusal = code
        with pytest.raises(OutcomeUnknown):
            send(place.mailer)
        assert len(place.drafts) == 1
        place.mailer.close()
